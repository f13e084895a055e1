"""The processor's own rates, beside which benchmarks/engines.py sets its contestants: matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def timed(run: Callable[[], object], seconds: float) -> float:
    """CPU seconds of one call, from as many calls as take `seconds`."""
    started, calls = time.process_time(), 0
    while time.process_time() - started < seconds:
        run()
        calls += 1
    return (time.process_time() - started) / calls


def products(size: int = 1024) -> dict[str, float]:
    """Multiply-adds per second of a square matrix product, best of a few, one thread."""
    a, b = torch.rand(size, size), torch.randint(-127, 127, (size, size)).to(torch.int8)
    runs = {
        "float32": lambda: a @ a,
        "bfloat16": lambda: half @ half,
        "int8 (torch._int_mm)": lambda: torch._int_mm(b, b.t()),
    }
    half = a.bfloat16()
    return {key: size**3 / min(timed(run, 0.05) for _ in range(8)) for key, run in runs.items()}
