"""Runs of one network that vote in different ways: one training, one folder, and each its own id and jobs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from rs.cli.acceptance import made_by_other_code
from rs.plan import mixed_draws, networks, sharing
from rs.provenance.digests import file_digest
from rs.provenance.files import provenance, write_json


@pytest.fixture
def shared(tiny):
    tiny["runs"] = {
        "plain": {"objective": {"name": "gaussian"}},
        "rounded": {"objective": {"name": "gaussian"}, "sampling": {"precision": "bfloat16"}},
    }
    return tiny


def test_one_network_and_an_id_for_each_way_of_voting(shared, plan_of):
    plan = plan_of(shared)
    plain, rounded = plan.runs
    assert plain.network == rounded.network
    assert plain.id != rounded.id
    assert all(run.id.startswith(f"{plain.network}-") for run in plan.runs)  # neither samples by the defaults
    assert plain.folder == rounded.folder
    assert plain.observations[0].certified != rounded.observations[0].certified
    assert len(plan.jobs["train"]) == 1
    assert len(plan.jobs["certify"]) == 2
    assert len(plan.aggregated_files()) == len(set(plan.aggregated_files()))
    tabled = [set(plan.tabled_files(run.id)) for run in plan.runs]
    assert {path.name for path in tabled[0] & tabled[1]} >= {"model.json", "training.parquet"}


def test_a_form_can_be_swept(shared, plan_of):
    sweep = {"product": {"sampling.precision": ["float32", "bfloat16"]}}
    shared["runs"] = {"gaussian": {"objective": {"name": "gaussian"}, "sweep": sweep}}
    assert len({run.id for run in plan_of(shared).runs}) == 2


def test_an_imported_model_without_an_architecture_or_entry_is_named(shared, refusal, tmp_path):
    (tmp_path / "w.pt").write_bytes(b"")
    shared["imported"] = {"mine": {"weights": str(tmp_path / "w.pt"), "noise": shared["noise"]}}
    assert "imported.mine: give one of entry (module:function) and architecture" in refusal(shared)


def test_weights_that_two_labels_vote_with_are_hashed_once(shared, plan_of, tmp_path, monkeypatch):
    """They may be gigabytes."""
    (weights := tmp_path / "w.pt").write_bytes(b"weights")
    hashed = list[Path]()

    def counted(path: Path) -> str:
        hashed.append(path)
        return file_digest(path)

    for module in (networks, sharing):
        monkeypatch.setattr(module, "file_digest", counted, raising=False)
    model = {"weights": str(weights), "architecture": {"name": "digits_cnn"}}
    shared["imported"] = {"one": model, "two": {**model, "sampling": {"n0": 32}}}
    assert len({planned.network for planned in plan_of(shared).runs if not planned.run.trained}) == 1
    assert hashed.count(weights) == 1


@pytest.mark.parametrize("sampling", [{"precision": "float32"}, {"device": "auto"}, {"images_per_shard": 2}])
def test_the_same_votes_twice_are_refused(shared, refusal, sampling):
    shared["runs"]["rounded"]["sampling"] = sampling
    assert "runs.rounded: trains exactly what plain trains" in refusal(shared)


def test_what_is_asked_of_one_label_reaches_its_training_too(shared, plan_of, tmp_path):
    plan = plan_of(shared)
    with contextlib.chdir(tmp_path):
        (train,) = plan.jobs["train"].values()
        record = provenance(train.spec, "of another day")
        write_json(train.target, {"provenance": record})
        for label in ("plain", "rounded"):
            (other,) = made_by_other_code(plan, label, [])
            assert [job.target for job in other.jobs] == [train.target]


def test_draws_of_a_run_that_is_only_referred_to_are_nobodys_wait(tiny, plan_of, tmp_path):
    tiny["runs"]["smoothadv"] = {"objective": {"name": "smoothadv", "epsilon": {"calibrated": "nal"}}}
    tiny["active"] = ["smoothadv"]
    with contextlib.chdir(tmp_path):
        plan = plan_of(tiny)
        assert [draws.label for draws in mixed_draws.draws_of(plan)] == ["smoothadv"]
        assert len(plan.jobs["certify"]) == 2
