"""From random counts to the radius that is stored, for every rigorous certificate of votes, against 40
digits.

Whatever a certificate does with its alpha, no radius can exceed what the Neyman-Pearson lemma allows where
p_A's bound and p_B's bound both had all of it. Where the certificate attains the lemma with shares of alpha
that are known, the stored radius is that one, rounded down.
"""

from __future__ import annotations

import functools
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

import rs
from rs.study.schema import schema

ALPHA, IMAGES, CLASSES = 0.001, 12, 4
NOISES: dict[str, dict[str, Any]] = {
    "gaussian": {"name": "gaussian", "sigma": 0.37},
    "laplace": {"name": "laplace", "scale": 0.21},
}
CERTIFICATES = [
    (certificate, noise)
    for certificate, facts in schema()["$defs"]["certificates"].items()
    for noise in NOISES
    if noise in facts["x-norms"] and facts["x-rigorous"] and facts["x-needs"] == ["counts"]
]
ATTAINED = {"cohen": 1.0, "cohen_linf": 1.0, "laplace_l1": 0.5}  # shares of alpha that p_A's bound has


@functools.cache
def votes() -> tuple[np.ndarray, np.ndarray]:
    """Selection and estimation votes: sure images and close ones, a few votes and many."""
    draw = np.random.default_rng(4)
    selection, estimation = [], []
    for n in (40, 3000, 100_000):
        for sure in (0.55, 0.8, 0.97, 0.9999):
            rest = draw.dirichlet(np.ones(CLASSES - 1)) * (1 - sure)
            law = draw.permutation([sure, *rest])
            selection.append(draw.multinomial(100, law))
            estimation.append(draw.multinomial(n, law))
    return np.array(selection), np.array(estimation)


@functools.cache
def upper(events: int, trials: int, share: float) -> mpmath.mpf:
    """Clopper-Pearson by bisection: the p at which at most so many events have probability share * alpha."""
    if events == trials:
        return mpmath.mpf(1)
    near = mpmath.mpf(float(stats.beta.isf(share * ALPHA, events + 1, trials - events)))
    low, high = near * (1 - mpmath.mpf(1e-5)), min(near * (1 + mpmath.mpf(1e-5)), mpmath.mpf(1))
    goal = mpmath.mpf(share) * mpmath.mpf(ALPHA)

    def tail(p: mpmath.mpf) -> mpmath.mpf:  # terms fall fast away from the largest, which is the last
        term = mpmath.binomial(trials, events) * p**events * (1 - p) ** (trials - events)
        total = mpmath.mpf(0)
        for k in range(events, -1, -1):
            total += term
            if term < total * mpmath.mpf(10) ** -38:
                break
            term *= k * (1 - p) / ((trials - k + 1) * p)
        return total

    assert tail(low) > goal > tail(high)
    for _ in range(70):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > goal else (low, middle)
    return high


def quantile(p: mpmath.mpf) -> mpmath.mpf:
    return -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p)


def most(noise: str, q_a: mpmath.mpf, p_b: mpmath.mpf) -> mpmath.mpf:
    """The largest radius, in the noise's own norm, that p_A >= 1 - q_a and p_B <= p_b allow."""
    if q_a + p_b >= 1:
        return mpmath.mpf(0)
    if noise == "gaussian":
        return -mpmath.mpf(NOISES[noise]["sigma"]) / 2 * (quantile(q_a) + quantile(p_b))
    scale = mpmath.mpf(NOISES[noise]["scale"])
    # a shift along one axis moves the likelier side of a half-space: from p < 1/2 up to exp(r / scale) p
    low, high = mpmath.mpf(0), 60 * scale
    for _ in range(140):
        r = (low + high) / 2

        def raised(p: mpmath.mpf, r: mpmath.mpf = r) -> mpmath.mpf:
            grown = mpmath.exp(r / scale)
            return (
                grown * p
                if grown * p <= 0.5
                else 1 - 1 / (4 * grown * p)
                if p <= 0.5
                else 1 - (1 - p) / grown
            )

        low, high = (r, high) if raised(q_a) + raised(p_b) < 1 else (low, r)
    return low


@pytest.mark.parametrize(("certificate", "noise"), CERTIFICATES)
def test_stored_radii_are_no_larger_than_forty_digits_allow(certificate, noise):
    selection, estimation = votes()
    dimension = 1 if certificate != "cohen_linf" else 7
    more = {"table_draws": 1000} if certificate in ("dual", "bilateral") else {}
    found = rs.certify_counts(
        (selection, estimation), certificate, ALPHA, noise=NOISES[noise], dimension=dimension, **more
    )
    scale = mpmath.sqrt(dimension) if certificate == "cohen_linf" else 1
    assert (found.radius > 0).any()
    with mpmath.workdps(40):
        for image, (top, counts) in enumerate(zip(selection.argmax(1), estimation, strict=True)):
            n, others = int(counts.sum()), np.delete(counts, top)
            q_a = upper(n - int(counts[top]), n, 1.0)
            p_b = min(q_a, upper(int(others.max()), n, 1.0))
            radius = found.radius[image]
            assert radius <= most(noise, q_a, p_b) / scale
            if share := ATTAINED.get(certificate):
                q_a = upper(n - int(counts[top]), n, share)
                p_b = q_a if share == 1 else min(q_a, upper(int(others.max()), n, 1 - share))
                exact = most(noise, q_a, p_b) / scale
                if certificate == "laplace_l1":
                    total = q_a + p_b
                    exact = -mpmath.mpf(NOISES[noise]["scale"]) * mpmath.log(total) if total < 1 else 0
                assert radius <= exact
                assert radius == pytest.approx(float(exact), rel=1e-8, abs=1e-12)
            if radius > 0:
                assert found.prediction[image] == top
