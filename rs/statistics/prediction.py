"""PREDICT of Cohen, Rosenfeld & Kolter (ICML 2019, section 3.2.1): the smoothed class, or an abstention.

Of n votes let the two largest counts be n_A >= n_B. A is returned if the two-sided binomial test of n_A among
n_A + n_B at 1/2 rejects, p(n_A, n_B) = min(1, 2 P(Bin(n_A + n_B, 1/2) >= n_A)) <= alpha; otherwise the result
is an abstention. A class other than the smoothed classifier's is returned with probability at most alpha
(Hung & Fithian, Annals of Statistics 2019), without a union over the classes.

Proof. Let c be the smoothed class, j another one, M the largest count of the rest; ties are broken at random,
so that one class wins. Given the rest and m = N_j + N_c, N_j is binomial with a rate of at most 1/2. The laws
are ordered by likelihood ratio, so the ratio of P(return j) to P(j wins) grows with the rate: take rate 1/2,
and write X for N_j then. Returning j needs p(X, N_c) <= alpha and p(X, M) <= alpha, as p grows with the
smaller count. If M < m/2, j wins with probability 1/2, and the first condition has probability at most
alpha/2. If M >= m/2, let k > M be the least count with p(k, M) <= alpha and Y ~ Bin(k + M, 1/2). As m < k + M
and the binomial laws are ordered by likelihood ratio, P(X >= k | X > M) <= P(Y >= k | Y > M) <= 2 P(Y >= k)
<= alpha. So j is returned with probability at most alpha P(j wins), and these add up to at most alpha.

Departures: none. p is rounded up.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from rs.statistics.bounds import Floats, checked_alpha

_SAFETY = 1e-9  # relative; above the error of the incomplete beta function


def predicted(counts: np.ndarray, alpha: float) -> np.ndarray:
    """int64 [N] from votes [N, classes]: the class, -1 where it abstains. Wrong with probability <= alpha."""
    return np.where(p_values(counts) <= float(checked_alpha(alpha)), counts.argmax(1), -1)


def p_values(counts: np.ndarray) -> Floats:
    """Two-sided p-values, float64 [N], of the two largest of the counts [N, classes] being equally likely."""
    second, first = np.sort(counts, axis=1)[:, -2:].T
    with np.errstate(invalid="ignore"):
        tail = special.betainc(first, second + 1.0, 0.5)  # P(Bin(first + second, 1/2) >= first)
    return np.where(first == second, 1.0, np.minimum(2 * tail * (1 + _SAFETY), 1.0))


def least_votes(alpha: float) -> int:
    """The fewest votes that can return a class: all for one class, 2 * 2^-n <= alpha."""
    n = 1
    while p_values(np.array([[n, 0]]))[0] > alpha:
        n += 1
    return n
