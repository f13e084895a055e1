"""No noise: the base classifier itself. It is a family like the others, so no stage needs a special case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class NoNoise:
    """Adds zeros."""

    source: ClassVar[str] = "the base classifier"
    constant: ClassVar[bool] = True  # every draw is the same

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        return torch.zeros(tuple(shape), device=generator.device)

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        raise ValueError("noise none has no density, so no likelihood ratio")
