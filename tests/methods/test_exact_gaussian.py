"""Exact Gaussian noise: its law, its addition on the grid, what it costs of alpha, and a network as Voráček &
Hein build them, which plain floating-point noise certifies where it is not robust.
"""

from __future__ import annotations

import itertools

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import rs
from rs.errors import UserError
from rs.methods import catalog
from rs.methods.noise.exact_gaussian import ExactGaussian, OnGrid, _alias_table
from rs.methods.noise.gaussian import Gaussian
from rs.statistics.rounded_normal import SIGMAS, left_of, shortfall, steps_between, tau, weights

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]
LEVELS = [SIGMAS[0], 0.03, 0.25, 1.0, SIGMAS[1]]


@pytest.mark.parametrize("sigma", [0.02, 0.25])
def test_weights_are_the_rounded_normal_law_within_tau(sigma):
    """Against the normal distribution function in 60 digits, term by term, and what lies beyond."""
    half, steps = weights(sigma), steps_between(sigma)
    with mpmath.workdps(60):
        s = mpmath.mpf(sigma) * 255 * steps
        below = [mpmath.ncdf((j - mpmath.mpf(1) / 2) / s) for j in range(len(half) + 1)]
        exact = [above - under for under, above in itertools.pairwise(below)]
        shares = [mpmath.mpf(w) / 2**63 for w in half]
        apart = abs(shares[0] - exact[0]) + 2 * sum(map(lambda a, b: abs(a - b), shares[1:], exact[1:]))
        apart = (apart + 2 * (1 - below[-1])) / 2
        assert apart <= tau(sigma)
        assert tau(sigma) < 1e-15
        assert shortfall(sigma, 784, 10**5) >= 784 * 10**5 * apart


@pytest.mark.parametrize("sigma", LEVELS)
def test_the_table_holds_every_weight_exactly(sigma):
    half = weights(sigma)
    assert half[0] + 2 * sum(half[1:]) == 2**63
    assert min(half) >= 0
    cut, pairs = (part.tolist() for part in _alias_table(sigma))
    capacity = 2**63 // len(cut)
    found: dict[int, int] = {}
    for column, kept in enumerate(cut):
        assert 0 <= kept <= capacity
        own, other = pairs[2 * column : 2 * column + 2]
        found[own] = found.get(own, 0) + kept
        found[other] = found.get(other, 0) + capacity - kept
    assert {value: weight for value, weight in found.items() if weight} == {
        sign * j: w for j, w in enumerate(half) if w for sign in (1, -1)
    }
    assert len(half) - 1 <= 9.2 * sigma * 255 * steps_between(sigma) + 1  # as tau counts them


@pytest.mark.parametrize("device", DEVICES)
def test_the_generator_draws_63_bits(device):
    """Each is 1 in half of the draws, and so is each pair of neighbours equal: what the law rests on."""
    drawn = torch.empty(40_000, dtype=torch.int64, device=device)
    drawn.random_(generator=torch.Generator(device).manual_seed(1))
    bits = (drawn[:, None] >> torch.arange(64, device=device)) & 1
    assert not bits[:, 63].any()
    for ones in (bits[:, :63], bits[:, :62] ^ bits[:, 1:63], bits[1:, :63] ^ bits[:-1, :63]):
        assert bool(((ones.double().mean(0) - 0.5).abs() < 5 * 0.5 / len(ones) ** 0.5).all())


@pytest.mark.parametrize("device", DEVICES)
def test_draws_follow_the_law_and_use_the_whole_table(device):
    noise, draws = ExactGaussian(0.25), torch.Generator(device).manual_seed(1)
    whole = noise.sample((500, 3, 10, 20), draws).whole.flatten().cpu().numpy()
    s = 0.25 * 255 * steps_between(0.25)
    edges = np.array([-np.inf, *np.arange(-900, 901, 60) + 0.5, np.inf])
    counts, _ = np.histogram(whole, edges)
    expected = np.diff(stats.norm.cdf(edges / s)) * len(whole)
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3
    pairs = np.histogram2d(whole[::2], whole[1::2], [[-1e9, 0.5, 1e9]] * 2)[0]
    assert stats.chi2_contingency(pairs).pvalue > 1e-3
    assert len(np.unique(whole % 2)) == 2
    again = noise.sample((500, 3, 10, 20), torch.Generator(device).manual_seed(1))
    assert torch.equal(again, noise.sample((500, 3, 10, 20), torch.Generator(device).manual_seed(1)))


@pytest.mark.parametrize("device", DEVICES)
def test_a_noisy_image_is_a_function_of_one_whole_number(device):
    """Bit for bit the same, whichever image and noise the number comes from; and close to image + noise."""
    steps = steps_between(0.25)
    total = torch.arange(-200, 700, dtype=torch.int32, device=device)
    seen = []
    for level in range(0, 256, 5):
        image = torch.full((1,), level, dtype=torch.uint8, device=device).float().div_(255)
        noise = OnGrid.of((total - level * steps).clone(), steps)
        floats = noise + image
        assert type(floats) is torch.Tensor
        made = noise.add_(image)
        assert type(made) is torch.Tensor
        seen.append(made)
        torch.testing.assert_close(made, floats, atol=1e-6, rtol=0)
    assert all(torch.equal(seen[0].view(torch.int32), other.view(torch.int32)) for other in seen[1:])
    floats = torch.arange(256, device=device).float().div(255)
    plain = [floats[k] + (total - k * steps) * (1 / (255 * steps)) for k in (0, 100)]
    assert not torch.equal(plain[0], plain[1])  # what the grid is for


def test_images_off_the_grid_are_refused():
    noise, draws = ExactGaussian(0.25), torch.Generator().manual_seed(0)
    levels = torch.arange(256, dtype=torch.uint8).float().div_(255)
    noise.sample((2, 256), draws).add_(levels)
    noise.sample((2, 256), draws).add_(torch.from_numpy((np.arange(256) / 255).astype(np.float32)))
    for bad in (levels + 1e-4, torch.full((256,), torch.nan), levels * 0.999):
        with pytest.raises(
            UserError, match=r"not on the grid of its noise; values must be multiples of 1/1020"
        ):
            noise.sample((2, 256), draws).add_(bad)


class LastDigits(nn.Module):
    """Class 1 where every pixel near 0 is a multiple of 2^-25, as x + z is in float32 around an x near 1/2,
    but hardly ever is around 0. It reads where x is, and nothing of what x + z shows.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1).double()
        coarse = (x * 2**25).frac() == 0
        dark = (coarse | (x.abs() > 0.2)).all(1).double()
        return torch.stack([1 - dark, dark], 1)


def certified(exact: bool, image: torch.Tensor) -> rs.Certification:
    smoothed = rs.smooth(LastDigits(), sigma=1.0, exact=exact, batch=256, device="cpu")
    return smoothed.certify(image, n=4000, alpha=0.001, progress=False)


def test_a_network_that_reads_last_digits_is_certified_by_plain_noise_only():
    grey, black = torch.full((1, 1, 4, 4), 128.0).div_(255), torch.zeros(1, 1, 4, 4)
    distance = float((grey - black).norm())
    around, at = certified(False, grey), certified(False, black)
    assert around.prediction[0] == 1
    assert around.radius[0] > distance + 0.1  # "no image within this radius is of another class"
    assert at.prediction[0] == 0  # black is one
    assert at.lower[0] > 0.8
    around, at = certified(True, grey), certified(True, black)
    assert around.prediction[0] == at.prediction[0] == 0
    assert min(around.radius[0], at.radius[0]) > 0


def test_certificates_have_what_the_law_leaves_of_alpha():
    noise = {"name": "gaussian", "sigma": 0.25, "exact": True}
    left = left_of(0.001, noise, 784, 100_100)
    assert 0 < left < 0.001 - 784 * 100_100 * tau(0.25) / 2
    assert left_of(0.001, {"name": "gaussian", "sigma": 0.25}, 784, 100_100) == 0.001
    votes = ([90, 10], [86_300, 13_700])
    exact = rs.radius(*votes, noise=noise, dimension=784)
    assert exact.radius == rs.radius(*votes, sigma=0.25, alpha=left_of(0.001, noise, 784, 100_100)).radius
    assert exact.radius < rs.radius(*votes, sigma=0.25).radius
    with pytest.raises(UserError, match="give dimension"):
        rs.radius(*votes, noise=noise)
    with pytest.raises(UserError, match=r"100100 votes' noise is off by more than alpha = 1e-09"):
        rs.radius(*votes, noise=noise, dimension=784, alpha=1e-9)


def test_the_switch_makes_another_class_and_its_absence_none():
    assert type(catalog.build("noises", {"name": "gaussian", "sigma": 0.5})) is Gaussian
    assert type(catalog.build("noises", {"name": "gaussian", "sigma": 0.5, "exact": False})) is Gaussian
    assert type(catalog.build("noises", {"name": "gaussian", "sigma": 0.5, "exact": True})) is ExactGaussian
    with pytest.raises(UserError, match=r"gaussian.sigma: .*less than or equal to 4"):
        rs.smooth(LastDigits(), sigma=5.0, exact=True)
    smoothed = rs.smooth(LastDigits(), sigma=1.0, exact=True)
    with pytest.raises(UserError, match="move images off its grid"):
        rs.attack(smoothed, torch.zeros(1, 1, 2, 2), [0], radii=[0.5])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"noise": {"name": "gaussian", "sigma": 5.0, "exact": True}},
            "noise.sigma: 5: must be from 0.001 to 4",
        ),
        ({"noise": {"name": "laplace", "scale": 0.2, "exact": True}}, "noise.exact: unknown key"),
        ({"attacks": True}, "exact: attacks move images off its grid"),
        ({"certificates": [{"name": "cohen", "alpha": 1e-12}]}, "exact: leaves nothing of alpha = 1e-12"),
    ],
)
def test_studies_that_exact_noise_cannot_serve(change, line, refusal, tiny):
    del tiny["runs"]["nal"]
    attacks = tiny.pop("attacks")
    tiny["smoothing"] = [{"name": "gaussian", "sigma": 0.25, "exact": True}]
    if "noise" in change:
        del tiny["smoothing"]
    tiny |= {"attacks": attacks} if "attacks" in change else change
    assert line in refusal(tiny)


def test_only_runs_that_ask_for_it_execute_its_code(plan_of, tiny):
    del tiny["runs"]["nal"], tiny["attacks"]
    plain = plan_of(tiny)
    tiny["noise"]["exact"] = False
    off = plan_of(tiny)
    assert {t: job.code for t, job in off.jobs["sample"].items()} == {
        t: job.code for t, job in plain.jobs["sample"].items()
    }
    tiny["smoothing"] = [{"name": "gaussian", "sigma": 0.25, "exact": True}]
    exact = plan_of(tiny)
    assert [p.id for p in exact.runs] == [p.id for p in plain.runs]  # the training is the same
    for stage in ("sample", "certify"):
        own = "rs.methods.noise.exact_gaussian:ExactGaussian"
        assert all(own in job.methods for job in exact.jobs[stage].values())
        assert not any(own in job.methods for job in plain.jobs[stage].values())
