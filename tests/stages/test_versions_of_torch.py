"""Draws of two versions of torch: merged with a warning, and both are kept beside the radii."""

from __future__ import annotations

import copy
import warnings

import pytest
from tiny_study import Workspace

from rs.provenance.files import read_table
from rs.stages import draw_files


@pytest.mark.parametrize("other", [False, True])
def test_radii_of_two_versions_say_so(workspace: Workspace, tmp_path, monkeypatch, other: bool) -> None:
    read, changed = draw_files.read_votes, []

    def of_versions(path):
        *votes, made = read(path)
        made = copy.deepcopy(made)
        made["versions"]["torch"] = "2.9.1"
        if other and not changed:
            changed.append(path)
            made["versions"]["torch"] = "2.8.0"
        return *votes, made

    monkeypatch.setattr(draw_files, "read_votes", of_versions)
    target = tmp_path / "certified.parquet"
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        workspace.run(workspace.job("certify"), outputs={"certified": str(target)})
    messages = [str(w.message) for w in found if "draws of torch" in str(w.message)]
    assert [line.split(": ", 1)[1] for line in messages] == (
        ["draws of torch 2.8.0 and 2.9.1: radii are of the classifiers' mixture"] if other else []
    )
    versions = ["2.8.0", "2.9.1"] if other else ["2.9.1"]
    assert read_table(target)[1]["drawn"]["torch"] == versions
