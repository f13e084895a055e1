"""A second classifier's failure probability from a first one's, and from trials that both took. No torch.

On every draw of the noise z the first classifier f fails (f(z) is not the class A) or not, and so does the
second, g. For D = [g fails] - [f fails], which is 1, 0 or -1,

    P(g fails) = P(f fails) + E D        and        E D = P(f = A, g != A) - P(f != A, g = A).

The many votes that f was certified with bound P(f fails). E D needs few draws if f and g seldom differ: its
error comes from the spread of D, not from that of the votes. Of n draws that both networks saw, `losses` have
D = 1 and `gains` D = -1. As in rs.statistics.sequences, with s_j = 1 - v_j in (0, 1] and the same weights,

    M(x) = sum over j of w_j (1 - s_j)^losses (1 + s_j)^gains / (1 - s_j x)^n,        -1 <= x < 1.

A draw multiplies term j by (1 - s_j D) / (1 - s_j x): on average by (1 - s_j E D) / (1 - s_j x), which is 1
at x = E D. So M(E D) is a nonnegative martingale that starts at 1, and ever reaches 1/alpha with probability
at most alpha (Ville 1939). Every term grows with x, so {x : M(x) < 1/alpha} lies below one root, the bound.
The probability that the bound is below E D at any n, and so at any stopping time, is at most alpha. Without
gains the bound is `sequences.upper`; gains only lower it. It may be negative if g is the better one.

Nothing is assumed of f and g. The sum of a bound of P(f fails) at level a and one of E D at level b is at
least P(g fails) with probability 1 - a - b by the union bound, however the two depend on each other: the
draws of the second may be among those of the first. A, a and b must be fixed beforehand or come from other
draws.

The idea is that of Ugare et al. (ICLR 2024, Incremental Randomized Smoothing Certification), Theorem 2:
p_A(g) >= p_A(f) - P(f != g). Departures:
- Only differences that concern A count, and those in g's favour count for it.
- The bound holds at every number of draws (theirs is Clopper-Pearson's at a fixed one).
- Their threshold, above which g is certified afresh, is not needed: for f without failures the sum needs
  about as many draws as any claim about g.
- Their Algorithm 2 takes A from f and abstains where g prefers another class. Here A is the class of g's own
  selection votes, since f's counts bound every class.

No method needs fewer draws of g than ln(1/alpha) / -ln(1 - x) for a failure probability below x, whatever is
known of f: n draws miss a set of probability x, on which alone g may fail, with probability (1 - x)^n.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rs.statistics.bounds import Floats, checked_alpha, least_upper
from rs.statistics.sequences import LOG_WEIGHT, SHARE, TILT, root

_LOG_GAIN = np.log1p(SHARE)


def upper(losses: ArrayLike, gains: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Upper bounds of E D = P(loss) - P(gain) that hold for all numbers of trials at once, at error `alpha`.

    `losses`, `gains` and `trials` are running counts; fractions are allowed. In (-1, 1], rounded up.
    """
    lost, gained, n = (np.asarray(counts, np.float64) for counts in (losses, gains, trials))
    lost, gained, n, level = np.broadcast_arrays(lost, gained, n, checked_alpha(alpha))
    if np.any(n < 1) or np.any(lost < 0) or np.any(gained < 0) or np.any(lost + gained > n):
        raise ValueError("counts: need losses and gains from 0, together at most the trials, and trials >= 1")
    lost, gained = lost[..., None], gained[..., None]
    start = LOG_WEIGHT + gained * _LOG_GAIN
    start -= np.multiply(lost, TILT, out=np.zeros(start.shape), where=lost > 0)
    return root(start, n[..., None], level)


def lower(losses: ArrayLike, gains: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Lower bounds of E D that hold for all numbers of trials at once: losses and gains change places."""
    return -upper(gains, losses, trials, alpha)


def failure(
    first: ArrayLike, losses: ArrayLike, gains: ArrayLike, trials: ArrayLike, alpha: float, share: float
) -> Floats:
    """Upper bounds of P(g fails) at error `alpha`, of which `share` went into `first`, bounds of P(f fails).

    Never below the bound that as many trials of g without a failure would give, so always above 0.
    """
    level = (1 - share) * alpha
    total = np.nextafter(np.asarray(first, np.float64) + upper(losses, gains, trials, level), 2.0)
    return np.clip(total, least_upper(trials, alpha), 1.0)
