"""What every certificate for Gaussian or Laplace noise keeps to: monotone, scaled, refusing, rarely wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from benchmark_modules import load_benchmark
from certificate_draws import GAUSSIAN, LAPLACE, random_votes, soft_draws
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rs.errors import UserError
from rs.methods.certificates.cohen import Cohen, CohenLinf
from rs.methods.certificates.laplace_l1 import LaplaceL1
from rs.methods.certificates.pixeldp import PixelDP, PixelDPSoft
from rs.methods.certificates.renyi import Renyi, RenyiSound
from rs.methods.certificates.soft import SoftBernstein, SoftHoeffding
from rs.methods.certificates.tcertify import TCertify, TCertifySound
from rs.methods.noise.spherical import Spherical
from rs.statistics.draws import Draws

VOTE_CERTIFICATES: tuple[Any, ...] = (
    Cohen(),
    CohenLinf(),
    TCertify(),
    TCertify(runner_up="largest"),
    TCertifySound(),
    TCertifySound(mode="grid"),
    TCertifySound(mode="grid", runner_up="eq14"),
    RenyiSound(),
    LaplaceL1(),
    PixelDP(),
)
SOFT_CERTIFICATES: tuple[Any, ...] = (
    SoftHoeffding(),
    SoftBernstein(),
    SoftBernstein(alpha_share=0.5),
    PixelDPSoft(),
    PixelDPSoft(bound="hoeffding"),
)


def noises(certificate: Any) -> list[Any]:
    return [
        noise for name, noise in (("gaussian", GAUSSIAN), ("laplace", LAPLACE)) if name in certificate.norms
    ]


@pytest.mark.parametrize("certificate", VOTE_CERTIFICATES, ids=repr)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_monotone_in_votes_and_alpha_and_scales_with_the_noise(certificate: Any, data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 6))
    size = data.draw(st.sampled_from([10**2, 10**5, 10**12]))
    counts = [data.draw(st.integers(0, size)) for _ in range(classes)]
    counts[0] += data.draw(st.integers(1, 5 * size))
    move = data.draw(st.integers(0, max(counts[1:])))
    donor = int(np.argmax(counts[1:])) + 1
    more = counts.copy()
    more[0] += move
    more[donor] -= move
    draws = Draws.from_counts([1, *[0] * (classes - 1)], [counts, more], 784)
    alpha = data.draw(st.floats(1e-5, 0.2))
    for noise in noises(certificate):
        found = certificate.certify(draws, noise, alpha)
        assert found.prediction.dtype.kind == "i"
        assert found.radius.dtype == np.float64
        assert np.all(np.isfinite(found.radius))
        assert np.all(found.radius >= 0)
        assert np.all(found.radius[found.prediction < 0] == 0)
        slack = 1e-7 * (1 + found.radius[0])  # eq. 14 and the searches stop within this
        assert found.radius[1] >= found.radius[0] - slack
        surer = certificate.certify(draws, noise, alpha / 3)
        assert np.all(surer.radius <= found.radius + slack)
        double = certificate.certify(draws, type(noise)(1.0), alpha)
        np.testing.assert_allclose(double.radius, 2 * found.radius, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("certificate", SOFT_CERTIFICATES, ids=repr)
@given(
    mean=st.floats(0.34, 1.0),
    more=st.floats(0, 1),
    spread=st.floats(0, 1),
    n=st.sampled_from([100, 10**5, 10**12]),
)
@settings(max_examples=25, deadline=None)
def test_soft_monotone_in_scores_and_alpha(
    certificate: Any, mean: float, more: float, spread: float, n: int
) -> None:
    means = np.array([[mean, (1 - mean) * 0.6, (1 - mean) * 0.4]])
    higher = mean + (1 - mean) * more
    means = np.concatenate([means, [[higher, (1 - higher) * 0.6, (1 - higher) * 0.4]]])
    # the same variance in both, as large as the means allow
    variance = spread * np.min(means * (1 - means), axis=0)
    draws = soft_draws(np.array([[1.0, 0, 0]] * 2), means * n, (means**2 + variance) * n, n)
    for noise in noises(certificate):
        found = certificate.certify(draws, noise, 0.01)
        assert np.all(np.isfinite(found.radius))
        assert found.radius[1] >= found.radius[0] - 1e-6
        assert np.all(certificate.certify(draws, noise, 0.001).radius <= found.radius + 1e-9)


@pytest.mark.parametrize("certificate", [*VOTE_CERTIFICATES, Renyi()], ids=repr)
def test_certificates_refuse_what_they_cannot_prove(certificate: Any) -> None:
    noise = noises(certificate)[0]
    with pytest.raises(UserError, match=r"no theorem for noise spherical; allowed: (gaussian|laplace)"):
        certificate.certify(random_votes(3, 2, 100), Spherical(k=1.0, sigma=1.0), 0.01)
    for selection, estimation, says in (
        ([0, 0], [5, 5], "no selection votes"),
        ([1, 0], [0, 0], "no estimation votes"),
        ([1, 0], [12, -2], "negative estimation counts"),
        ([1], [12], "one class only"),
    ):
        with pytest.raises(UserError, match=says):
            certificate.certify(Draws.from_counts(selection, estimation, 784), noise, 0.01)
    for alpha in (0.0, 1.0, 1.5, float("nan")):
        with pytest.raises(UserError, match="must lie strictly between 0 and 1"):
            certificate.certify(random_votes(3, 2, 100), noise, alpha)


def test_draws_that_were_stopped_early_are_refused() -> None:
    base = random_votes(3, 2, 100)
    early = Draws(
        base.images, base.labels, base.selection, base.estimation, 784, base.uniform, stopping="betting"
    )
    with pytest.raises(UserError, match="stopped by 'betting'"):
        Cohen().certify(early, GAUSSIAN, 0.01)


@pytest.mark.slow
def test_rigorous_certificates_are_wrong_at_most_as_often_as_they_say() -> None:
    coverage = load_benchmark("coverage")
    rng = np.random.default_rng(7)
    settings_ = [p for _, p in coverage.PROBABILITIES if len(p) <= 100]
    for p in settings_:
        draws, scores = coverage.simulate(p, 500, 600, rng)
        for case in coverage.CASES:
            wrong = int(coverage.wrong_claims(case, draws, p, scores).sum())
            if case.certificate.rigorous:
                # more wrong claims than this has probability 1e-6 if the certificate holds what it says
                assert wrong <= stats.binom.isf(1e-6, 600, coverage.ALPHA), (case.name, p[:2])
            elif case.name == "renyi" and len(p) == 2 and p[0] < 0.505:
                assert wrong > 500  # overlapping intervals certify a tie
