"""Where a job computes: device, threads, and generators on that device."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from rs.errors import UserError
from rs.machine import device_class as classes
from rs.machine import gpu_slots
from rs.machine.float32 import full_float32
from rs.statistics.seeding import Purpose, derive_seed

SLOW = 5  # ratio to float32; processors with bfloat16 are faster in it, emulation is tens of times slower


@contextlib.contextmanager
def use_device(requested: str, threads: int = 1) -> Iterator[torch.device]:
    """The device for `auto`, `cpu` or `cuda`, with `threads` CPU threads.

    On a machine with several GPUs, a job that was not assigned one holds a lock on the GPU that it uses;
    otherwise all local Snakemake jobs would take the first. float32 is full float32 until the end.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if "torch._dynamo" in sys.modules:  # a job compiles its own networks, whatever ran before in this process
        torch.compiler.reset()
    with _chosen(requested) as device, full_float32(device):
        yield device


@contextlib.contextmanager
def _chosen(requested: str) -> Iterator[torch.device]:
    if requested == "cpu" or (requested == "auto" and not torch.cuda.is_available()):
        yield torch.device("cpu")
        return
    if not torch.cuda.is_available():
        raise UserError(
            "device cuda: torch finds no GPU here; set it to cpu or auto (sampling.device for forms and "
            "votes, else training.device)"
        )
    gpus, place, here = torch.cuda.device_count(), 0, 1
    if dist.is_torchelastic_launched():
        place, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if here > gpus:
        raise UserError(
            f"training.processes: {here} processes here need a GPU each, and torch finds {gpus}; "
            "lower it, or set training.device to cpu"
        )
    if here == gpus or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield torch.device("cuda", place)
        return
    name, lock = gpu_slots.free([str(index) for index in range(gpus)])
    with lock:
        yield torch.device("cuda", int(name))


def _keep_freed_memory() -> None:
    """Keeps freed memory: glibc returns large buffers to the system and faults them in again for the next
    batch.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def warn_if_slow(precision: str, device: torch.device) -> None:
    """Warns where bfloat16 is asked of a processor without it: torch then emulates it."""
    if precision != "bfloat16" or device.type != "cpu":
        return
    times = _product_seconds(torch.bfloat16) / _product_seconds(torch.float32)
    if times > SLOW:
        slowness = f"products take {times:.0f} times as long as in float32"
        advice = "set precision: float32 (config/scales/float32.yaml)"
        warnings.warn(f"no bfloat16 arithmetic in this processor: {slowness}; {advice}", RuntimeWarning, 3)


@functools.cache
def _product_seconds(dtype: torch.dtype) -> float:
    """Seconds of the fastest of three products of two 192 x 192 matrices."""
    factor = torch.ones(192, 192, dtype=dtype)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        factor @ factor
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def generator(device: torch.device, seed: int, purpose: Purpose, *indices: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, *indices))


def device_class(device: torch.device) -> str:
    """The device's class, which determines votes (rs.machine.device_class)."""
    if device.type == "cuda":
        return classes.of_gpu(*torch.cuda.get_device_capability(device))
    return classes.of_cpu()


def device_name(device: torch.device) -> str:
    """The device's name in tables: that of the GPU or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return device.type
