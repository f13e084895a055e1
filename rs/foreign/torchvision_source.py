"""`torchvision:resnet50`, or `torchvision:resnet50.IMAGENET1K_V1` for other weights than the newest.

Sizes, crop, interpolation, mean and std come from the transforms of the weights. The cache is torch.hub's.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import nn
from torchvision import models

from rs.foreign.preprocessing import Preprocessing
from rs.foreign.recognised import refuse
from rs.foreign.sources import Foreign, Request, digest_of, failed
from rs.foreign.weights import classes_in, fill, state_of
from rs.networks import state_dicts

# with downloaded weights these undo one normalisation and apply another inside; a file does not say which
TRANSFORMING = ("googlenet", "inception_v3")
# names in DenseNet's files have a dot that modules may no longer have: norm.1 for norm1
_DENSE = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def load(request: Request) -> Foreign:
    name, _, tag = request.name.partition(".")
    known = models.list_models(module=models)
    if name not in known:
        refuse(f"--model {request.title}", Path(request.name))
        near = ", ".join(difflib.get_close_matches(name, known, 3)) or ", ".join(known[:5]) + ", ..."
        raise request.fault(f"no image classifier of that name; near: {near}")
    variants = models.get_model_weights(name)
    try:
        weights = variants[tag or "DEFAULT"]
    except KeyError as error:
        allowed = ", ".join(w.name for w in variants)
        raise request.fault(f"no such weights; allowed: {allowed}") from error
    if not weights.meta.get("categories"):
        raise request.fault(f"{weights.name} has no classes, only features")
    network = _of_file(request, name) if request.weights else _pretrained(request, name, weights)
    transforms = weights.transforms()
    provenance = {"library": f"torchvision {torchvision.__version__}", "weights": digest_of(network)}
    classes = tuple(weights.meta["categories"])
    return Foreign(request.title, network, _described(weights, transforms), provenance, classes, transforms)


def _described(weights: Any, transforms: Any) -> Preprocessing:
    (crop,), (resize,) = transforms.crop_size, transforms.resize_size
    source = f"torchvision, {type(weights).__name__}.{weights.name}"
    units = tuple(transforms.mean), tuple(transforms.std)
    return Preprocessing(source, (crop, crop), resize, transforms.interpolation.value, *units)


def _pretrained(request: Request, name: str, weights: Any) -> nn.Module:
    """Loads the weights as torchvision's builders do, but these unpickle the file and so run its code."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not request.download and not cached.is_file():
        problem = f"its weights are not in {cached}; give --download, or --weights FILE"
        raise request.fault(problem)
    safe: dict[str, Any] = {"weights_only": True, "check_hash": True, "progress": False}
    try:
        state = weights.get_state_dict(map_location="cpu", **safe)
    except Exception as error:  # no network, a damaged file, pickled code
        if not cached.is_file():
            raise failed(request, "download failed", error) from error
        state_dicts.read(cached)  # raises its own error for a damaged file
        raise failed(request, f"{cached} cannot be read; remove it", error) from error
    network: Any = models.get_model(name, weights=None, **_form(name, weights))
    try:
        for key in [key for key in state if _DENSE.match(key)]:
            state[_DENSE.sub(r"\1\2", key)] = state.pop(key)
        network.load_state_dict(state)
    except Exception as error:  # modules rename entries of older files, and each fails in its own way
        raise failed(request, f"{cached} does not fit", error) from error
    if name == "googlenet":  # these heads are for training
        network.aux_logits, network.aux1, network.aux2 = False, None, None
    held: nn.Module = network
    return held


def _form(name: str, weights: Any) -> dict[str, Any]:
    """The settings of torchvision's builders for these weights, beyond those that the name implies."""
    form: dict[str, Any] = {"num_classes": len(weights.meta["categories"])}
    if name in TRANSFORMING:
        form |= {"transform_input": True, "aux_logits": True, "init_weights": False}
    if name.startswith("vit_"):
        form["image_size"] = weights.meta["min_size"][0]
    if name.startswith("maxvit"):
        form["input_size"] = weights.meta["min_size"]
    return form


def _of_file(request: Request, name: str) -> nn.Module:
    if name in TRANSFORMING:
        problem = "a file does not say how its input is transformed; use --model entry:MODULE:FUNCTION"
        raise request.fault(problem)
    state = state_of(request)

    def build(classes: int) -> nn.Module:
        network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
        return network

    return fill(build(classes_in(state, build, 1000)), state, request)
