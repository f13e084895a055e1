"""The import stage: somebody else's checkpoint becomes a model of ours, and later stages run unchanged.

Formats. `plain`: the network's own state dict, alone or under "state_dict", as a torch file or safetensors.
`cohen` (Cohen et al. 2019, Salman et al. 2019): {"arch", "state_dict"} of `Sequential(norm, net)`, keys `1.*`
or, from a DataParallel net, `1.module.*`; the normalisation holds no weights there, so the user states it.
Torch files are read with `weights_only=True`: no pickled code is run.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from rs import checkpoints, entries
from rs.interfaces import UserError
from rs.preparation import read_manifest
from rs.provenance import file_digest, provenance

State = dict[str, Tensor]


def convert(
    spec: dict[str, Any], weights: Path, data_manifest: Path, outputs: dict[str, Path], code: str
) -> None:
    """Writes the network's weights and manifest. Raises UserError where they do not fit what was named."""
    if not weights.is_file():
        raise UserError(f"{weights}: no such file")
    if file_digest(weights) != spec["sha256"]:
        raise UserError(f"{weights}: changed since the study was read; run again")
    data = read_manifest(data_manifest)
    model, imported = checkpoints.build_model(spec["model"], data), spec["model"]["imported"]
    name = spec["model"]["name"]
    state, arch = read_state(weights)
    own_names = imported["format"] == "cohen" or "entry" in imported
    if imported["format"] == "cohen":
        state = from_cohen(weights, state)
        name = f"{name} (the file says {arch})" if arch else name
    target = entries.net_of(model) if own_names else model
    if not own_names:  # constants of the normalisation are no weights
        state = {k: v for k, v in target.state_dict().items() if k.startswith("0.")} | state
    checkpoints.load_state(target, state, weights, name)
    bad = [k for k, v in target.state_dict().items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise UserError(f"{weights}: {bad[0]} holds values that are not finite")
    check_logits(model.eval(), name, tuple(data["shape"]), data["classes"])
    clones = {k: v.clone() for k, v in model.state_dict().items()}  # safetensors takes no shared memory
    manifest = {"provenance": provenance(spec, code, source=str(weights)), "classes": data["classes"]}
    checkpoints.save(outputs, clones, manifest)


def read_state(path: Path) -> tuple[State, str]:
    """State dict of a checkpoint file, and the architecture that it names (or nothing)."""
    arch = ""
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's readers raise whatever a damaged file makes them stumble over
        code = isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error)
        if code:
            held = "holds more than tensors, or is cut off"
            advice = "save the network's state_dict() (pickled code is never run)"
            raise UserError(f"{path}: {held}; {advice}") from error
        reason = "no checkpoint of torch" if isinstance(error, pickle.UnpicklingError) else _line(error)
        raise UserError(f"{path}: not a complete checkpoint ({reason})") from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        arch, found = str(found.get("arch", "")), found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(f"{path}: holds no state dict; save the network's state_dict()")
    state = {str(k): v for k, v in found.items()}
    if all(k.startswith("module.") for k in state):  # of a DataParallel network
        state = {k.removeprefix("module."): v for k, v in state.items()}
    return state, arch


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def from_cohen(path: Path, state: State) -> State:
    """Names without the `1.` or `1.module.` of `Sequential(norm, net)`; `0.*`, of `norm`, is dropped."""
    net = {k: v for k, v in state.items() if not k.startswith("0.")}
    if foreign := [k for k in net if not k.startswith("1.")]:
        raise UserError(
            f"{path}: not in Cohen's format: tensor {foreign[0]} does not begin with 1. (try plain)"
        )
    prefix = "1.module." if all(k.startswith("1.module.") for k in net) else "1."
    return {k.removeprefix(prefix): v for k, v in net.items()}


def check_logits(model: torch.nn.Module, name: str, shape: tuple[int, ...], classes: int) -> None:
    """One forward pass: images of the data set in, one logit per class out."""
    try:
        with torch.no_grad():
            out = model(torch.zeros(2, *shape))
    except Exception as error:  # whatever the user's network does
        size, reason = "x".join(map(str, shape)), " ".join(str(error).split())[:200]
        raise UserError(f"{name}: fails on images of {size}: {reason}") from error
    if not isinstance(out, Tensor) or tuple(out.shape) != (2, classes):
        got = "x".join(map(str, out.shape[1:])) if isinstance(out, Tensor) else type(out).__name__
        raise UserError(f"{name}: returns {got} per image, not {classes} logits")
