"""Exact group sequential tests of a study's radii, and when to stop drawing for them. No torch.

An image with failure rate p has radius r under Gaussian noise sigma where p < x = Phi(-r / sigma). A design
has looks after n_1 < n_2 < ... votes, and two numbers of failures per look i and radius k: f <= b_ik speaks
for radius k, f >= c_ik against it, anything between asks for more votes. An image gets votes until no radius
asks for more, or n votes are drawn. The claim is all radii with f <= b_ik at the look where it stopped. As b
falls with k, these are all radii up to some K.

**Error.** Let k be the first radius with p >= x_k. All larger radii are wrong too, so the claim is wrong only
if it includes k, that is, if the image stops at f <= b_ik. Hence no share of alpha goes to the other radii.
Let u_i(f) = max over g >= f of w_i(g). Where the image goes on at g, w_i(g) is the mean of u_(i+1)(g + B), B
binomial in the block's size and x_k; elsewhere it is 1 if g <= b_ik and 0 if not. u falls with f and B grows
with p, so by induction from the last look u_i(f) bounds the chance of a wrong claim after a look i at f, at
every p >= x_k. Its mean after the first block is `Design.errors`: at most alpha, by construction, for every
radius. It is computed over all paths, not simulated, and neglected tails count as wrong. Unlike a confidence
sequence, the tests spend all of alpha, and none on looks after the image has stopped or has had n votes. That
is their gain, and why they hold only for their own rule, radii and alpha.

**Which boundaries.** Any would be valid. These minimise, for each radius alone, mean votes + worth * (chance
that an image within its radius is not certified), averaged over a uniform p, where the chance of a claim at p
= x costs a multiplier that brings it to alpha. This is optimal stopping, solved by backward induction over
(n, f); no rule with this error can be much better (benchmarks/group_sequential.py). `worth`, in votes, is x
(1 - x) / (phi(r / sigma) * resolution)^2: the votes that determine a radius with a standard error of
`resolution` sigma.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from rs.errors import UserError
from rs.settings.sampling import Stop
from rs.statistics.bounds import Floats
from rs.statistics.stopping import StoppingRule

RULE = "tests"  # its name in a study
SPARE = 1e-3  # share of alpha left for exact noise, which takes some; far above rounding
_ROUNDING = 1e-9  # relative; certificates round radii down
_WIDTH = 8.0  # standard deviations around n x in which boundaries may lie
# attempts at prices that spend all of alpha; attempts in all, the later ones at any prices that keep to it
_EXACT, _ATTEMPTS = 8, 300
_LEFT_OUT = 1e-14  # chance per look counted as wrong, far above neglected tails and rounding


@dataclass(frozen=True)
class Design:
    """`looks` int64 [L]; `certify`, `give_up` int64 [L, K]: the most failures that speak for a radius, the
    fewest that speak against it; `needed` float64 [K]: the failure rates x, falling.
    """

    looks: np.ndarray
    certify: np.ndarray
    give_up: np.ndarray
    needed: Floats

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        return np.diff(self.looks, prepend=0)

    def undecided(self, look: int, failures: np.ndarray) -> np.ndarray:
        """Bool: whether some radius asks for more votes at these `failures` [N]."""
        if look == len(self.looks) - 1:
            return np.zeros(len(failures), bool)
        f = failures[:, None]
        return ((f > self.certify[look]) & (f < self.give_up[look])).any(1)  # type: ignore[no-any-return]

    def claims(self, failures: np.ndarray, votes: np.ndarray) -> np.ndarray:
        """The number of radii, from the smallest on, certified for images that stopped here, int64 [N].

        Raises UserError where an image stopped between looks, or at a look where it should have gone on.
        """
        look = np.searchsorted(self.looks, votes)
        wrong = (look == len(self.looks)) | (self.looks[np.minimum(look, len(self.looks) - 1)] != votes)
        for i in np.unique(look[~wrong]):
            wrong[look == i] |= self.undecided(int(i), failures[look == i])
        if wrong.any():
            failed = f"{failures[wrong][0]} of {votes[wrong][0]} votes"
            raise UserError(f"draws: an image has failed in {failed}: its rule would not have stopped there")
        return (failures[:, None] <= self.certify[look]).sum(1)  # type: ignore[no-any-return]

    @functools.cached_property
    def errors(self) -> Floats:
        """Per radius, a bound of the chance that it is claimed for an image with p >= x, [K]."""
        return np.array([self._error(k) for k in range(len(self.needed))])

    def _error(self, k: int) -> float:
        if self.certify[:, k].max() < 0:
            return 0.0
        x, follows = float(self.needed[k]), _Values(0, np.ones(0), 0.0)
        for i in range(len(self.looks) - 1, -1, -1):
            span, certify = _span(int(self.looks[i]), x), self.certify[i, k]
            value = (span <= certify).astype(float)
            if i + 1 < len(self.looks):
                later = follows.mean(span, int(self.sizes[i + 1]), x)
                value = np.where(self.undecided(i, span), later, value)
                beyond = later[-1]
            else:
                beyond = 0.0
            # a state above the span has at most the value of going on from the span's last state
            value = np.maximum.accumulate(np.append(value, beyond)[::-1])[::-1]
            follows = _Values(int(span[0]), value[:-1] + _LEFT_OUT, float(value[-1]) + _LEFT_OUT)
        return float(follows.mean(np.zeros(1, np.int64), int(self.looks[0]), x)[0])


@dataclass(frozen=True)
class _Values:
    """Values at failures first, first + 1, ...; `below` at fewer failures, `beyond` at more."""

    first: int
    inside: Floats
    beyond: float
    below: float = 1.0

    def mean(self, span: np.ndarray, votes: int, x: float) -> Floats:
        """The mean value after `votes` more votes with failure rate x, from each state of `span` (consecutive
        numbers).
        """
        steps, chance = _binomial(votes, x)
        start = int(span[0]) + steps
        at = np.arange(start, start + len(span) + len(chance) - 1) - self.first
        inside = self.inside[np.clip(at, 0, len(self.inside) - 1)]
        values = np.where(at < 0, self.below, np.where(at < len(self.inside), inside, self.beyond))
        return np.correlate(values, chance, "valid")


@functools.lru_cache(maxsize=1024)
def _binomial(votes: int, x: float) -> tuple[int, Floats]:
    """The least number of failures that matters, and the chances from there on. By Bernstein's inequality all
    other numbers have a chance below 1e-18.
    """
    from scipy import stats  # imported here: it takes a second, which every sampling job would pay

    width = 9.5 * np.sqrt(votes * x * (1 - x)) + 30
    least, most = max(int(votes * x - width), 0), min(int(votes * x + width) + 1, votes)
    return least, stats.binom.pmf(np.arange(least, most + 1), votes, x)


def _span(n: int, x: float) -> np.ndarray:
    """The numbers of failures among n votes that are plausible for failure rates near x."""
    width = _WIDTH * np.sqrt(n * x * (1 - x)) + 8
    return np.arange(max(int(n * x - width), 0), min(int(n * x + width), n) + 1)


class _Test:
    """The best boundaries for one radius, as a function of the price of a claim at p = x."""

    def __init__(self, x: float, sizes: Sequence[int], worth: float) -> None:
        self.x, self.sizes, self.looks = x, sizes, np.cumsum(sizes)
        self.spans = [_span(int(n), x) for n in self.looks]
        # chance of a path under a uniform p, and of it with p < x, each over its chance under x
        self.weight, self.within = [], []
        for n, f in zip(self.looks, self.spans, strict=True):
            weight = special.betaln(f + 1, n - f + 1) - special.xlogy(f, x) - special.xlog1py(n - f, -x)
            self.weight.append(np.exp(weight))
            self.within.append(worth * self.weight[-1] * special.betainc(f + 1, n - f + 1, x))

    def boundaries(self, price: float) -> tuple[np.ndarray, np.ndarray]:
        """`certify` and `give_up` [L] if a claim at p = x costs `price`."""
        certify, give_up = np.zeros((2, len(self.looks)), np.int64)
        follows = _Values(0, np.zeros(1), 0.0)
        for i in range(len(self.looks) - 1, -1, -1):
            span, given_up = self.spans[i], self.within[i]
            stopped = np.minimum(given_up, price)
            if i + 1 < len(self.looks):
                size = self.sizes[i + 1]
                going_on = size * self.weight[i] + follows.mean(span, size, self.x)
                value, more = np.minimum(stopped, going_on), going_on < stopped
            else:
                value, more = stopped, np.zeros(len(span), bool)
            # claims cost less than giving up: all failures up to the last such one
            speaks = np.flatnonzero(~more & (given_up > price))
            certify[i] = span[speaks[-1]] if len(speaks) else span[0] - 1
            asks = np.flatnonzero(more & (span > certify[i]))
            give_up[i] = span[asks[-1]] + 1 if len(asks) else certify[i] + 1
            follows = _Values(int(span[0]), value, 0.0, price)
        self.value = float(follows.mean(np.zeros(1, np.int64), self.sizes[0], self.x)[0])  # the optimal value
        return certify, give_up


@functools.lru_cache(maxsize=32)
def design(alpha: float, depths: tuple[float, ...], sizes: tuple[int, ...], resolution: float) -> Design:
    """The design for radii of `depths` sigma, rising, and blocks of `sizes` votes. A second of CPU for nine
    radii.
    """
    z, target, looks = np.array(depths), alpha * (1 - SPARE), np.cumsum(sizes)
    needed = special.ndtr(-z) * (1 - _ROUNDING)
    # for the other radii, not even votes without failures suffice
    within = needed[looks[-1] * np.log1p(-needed) <= np.log(target)]
    variance, density = within * (1 - within), np.exp(-(z[: len(within)] ** 2) / 2) / np.sqrt(2 * np.pi)
    worth = variance / (density * resolution) ** 2
    tests = [_Test(float(x), sizes, float(w)) for x, w in zip(within, worth, strict=True)]
    prices = 0.5 / alpha * np.sqrt(variance * worth)
    for attempt in range(_ATTEMPTS):
        boundaries = [test.boundaries(price) for test, price in zip(tests, prices, strict=True)]
        candidate = Design(looks, *_joined(boundaries, len(looks), len(z)), needed)
        ratio = candidate.errors[: len(within)] / target
        if (ratio <= 1).all() and (attempt >= _EXACT or (ratio > 0.985).all()):
            return candidate
        # failures are whole numbers, so the error may never come close to alpha: then any sufficient price
        factors = ratio * 1.005 if attempt < _EXACT else np.where(ratio > 1, 1.1, 1.0)
        prices = prices * np.where((ratio <= 1) & (ratio > 0.985), 1.0, np.clip(factors, 0.1, 10))
    raise UserError(f"stop: found no tests at alpha = {alpha:g} from {looks[-1]} votes")


def _joined(
    found: list[tuple[np.ndarray, np.ndarray]], looks: int, radii: int
) -> tuple[np.ndarray, np.ndarray]:
    """`certify` and `give_up` [L, K] of all radii. What speaks for a radius speaks for smaller ones. Radii
    without boundaries are given up at once.
    """
    certify, give_up = np.full((looks, radii), -1), np.zeros((looks, radii), np.int64)
    for k, (speaks, against) in enumerate(found):
        certify[:, k] = np.maximum(speaks, -1)
        give_up[:, k] = against
    certify = np.minimum.accumulate(certify, axis=1)
    give_up[:, : len(found)] = np.maximum(give_up, certify + 1)[:, : len(found)]
    return certify, give_up


@dataclass(frozen=True)
class GroupSequentialRule:
    """For images of Gaussian noise `sigma`: at most `n` votes in blocks of `block` and multiples of it."""

    stop: Stop
    sigma: float
    n: int
    block: int
    resolution: float

    def sizes(self) -> list[int]:
        """Votes of each block, in order; they add up to n."""
        return StoppingRule(self.stop, self.sigma, self.n, self.block).sizes()

    @functools.cached_property
    def radii(self) -> tuple[float, ...]:
        return tuple(sorted(set(self.stop.radii)))

    @functools.cached_property
    def design(self) -> Design:
        depths = tuple(r / self.sigma for r in self.radii)
        return design(self.stop.alpha, depths, tuple(self.sizes()), self.resolution)

    def going_on(self, failures: np.ndarray, votes: int) -> np.ndarray:
        """Bool [N]: whether images with `failures` [N] among their first `votes` votes need more."""
        return self.design.undecided(int(np.searchsorted(self.design.looks, votes)), failures)

    def first_decision(self) -> float:
        """The fewest votes that can certify any radius that the rule asks for."""
        x = float(special.ndtr(-self.radii[0] / self.sigma)) * (1 - _ROUNDING)
        return float(np.ceil(np.log(self.stop.alpha) / np.log1p(-x))) if x > 0 else np.inf

    def record(self) -> dict[str, object]:
        """The record of the rule in a draw file; `boundaries` is a digest of the design."""
        boundaries = np.concatenate([self.design.certify, self.design.give_up]).astype("<i8").tobytes()
        rule = {"rule": RULE, "resolution": self.resolution}
        rule |= {"boundaries": hashlib.sha256(boundaries).hexdigest()[:8]}
        return {"alpha": self.stop.alpha, "radii": list(self.radii), "n": self.n, "block": self.block, **rule}
