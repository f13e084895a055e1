"""Gaussian noise whose certificates hold for floating-point arithmetic as it is computed: `gaussian` with
`exact: true`.

The fault. In float32 the last digits of x + z reveal x. A network can read them, be certified around one
image, and answer otherwise at another image inside the radius (Voráček & Hein, "Sound randomized smoothing in
floating-point arithmetic", ICLR 2023; tests/methods/test_exact_gaussian.py has such a network).

The noise. Let h = 1 / (255 m) with a whole number m. X = x / h is the image in whole numbers (8-bit images
have such an X), and phi(i) is the float32 product of i and h. The network sees phi(X + N). The entries of N
are independent whole numbers whose law is that of a rounded normal number up to tau in total variation
(rs.statistics.rounded_normal).

Claim. Let f be the network in its inference form, F(i) = f(phi(i)) and f^(u) = F(round(u / h)), a function of
real images u. If N had the law of round(W sigma / h), W standard normal, votes at x would be votes of f^
under real Gaussian noise: X is whole, so X + round(W sigma / h) = round((x + sigma W) / h). So every theorem
about Gaussian smoothing of arbitrary classifiers holds for f^, at all real images near x, with nothing lost.
Where a nearby image lies on the grid, as every 8-bit image does, the votes drawn at it are votes of f^ too.
Whether phi rounds does not matter: it is one function. All n0 + n votes of an image are a function of (n0 +
n) d of the numbers N, so a claim of error a under the exact law has error at most a + (n0 + n) d tau.
Certificates therefore get alpha minus (n0 + n) d tau, which is 2e-8 at d = 784, n = 1e5 and sigma = 0.25.

Assumed, as everywhere: the generator's bits are independent and uniform, and f is one deterministic function
of an image (rs.networks.audit). Rounding makes another base classifier than `exact: false`, as bfloat16 does.
The noise lies on steps of at most sigma / 128 (sigma from 0.002 to 1; 1/255 above).

Departures: the weights, whole numbers out of 2^63, come from thresholds of the inverse transform. They are
drawn by Walker's alias method (1977) in whole numbers, which realises them exactly with one comparison for
any number of thresholds. docs/evidence/soundness.md compares its cost with torch's normal numbers.

Use. A sampled tensor is the noise in image units. Only its `add_` of an image, which makes the votes
(rs.networks.inference), is the addition on the grid. Every other use (training, gradients) is plain floating
point. Attacks move images off the grid, so they are refused under this noise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor

from rs.errors import UserError
from rs.methods.noise.gaussian import Gaussian
from rs.statistics.rounded_normal import BITS, LEVELS, SIGMAS, steps_between, weights

ON_GRID = 1 / 128  # of a step
_TOGETHER = 1 << 15  # coordinates per piece: its buffers fit into a processor's cache


@dataclass(frozen=True)
class ExactGaussian(Gaussian):
    """Gaussian noise rounded to a grid on which 8-bit images lie, sound in floating point."""

    source: ClassVar[str] = "after Voráček & Hein, ICLR 2023"
    family: ClassVar[str] = "gaussian"

    sigma: Annotated[float, Field(ge=SIGMAS[0], le=SIGMAS[1])]
    exact: Literal[True] = True

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        """float32 noise in image units whose `add_` of an image on the grid is exact (`OnGrid`)."""
        cut, value = (part.to(generator.device) for part in _alias_table(self.sigma))
        below = BITS - (len(cut).bit_length() - 1)  # bits of a draw below those that choose the column
        whole = torch.empty(tuple(shape), dtype=torch.int32, device=generator.device)
        on_cpu, size = whole.device.type == "cpu", whole.numel()
        pieces = whole.flatten().split(_TOGETHER if on_cpu else max(size, 1))
        buffers = [torch.empty(len(pieces[0]), dtype=torch.int64, device=whole.device) for _ in range(3)]
        for piece in pieces:
            drawn, column, limit = (buffer[: len(piece)] for buffer in buffers)
            drawn.random_(generator=generator)  # uniform in [0, 2^63)
            torch.bitwise_right_shift(drawn, below, out=column)
            torch.index_select(cut, 0, column, out=limit)
            torch.ge(drawn.bitwise_and_((1 << below) - 1), limit, out=drawn)
            torch.index_select(value, 0, column.mul_(2).add_(drawn), out=piece)
        return OnGrid.of(whole, steps_between(self.sigma))


class OnGrid(Tensor):
    """Noise h N in image units, float32; `add_` of an image x on the grid gives phi(X + N)."""

    steps: int
    whole: Tensor  # N, int32

    # results of operations are plain tensors
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def of(whole: Tensor, steps: int) -> OnGrid:
        noise: OnGrid = (whole * _step(steps)).as_subclass(OnGrid)
        noise.steps, noise.whole = steps, whole
        return noise

    def add_(self, image: Any, *, alpha: Any = 1) -> Tensor:
        """Noisy copies of one image [C, H, W] in [0, 1]. Raises UserError for an image off the grid."""
        if alpha != 1:
            raise ValueError("alpha: noise on a grid is added as it is")
        scaled = image.double() * (LEVELS * self.steps)
        position = scaled.round()
        if not bool(((scaled - position).abs() <= ON_GRID).all()):
            allowed = f"values must be multiples of 1/{LEVELS * self.steps}, as those of 8-bit images are"
            raise UserError(f"noise gaussian, exact: an image is not on the grid of its noise; {allowed}")
        return torch.mul(self.whole.add_(position.int()), _step(self.steps), out=self.as_subclass(Tensor))


def _step(steps: int) -> float:
    """h, rounded to float32."""
    return float(np.float32(1) / np.float32(LEVELS * steps))


@functools.lru_cache(maxsize=16)
def _alias_table(sigma: float) -> tuple[Tensor, Tensor]:
    """The alias table of 2^k columns: per column its threshold, int64 [columns], and its own and its other
    value, int32 [2 columns]. From the threshold on, the lower bits of a draw stand for the other value.

    Every column holds the same share of 2^63. A column that its own weight does not fill is filled up from a
    weight that is too large (in the order of Vose 1991), so that every weight is met exactly.
    """
    half = weights(sigma)
    values = list(range(-len(half) + 1, len(half)))
    size = 1 << (len(values) - 1).bit_length()
    capacity = 2**BITS // size
    left = [half[abs(value)] for value in values] + [0] * (size - len(values))
    values += [0] * (size - len(values))
    cut, other = [capacity] * size, list(values)
    small = [i for i in range(size) if left[i] < capacity]
    large = [i for i in range(size) if left[i] > capacity]
    while small:
        i, j = small.pop(), large[-1]
        cut[i], other[i] = left[i], values[j]
        left[j] -= capacity - left[i]
        if left[j] <= capacity:
            large.pop()
            if left[j] < capacity:
                small.append(j)
    pairs = [value for pair in zip(values, other, strict=True) for value in pair]
    return torch.tensor(cut), torch.tensor(pairs, dtype=torch.int32)
