"""float32 as it says, whatever the process is set to.

torch may round the factors of float32 products and convolutions to TF32 or bfloat16, on GPUs and on
processors. Settings of the whole process decide: those of `fp32_precision` for each backend and operation,
and two older ones (`set_float32_matmul_precision`, `cudnn.allow_tf32`) that must agree with them, or torch
refuses to read them. A user's script, a network's own module or another library may change them at any time,
and an `autocast` around the call rounds as well. After `torch.set_default_dtype` new tensors are of another
type. So every pass that promises float32 runs inside `full_float32`.

The settings are those of all threads. They are put back when no pass in any thread needs them, also the ones
that only inherit.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple

import torch

BACKENDS = {"cpu": "mkldnn", "cuda": "cuda"}
OPERATIONS = ("all", "matmul", "conv", "rnn")
# "all" before the operations that inherit from it
PLACES = (("generic", "all"), *((backend, of) for backend in BACKENDS.values() for of in OPERATIONS))
FULL = ("ieee", "none")  # "none" inherits, and at last is "ieee"


class _Settings(NamedTuple):
    """The process's settings: those of PLACES as they were set, not as inherited; the two older ones; and the
    type of new tensors.
    """

    precisions: list[str]
    products: str
    convolutions: bool
    new: torch.dtype

    def put(self) -> None:
        torch.set_default_dtype(self.new)
        torch.set_float32_matmul_precision(self.products)
        torch.backends.cudnn.allow_tf32 = self.convolutions
        for place, precision in zip(PLACES, self.precisions, strict=True):
            torch._C._set_fp32_precision_setter(*place, precision)


_FULL_FLOAT32 = _Settings(["ieee"] * len(PLACES), "highest", False, torch.float32)
_lock = threading.Lock()
_passes = 0  # that run now, in all threads
_before: _Settings | None = None  # if they had to be changed for these passes


@contextlib.contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Everything inside computes float32 on the device without TF32, bfloat16 or an outer autocast.

    A network's own autocast, inside, stays. Costs microseconds where nothing has to be changed.
    """
    global _passes, _before
    with _lock:
        if _reduced(BACKENDS[device.type]):
            found = _taken()
            _before = _before or found
            _FULL_FLOAT32.put()
        _passes += 1
    try:
        if torch.is_autocast_enabled(device.type):
            with torch.autocast(device.type, enabled=False):
                yield
        else:
            yield
    finally:
        with _lock:
            _passes -= 1
            if _before and not _passes:
                _before.put()
                _before = None


def _reduced(backend: str) -> bool:
    rounds = any(torch._C._get_fp32_precision_getter(backend, of) not in FULL for of in OPERATIONS)
    return rounds or torch.get_default_dtype() != torch.float32


def _taken() -> _Settings:
    """The settings as they are. Leaves all of PLACES at "none"."""
    convolutions, precisions = _older_convolutions(), []
    for place in PLACES:
        precisions.append(torch._C._get_fp32_precision_getter(*place))
        torch._C._set_fp32_precision_setter(*place, "none")  # what inherits from it now shows its own
    if convolutions is None:  # with all at "none", only True disagrees
        convolutions = _older_convolutions() is None
    products, new = torch.get_float32_matmul_precision(), torch.get_default_dtype()
    return _Settings(precisions, products, convolutions, new)


def _older_convolutions() -> bool | None:
    """`cudnn.allow_tf32`, or None where it disagrees with the settings of each operation."""
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return None
