"""Trained networks on disk: weights as safetensors, a small manifest that jobs depend on, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import nn

from rs import catalog, entries
from rs.interfaces import UserError
from rs.preparation import read_manifest
from rs.provenance import dumps, file_digest, read_json, whole_file, write_json
from rs.reading import WEIGHTS, check_file


def save(outputs: dict[str, Path], state: dict[str, torch.Tensor], manifest: dict[str, Any]) -> None:
    """Weights first, the manifest (with their digest) last: a manifest never speaks of missing weights."""
    state = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with whole_file(outputs["weights"]) as temporary:
        temporary.write_bytes(packed(state, metadata={"rs": dumps(manifest["provenance"]["spec"])}))
    write_json(outputs["manifest"], {**manifest, "sha256": file_digest(outputs["weights"])})


def build_model(model: dict[str, Any], data_manifest: dict[str, Any]) -> nn.Module:
    """A model of the catalog, or one that was imported (`rs.entries`), with fresh weights."""
    if "imported" in model:
        return entries.build(model["imported"], data_manifest)
    shape = tuple(data_manifest["shape"])
    built: nn.Module = catalog.build("models", model).build(
        shape, data_manifest["classes"], data_manifest["mean"], data_manifest["std"]
    )
    return built


def load(model_manifest: Path, data_manifest: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network in evaluation mode, on the CPU in float32, and its manifest.

    Raises UserError where weights are missing, truncated, changed since training or of another architecture.
    """
    manifest = read_json(model_manifest)
    if not isinstance(manifest, dict) or not {"sha256", "provenance", "classes"} <= manifest.keys():
        raise UserError(f"{model_manifest}: not a model's manifest; remove it and train again")
    path = model_manifest.with_suffix(".safetensors")
    check_file(path, WEIGHTS)
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        advice = f"remove {model_manifest} and train again"
        raise UserError(f"{path}: missing or truncated ({error}); {advice}") from error
    if file_digest(path) != manifest["sha256"]:
        raise UserError(f"{path}: changed since it was trained (its digest differs); remove {model_manifest}")
    spec = manifest["provenance"]["spec"]
    model = build_model(spec["model"], read_manifest(data_manifest))
    load_state(model, state, path, spec["model"]["name"])
    return model.eval().requires_grad_(False), manifest


def load_state(model: nn.Module, state: dict[str, torch.Tensor], path: Path, name: str) -> None:
    """`load_state_dict`, with one line on what does not fit."""
    own = model.state_dict()
    for key in sorted(own.keys() | state.keys()):
        if key not in state or key not in own:
            side = "lacks" if key not in state else "has the unknown"
            raise UserError(f"{path}: weights of another architecture than {name}: {side} tensor {key}")
        if own[key].shape != state[key].shape:
            has, needs = list(state[key].shape), list(own[key].shape)
            wrong = f"{key} is {has}, not {needs}"
            raise UserError(f"{path}: weights of another architecture than {name}: {wrong}")
    model.load_state_dict(state)
