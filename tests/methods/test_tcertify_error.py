"""The error of T-CERTIFY (ADRE, Proposition 1 and Theorem 1), exactly: summed over all counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from rs.methods.certificates.tcertify import TCertify, TCertifySound
from rs.methods.noise.gaussian import Gaussian
from rs.statistics.draws import Draws

# p_A, and the runner-up's share of the rest
LAWS = [(p, share) for p in np.arange(0.51, 1, 0.02) for share in (0.5, 0.6, 0.8, 0.95, 1.0)]


def all_counts(n: int) -> np.ndarray:
    """Every way in which n votes fall on three classes."""
    return np.array([(a, b, n - a - b) for a in range(n + 1) for b in range(n + 1 - a)])


def worst_error(certificate: TCertify | TCertifySound, n: int, alpha: float) -> float:
    """The largest probability of a wrong class or a radius above the true one, over LAWS; class 0 is the true
    one, and the selection votes found it.
    """
    counts = all_counts(n)
    draws = Draws.from_counts(np.tile([9, 1, 0], (len(counts), 1)), counts, 784)
    found = certificate.certify(draws, Gaussian(1.0), alpha)
    worst = 0.0
    for p, share in LAWS:
        law = np.array([p, (1 - p) * share, (1 - p) * (1 - share)])
        true = (stats.norm.ppf(law[0]) - stats.norm.ppf(law[1])) / 2
        wrong = (found.prediction > 0) | ((found.prediction == 0) & (found.radius > true * (1 + 1e-9)))
        log_probability = special.gammaln(n + 1) + np.sum(
            special.xlogy(counts, law) - special.gammaln(counts + 1), axis=1
        )
        worst = max(worst, float(np.exp(log_probability[wrong]).sum()))
    return worst


@pytest.mark.parametrize(("n", "alpha"), [(30, 0.05), (60, 0.01)])
def test_a_share_fixed_beforehand_errs_with_probability_alpha_at_most(n: int, alpha: float) -> None:
    """Proposition 1, with eq. 14 and with the bound of the largest other count."""
    for how in ("eq14", "largest"):
        for share in (0.1, 0.5, 0.9):
            certificate = TCertifySound(alpha_share=share, runner_up=how)
            assert worst_error(certificate, n, alpha) <= alpha


@pytest.mark.parametrize(("n", "alpha"), [(30, 0.05), (60, 0.01)])
def test_the_search_over_shares_errs_with_probability_alpha_at_most_here(n: int, alpha: float) -> None:
    """Theorem 1 for three classes and few votes. Its proof is about one share; the search takes the best."""
    for how in ("eq14", "largest"):
        error = worst_error(TCertify(runner_up=how), n, alpha)
        assert 0.8 * alpha < error <= alpha


def test_class_and_bounds_from_one_sample_err_more_often() -> None:
    """The experiments find the class among the votes that are then bounded."""
    assert worst_error(TCertify(select_on="estimation"), 60, 0.05) > 1.3 * 0.05
