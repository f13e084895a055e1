"""Checks of a certification log that need only the log and its authors' statements: sigma, n, alpha, number
of images, average. No torch.

Every check has a name. Radii are compared with those that CERTIFY of Cohen et al. can give: sigma Phi^-1(p_A)
with an exact bound of p_A from n votes. A log that passes may still be wrong: it does not show which votes,
network and noise it came from.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from rs.errors import plural
from rs.statistics import attainable
from rs.statistics.bounds import Floats
from rs.statistics.decimals import floored
from rs.study.certification_log import Log

SHOWN = 5  # images named in a message
_EVEN = 0.9  # share of the distances between images that must be equal for a constant step


@dataclass(frozen=True)
class Finding:
    """A value of `count` images, lines or rows that is impossible or differs from what is stated."""

    name: str
    count: int
    what: str


@dataclass(frozen=True)
class Stated:
    """What is stated about a log; None where nothing is. `acr` is the text as printed."""

    sigma: float | None = None
    n: int | None = None
    alpha: float | None = None
    images: int | None = None
    acr: str | None = None


def findings(log: Log, stated: Stated) -> Iterator[Finding]:
    """Findings about the images, their radii and their average."""
    if len(log) == 0:
        return
    yield from of_images(log.idx, stated.images)
    if stated.sigma and stated.n and stated.alpha:
        yield from above_cap(log, stated.sigma, stated.n, stated.alpha)
        yield from between(log, stated.sigma, stated.n, stated.alpha)
    if stated.acr is not None:
        yield from of_average(log, stated.acr)


# --- radii ---


def above_cap(log: Log, sigma: float, n: int, alpha: float) -> Iterator[Finding]:
    """Radii more than one unit of the last digit above that of n unanimous votes."""
    unit, most = unit_of(log.radius), attainable.largest(n, alpha, sigma)
    above = (log.predict >= 0) & (log.radius > most + unit)
    if not above.any():
        return
    top = int(np.flatnonzero(above)[log.radius[above].argmax()])
    least = attainable.least_alpha(float(log.radius[top] - unit[top]) / sigma, n)
    text = f"{_allow(n, alpha)} {_shown(most)} at sigma = {sigma:g}; the largest is {log.radius[top]:.6g}"
    needs = f"(idx {log.idx[top]}), which needs an alpha of at least {least:.2g} with this n"
    yield Finding("radius-above-cap", int(above.sum()), f"{text} {needs}")


def between(log: Log, sigma: float, n: int, alpha: float) -> Iterator[Finding]:
    """Radii below the cap that no number of votes gives, and radii that were rounded up."""
    unit = unit_of(log.radius)
    below = np.flatnonzero((log.predict >= 0) & (log.radius <= attainable.largest(n, alpha, sigma) + unit))
    _, first, back = np.unique(log.radius[below], return_index=True, return_inverse=True)
    once = below[first]
    masks = attainable.within(log.radius[once] / sigma, unit[once] / sigma, n, alpha)
    possible, not_below = (of[back.ravel()] for of in masks)
    never, up = log.idx[below][~possible], log.idx[below][possible & ~not_below]
    if len(never):
        text = f"{_allow(n, alpha)} no radius within a digit of it: idx {named(never)}"
        yield Finding("impossible-radius", len(never), text)
    if len(up):
        text = f"less than a digit above what {_allow(n, alpha)}: idx {named(up)}"
        yield Finding("radius-rounded-up", len(up), text)


def _allow(n: int, alpha: float) -> str:
    return f"n = {n} votes at alpha = {alpha:g} allow"


# --- the average ---


def of_average(log: Log, printed: str) -> Iterator[Finding]:
    """Whether the printed number averages all images, wrong and abstained as 0; if not, which ones."""
    stated = float(printed)
    slack = 10.0 ** int(Decimal(printed).as_tuple().exponent) + float(unit_of(log.radius).mean())
    claimed, kept = np.where(log.correct, log.radius, 0.0), log.predict >= 0
    if abs(stated - claimed.mean()) <= slack:
        return
    others = {
        "over the images that are not abstained": claimed[kept],
        "over the correct ones": log.radius[log.correct],
        "with the radii of wrong predictions": log.radius,
        "with the radii of wrong predictions, without abstentions": log.radius[kept],
    }
    ways = [way for way, of in others.items() if len(of) and abs(stated - of.mean()) <= slack]
    text = f"{printed} is {f'the average {ways[0]}' if ways else 'no usual average over some of them'}"
    whole = f"over all {len(log)} images, wrong and abstained as 0, it is {_shown(claimed.mean())}"
    yield Finding("average-over-some", len(log), f"{text}; {whole}")


# --- images ---


def of_images(idx: np.ndarray, stated: int | None) -> Iterator[Finding]:
    """Whether the number of images is as stated, and their indices have a constant step."""
    if stated is not None and len(idx) != stated:
        yield Finding("subset-as-the-whole", len(idx), f"stated are {stated}")
    step = step_of(idx)
    if step is None:
        return
    first, last = int(idx.min()), int(idx.max())
    even = (idx - first) % step == 0
    there, extra = set(idx[even].tolist()), np.unique(idx[~even])
    whole = range(first, last + 1, step)  # never listed: one wrong index makes it endless
    missing = (last - first) // step + 1 - len(there)
    if missing or len(extra):
        lacks = itertools.islice((i for i in whole if i not in there), SHOWN)
        faults = [f"lacks idx {_listed(lacks, missing)}"] if missing else []
        faults += [f"has idx {named(extra)} beside"] if len(extra) else []
        every = f"of {_every(step)} image from {first} to {last} it {' and '.join(faults)}"
        yield Finding("images-missing", missing + len(extra), every)


def step_of(idx: np.ndarray) -> int | None:
    """The distance between nearly all neighbouring images; None where there is none, as for randomly drawn
    images, and for fewer than three images.
    """
    if len(idx) < 3:
        return None
    steps, counts = np.unique(np.diff(np.sort(idx)), return_counts=True)
    return int(steps[counts.argmax()]) if counts.max() >= _EVEN * counts.sum() else None


def facts_of(log: Log, sigma: float | None) -> str:
    """One line on the content of a log."""
    every = ""
    if len(log) >= 3:
        step = step_of(log.idx)
        at = f"{_every(step)} image" if step else "at no even step"
        every = f", {at} from {log.idx.min()} to {log.idx.max()}"
    abstained = int((log.predict < 0).sum())
    text = f"{plural(len(log), 'image')}{every}; {abstained} {'abstains' if abstained == 1 else 'abstain'}"
    if len(log) == 0:
        return text
    largest = float(log.radius.max())
    return f"{text}; largest radius {largest:.6g}" + (f", {largest / sigma:.4f} sigma" if sigma else "")


def unit_of(radii: Floats) -> Floats:
    """The unit of the last digit of each number, float64 [N], in a column written with a fixed number of
    significant digits or of decimals, whichever is coarser.
    """
    numbers = [Decimal(repr(float(radius))) for radius in radii]
    digits = max((len(number.normalize().as_tuple().digits) for number in numbers if number), default=1)
    behind = max((-int(number.as_tuple().exponent) for number in numbers), default=0)
    places = [number.adjusted() - digits + 1 if number else -behind for number in numbers]
    return 10.0 ** np.maximum(places, -behind)


def _every(step: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if step // 10 % 10 == 1 else ends.get(step % 10, "th")
    return "every" if step == 1 else f"every {step}{end}"


def named(idx: np.ndarray) -> str:
    return _listed(idx[:SHOWN], len(idx))


def _listed(first: Iterable[int], number: int) -> str:
    """The `first` few of a `number` of images."""
    return ", ".join(map(str, first)) + (f", ... ({number})" if number > SHOWN else "")


def _shown(radius: float) -> str:
    return f"{floored(radius, 5):.12g}"
