"""When the majority of n votes on an image is known before all of them are drawn. No torch.

An image's votes are independent and alike, so any order of them is as likely as any other. Let A lead after
some votes, and let class B have at least as many of all n. Of those t votes for either, A has as many as in a
sample without replacement from a population that is at most half A: that A then leads B by d has probability
at most exp(-d^2 / 2t) (Hoeffding, JASA 1963, theorem 2 and section 6). With the runner-up for B, d is least
and t largest. An image is sure where this is at most `WRONG` over all looks and other classes; so the
majority of its n votes is another one with probability at most `WRONG`, whatever the classes' probabilities.

The same bound holds, with replacement, where B is at least as likely as A: an image's votes stop early for a
class that is not its most likely one with probability at most `WRONG`. So a test of all n votes against that
class may look at those that were drawn, if `WRONG` is added to its p.
"""

from __future__ import annotations

import numpy as np

WRONG = 1e-9
_FIRST = 64  # votes: as few as suffice, with 10 to 1,000 classes, where all agree


def looks(n: int) -> list[int]:
    """After how many votes an image may be sure, doubling, and n itself."""
    found = []
    drawn = _FIRST
    while drawn < n:
        found.append(drawn)
        drawn *= 2
    return [*found, n]


def sure(counts: np.ndarray, n: int) -> np.ndarray:
    """bool [B]: whether votes [B, classes], as many as a look asks for, decide on the majority of n."""
    if counts.shape[1] < 2:
        return np.ones(len(counts), bool)
    second, first = np.sort(counts, axis=1)[:, -2:].T
    claims = (len(looks(n)) - 1) * (counts.shape[1] - 1)
    clear = (first - second) ** 2 >= 2 * (first + second) * np.log(max(claims, 1) / WRONG)
    return np.asarray(clear | (counts.sum(1) >= n))
