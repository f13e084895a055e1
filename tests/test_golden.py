"""Digests of code and ids of shipped studies change on purpose only, in a commit that says so."""

from __future__ import annotations

import golden
import pytest


def changed(file: str, now: str) -> list[str]:
    """Lines that only one of a golden file and its new text has."""
    before = set((golden.GOLDEN / file).read_text().splitlines())
    return sorted(before ^ set(now.splitlines()))


def test_the_code_of_stages_and_methods_changes_on_purpose_only():
    found = changed("code_digests.json", golden.as_text(golden.code_digests()))
    assert not found, f"code that these execute differs from tests/golden/code_digests.json; {golden.RENEW}"


@pytest.mark.slow
def test_runs_and_jobs_of_the_shipped_studies_keep_their_ids():
    studies, runs = golden.ids()
    found = changed("runs.txt", "\n".join(runs)) + changed("studies.json", golden.as_text(studies))
    assert not found, f"ids differ from those in tests/golden/; {golden.RENEW}"
