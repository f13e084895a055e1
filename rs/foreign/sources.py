"""From `--model SOURCE:NAME` to a network with its description. Each source is a file.

Nothing is downloaded unless asked for: sources look into the caches of their libraries, which are switched
offline.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.foreign.preprocessing import Preprocessing, Stated
from rs.foreign.recognised import refuse
from rs.networks.transformations import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

# source -> module with `load(request) -> Foreign`, and the packages that it needs
SOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "torchvision": ("rs.foreign.torchvision_source", ()),
    "timm": ("rs.foreign.timm_source", ("timm",)),
    "hf": ("rs.foreign.huggingface_source", ("transformers",)),
    "onnx": ("rs.foreign.onnx_source", ("onnxruntime", "onnx")),
    "entry": ("rs.foreign.entry_source", ()),
}
SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".onnx", ".py")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True)
class Request:
    """A model as the user names it. `name` is the text behind the colon; `key` selects one of several state
    dicts in `weights`.
    """

    source: str
    name: str
    weights: Path | None = None
    key: str | None = None
    download: bool = False

    @property
    def title(self) -> str:
        return f"{self.source}:{self.name}"

    def fault(self, problem: str) -> UserError:
        """The error for this model."""
        return UserError(f"certify: --model {self.title}: {problem}")


@dataclass(frozen=True)
class Foreign:
    """A model that was found. `network` takes images in its own units, as `preprocessing` says. `classes` are
    names in the order of the logits, where they are known; with a file of weights, their number may differ
    from that of the logits. `provenance` (library, weights) distinguishes results. `theirs` is the library's
    own preprocessing of one image, in the network's units. `on_cpu`: it computes only on the processor.
    """

    title: str
    network: nn.Module
    preprocessing: Preprocessing
    provenance: dict[str, Any]
    classes: tuple[str, ...] | None = None
    theirs: Callable[[Image], Tensor] | None = field(default=None, compare=False)
    on_cpu: bool = False


def request_of(text: str, weights: Path | None, key: str | None, download: bool) -> Request:
    """The model that `--model` names. Raises UserError for a text that names no source."""
    source, colon, name = text.partition(":")
    if not colon or not name or source not in SOURCES:
        refuse(f"--model {text}", Path(text))
        known = ", ".join(f"{s}:..." for s in SOURCES)
        raise UserError(f"certify: --model {text}: no source of models; allowed: {known}{_meant(text)}")
    return Request(source, name, weights, key, download)


def _meant(text: str) -> str:
    """The likeliest source of a name without one."""
    module, colon, _ = text.partition(":")
    if colon:
        path = Path(*module.split("."))
        there = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
        return f"; is it entry:{text}?" if there else ""
    if Path(text).suffix in SUFFIXES:
        return "; there is no such file either"
    if text.count("/") == 1 and not Path(text).is_absolute():
        return f"; is it hf:{text}?"
    from torchvision import models

    return f"; is it torchvision:{text}?" if text in models.list_models(module=models) else ""


def load(request: Request, stated: Stated) -> Foreign:
    """The model, with `stated` replacing parts of its own description. Raises UserError where it is not
    available.
    """
    place, packages = SOURCES[request.source]
    need(request, packages)
    # what libraries print, as torch.hub does, is no result
    with contextlib.redirect_stdout(sys.stderr), contextlib.nullcontext() if request.download else offline():
        model: Foreign = importlib.import_module(place).load(request)
    if not model.preprocessing.scale_known and not stated.units:
        problem = "nothing says what its input is: give --range=0,1 (or -1,1, or 0,255), or --mean and --std"
        raise request.fault(problem)
    preprocessing = stated.over(model.preprocessing)
    theirs = model.theirs if preprocessing == model.preprocessing else None
    return replace(model, preprocessing=preprocessing, theirs=theirs)


def need(request: Request, packages: Sequence[str]) -> None:
    """Raises UserError with what to install, where a source's packages are missing."""
    if missing := " ".join(package for package in packages if find_spec(package) is None):
        raise request.fault(f"needs {missing}: pip install {missing}")


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Switches the Hugging Face libraries offline, by their own switch, for imports in this process."""
    before = {key: os.environ.get(key) for key in OFFLINE}
    os.environ.update(dict.fromkeys(OFFLINE, "1"))
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def failed(request: Request, what: str, error: BaseException) -> UserError:
    """The error for a library that failed at `what`."""
    reason = " ".join(one_line(error).split())
    return request.fault(f"{what}: {reason}")


def digest_of(network: nn.Module) -> str:
    """Digest of all parameters and buffers: names, types, shapes, bits."""
    hasher = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if not isinstance(tensor, Tensor):
            continue
        held = tensor.detach().cpu().contiguous()
        hasher.update(f"{name} {held.dtype} {tuple(held.shape)}\n".encode())
        hasher.update(held.reshape(-1).view(torch.uint8).numpy().tobytes() if held.numel() else b"")
    return hasher.hexdigest()
