"""Inside an epoch: a killed training continues to the bit, long epochs are told, subsets are trained on."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import numpy as np
import pytest
import torch
from digits_training import SPEC, Killed, changed, metrics, same
from digits_training import data as data  # fixtures
from digits_training import fit as fit
from process_group import together as together
from torch import nn

from rs.machine import progress
from rs.networks import checkpoints
from rs.networks.images import open_split
from rs.stages import epoch as training_epoch
from rs.stages import train as training

pytestmark = pytest.mark.slow


@pytest.fixture
def kill_at(monkeypatch):
    """The process ends in this step of all, counted from 0; checkpoints are made after every step."""

    def arrange(step: int | None) -> None:
        count = iter(range(10**6))

        def backward(loss: Any) -> None:
            if next(count) == step:
                raise Killed
            original(loss)

        monkeypatch.setattr(training.distributed, "backward", backward)

    original = training.distributed.backward
    monkeypatch.setattr(training_epoch, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    return arrange


# 1,437 images are 6 steps an epoch
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        changed(augmentation="crop_flip", optimizer={"name": "adam"}, precision="bfloat16"),
        {**changed(keep="best_clean", held_out=200), "objective": {"name": "smoothadv", "epsilon": 0.5}},
    ],
    ids=["sgd", "adam", "best_clean"],
)
def test_a_training_killed_inside_an_epoch_continues_to_the_bit(fit, kill_at, capsys, spec):
    whole = fit("whole", spec)
    steps = 5 if "keep" in spec["training"] else 6
    kill_at(steps + 3)
    with pytest.raises(Killed):
        fit("killed", spec)
    (left,) = (whole.parent / "killed").iterdir()
    saved = torch.load(left, weights_only=True)
    assert (saved["epoch"], saved["begun"]["step"]) == (1, 3)
    kill_at(None)
    killed = fit("killed", spec)
    assert "killed: continuing after epoch 1 and 3 steps" in capsys.readouterr().err
    assert same(whole, killed)
    assert metrics(whole) == metrics(killed)
    assert sorted(p.name for p in killed.iterdir()) == ["model.json", "model.safetensors", "training.parquet"]


class NumpyDropout(nn.Module):
    """Dropout of whole images, from numpy's generator and Python's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [np.random.random() < 0.5 and random.random() < 0.9 for _ in x]
        return x * torch.tensor(kept).float()[:, None] if self.training else x


@pytest.fixture
def dropout(monkeypatch):
    """Networks draw at random while they train."""

    def built(model: Any, data: Any) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), NumpyDropout(), nn.Linear(64, 10))

    monkeypatch.setattr(checkpoints, "build_model", built)


def test_a_network_with_dropout_is_seeded_and_continues_to_the_bit(fit, kill_at, dropout):
    torch.manual_seed(1)
    whole = fit("whole", changed(epochs=2))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = fit("again", changed(epochs=2))
    assert same(whole, again)
    assert torch.equal(torch.get_rng_state(), before), "the process's own generator is left as it was"
    for step in (3, 8):  # in the first epoch, and in the second
        kill_at(step)
        with pytest.raises(Killed):
            fit(f"killed {step}", changed(epochs=2))
        kill_at(None)
        assert same(whole, fit(f"killed {step}", changed(epochs=2)))
    assert not same(whole, fit("other", {**changed(epochs=2), "seed": 1}))


def test_every_step_of_every_process_draws_anew(fit, monkeypatch):
    drawn = []

    class Drawing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            drawn.append((float(torch.rand(())), np.random.random(), random.random()))
            return x

    monkeypatch.setattr(
        checkpoints, "build_model", lambda *_: nn.Sequential(nn.Flatten(), Drawing(), nn.Linear(64, 10))
    )
    spec = changed(epochs=2, batch_size=480)
    fit("first", spec)
    first = list(drawn)
    monkeypatch.setattr(training_epoch.distributed, "rank", lambda: 1)
    with contextlib.suppress(FileNotFoundError):  # only the first process writes
        fit("second", spec)
    assert len(first) == len(set(first)) >= 4
    assert len(drawn) == 2 * len(first)
    assert not set(first) & set(drawn[len(first) :])


def test_every_process_continues_with_draws_of_its_own(fit, kill_at, dropout, together):
    """Not with those of the process that wrote the checkpoint, which drew for other images."""
    spec = changed(epochs=1, batch_size=480)
    together(lambda: fit("whole", spec))
    kill_at(2)

    def killed() -> None:
        with contextlib.suppress(Killed):
            fit("killed", spec)

    together(killed)
    kill_at(None)
    folder, _ = together(lambda: fit("killed", spec))
    assert same(folder.parent / "whole", folder)


def test_a_broken_network_is_no_checkpoint(fit, tmp_path, kill_at, monkeypatch):
    monkeypatch.setattr(training, "learning_rate", lambda settings, epoch: 1e38 if epoch else 0.05)
    kill_at(10)
    spec = changed(batch_size=256, optimizer={"weight_decay": 0.0})
    with pytest.raises(Killed):
        fit("a", spec)
    (left,) = (tmp_path / "a").iterdir()
    saved = torch.load(left, weights_only=True)
    assert all(v.isfinite().all() for v in saved["network"].values())


def test_a_long_epoch_says_where_it_is(fit, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_INSIDE", 0.0)
    fit("a", changed(epochs=1))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("a, epoch 1: ")]
    assert [line.split()[3] for line in lines] == [f"{step}/6" for step in range(1, 7)]
    monkeypatch.setattr(progress, "SECONDS_INSIDE", 20.0)
    fit("b", changed(epochs=1))
    assert "b, epoch 1" not in capsys.readouterr().err  # nothing where nobody waits


# --- a part of the training set ---


def test_the_images_asked_for_are_trained_on_and_no_others(fit, data, monkeypatch):
    split, seen = open_split(data, "train"), []
    original = training.Resident.take

    def take(self: Any, positions: Any) -> Any:
        seen.extend(torch.as_tensor(positions).tolist())
        return original(self, positions)

    monkeypatch.setattr(training.Resident, "take", take)
    some = {"max": 300, "skip": 4, "first": 2}
    part = fit("part", {**changed(epochs=2), "train": some})
    assert sorted(seen) == sorted([*range(2, 1202, 4)] * 2)
    assert [row["learning_rate"] for row in metrics(part)] == [0.05, 0.05]
    seen.clear()
    whole = fit("whole", {**SPEC, "train": {}})
    assert sorted(set(seen)) == list(range(len(split)))
    assert same(whole, fit("same", SPEC))


def test_images_held_out_are_the_last_of_the_part(fit, data, monkeypatch):
    parts = []
    original = training.run_epoch

    def run_epoch(*args: Any) -> Any:
        parts.append(args[4].positions)
        return original(*args)

    monkeypatch.setattr(training, "run_epoch", run_epoch)
    fit("a", {**changed(epochs=1, keep="best_clean", held_out=100), "train": {"max": 300, "skip": 2}})
    assert parts == [range(0, 400, 2)]
