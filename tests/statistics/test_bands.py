"""Bands hold at all radii together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rs.statistics import bands
from rs.statistics.bands import all_radii, curve_half_width, difference_band


def networks(draw, n, gap=0.0):
    """Certified radii of A and B [1, N] that hang together, -1 on a fifth of the images."""
    common = draw.random(n)
    sides = [np.clip(1.5 * common + 0.3 * draw.random(n) + up - 0.35, -1, 1.2) for up in (gap, 0.0)]
    return [np.where(side < 0, -1, side)[None] for side in sides]


@pytest.fixture
def few(monkeypatch):
    """Resamples enough for the tests' precision."""
    monkeypatch.setattr(bands, "RESAMPLES", 250)


@pytest.mark.slow
def test_the_band_holds_the_whole_difference(few):
    draw = np.random.default_rng(0)
    grid = np.linspace(0, 1.25, 40)
    a, b = networks(draw, 400_000, 0.05)
    truth = (a >= grid[:, None]).mean(axis=1) - (b >= grid[:, None]).mean(axis=1)
    kept = 0
    for _ in range(300):
        band = difference_band(*networks(draw, 200, 0.05), grid)
        kept += bool(((band.low <= truth + 1e-3) & (truth - 1e-3 <= band.high)).all())
    assert kept / 300 > 0.91  # 95 %, three standard errors


@pytest.mark.slow
def test_alike_networks_are_seldom_apart(few):
    draw = np.random.default_rng(1)
    found = [difference_band(*networks(draw, 200), np.linspace(0, 1.25, 40)) for _ in range(200)]
    apart = np.mean([bool(band.stretches()) for band in found])
    assert apart == pytest.approx(np.mean([band.p <= 0.05 for band in found]), abs=0.02)
    assert apart < 0.1


def test_stretches_are_where_0_is_outside():
    a = np.array([[0.2] * 50 + [1.0] * 150, [0.2] * 40 + [1.0] * 160])
    b = np.array([[0.6] * 200])
    band = difference_band(a, b, all_radii([a, b]))
    assert band.radii.tolist() == [0.0, 0.2, 0.6, 1.0]
    assert band.difference.tolist() == pytest.approx([0, 0, -0.225, 0.775], abs=1e-6)
    assert band.stretches() == [("below", 0.6, 0.6), ("above", 1.0, 1.0)]
    assert band.p < 0.01


def test_many_radii_become_quantiles_of_them():
    values = np.random.default_rng(2).exponential(1, 5000)
    radii = all_radii([values, -np.ones(3)])
    assert len(radii) == bands.MOST_RADII
    assert radii[0] == 0
    assert set(radii[1:]) <= set(values)
    assert radii[-1] == values.max()


def test_the_band_of_one_curve_is_massarts():
    """Exact in its limit: the Kolmogorov distribution, within its union bound."""
    half = curve_half_width(10_000)
    assert half == pytest.approx(math.sqrt(math.log(40) / 20_000))
    assert 0.045 < stats.kstwo.sf(half, 10_000) <= 0.05


def test_images_count_the_factor_of_their_certificate():
    radii = np.array([[0.5] * 30 + [-1.0] * 10])
    band = difference_band(radii, radii, np.array([0.0, 0.5, 0.6]), factors=(0.9, 1.0))
    assert band.difference == pytest.approx([-0.075, -0.075, 0], abs=1e-6)
    assert difference_band(radii, radii, np.array([0.0, 0.5])).p == 1
