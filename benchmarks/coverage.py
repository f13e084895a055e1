"""How often certificates are wrong: simulated votes of known probability vectors, counted claims.

python benchmarks/coverage.py                 the tables of docs/evidence/coverage.md, some minutes on a core
python benchmarks/coverage.py --trials 200    a quick look

A claim is wrong if the class does not have the largest probability, or if the radius is above the tight
radius of the true probabilities, as from endless votes: there is a base classifier with these probabilities
whose class changes at that radius. For Gaussian and Laplace noise it is made of half-spaces, and the radius
has a closed form. For the noises of Soap Bubbles, the Neyman-Pearson regions of the two largest probabilities
are followed through the shift: for `spherical` and `sup_norm` by quadrature of the distribution of the
likelihood ratio; for `mixed_norm` from draws of `noise.sample` and `noise.log_ratio`, twenty times as many as
its tables have here. Neither way uses the tables, grids and margins of the certificates.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import optimize, special, stats

from rs.methods.certificates.bilateral import Bilateral
from rs.methods.certificates.cohen import Cohen, CohenLinf
from rs.methods.certificates.dual import Dual
from rs.methods.certificates.dual_published import DualPublished
from rs.methods.certificates.laplace_l1 import LaplaceL1
from rs.methods.certificates.pixeldp import PixelDP, PixelDPSoft
from rs.methods.certificates.ratio_laws import ExactLaw, law_of
from rs.methods.certificates.renyi import Renyi, RenyiSound
from rs.methods.certificates.soft import SoftBernstein, SoftHoeffding
from rs.methods.certificates.tcertify import TCertify, TCertifySound
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.spherical import Spherical
from rs.methods.noise.sup_norm import SupNorm
from rs.statistics.bounds import clopper_pearson_lower, clopper_pearson_upper
from rs.statistics.draws import Draws, Votes

ALPHA, SELECTION = 0.05, 100
DIMENSION = 5  # few coordinates: in many, the shaped noises come close to Gaussian ones
TABLE, TRUTH = 10_000, 200_000  # draws in a table of `mixed_norm`, and for its tight radius
HOT = 0.9  # softmax score of the class that a vote goes to; the others share the rest


@dataclass(frozen=True)
class Case:
    """A certificate, the noise it is tested with, and its name in the tables."""

    name: str
    certificate: Any
    noise: Any


GAUSSIAN, LAPLACE = Gaussian(1.0), Laplace(1.0)
SPHERICAL, MIXED, SUP = Spherical(1.0, 2.5), MixedNorm(1.0, 2.0), SupNorm(1.0, 3.0)
CASES = (
    Case("cohen", Cohen(), GAUSSIAN),
    Case("cohen, randomised", Cohen(randomised=True), GAUSSIAN),
    Case("cohen_linf", CohenLinf(), GAUSSIAN),
    Case("dual, Gaussian", Dual(), GAUSSIAN),
    Case("bilateral, Gaussian", Bilateral(), GAUSSIAN),
    Case("tcertify_sound, fixed", TCertifySound(), GAUSSIAN),
    Case("tcertify_sound, fixed, eq. 14", TCertifySound(runner_up="eq14"), GAUSSIAN),
    Case("tcertify_sound, grid", TCertifySound(mode="grid"), GAUSSIAN),
    Case("renyi_sound", RenyiSound(), GAUSSIAN),
    Case("laplace_l1", LaplaceL1(), LAPLACE),
    Case("laplace_l1, one bound", LaplaceL1(alpha_share=1.0), LAPLACE),
    Case("pixeldp, Gaussian", PixelDP(), GAUSSIAN),
    Case("pixeldp, Laplace", PixelDP(), LAPLACE),
    Case("pixeldp_soft, Gaussian", PixelDPSoft(), GAUSSIAN),
    Case("pixeldp_soft, Laplace", PixelDPSoft(bound="hoeffding"), LAPLACE),
    Case("soft_hoeffding", SoftHoeffding(), GAUSSIAN),
    Case("soft_bernstein", SoftBernstein(), GAUSSIAN),
    Case("soft_bernstein, two bounds", SoftBernstein(alpha_share=0.5), GAUSSIAN),
    Case("tcertify", TCertify(), GAUSSIAN),
    Case("tcertify, largest other count", TCertify(runner_up="largest"), GAUSSIAN),
    Case("tcertify, selecting on the estimation votes", TCertify(select_on="estimation"), GAUSSIAN),
    Case("renyi", Renyi(), GAUSSIAN),
    Case("renyi, pooled", Renyi(sample="pooled"), GAUSSIAN),
    Case("renyi, abstaining on overlap", Renyi(abstain_on_overlap=True), GAUSSIAN),
)
SLOW = (  # tested on a fifth of the images
    Case("dual, spherical", Dual(), SPHERICAL),
    Case("dual, mixed_norm", Dual(table_draws=TABLE), MIXED),
    Case("dual, sup_norm", Dual(), SUP),
    Case("bilateral, spherical", Bilateral(), SPHERICAL),
    Case("bilateral, mixed_norm", Bilateral(table_draws=TABLE), MIXED),
    Case("bilateral, sup_norm", Bilateral(), SUP),
    Case("dual_published, Gaussian", DualPublished(), GAUSSIAN),
    Case("dual_published, spherical", DualPublished(), SPHERICAL),
    Case("dual_published, mixed_norm", DualPublished(), MIXED),
    Case("dual_published, sup_norm", DualPublished(), SUP),
)


def _rest(classes: int, *first: float) -> np.ndarray:
    """The probabilities in `first`, with the rest spread evenly over the other classes."""
    return np.r_[first, np.full(classes - len(first), (1 - sum(first)) / max(classes - len(first), 1))]


PROBABILITIES = (
    ("2 classes: 0.5001", _rest(2, 0.5001)),
    ("2 classes: 0.51", _rest(2, 0.51)),
    ("2 classes: 0.75", _rest(2, 0.75)),
    ("2 classes: 0.999", _rest(2, 0.999)),
    ("3 classes: 0.501, 0.498", _rest(3, 0.501, 0.498)),
    ("3 classes: 0.45, 0.44", _rest(3, 0.45, 0.44)),
    ("3 classes: 0.55, 0.225", _rest(3, 0.55)),
    ("3 classes: 0.90, 0.05", _rest(3, 0.90)),
    ("10 classes: 0.501, 0.4", _rest(10, 0.501, 0.4)),
    ("10 classes: 0.52, the rest even", _rest(10, 0.52)),
    ("10 classes: 0.99, 0.005", _rest(10, 0.99, 0.005)),
    ("100 classes: 0.53, 0.2", _rest(100, 0.53, 0.2)),
    ("1,000 classes: 0.501, 0.25", _rest(1000, 0.501, 0.25)),
    ("1,000 classes: 0.999, the rest even", _rest(1000, 0.999)),
)


def _law_after(law: ExactLaw, r: float, q: float) -> float:
    """Largest probability, after a shift of length r, of a region of probability q; by quadrature."""

    def above(t: float) -> float:
        return float(law.distribution(np.array([r]), np.array([t]))[1][0])

    reach = r * (r + 20) + 20 * law.k + 1
    return 1 - above(-optimize.brentq(lambda t: above(t) - q, -reach, reach))


@functools.lru_cache(maxsize=1)
def _plain_draws(noise: Any) -> torch.Tensor:
    return noise.sample((TRUTH, 1, 1, DIMENSION), torch.Generator().manual_seed(20)).flatten(1)


def _draws_after(noise: Any, r: float, *q: float) -> float:
    """The same for a shift to a vertex of the cube, from plain draws; summed over `q`."""
    z, shift = _plain_draws(noise), torch.full((DIMENSION,), r, dtype=torch.float64)
    before, after = noise.log_ratio(z, shift).numpy(), -noise.log_ratio(z, -shift).numpy()
    return sum(float(np.mean(after > np.quantile(before, 1 - share))) for share in q)


@functools.cache
def _shaped_radius(noise: Any, q: float, second: float) -> float:
    """The shift at which the worst regions of the probabilities 1 - q and `second` meet; 0 below 1e-4."""

    def excess(r: float) -> float:
        if isinstance(noise, MixedNorm):
            return _draws_after(noise, r, q, second) - 1
        law = law_of(noise, DIMENSION)
        return _law_after(law, r, q) + _law_after(law, r, second) - 1

    if excess(1e-4) > 0:
        return 0.0
    return float(optimize.brentq(excess, 1e-4, 8.0, xtol=1e-4 if isinstance(noise, MixedNorm) else 1e-6))


def tight_radius(certificate: Any, noise: Any, p: np.ndarray) -> float:
    """The radius of the two largest probabilities, in the norm and for the noise of the certificate."""
    second, first = np.sort(p)[-2:]
    if isinstance(noise, Gaussian):
        radius = float(noise.sigma / 2 * (special.ndtri(first) - special.ndtri(second)))
        return radius / np.sqrt(DIMENSION) if certificate.norms["gaussian"] == np.inf else radius
    if isinstance(noise, Laplace):
        return float(noise.scale / 2 * (stats.laplace.isf(1 - first) - stats.laplace.ppf(second)))
    return _shaped_radius(noise, float(1 - first), float(second))


def _votes(counts: np.ndarray, scores: np.ndarray) -> Votes:
    return Votes(counts, {1.0: counts @ scores}, {1.0: counts @ scores**2})


def simulate(p: np.ndarray, n: int, trials: int, rng: np.random.Generator) -> tuple[Draws, np.ndarray]:
    """Draws of `trials` images with the same probabilities, and their expected softmax scores."""
    classes = len(p)
    scores = np.full((classes, classes), (1 - HOT) / (classes - 1))
    np.fill_diagonal(scores, HOT)
    selection, estimation = rng.multinomial(SELECTION, p, trials), rng.multinomial(n, p, trials)
    images, labels = np.arange(trials), np.full(trials, int(p.argmax()))
    votes = _votes(selection, scores), _votes(estimation, scores)
    return Draws(images, labels, *votes, dimension=DIMENSION, uniform=rng.random(trials)), p @ scores


def first_images(draws: Draws, n: int) -> Draws:
    votes = draws.selection.rows(slice(n)), draws.estimation.rows(slice(n))
    return Draws(draws.images[:n], draws.labels[:n], *votes, draws.dimension, draws.uniform[:n])


def wrong_claims(case: Case, draws: Draws, p: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Bool [N]: the image's claim is wrong."""
    truth = scores if "soft_moments" in case.certificate.needs else p
    certified = case.certificate.certify(draws, case.noise, ALPHA)
    claims = certified.prediction >= 0
    tight = tight_radius(case.certificate, case.noise, truth)
    return claims & ((certified.prediction != truth.argmax()) | (certified.radius > tight))


@dataclass(frozen=True)
class Row:
    case: Case
    setting: str
    wrong: int
    trials: int

    @property
    def share(self) -> float:
        return self.wrong / self.trials


def measure(trials: int, sizes: tuple[int, ...], seed: int = 0) -> Iterator[Row]:
    rng = np.random.default_rng(seed)
    for i, (name, p) in enumerate(PROBABILITIES):
        for j, n in enumerate(sizes):
            here = trials if len(p) < 1000 else max(trials // 10, 1)
            draws, scores = simulate(p, n, here, rng)
            for case in (*CASES, *SLOW):
                tried, of = case, draws
                if case in SLOW:
                    of = first_images(draws, min(max(trials // 5, 1), here))
                if case.noise is MIXED and case.certificate.rigorous:
                    # the table has a part of alpha, so every setting draws another table
                    table = replace(case.certificate, table_seed=len(sizes) * i + j)
                    tried = replace(case, certificate=table)
                wrong = int(wrong_claims(tried, of, p, scores).sum())
                yield Row(case, f"{name}; n = {n:,}", wrong, len(of))


def interval(row: Row, settings: int) -> tuple[float, float]:
    """Clopper-Pearson interval of the share of wrong claims, 95 % for all settings together."""
    level = 0.025 / settings
    low = float(clopper_pearson_lower(row.wrong, row.trials, level))
    return low, float(clopper_pearson_upper(row.wrong, row.trials, level))


def line(row: Row, settings: int) -> str:
    low, high = interval(row, settings)
    share = f"{100 * row.share:.2f} %" if row.wrong else f"0 of {row.trials:,}"
    setting = row.setting if row.wrong else "all"
    return f"| {row.case.name} | {setting} | {share} | {100 * low:.2f} to {100 * high:.2f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    more = "images per setting (a fifth of it for slow certificates, a tenth for 1,000 classes)"
    parser.add_argument("--trials", type=int, default=10_000, help=more)
    sizes = (100, 2_000)
    rows, settings = list(measure(parser.parse_args().trials, sizes)), len(PROBABILITIES) * len(sizes)
    head = "| certificate | setting | wrong claims | interval |\n|---|---|---|---|"
    for rigorous, title in ((True, "Rigorous"), (False, "As published")):
        print(f"\n{title}: the worst of {settings} settings\n\n{head}")
        for case in (*CASES, *SLOW):
            if case.certificate.rigorous is rigorous:
                print(line(max((r for r in rows if r.case is case), key=lambda r: r.share), settings))
    print(f"\nEvery setting where a claim is wrong more often than {100 * ALPHA:g} %\n\n{head}")
    for row in rows:
        if interval(row, settings)[0] > ALPHA:
            print(line(row, settings))


if __name__ == "__main__":
    main()
