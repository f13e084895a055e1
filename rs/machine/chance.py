"""The generators of the whole process, from which code that is not ours draws: dropout, libraries."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def seeded(seed: int) -> None:
    """Seeds all global generators that a network may draw from."""
    torch.manual_seed(seed)
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


def states(device: torch.device) -> list[Tensor]:
    """Where torch's generators are, on the processor and on the device: what `resume` takes."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def resume(found: list[Tensor], device: torch.device) -> None:
    """Puts torch's generators where `states` found them."""
    torch.set_rng_state(found[0])
    for state in found[1:]:
        torch.cuda.set_rng_state(state, device)
