"""Checkpoints: damaged ones, another architecture's, and values that are no dense real numbers."""

from __future__ import annotations

import json

import pytest
import torch
from digits_training import changed
from digits_training import data as data  # fixtures
from digits_training import fit as fit

from rs.errors import UserError
from rs.networks import checkpoints
from rs.provenance.files import write_json

pytestmark = pytest.mark.slow


def test_damaged_weights_are_one_line(fit, data):
    folder = fit("a", changed(epochs=1))
    manifest, file = folder / "model.json", folder / "model.safetensors"
    good = file.read_bytes()

    def refused() -> str:
        with pytest.raises(UserError) as caught:
            checkpoints.load(manifest, data)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    file.write_bytes(good[: len(good) // 2])
    assert refused().startswith(f"{file}: truncated or changed")
    file.unlink()
    assert refused().startswith(f"{file}: cannot be read: No such file")
    file.write_bytes(good[:-4] + b"\0\0\0\1")
    assert "changed since it was trained" in refused()
    file.write_bytes(good)
    written = json.loads(manifest.read_text())
    del written["sha256"]
    write_json(manifest, written)
    assert refused() == f"{manifest}: not a model's manifest; remove it and train again"


def test_another_architecture_is_named(fit, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    good = model.state_dict()
    checkpoints.load_state(model, good, tmp_path / "w", "tiny")
    for state, says in (
        ({**good, "0.weight": torch.zeros(2, 4)}, "0.weight is [2, 4], not [2, 3]"),
        ({**good, "1.weight": torch.zeros(1)}, "has the unknown tensor 1.weight"),
        ({"0.weight": good["0.weight"]}, "lacks tensor 0.bias"),
    ):
        with pytest.raises(UserError) as caught:
            checkpoints.load_state(model, state, tmp_path / "w", "tiny")
        assert str(caught.value) == f"{tmp_path / 'w'}: weights of another architecture than tiny: {says}"


def test_weights_that_are_no_dense_real_numbers_are_named(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    good = model.state_dict()
    for bias, kind in (
        (good["0.bias"] * 1j, "complex64 strided"),
        (good["0.bias"].to_sparse(), "float32 sparse_coo"),
        (good["0.bias"].to("meta"), "float32 strided without values"),
    ):
        with pytest.raises(UserError) as caught:
            checkpoints.load_state(model, {**good, "0.bias": bias}, tmp_path / "w", "tiny")
        assert str(caught.value) == f"{tmp_path / 'w'}: tensor 0.bias is {kind}; allowed dense real numbers"
