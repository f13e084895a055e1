"""Files dated after now: Snakemake would remove what is made from them."""

from __future__ import annotations

import os
import time

import pytest

from rs.plan import staleness
from rs.provenance.files import provenance, write_json


@pytest.mark.parametrize(("ahead", "dated"), [(86_400, True), (-86_400, False)])
def test_files_of_the_future_are_dated_to_now(plan_of, tiny, tmp_path, monkeypatch, ahead, dated) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tiny)
    job = next(iter(plan.jobs["train"].values()))
    for path in job.outputs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    record = provenance(job.spec, job.code, inputs=staleness.inputs_digest(job.reads()))
    write_json(job.target, {"provenance": record})
    then = time.time() + ahead
    for path in job.outputs.values():
        os.utime(path, (then, then))
    staleness.settle(plan)
    for path in job.outputs.values():
        if dated:
            assert abs(path.stat().st_mtime - time.time()) < 60
        else:
            assert path.stat().st_mtime == pytest.approx(then, abs=1e-3)
