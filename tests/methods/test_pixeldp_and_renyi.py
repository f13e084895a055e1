"""STN's introduction: from the same probabilities its tolerable attack is larger than PixelDP's."""

import numpy as np

from rs.methods.certificates.pixeldp import gaussian_dp_radius
from rs.methods.certificates.renyi import renyi_radius


def test_the_renyi_radius_is_above_pixeldps() -> None:
    """p_(1) and p_(2) on a grid. Both radii are proportional to sigma."""
    p_1, p_2 = (a.ravel() for a in np.meshgrid(np.linspace(0.34, 0.9999, 80), np.geomspace(1e-4, 0.49, 40)))
    possible = (p_2 < p_1) & (p_1 + p_2 <= 1)
    q_1, p_2 = 1 - p_1[possible], p_2[possible]
    renyi, pixeldp = renyi_radius(1.0, q_1, p_2), gaussian_dp_radius(1.0, q_1, p_2)
    assert np.all(pixeldp < renyi)
    assert np.sum(pixeldp > 0) > 500
