"""The little that smoothing asks of a noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Noise(Protocol):
    source: ClassVar[str]
    # The parameter of type rs.settings.limits.Level is the family's level: tables have it as smoothing_level.
    # Facts that may be left out, with what then holds (rs.settings.method_facts):
    # below_dimension: ClassVar[tuple[str, ...]] = (), parameters that must be below the number of coordinates
    # dimension_less: ClassVar[dict[str, dict[str, int]]] = {}, parameter -> its values with which those must
    # be below that many less: {"match": {"paper": 1}}
    # constant: ClassVar[bool] = False, True where every draw is the same
    # free_norm: ClassVar[float] = None, the norm in which votes certify the same radius in any dimension

    # float32, added to an image by its own `add_` (exact Gaussian noise adds on a grid), never clipped
    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor: ...

    # log q(z - shift) / q(z), summed over an image
    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor: ...
