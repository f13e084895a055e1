"""The generators of the whole process, from which code that is not ours draws: dropout, libraries."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def seeded(seed: int, device: torch.device | None = None) -> None:
    """Seeds all global generators that a network may draw from.

    With the `device` that it computes on, those of other devices are left out. That takes microseconds, where
    torch.manual_seed takes a millisecond and memory on a machine whose GPUs nothing uses.
    """
    if device is None:
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextlib.contextmanager
def kept_chance() -> Iterator[None]:
    """Draws inside leave the process's generators unchanged."""
    states = np.random.get_state(), random.getstate()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(gpus):
        try:
            yield
        finally:
            np.random.set_state(states[0])
            random.setstate(states[1])
