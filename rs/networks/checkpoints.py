"""Trained networks on disk: weights as safetensors, a small manifest that jobs depend on, and back."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import nn

from rs.errors import UserError
from rs.methods import catalog
from rs.networks import imported as entries
from rs.provenance.digests import dumps, file_digest
from rs.provenance.files import ADVICE, whole_file, write_json
from rs.provenance.prepared import read_manifest
from rs.provenance.reading import WEIGHTS, check_file
from rs.provenance.run_files import read_model_manifest


def save(outputs: dict[str, Path], state: dict[str, torch.Tensor], manifest: dict[str, Any]) -> None:
    """Writes the weights, then the manifest with their digest: a manifest never refers to missing weights."""
    state = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with whole_file(outputs["weights"]) as temporary:
        temporary.write_bytes(packed(state, metadata={"rs": dumps(manifest["provenance"]["spec"])}))
    run = outputs["manifest"].parent.name
    write_json(outputs["manifest"], {**manifest, "run": run, "sha256": file_digest(outputs["weights"])})


def build_model(model: dict[str, Any], data_manifest: dict[str, Any]) -> nn.Module:
    """A model of the catalog, or an imported one (`rs.networks.imported`), with fresh weights."""
    if "imported" in model:
        return entries.build(model["imported"], data_manifest)
    shape = tuple(data_manifest["shape"])
    built: nn.Module = catalog.build("models", model).build(
        shape, data_manifest["classes"], data_manifest["mean"], data_manifest["std"]
    )
    return built


def load(model_manifest: Path, data_manifest: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network in evaluation mode, on the CPU in float32, and its manifest.

    Raises UserError where weights are missing, truncated, changed since training, of another architecture or
    trained on other data.
    """
    manifest = read_model_manifest(model_manifest)
    path = model_manifest.with_suffix(".safetensors")
    check_file(path, WEIGHTS)
    advice = f"remove {model_manifest} and train again"
    try:
        changed = file_digest(path) != manifest["sha256"]
        state = {} if changed else load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: missing or no weights of ours ({error}); {advice}") from error
    if changed:
        raise UserError(f"{path}: truncated or changed since it was trained (its digest differs); {advice}")
    spec = manifest["provenance"]["spec"]
    model = build_model(spec["model"], read_manifest(data_manifest, spec.get("data")))
    load_state(model, state, path, spec["model"]["name"])
    return model.eval().requires_grad_(False), manifest


def load_resume(path: Path) -> dict[str, Any]:
    """The state from which a training continues, on the CPU (where Adam counts its steps). Raises UserError
    for a file that is damaged or of another training. (torch writes a zip archive's checksums but does not
    compare them, so they are compared here.)
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        saved = {} if damaged else torch.load(path, map_location="cpu", weights_only=True)
        if damaged or saved.get("name", path.name) != path.name:
            raise ValueError(f"{damaged} differs from its checksum" if damaged else f"is {saved['name']}")
    except Exception as error:  # a damaged file can make zipfile and torch raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path}: not a checkpoint to continue from ({reason}); {ADVICE}") from error
    return dict(saved)


def load_state(model: nn.Module, state: dict[str, torch.Tensor], path: Path, name: str) -> None:
    """`load_state_dict`, with one line on mismatches."""
    own = model.state_dict()
    for key in sorted(own.keys() | state.keys()):
        if key not in state or key not in own:
            side = "lacks" if key not in state else "has the unknown"
            raise UserError(f"{path}: weights of another architecture than {name}: {side} tensor {key}")
        kept = state[key].layout == torch.strided and not (state[key].is_quantized or state[key].is_meta)
        if not kept or state[key].is_complex():
            kind = f"{state[key].dtype} {state[key].layout}".replace("torch.", "")
            kind += " without values" * state[key].is_meta
            raise UserError(f"{path}: tensor {key} is {kind}; allowed dense real numbers")
        if own[key].shape != state[key].shape:
            stored, needs = list(state[key].shape), list(own[key].shape)
            wrong = f"{key} is {stored}, not {needs}"
            raise UserError(f"{path}: weights of another architecture than {name}: {wrong}")
    model.load_state_dict(state)
