"""Where a job computes: what a processor without bfloat16 is told."""

from __future__ import annotations

import warnings

import pytest
import torch

from rs.errors import UserError
from rs.machine import devices

CPU = torch.device("cpu")


@pytest.fixture
def seconds(monkeypatch):
    """Products take as long as the test says."""
    taken: dict[torch.dtype, float] = {}
    monkeypatch.setattr(devices, "_product_seconds", taken.__getitem__)
    return taken


def test_emulated_bfloat16_is_told(seconds):
    seconds |= {torch.float32: 0.001, torch.bfloat16: 0.11}
    with pytest.warns(RuntimeWarning, match="take 110 times as long as in float32; set precision: float32"):
        devices.warn_if_slow("bfloat16", CPU)


def test_nothing_is_told_without_need(seconds):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        devices.warn_if_slow("float32", CPU)  # measures nothing
        devices.warn_if_slow("bfloat16", torch.device("cuda"))
        seconds |= {torch.float32: 0.001, torch.bfloat16: 0.0005}
        devices.warn_if_slow("bfloat16", CPU)


def test_without_a_gpu_both_places_of_the_setting_are_named(monkeypatch):
    """A job does not know which of them is its own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"no GPU here; .*sampling\.device.*training\.device"):
        devices.use_device("cuda", torch.get_num_threads()).__enter__()
