"""The law of a normal number rounded to whole steps, as whole numbers out of 2^63. No torch.

Let W be standard normal and s = sigma / h the standard deviation in steps of the grid. L is the law of
round(W s): its thresholds are Q_j = P(W s > j - 1/2), j >= 1, on either side. They are rounded to c_j / 2^63
(mpmath, 120 bits; the error is at most half a unit, plus 2^-20 of a unit to spare). The weights are w_j =
w_-j = c_j - c_(j+1), w_0 = 2^63 - 2 c_1.

Couple a draw from w / 2^63 and one from L by one uniform number: they differ only if it falls between a
threshold and its rounding. c_j is 0 from j > J = 9.2 s + 1 on at the latest, as P(W > 9.2) < 2^-65, and all
thresholds beyond lie within 2^-64 of 0. So the total variation is tau <= 2 (J (1/2 + 2^-20) + 1/2) 2^-63,
about 2.6e-16 for s = 256.

For N draws of d numbers each, the joint law is within N d tau of the exact one: the probability of any event
is larger by at most N d tau (`shortfall`).
"""

from __future__ import annotations

import functools
import itertools
import math

BITS, PRECISION = 63, 120  # bits of the weights; of mpmath
SPARE = 2.0**-20  # of a unit of the weights; far above mpmath's error
LEVELS = 255  # levels of an 8-bit image above 0
# Largest standard deviation in steps if m > 1. Rounding adds less than 1e-5 of the variance (sigma >= 0.002).
WIDTH = 256
FINEST = 256  # largest m: float32 images lie within 0.002 steps of their grid point
SIGMAS = (1e-3, 4.0)  # least and largest, in image units
_FAR = 9.2  # standard deviations


def steps_between(sigma: float) -> int:
    """m: steps of the grid between two values of an 8-bit image, a power of two; h = 1 / (255 m)."""
    powers = (1 << k for k in range(FINEST.bit_length()))
    return max((m for m in powers if LEVELS * m * sigma <= WIDTH), default=1)


@functools.lru_cache(maxsize=16)
def weights(sigma: float) -> tuple[int, ...]:
    """w_0, w_1, ..., w_J: whole numbers, w_0 + 2 (w_1 + ... + w_J) = 2^63."""
    import mpmath

    with mpmath.workprec(PRECISION):
        width = mpmath.mpf(sigma) * LEVELS * steps_between(sigma) * mpmath.sqrt(2)
        scale, half = mpmath.mpf(2) ** BITS, mpmath.mpf(1) / 2
        thresholds: list[int] = []
        while not thresholds or thresholds[-1]:
            tail = mpmath.erfc((len(thresholds) + half) / width) / 2
            thresholds.append(int(mpmath.nint(scale * tail)))
    return (2**BITS - 2 * thresholds[0], *(a - b for a, b in itertools.pairwise(thresholds)))


def tau(sigma: float) -> float:
    """Upper bound of the total variation between the law of the weights and that of the rounded normal
    number.
    """
    thresholds = math.ceil(_FAR * sigma * LEVELS * steps_between(sigma)) + 1
    return 2 * (thresholds * (0.5 + SPARE) + 0.5) * 2.0**-BITS


def shortfall(sigma: float, dimension: int, votes: int) -> float:
    """Upper bound of the distance of the joint law of all votes' noise from the exact one."""
    return math.nextafter(dimension * votes * tau(sigma) * (1 + 1e-12), 1.0)


def left_of(alpha: float, noise: dict[str, object], dimension: int, votes: int) -> float:
    """The error that a certificate may have so that the claim from `votes` votes (selection and estimation
    together) has error `alpha`: less than alpha only for exact Gaussian noise. 0 if nothing is left.
    """
    if not noise.get("exact"):
        return alpha
    return max(math.nextafter(alpha - shortfall(float(str(noise["sigma"])), dimension, votes), 0.0), 0.0)
