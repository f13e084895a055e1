"""A method that is held to the protocol of its kind (rs.methods.interfaces): an answer of another type or
shape is one line that names its file, not an error somewhere behind it.

Types, shapes and devices are compared at every call; values where that waits for no GPU, or where the answer
took far longer: noise on a processor, an attack's images. Loads no torch before a method has.
"""

from __future__ import annotations

import functools
import inspect
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from rs.errors import UserError
from rs.methods import plausible
from rs.methods.interfaces import Certified, Files, Proposed, Split

RECORDED = ("epoch", "images_per_second", "learning_rate", "loss", "seconds", "selection_accuracy")
UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)  # what readers of files raise
Wrong = str  # what is wrong with an answer and what is allowed; empty where nothing is


@functools.lru_cache(maxsize=256)
def checked_class(kind: str, name: str, cls: type) -> type:
    """A subclass of a method's class, of the same name; its calls raise UserError for a wrong answer."""
    calls = {call: check for call, check in CHECKS[kind].items() if hasattr(cls, call)}
    same = {key: getattr(cls, key) for key in ("__module__", "__qualname__", "__doc__")}
    held = {call: _held(f"{kind[:-1]} {name}", call, cls, check) for call, check in calls.items()}
    return type(cls.__name__, (cls,), same | held)


def _held(method: str, call: str, cls: Any, check: Callable[..., Wrong]) -> Any:
    # what our data sets answer lies in the user's files, and no line of code is to blame
    users = call == "load" and str(getattr(getattr(cls, call), "__module__", "")).partition(".")[0] == "rs"

    @functools.wraps(getattr(cls, call))
    def answer(self: Any, *arguments: Any, **named: Any) -> Any:
        function = getattr(cls, call)
        try:
            found = function(self, *arguments, **named)
        except UNREADABLE as error:
            if call != "load" or users:
                raise
            raise UserError(f"{place_of(function, error)}: {method}: `{call}`: {_unread(error)}") from error
        if wrong := check(self, found, *arguments, **named):
            place = "" if users else f"{place_of(function)}: "
            raise UserError(f"{place}{method}: `{call}` {wrong}")
        if call == "load" and _is_whole(self, found):
            place = "" if users else f"{place_of(function)}: "
            for doubt in plausible.doubts(self, found):
                warnings.warn(f"{place}{method}: {doubt}", RuntimeWarning, 2)
        return found

    return answer


def place_of(function: Any, error: BaseException | None = None) -> str:
    """The file and line of a function, or the last line of its file on the way to an error."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return repr(function)
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    return f"{code.co_filename}:{lines[-1] if lines else code.co_firstlineno}"


def _unread(error: BaseException) -> str:
    file = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    reason = isinstance(error, OSError) and error.strerror
    return f"{file}cannot be read: {reason or f'{type(error).__name__}: {error}'}"


def _what(value: Any) -> str:
    """An answer in words: its type, or type, shape and numbers of an array."""
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        name = type(value).__name__
        return "None" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    kind = "an array" if isinstance(value, np.ndarray) else "a tensor"
    return f"{kind} {list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"


def _tensor(value: Any, shape: tuple[int, ...], like: Any) -> bool:
    """Whether it is a tensor of this shape, with numbers and on a device as the tensor `like`."""
    if not isinstance(value, type(like)) or tuple(value.shape) != shape:
        return False
    return bool(value.dtype == like.dtype and value.device.type == like.device.type)


def _loss(
    self: Any, found: Any, model: Any, x: Any, y: Any, noise: Any, generator: Any, progress: float
) -> Wrong:
    import torch

    if not isinstance(found, tuple) or len(found) != 2:
        return f"returned {_what(found)}; must be (loss, scalars to record)"
    loss, scalars = found
    if not isinstance(loss, torch.Tensor) or loss.dim() or not loss.is_floating_point():
        return f"returned {_what(loss)} as the loss; must be a scalar tensor, of floating point"
    if torch.is_grad_enabled() and not loss.requires_grad:
        return "returned a loss without a gradient; must depend on the network (no detach, item or no_grad)"
    if not isinstance(scalars, dict):
        return f"returned {_what(scalars)} as the scalars to record; must be a dict of names"
    for key, value in scalars.items():
        if not isinstance(key, str) or key in RECORDED:
            return f"records {key!r}; must be a name other than the trainer's own: {', '.join(RECORDED)}"
        if not isinstance(value, torch.Tensor) or value.dim() or value.requires_grad:
            gradient = " with a gradient" if getattr(value, "requires_grad", False) else ""
            return f"records {key!r}: {_what(value)}{gradient}; must be a scalar tensor, detached"
    return ""


def _phase(self: Any, found: Any, progress: float) -> Wrong:
    return "" if isinstance(found, Hashable) else f"returned {_what(found)}; must be hashable"


def _sample(self: Any, found: Any, shape: Any, generator: Any) -> Wrong:
    import torch

    like = torch.empty(0, device=generator.device)
    if not _tensor(found, tuple(shape), like):
        device = f" on {found.device}" if isinstance(found, torch.Tensor) else ""
        must = f"a tensor {list(shape)} of float32 on {generator.device}"
        return f"returned {_what(found)}{device}; must be {must}"
    if found.device.type == "cpu" and not bool(found.isfinite().all()):
        return "returned noise that is infinite or NaN; must be finite"
    return ""


def _log_ratio(self: Any, found: Any, noise: Any, shift: Any) -> Wrong:
    if isinstance(found, type(noise)) and tuple(found.shape) == (len(noise),):
        return ""
    return f"returned {_what(found)}; must be a tensor [{len(noise)}], one number per row of noise"


def _at_radii(self: Any, found: Any, smoothed: Any, x: Any, y: Any, radii: Any) -> Wrong:
    return _proposed(found, (len(radii), *x.shape), x)


def _minimal(self: Any, found: Any, smoothed: Any, x: Any, y: Any) -> Wrong:
    return _proposed(found, tuple(x.shape), x)


def _proposed(found: Any, shape: tuple[int, ...], x: Any) -> Wrong:
    """What is wrong with an attack's answer of images of this `shape`, for images x [B, C, H, W]."""
    if not isinstance(found, Proposed):
        return f"returned {_what(found)}; must be rs.methods.interfaces.Proposed"
    images, steps, counts = found.images, found.steps, shape[:-3]
    if not _tensor(images, shape, x) or images.requires_grad:
        gradient = " with a gradient" if getattr(images, "requires_grad", False) else ""
        must = f"a tensor {list(shape)} of float32 on {x.device}, detached"
        return f"returned {_what(images)}{gradient} as the images; must be {must}"
    if not bool(images.isfinite().all()):
        return "returned images with infinite or NaN pixels; must be finite"
    whole = isinstance(steps, type(x)) and not (steps.is_floating_point() or steps.is_complex())
    if not whole or tuple(steps.shape) != counts:
        return f"returned {_what(steps)} as the steps; must be a tensor {list(counts)} of int64"
    return ""


def _certify(self: Any, found: Any, draws: Any, noise: Any, alpha: float) -> Wrong:
    """Of types alone: rs.methods.claims compares shapes and values."""
    if not isinstance(found, Certified):
        return f"returned {_what(found)}; must be rs.methods.interfaces.Certified"
    for what, values, kind, numbers in (
        ("predictions", found.prediction, "iu", "int64"),
        ("radii", found.radius, "f", "float64"),
    ):
        if not isinstance(values, np.ndarray | np.generic) or values.dtype.kind not in kind:
            return f"returned {_what(values)} as the {what}; must be an array [{len(draws)}] of {numbers}"
    return ""


def _build(self: Any, found: Any, shape: Any, classes: int, mean: Any, std: Any) -> Wrong:
    import torch

    from rs.smoothing.smoothed import evaluation_mode

    if not isinstance(found, torch.nn.Module):
        return f"returned {_what(found)}; must be a torch.nn.Module"
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), evaluation_mode(found):
            answer = found(torch.zeros(2, *shape))
    except Exception as error:  # of the network, which may raise anything
        reason = (str(error).splitlines() or ["no reason given"])[0]
        return f"built a network that fails on two images of {list(shape)}: {type(error).__name__}: {reason}"
    image = getattr(self, "output", "logits") == "image"
    must = (2, *shape) if image else (2, classes)
    if isinstance(answer, torch.Tensor) and tuple(answer.shape) == must and answer.is_floating_point():
        return ""
    allowed = f"a tensor {list(must)}: {'images' if image else f'logits of {classes} classes'}"
    return f"built a network that gives {_what(answer)} for two images of {list(shape)}; must be {allowed}"


def _load(self: Any, found: Any, data_dir: Any) -> Wrong:
    if not isinstance(found, dict) or set(found) != {"train", "test"}:
        returned = f"a dict of {', '.join(map(repr, found))}" if isinstance(found, dict) else _what(found)
        return f"returned {returned}; must be a dict of 'train' and 'test'"
    for split, data in found.items():
        if not isinstance(data, Split | Files):
            return f"returned {_what(data)} as {split}; must be rs.methods.interfaces.Split or Files"
        labels = data.labels
        if not (isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype == np.int64):
            return f"returned {_what(labels)} as the labels of {split}; must be an array [N] of int64"
        if not len(labels):
            return f"returned no images as {split}; must be at least one"
        if isinstance(data, Files):
            if len(data.paths) != len(labels):
                return (
                    f"returned {len(data.paths)} paths for {len(labels)} labels of {split}; must be as many"
                )
        elif not (isinstance(data.images, np.ndarray) and data.images.ndim == 4) or data.images.dtype not in (
            np.uint8,
            np.float32,
        ):
            must = "an array [N, C, H, W] of uint8 or float32"
            return f"returned {_what(data.images)} as the images of {split}; must be {must}"
    return plausible.impossible(self, found) if _is_whole(self, found) else ""


def _is_whole(dataset: Any, splits: dict[str, Split | Files]) -> bool:
    """Whether images have the stated shape and their labels; where not, the data stage names it."""
    return all(
        isinstance(data, Files)
        or (data.images.shape[1:] == tuple(dataset.shape) and len(data.images) == len(data.labels) > 0)
        for data in splits.values()
    )


CHECKS: dict[str, dict[str, Callable[..., Wrong]]] = {
    "datasets": {"load": _load},
    "models": {"build": _build},
    "objectives": {"loss": _loss, "phase": _phase},
    "noises": {"sample": _sample, "log_ratio": _log_ratio},
    "certificates": {"certify": _certify},
    "attacks": {"at_radii": _at_radii, "minimal": _minimal},
}
