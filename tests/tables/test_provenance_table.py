"""What tables say of the files that they are counted from, and of the votes of each image."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from tiny_study import Workspace

from rs.plan.draw_paths import shards_of
from rs.provenance.files import provenance, read_table, timed
from rs.stages.draw_files import merge, read_votes
from rs.tables import images
from rs.tables.provenance import TABLE
from rs.tables.stored import Stored

pytestmark = pytest.mark.slow


def test_every_file_that_the_tables_read_is_named_with_what_made_it(workspace: Workspace) -> None:
    with contextlib.chdir(workspace.folder):
        rows = list(TABLE.rows(Stored(workspace.plan)))
        assert {*rows[0]} | {"smoothing", "votes", "passes"} == {*TABLE.columns}
        certify = workspace.job("certify")
        mine = {row["stage"]: row for row in rows if row["run"] == certify.run}
        assert {"train", "sample", "certify", "attack"} <= {*mine}
        assert mine["certify"]["file"] == str(certify.outputs["certified"])
        selection, estimation = shards_of(certify.spec, certify.inputs)
        draws = [*selection, *(path for blocks in estimation for path in blocks)]
        assert mine["sample"]["files"] == len(draws) > 2
        assert mine["sample"]["votes"] == sum(int(read_votes(path)[2].counts.sum()) for path in draws)
        assert mine["sample"]["passes"] is None  # every vote is one
        assert {path.parents[1] for path in draws} == {Path(mine["sample"]["file"])}
        provenances = [read_table(path)[1] for path in draws]
        assert mine["sample"]["seconds"] == pytest.approx(
            sum(made["seconds"] for made in provenances), abs=0.01
        )
        assert mine["sample"]["device"] == provenances[0]["device"]
        assert mine["attack"]["seconds"] == read_table(Path(mine["attack"]["file"]))[1]["seconds"] > 0
        read = {str(path) for path in workspace.plan.aggregated_files()} - {row["file"] for row in rows}
        assert all(path.endswith("training.parquet") for path in read)  # speaks through its manifest


def test_an_image_has_the_votes_of_its_class_and_of_the_one_behind_it(workspace: Workspace) -> None:
    with contextlib.chdir(workspace.folder):
        certify = workspace.job("certify")
        rows = [r for r in images.rows(Stored(workspace.plan)) if r["run"] == certify.run]
        selection, estimation = shards_of(certify.spec, certify.inputs)
        counts = {}
        for select, blocks in zip(selection, estimation, strict=True):
            at, _, chosen, _ = read_votes(select)
            votes = sum(read_votes(path)[2].counts for path in blocks)
            counts |= dict(zip(at.tolist(), zip(chosen.counts, votes, strict=True), strict=True))
        for row in rows:
            chosen, votes = counts[row["image"]]
            assert row["voted"] == chosen.argmax()
            assert row["votes"] == votes[row["voted"]]
            others = np.delete(votes, row["voted"])
            assert (row["runner_up_votes"], row["n"]) == (others.max(), votes.sum())
            assert votes[row["runner_up"]] == row["runner_up_votes"]
            assert row["runner_up"] != row["voted"]


def test_draws_of_which_one_does_not_say_its_seconds_have_none_in_all(
    workspace: Workspace, monkeypatch
) -> None:
    certify = workspace.job("certify")
    with contextlib.chdir(workspace.folder):
        selection, estimation = shards_of(certify.spec, certify.inputs)
        silent = read_votes(selection[0])[3]
        del silent["seconds"]
        known = {selection[0]: (*read_votes(selection[0])[:3], silent)}
        monkeypatch.setattr(
            "rs.stages.draw_files.read_votes", lambda path: known.get(path) or read_votes(path)
        )
        images = np.arange(certify.spec["data_size"])[:6]
        found = merge(selection, estimation, images, np.zeros(6)).origin["drawn"]
    assert found["seconds"] is None
    assert found["files"] > 2


def test_only_what_is_made_within_a_timed_job_says_its_seconds() -> None:
    assert "seconds" not in provenance({}, "code")  # two tables of the same rows are the same bytes
    with timed():
        assert 0 <= provenance({}, "code")["seconds"] < 60
