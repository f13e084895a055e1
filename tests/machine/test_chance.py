"""Chance of other people's code: seeded inside, and the process's generators as they were outside."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import torch

from rs.machine import chance

CPU = torch.device("cpu")


def drawn() -> list[float]:
    return [float(torch.rand(())), float(np.random.random()), random.random()]


def test_draws_inside_are_seeded_and_leave_the_process_as_it_was():
    chance.seeded(3)
    after = drawn()
    chance.seeded(3)
    inside = []
    for _ in range(2):
        with contextlib.suppress(KeyError), chance.kept_chance():
            chance.seeded(2**40)
            inside.append(drawn())
            raise KeyError
    assert inside[0] == inside[1] != after
    assert drawn() == after


def test_every_gpus_generator_is_kept(monkeypatch):
    """torch.manual_seed seeds them all."""
    kept = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.random, "fork_rng", lambda gpus: contextlib.nullcontext(kept.extend(gpus)))
    with chance.kept_chance():
        pass
    assert kept == [0, 1, 2]


def test_seeds_for_one_device_are_seeds_for_all():
    chance.seeded(3)
    first = drawn()
    chance.seeded(3, CPU)
    assert drawn() == first
