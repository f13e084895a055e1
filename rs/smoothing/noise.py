"""The protocol of a noise family: what smoothing needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Noise(Protocol):
    """A family's density q: it samples z and knows how q changes under a shift."""

    source: ClassVar[str]
    # The parameter of type rs.settings.limits.Level is the family's level: smoothing_level in tables.
    # Optional facts with their defaults (rs.settings.method_facts):
    # below_dimension: ClassVar[tuple[str, ...]] = (), parameters that must be below the dimension d
    # dimension_less: ClassVar[dict[str, dict[str, int]]] = {}, parameter -> value -> by how much d shrinks:
    # by {"match": {"paper": 1}} those parameters must be below d - 1 where match is "paper"
    # constant: ClassVar[bool] = False, True where every draw is the same
    # free_norm: ClassVar[float] = None, the norm in which votes certify the same radius in any dimension

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        """float32, never clipped; its own `add_` adds it to images (exact Gaussian noise adds on a grid)."""
        ...

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z), summed over an image."""
        ...
