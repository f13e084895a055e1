"""How many images or training seeds separate a difference from 0, and which difference a given number
detects.

- Means of paired images: n = ((z_{1-a/2} + z_power) s / difference)^2 with the standard deviation s of the
  differences; unpaired, per side, with s^2 = s_A^2 + s_B^2. Normal approximation of the t-test, good from
  about 30 images on.
- Paired proportions (McNemar; Miettinen 1968, Connor 1987): with a share psi of discordant images, n =
  ((z_{1-a/2} sqrt(psi) + z_power sqrt(psi - difference^2)) / difference)^2. The exact test needs a few per
  cent more, since it is discrete.
- Training seeds: the t-test's own power, that of the noncentral t distribution, as the mean of the normal
  power over the distribution of the sample's deviation. scipy's nct gives NaN at differences of many
  deviations.
- Unpaired accuracies: the difference itself is a lower limit of the spread. Two accuracies that are D apart
  have variances of at least D (1 - D) together (one is 0 or 1), also where a pilot has every image right, or
  none.

All take the pilot's spread as the truth, and so inherit its error: s from n images has a relative error of
about 1 / sqrt(2 n). docs/evidence/comparisons.md checks them by simulation.
"""

from __future__ import annotations

import math

from scipy import integrate, optimize, special, stats

from rs.statistics.agreement import FEWEST_SEEDS

MOST_SEEDS = 10_000
MOST_IMAGES = 10**15  # upper limit of results


def _quantiles(level: float, power: float) -> tuple[float, float]:
    return float(special.ndtri(0.5 + level / 2)), float(special.ndtri(power))


def images(deviation: float, difference: float, level: float = 0.95, power: float = 0.8) -> int:
    """Fewest images whose mean separates `difference` from 0, if single images deviate by `deviation`."""
    needed: float = sum(_quantiles(level, power)) * deviation / difference
    return max(2, math.ceil(min(needed, math.sqrt(MOST_IMAGES)) ** 2))


def difference(deviation: float, number: int, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest difference of means that `number` images detect."""
    return sum(_quantiles(level, power)) * deviation / math.sqrt(number)


def least_deviation(effect: float) -> float:
    """The least that single images of two accuracies deviate together, if these are `effect` apart."""
    return math.sqrt(effect * (1 - effect))


def accuracy_difference(deviation: float, number: int, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest difference of accuracies that `number` images on each side detect; at most 1."""
    found = difference(deviation, number, level, power)
    least = sum(_quantiles(level, power)) ** 2
    return min(max(found, least / (least + number)), 1.0)  # D = z sqrt(D (1 - D) / n)


def discordant_images(psi: float, effect: float, level: float = 0.95, power: float = 0.8) -> int:
    """Fewest paired images for a difference `effect` of accuracies if a share `psi` of them is discordant;
    the difference itself is a lower limit of psi.
    """
    test, found = _quantiles(level, power)
    share = max(psi, abs(effect))
    root = test * math.sqrt(share) + found * math.sqrt(share - effect**2)
    return max(2, math.ceil(min(root / effect, math.sqrt(MOST_IMAGES)) ** 2))


def discordant_difference(psi: float, number: int, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest difference of accuracies that `number` paired images detect; at most 1."""

    def lacking(effect: float) -> float:
        share = max(psi, effect)
        test, found = _quantiles(level, power)
        root = test * math.sqrt(share) + found * math.sqrt(max(share - effect**2, 0))
        return root - effect * math.sqrt(number)

    return float(optimize.brentq(lacking, 1e-12, 1.0)) if lacking(1.0) < 0 else 1.0


def power_over_seeds(deviation: float, effect: float, seeds: int, level: float = 0.95) -> float:
    """Chance that a t-test over `seeds` seeds separates `effect` from 0, if seeds deviate by `deviation`."""
    if deviation == 0:
        return 1.0
    freedom, shift = seeds - 1, abs(effect) / deviation * math.sqrt(seeds)
    limit = float(stats.t.ppf(0.5 + level / 2, freedom))

    def found(share: float) -> float:
        """Power if the sample's deviation, over the true one, is at its quantile `share`."""
        reach = limit * math.sqrt(2 * float(special.gammaincinv(freedom / 2, share)) / freedom)
        return float(special.ndtr(shift - reach) + special.ndtr(-shift - reach))

    return min(1.0, float(integrate.quad(found, 0, 1, epsabs=1e-10)[0]))


def seeds(deviation: float, effect: float, level: float = 0.95, power: float = 0.8) -> int | None:
    """Fewest seeds for `power`, at least three; None beyond MOST_SEEDS."""
    low, high = FEWEST_SEEDS - 1, FEWEST_SEEDS
    while power_over_seeds(deviation, effect, high, level) < power:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if power_over_seeds(deviation, effect, middle, level) >= power else (middle, high)
        )
    return high


def seed_difference(deviation: float, number: int, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest difference that `number` seeds detect."""
    if deviation == 0 or power_over_seeds(1.0, 0.0, number, level) >= power:
        return 0.0
    top = 1.0
    while power_over_seeds(1.0, top, number, level) < power:
        top *= 2
    root = optimize.brentq(lambda d: power_over_seeds(1.0, d, number, level) - power, 0.0, top)
    return float(root) * deviation
