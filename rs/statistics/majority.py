"""When the majority of n votes on an image is known before all of them are drawn. No torch.

An image's votes are independent and identically distributed, so every order of them is equally likely. Let A
lead after some votes, and let class B have at least as many of all n votes. Among the t votes so far for A or
B, A's are those of a sample without replacement from a population that is at most half A. That A then leads B
by d has probability at most exp(-d^2 / 2t) (Hoeffding, JASA 1963, theorem 2 and section 6). For the runner-up
as B, d is smallest and t largest. An image is sure if this bound, summed over all looks and other classes, is
at most `WRONG`. So the majority of its n votes is another class with probability at most `WRONG`, whatever
the classes' probabilities.

The same bound holds, with replacement, where B is at least as likely as A: an image's votes stop early for a
class that is not its most likely one with probability at most `WRONG`. So a test of all n votes against that
class may use the votes that were drawn, if `WRONG` is added to its p-value.
"""

from __future__ import annotations

import numpy as np

WRONG = 1e-9
_FIRST = 64  # votes: enough if all agree, with 10 to 1,000 classes; half as many are not


def looks(n: int) -> list[int]:
    """The numbers of votes after which an image may be sure: doubling, and n itself."""
    found = []
    drawn = _FIRST
    while drawn < n:
        found.append(drawn)
        drawn *= 2
    return [*found, n]


def sure(counts: np.ndarray, n: int) -> np.ndarray:
    """bool [B]: whether votes [B, classes], as many as at a look, decide the majority of n."""
    if counts.shape[1] < 2:
        return np.ones(len(counts), bool)
    second, first = np.sort(counts, axis=1)[:, -2:].T
    claims = (len(looks(n)) - 1) * (counts.shape[1] - 1)
    clear = (first - second) ** 2 >= 2 * (first + second) * np.log(max(claims, 1) / WRONG)
    return np.asarray(clear | (counts.sum(1) >= n))
