"""`timm:resnet18.a1_in1k`: an architecture of timm and a tag of its weights.

Size, crop, interpolation, mean and std come from the weights' `pretrained_cfg`. Weights are searched in the
caches of the Hugging Face hub and of torch.hub, as timm itself does.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset, resolve_data_config
from torch import nn

from rs.foreign.preprocessing import Preprocessing
from rs.foreign.recognised import refuse
from rs.foreign.sources import Foreign, Request, digest_of, failed
from rs.foreign.weights import classes_in, fill, state_of
from rs.networks import state_dicts

FILES = ("model.safetensors", "pytorch_model.bin")


def load(request: Request) -> Foreign:
    if not timm.is_model(request.name.partition(".")[0]):
        refuse(f"--model {request.title}", Path(request.name))
        raise request.fault("timm has no such architecture (timm.list_models)")
    try:
        plain = timm.create_model(request.name, pretrained=False)
    except Exception as error:  # an unknown tag
        raise failed(request, "cannot be made", error) from error
    described: dict[str, Any] = dict(plain.pretrained_cfg)
    if plain.num_classes < 2 and request.weights is None:
        raise request.fault("has no classes: it returns features")
    network = _of_file(request, plain) if request.weights else _pretrained(request, described)
    config = resolve_data_config({}, pretrained_cfg=described)
    provenance = {"library": f"timm {timm.__version__}", "weights": digest_of(network)}
    theirs = create_transform(**config, is_training=False)
    return Foreign(request.title, network, _described(request, config), provenance, _classes(plain), theirs)


def _described(request: Request, config: dict[str, Any]) -> Preprocessing:
    _, height, width = config["input_size"]
    scaled = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))
    whole: int | tuple[int, int] = (scaled[0], scaled[1])
    if config["crop_mode"] == "center" and height == width:
        whole = scaled[0]
    elif config["crop_mode"] != "squash":
        problem = f"crops as timm's {config['crop_mode']}, {height}x{width}; state --size and --resize"
        raise request.fault(problem)
    units = tuple(config["mean"]), tuple(config["std"])
    source = f"timm, pretrained_cfg of {request.name}"
    return Preprocessing(source, (height, width), whole, config["interpolation"], *units)


def _classes(network: nn.Module) -> tuple[str, ...] | None:
    """ImageNet's class names, where the weights are for one of its sets of classes."""
    subset = infer_imagenet_subset(network)
    if subset is None:
        return None
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(i) for i in range(info.num_classes()))


def _pretrained(request: Request, described: dict[str, Any]) -> nn.Module:
    cached = None if request.download else _cached(request, described)
    overlay: dict[str, Any] = {}
    if cached is not None:
        custom = described.get("custom_load")
        overlay = {"file": str(cached)} if custom else {"state_dict": state_dicts.read(cached).state}
    try:
        network: nn.Module = timm.create_model(request.name, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:  # no network, a damaged file
        what = "download failed" if cached is None else f"{cached} does not fit"
        raise failed(request, what, error) from error
    return network


def _cached(request: Request, described: dict[str, Any]) -> Path:
    """The weights' file in one of the caches. Raises UserError where no cache has it."""
    hub = described.get("hf_hub_id")
    for name in dict.fromkeys([described.get("hf_hub_filename"), *FILES]):
        path = try_to_load_from_cache(hub, name) if hub and name else None
        if isinstance(path, str):
            return Path(path)
    url = described.get("url")
    if isinstance(url, str) and url:
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
        if file.is_file():
            return file
    problem = "its weights are not in the cache of the Hugging Face hub or of torch"
    raise request.fault(f"{problem}; give --download, or --weights FILE")


def _of_file(request: Request, plain: Any) -> nn.Module:
    state = state_of(request)

    def build(classes: int) -> nn.Module:
        network: nn.Module = timm.create_model(request.name, pretrained=False, num_classes=classes)
        return network

    return fill(build(classes_in(state, build, int(plain.num_classes) or 1000)), state, request)
