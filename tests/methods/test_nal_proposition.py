"""NAL's appendix A.6, Proposition 1: what a small loss at x says about the distance from x_0."""

import numpy as np
from scipy import stats


def strip(x: float) -> float:
    """P(f(x + z) = B)."""
    return float(np.diff(stats.norm.cdf(np.array([1.0, 1.3]) - x))[0])


def test_a_small_loss_does_not_put_x_within_the_certified_radius() -> None:
    """f: R -> {A, B} is B on [1, 1.3] only; sigma = 1, x_0 = 0. Far to the left the loss is next to nothing,
    so eq. 34 holds there, at a distance of three times R. The proof takes Cohen et al.'s lower bound of
    P(f = A) for its value. That the smoothed class is A where eq. 34 holds is true, for votes.
    """
    p_b, x = strip(0.0), -5.0
    radius = (stats.norm.isf(p_b) - stats.norm.ppf(p_b)) / 2
    loss = -np.log1p(-strip(x))
    allowed = -stats.norm.logcdf(stats.norm.ppf(p_b) + abs(x))
    assert loss <= allowed
    assert abs(x) > 3 * radius
    assert strip(x) < 0.5
