"""Draws of two device classes: told before the compute, the smaller part drawn anew, never everything."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from tiny_study import Workspace

from rs.errors import UserError
from rs.machine import device_class
from rs.plan import mixed_draws, staleness
from rs.provenance.files import read_table, write_table

pytestmark = pytest.mark.slow

HERE = device_class.of_cpu()


@pytest.fixture
def drawn(space):
    """The tiny study's results, which wait for their certificates."""
    for job in space.plan.jobs["certify"].values():
        space.path(job.outputs["certified"]).unlink()
    return space


def relabel(path: Path, name: str) -> None:
    table, provenance = read_table(path)
    write_table(path, table, {**provenance, "device_class": name})


def files(work: Workspace) -> list[Path]:
    certify = work.job("certify")
    return [work.path(path) for path in certify.reads()]


def test_one_class_is_nothing_to_tell(drawn):
    with contextlib.chdir(drawn.folder):
        assert mixed_draws.settle(drawn.planned()) == []
    table, provenance = read_table(files(drawn)[0])
    assert provenance["device_class"] == HERE
    assert len(table) == 4


def test_the_smaller_part_is_drawn_anew(drawn):
    other = files(drawn)[:2]
    for path in other:
        relabel(path, "cuda 9.0")
    with contextlib.chdir(drawn.folder):
        (line,) = mixed_draws.settle(drawn.planned())
    assert line == f"gaussian: 2 of {len(files(drawn))} draw files are of cuda 9.0 and will be drawn again"
    assert [p for p in files(drawn) if p.stat().st_mtime == staleness.BEFORE_ALL] == other


def test_what_is_pinned_is_kept_and_the_others_are_drawn_anew(drawn):
    for path in files(drawn)[2:]:
        relabel(path, "cuda 9.0")
    with contextlib.chdir(drawn.folder):
        plan = drawn.planned(device_class=HERE)
        lines = mixed_draws.settle(plan)
    assert [job.outputs for job in plan.jobs["sample"].values()] == [
        job.outputs for job in drawn.plan.jobs["sample"].values()
    ]
    every = len(files(drawn))
    assert lines == [f"gaussian: {every - 2} of {every} draw files are of cuda 9.0 and will be drawn again"]
    assert [p for p in files(drawn) if p.stat().st_mtime == staleness.BEFORE_ALL] == files(drawn)[2:]


def test_another_machine_is_told_before_the_compute(drawn):
    lacking = files(drawn)[-1]
    for path in files(drawn)[:-1]:
        relabel(path, "cuda 9.0")
    lacking.unlink()
    with contextlib.chdir(drawn.folder):
        (line,) = mixed_draws.settle(drawn.planned())
        assert line.startswith("gaussian: its other draw files are of cuda 9.0, and votes of this machine, ")
        assert line.endswith(f"draw the 1 missing there, or set sampling.device_class: {HERE}")
        assert not [path for path in files(drawn)[:-1] if path.stat().st_mtime == staleness.BEFORE_ALL]
        lines = mixed_draws.settle(drawn.planned(device_class="cuda 8.0"))
        assert any(
            line.startswith("gaussian: sampling.device_class asks for cuda 8.0, and votes of this machine")
            for line in lines
        )


def test_sequential_votes_follow_the_class_of_their_selection(drawn):
    """Which other code made, so that it is no neighbour."""
    selection = files(drawn)[0]
    relabel(selection, "cuda 9.0")
    elsewhere = drawn.folder / "elsewhere" / "sequential" / "0-4-1_block0.parquet"
    with pytest.raises(UserError, match=r"draws are of cuda 9\.0, and this device is"):
        mixed_draws.check(elsewhere, "other code", HERE, None, selection)
    mixed_draws.check(elsewhere, "other code", "cuda 9.0", None, selection)


def test_a_job_refuses_before_its_first_vote(drawn, monkeypatch):
    """Where its votes would not merge with the others, or the study pins another class."""
    job = drawn.job("sample", index=-1)
    target = drawn.path(job.outputs["draws"])
    target.unlink()
    for path in files(drawn):
        if path != target:
            relabel(path, "cuda 9.0")
    monkeypatch.setattr("rs.stages.sample.sample", lambda *_: pytest.fail("it drew"))
    with pytest.raises(
        UserError, match=f"are of cuda 9.0, and this device is {HERE}: their votes would not merge"
    ):
        drawn.run(job)
    with pytest.raises(UserError, match=f"device_class asks for cuda 8.0, and this device is {HERE}"):
        drawn.run(job, device_class="cuda 8.0")
    monkeypatch.undo()
    drawn.run(job, device_class=HERE)
    assert read_table(target)[1]["device_class"] == HERE


def test_draws_of_other_code_are_nobodys_neighbours(drawn):
    for path in files(drawn):
        table, provenance = read_table(path)
        write_table(
            path, table, {**provenance, "device_class": "cuda 9.0", "code_digest": "of an older version"}
        )
    with contextlib.chdir(drawn.folder):
        assert mixed_draws.settle(drawn.planned()) == []
    job = drawn.job("sample")
    os.unlink(drawn.path(job.outputs["draws"]))
    drawn.run(job)


def test_a_device_class_is_spelt_as_files_have_it(plan_of, tiny, refusal):
    plan_of(tiny | {"sampling": {**tiny["sampling"], "device_class": "cuda 9.0"}})
    plan_of(tiny | {"sampling": {**tiny["sampling"], "device_class": HERE}})
    assert "device_class" in refusal(tiny | {"sampling": {**tiny["sampling"], "device_class": "H100"}})
