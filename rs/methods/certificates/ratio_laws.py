"""Laws of T = log q(z - delta) / q(z) under z ~ q at the worst shift of length r, at sigma = 1 (Soap Bubbles,
Thms. 1-6).

Worst shift. Let q be, along every coordinate given the others, symmetric and nonincreasing in |z_i|; all
families here are. D(lambda q || q_delta) = lambda - int min(lambda q(z), q(z - delta)) dz. Along coordinate i
the two arguments are u(x) and v(x - delta_i). Their level sets {u > s}, {v > s} are intervals centred at 0
and at delta_i, so the integral of the minimum, int |{u > s} and {v(. - delta_i) > s}| ds, cannot grow with
|delta_i|: D is nondecreasing in every |delta_i|. Hence the worst delta of an linf ball is a vertex for any
such q. This includes `sup_norm`, where the paper states Thm. 6 without proving this case; no derivative is
taken, so the pole at 0 does no harm. For a spherically symmetric q, after a rotation, the worst delta of an
l2 ball lies on an axis. D decides the bound for every p, so this holds for both sides of the bilateral
condition.

Antisymmetry. q is even, so z -> delta - z maps the law under q_delta onto that under q, and T onto -T: T
under q_delta is distributed as -T under q. One distribution function F(t) = P(T <= t) gives both sides of
every Neyman-Pearson test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy import special
from torch import Generator

from rs.errors import UserError
from rs.methods.certificates.quadrature import Floats, along, decrease, expect
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.radial import chi_table, draw
from rs.methods.noise.spherical import Spherical
from rs.methods.noise.sup_norm import SupNorm

Ratios = Callable[[float], Floats]  # r -> T, always of the same draws
FREEDOM = 0.1  # least dimension - k
NORMS = {
    "gaussian": 2.0,
    "spherical": 2.0,
    "mixed_norm": np.inf,
    "sup_norm": np.inf,
}  # of shifts


@dataclass(frozen=True)
class SphericalLaw:
    """delta on an axis: T depends on |z|_2 (chi, d - k degrees of freedom) and the cosine of the angle."""

    smallest: ClassVar[float] = 1e-8  # of the largest radius in a table; radii below it are reported as 0

    d: int
    k: float

    def distribution(self, r: Floats, t: Floats) -> tuple[Floats, Floats]:
        d, k = self.d, self.k

        def conditional(R: Floats, r: Floats, t: Floats) -> tuple[Floats, Floats]:
            c = (r * r + R * R * decrease(R * R, t, k)) / (2 * r * R)  # T <= t where the cosine is at most c
            c = np.clip(c, -1, 1)
            inner = special.betainc(0.5, (d - 1) / 2, c * c) / 2
            outer = 0.5 - inner  # P(cosine > |c|), from its own tail where the difference would lose digits
            far = inner > 0.3
            outer[far] = special.betainc((d - 1) / 2, 0.5, (1 - c[far]) * (1 + c[far])) / 2
            return np.copysign(inner, c), np.where(c > 0, outer, 1 - outer)

        return expect(conditional, r, t, d - k, k)

    def median_bracket(self, r: Floats) -> tuple[Floats, Floats]:
        # half of the mass at any |z| has c <= 0, where T is at most its value at c = 0
        R = max(float(np.sqrt(2 * special.gammaincinv((self.d - self.k) / 2, 1e-12))), 1e-140)
        return -self.k / 2 * np.log1p((r / R) ** 2) - r * r / 2 - 1e-3 * r, -r * r / 2 + 1e-3 * r

    def sample(self, n: int, generator: Generator) -> Ratios:
        R = draw(chi_table(self.d - self.k), n, generator).numpy()
        u = torch.rand(n, generator=generator, dtype=torch.float64).numpy()
        side = torch.randint(2, (n,), generator=generator).mul_(2).sub_(1).numpy()
        c = side * np.sqrt(special.betaincinv(0.5, (self.d - 1) / 2, u))

        def ratios(r: float) -> Floats:
            change = r * r - 2 * R * r * c
            return np.asarray(-self.k / 2 * np.log1p(change / R**2) - change / 2)

        return ratios


@dataclass(frozen=True)
class SupNormLaw:
    """delta at a vertex: T depends on |z|_inf (chi), the sign of its coordinate, and the least of the others.

    After the shift |z - delta|_inf = max(r - min z, max z - r): m + r where the extreme coordinate is -m,
    otherwise max(r + m - 2 m w, m - r) with w the least of d - 1 uniforms on [0, 1].
    """

    # as r goes to 0 the median sits at the edge of a caustic of T and loses digits
    smallest: ClassVar[float] = 1e-3

    d: int
    k: float

    def distribution(self, r: Floats, t: Floats) -> tuple[Floats, Floats]:
        d, k = self.d, self.k

        def conditional(m: Floats, r: Floats, t: Floats) -> tuple[Floats, Floats]:
            w = np.minimum(decrease(m * m, t, k), 1.0)
            gap = r / m + w / (1 + np.sqrt(1 - w))  # (r + m - |z - delta|_inf at the threshold) / m
            below = along(m, r, k, -1) <= t
            share = np.clip(gap / 2, 0, 1)
            surely = along(m, r, k, 1) <= t
            with np.errstate(divide="ignore"):
                rest = np.where(surely, 0.0, np.exp((d - 1) * np.log1p(-share)))
                reached = np.where(surely, 1.0, -np.expm1((d - 1) * np.log1p(-share)))
            return (reached - ~below) / 2, (~below + rest) / 2

        return expect(conditional, r, t, d - k, k)

    def median_bracket(self, r: Floats) -> tuple[Floats, Floats]:
        tails = special.gammaincinv((self.d - self.k) / 2, [1e-12, 1 - 1e-12])
        m = np.sqrt(2 * np.geomspace(max(float(tails[0]), 1e-280), float(tails[1]), 200))[:, None]
        return along(m, r[None, :], self.k, -1).min(0) - 1e-9 * r, 1e-9 * r

    def sample(self, n: int, generator: Generator) -> Ratios:
        m = draw(chi_table(self.d - self.k), n, generator).numpy()
        u = torch.rand(n, generator=generator, dtype=torch.float64).numpy()
        plus = torch.randint(2, (n,), generator=generator).bool().numpy()
        w = -np.expm1(np.log1p(-u) / (self.d - 1))

        def ratios(r: float) -> Floats:
            after = np.where(plus, np.maximum(r + m - 2 * m * w, np.abs(m - r)), m + r)
            ratio = -(after - m) * (after + m) / 2
            return np.asarray(ratio - self.k * np.log(after / m) if self.k else ratio)

        return ratios


@dataclass(frozen=True)
class MixedNormLaw:
    """delta at a vertex: T depends on the sum, the least and the greatest coordinate. Only sampled, not
    exact.
    """

    d: int
    k: float

    def sample(self, n: int, generator: Generator) -> Ratios:
        noise, parts = MixedNorm(1.0, self.k), []
        chunk = max(1, 2**21 // self.d)
        for start in range(0, n, chunk):
            z = noise.sample((min(chunk, n - start), 1, 1, self.d), generator).flatten(1)
            low, high = z.aminmax(dim=1)
            parts.append(torch.stack([z.sum(1, dtype=torch.float64), low.double(), high.double()]))
        total, low, high = torch.cat(parts, 1).numpy()
        before = np.maximum(-low, high)

        def ratios(r: float) -> Floats:
            ratio = r * total - self.d * r * r / 2
            if not self.k:
                return np.asarray(ratio)
            return np.asarray(ratio - self.k * np.log(np.maximum(r - low, high - r) / before))

        return ratios


ExactLaw = SphericalLaw | SupNormLaw
SampledLaw = SphericalLaw | SupNormLaw | MixedNormLaw
SHAPED = Spherical | MixedNorm | SupNorm


def law_of(noise: SHAPED, d: int) -> SampledLaw:
    """The law at sigma = 1; radii scale with `noise.scale(d)`. UserError where d < 2 or k >= d - FREEDOM."""
    if d < 2:
        raise UserError(f"dimension = {d}: this certificate needs at least 2 coordinates")
    noise.scale(d)  # refuses k >= d
    if noise.k >= d - FREEDOM:
        limit = f"for a certificate in {d} dimensions it must be below {d - FREEDOM!r}"
        raise UserError(f"k = {noise.k!r}: {limit}")
    if isinstance(noise, Spherical):
        return SphericalLaw(d, float(noise.k))
    return SupNormLaw(d, float(noise.k)) if isinstance(noise, SupNorm) else MixedNormLaw(d, float(noise.k))


def noise_scale(noise: Gaussian | SHAPED, d: int) -> float:
    """The sigma of the density."""
    return noise.sigma if isinstance(noise, Gaussian) else noise.scale(d)
