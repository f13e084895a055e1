"""`torchvision:resnet50`, or `torchvision:resnet50.IMAGENET1K_V1` for other weights than the newest.

Sizes, crop, interpolation, mean and std are those of the transforms that come with the weights. The cache is
torch.hub's.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import nn
from torchvision import models

from rs.errors import UserError
from rs.foreign.preprocessing import Preprocessing
from rs.foreign.sources import Asked, Foreign, digest_of, failed
from rs.foreign.weights import classes_in, fill, state_of

# with downloaded weights these undo one normalisation and apply another inside; a file does not say which
TRANSFORMING = ("googlenet", "inception_v3")


def load(wanted: Asked) -> Foreign:
    name, _, tag = wanted.name.partition(".")
    known = models.list_models(module=models)
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 3)) or ", ".join(known[:5]) + ", ..."
        raise UserError(f"certify: --model {wanted.title}: no image classifier of that name; near: {near}")
    variants = models.get_model_weights(name)
    try:
        weights = variants[tag or "DEFAULT"]
    except KeyError as error:
        allowed = ", ".join(w.name for w in variants)
        raise UserError(f"certify: --model {wanted.title}: no such weights; allowed: {allowed}") from error
    network = _of_file(wanted, name) if wanted.weights else _pretrained(wanted, name, weights)
    transforms = weights.transforms()
    made = {"library": f"torchvision {torchvision.__version__}", "weights": digest_of(network)}
    classes = tuple(weights.meta.get("categories", ()))
    return Foreign(wanted.title, network, _described(weights, transforms), made, classes, transforms)


def _described(weights: Any, transforms: Any) -> Preprocessing:
    (crop,), (resize,) = transforms.crop_size, transforms.resize_size
    source = f"torchvision, {type(weights).__name__}.{weights.name}"
    units = tuple(transforms.mean), tuple(transforms.std)
    return Preprocessing(source, (crop, crop), resize, transforms.interpolation.value, *units)


def _pretrained(wanted: Asked, name: str, weights: Any) -> nn.Module:
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not wanted.download and not cached.is_file():
        told = f"its weights are not in {cached}; give --download, or --weights FILE"
        raise UserError(f"certify: --model {wanted.title}: {told}")
    try:
        network: nn.Module = models.get_model(name, weights=weights, progress=False)
    except Exception as error:  # no network, a damaged file
        advice = "download failed" if not cached.is_file() else f"{cached} cannot be read; remove it"
        raise failed(wanted, advice, error) from error
    return network


def _of_file(wanted: Asked, name: str) -> nn.Module:
    if name in TRANSFORMING:
        told = "a file does not say how its input is transformed; use --model entry:MODULE:FUNCTION"
        raise UserError(f"certify: --model {wanted.title}: {told}")
    state = state_of(wanted)

    def build(classes: int) -> nn.Module:
        network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
        return network

    return fill(build(classes_in(state, build, 1000)), state, wanted)
