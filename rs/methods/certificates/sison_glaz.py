"""Simultaneous intervals of multinomial probabilities by Sison and Glaz (JASA 90, 1995), as computed by
statsmodels and by R's MultinomialCI, which STN's released code calls.

nu(c) approximates the probability that every count of a multinomial draw with the observed frequencies lies
within c of the observed count. The approximation uses independent Poisson counts truncated to these ranges
and an Edgeworth expansion of their sum at n (their formulas 1 and 7). For the c with nu(c) <= 1 - alpha <
nu(c + 1), and g = (1 - alpha - nu(c)) / (nu(c + 1) - nu(c)), a probability lies between x/n - c/n and x/n +
(c + 2 g)/n.

The approximation is meant for many classes with counts of at least 5. Votes are far from that, so these
intervals prove nothing. As in both implementations, nu(0) counts as 0. As in statsmodels, nu is 1 from c = n
on; R has no answer if nu never crosses 1 - alpha.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from rs.statistics.bounds import Floats


def _cumulative(k: Floats, mean: Floats) -> Floats:
    """P(X <= k) of Poisson variables, 0 below 0."""
    return np.where(k < 0, 0.0, special.pdtr(np.maximum(k, 0), mean))


def _coverage(x: Floats, c: int) -> Floats:
    """nu(c) of counts x [N, K]: [N]."""
    n = x.sum(1)
    low, high = np.maximum(x - c, 0), np.minimum(x + c, n[:, None])
    inside = _cumulative(high, x) - _cumulative(low - 1, x)

    def factorial_moment(r: int) -> Floats:
        above = _cumulative(high, x) - _cumulative(high - r, x)
        below = _cumulative(low - 1, x) - _cumulative(low - r - 1, x)
        return x**r * (1 - (above - below) / inside)

    m, m_2, m_3, m_4 = (factorial_moment(r) for r in range(1, 5))
    mu_2 = m_2 + m - m**2
    mu_3 = m_3 + m_2 * (3 - 3 * m) + m - 3 * m**2 + 2 * m**3
    mu_4 = m_4 + m_3 * (6 - 4 * m) + m_2 * (7 - 12 * m + 6 * m**2) + m - 4 * m**2 + 6 * m**3 - 3 * m**4
    variance = mu_2.sum(1)
    z = (n - m.sum(1)) / np.sqrt(variance)
    g_1, g_2 = mu_3.sum(1) / variance**1.5, (mu_4.sum(1) - 3 * (mu_2**2).sum(1)) / variance**2
    terms = 1 + g_1 * (z**3 - 3 * z) / 6 + g_2 * (z**4 - 6 * z**2 + 3) / 24
    terms += g_1**2 * (z**6 - 15 * z**4 + 45 * z**2 - 15) / 72
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi * variance) * terms
    at_n = np.exp(n * np.log(n) - n - special.gammaln(n + 1))  # Poisson of mean n
    return inside.prod(1) * density / at_n  # type: ignore[no-any-return]


def sison_glaz(counts: np.ndarray, alpha: float) -> tuple[Floats, Floats]:
    """How far the intervals of error `alpha` reach below and above the frequencies: c/n and (c + 2 g)/n,
    float64 [N], for counts int64 [N, K] with at least one vote per row. The intervals may leave [0, 1].
    """
    rows, back = np.unique(np.sort(counts, axis=1)[:, ::-1], axis=0, return_inverse=True)
    x = rows[:, rows.any(0)].astype(np.float64)
    n = x.sum(1)
    below, above, before, open_ = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x)), np.arange(len(x))
    c = 0
    while len(open_):
        with np.errstate(all="ignore"):  # a degenerate expansion gives nan, which crosses nothing
            after = np.where(c + 1 < n[open_], _coverage(x[open_], c + 1), 1.0)
            share = (1 - alpha - before) / (after - before)
        crossed = (before <= 1 - alpha) & (1 - alpha < after)
        done = crossed | (c + 1 >= n[open_])
        here = open_[done]
        below[here] = c
        above[here] = c + 2 * np.where(crossed, share, 1.0)[done]
        open_, before, c = open_[~done], after[~done], c + 1
    return (below / n)[back], (above / n)[back]
