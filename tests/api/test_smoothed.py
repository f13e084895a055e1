"""`rs.smooth`: the votes are the pipeline's, the certificates too, and the model is left as it is."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

import rs
from rs.api.certification import largest_radius
from rs.machine.devices import generator

SIGMA = 0.25


@pytest.fixture
def smoothed(nearest_mean):
    return rs.smooth(nearest_mean, sigma=SIGMA, batch=32, device="cpu")


def test_votes_are_those_of_a_plain_loop_over_the_stated_noise(smoothed, nearest_mean, digits):
    x, y = digits
    found = smoothed.certify(x[5:8], y[5:8], n=96, n0=32, positions=[5, 6, 7], progress=False)
    for row, position in enumerate((5, 6, 7)):
        for votes, purpose, n in (
            (found.counts.selection, "select", 32),
            (found.counts.estimation, "estimate", 96),
        ):
            draws = generator(torch.device("cpu"), 0, purpose, position, 0)
            z = torch.cat([torch.randn(32, 1, 8, 8, generator=draws) * SIGMA for _ in range(n // 32)])
            with torch.no_grad():
                counts = torch.bincount(
                    nearest_mean(torch.from_numpy(x[position]) + z).argmax(1), minlength=10
                )
            np.testing.assert_array_equal(votes[row], counts)


def test_radius_lower_bound_and_prediction_are_of_the_counts(smoothed, digits):
    x, y = digits
    found = smoothed.certify(x[:20], y[:20], n=200, alpha=0.01, progress=False)
    assert (found.counts.estimation.sum(1) == 200).all()
    top = found.counts.selection.argmax(1)
    kept = found.prediction >= 0
    assert kept.any()
    np.testing.assert_array_equal(found.prediction[kept], top[kept])
    hits = found.counts.estimation[np.arange(20), top]
    np.testing.assert_allclose(found.lower, special.betaincinv(hits, 201 - hits, 0.01), rtol=1e-9)
    np.testing.assert_allclose(found.radius[kept], SIGMA * special.ndtri(found.lower[kept]), rtol=1e-9)
    assert (found.radius[~kept] == 0).all()
    assert (found.lower[~kept] <= 0.5).all()
    table = found.certified_accuracy([0.0, 0.1])
    assert table["certified_accuracy"][1] == ((found.prediction == y[:20]) & (found.radius >= 0.1)).mean()
    assert found.average_radius()[0] == pytest.approx(np.where(found.correct, found.radius, 0).mean())
    assert list(found.frame())[:6] == ["image", "label", "prediction", "radius", "lower", "n"]
    assert "20 images" in repr(found)
    assert "n = 200" in repr(found.counts)


def test_an_image_meets_the_same_noise_in_any_company(smoothed, digits, monkeypatch):
    x, _ = digits
    whole = smoothed.certify(x[:7], n=64, n0=32, progress=False).counts
    some = smoothed.certify(x[[5, 2]], n=64, n0=32, positions=[5, 2], progress=False).counts
    np.testing.assert_array_equal(some.estimation, whole.estimation[[5, 2]])
    monkeypatch.setattr("rs.api.voting.TOGETHER", 3)
    parts = smoothed.certify(x[:7], n=64, n0=32, progress=False).counts
    np.testing.assert_array_equal(parts.estimation, whole.estimation)
    np.testing.assert_array_equal(parts.selection, whole.selection)


def test_a_callable_counts_as_its_network_and_the_model_is_left_as_it_is(nearest_mean, digits):
    x, _ = digits
    given = nn.Sequential(nearest_mean, nn.Dropout(0.5)).train()
    before = copy.deepcopy(given.state_dict())
    module = rs.smooth(given, sigma=SIGMA, batch=32).certify(x[:3], n=64, progress=False)
    assert given.training
    assert all(weight.requires_grad for weight in given.parameters())
    assert all(torch.equal(v, before[k]) for k, v in given.state_dict().items())
    function = rs.smooth(lambda images: nearest_mean(images), sigma=SIGMA, batch=32)
    called = function.certify(torch.from_numpy(x[:3]).double(), n=64, progress=False)
    np.testing.assert_array_equal(called.counts.estimation, module.counts.estimation)


def test_draws_of_a_network_leave_the_callers_generators_as_they_were(nearest_mean, digits):
    x, y = digits
    network = nn.Sequential(nearest_mean, Draws())
    before = torch.get_rng_state()
    with pytest.raises(rs.UserError, match="draws at random"):
        rs.smooth(network, sigma=SIGMA, batch=32, device="cpu").certify(x[:2], n=32, progress=False)
    chancy = rs.smooth(network, sigma=SIGMA, batch=32, device="cpu", allow=("chance",))
    chancy.certify(x[:2], n=32, progress=False)
    first = rs.attack(chancy, x[:2], y[:2], radii=[0.1], steps=1, judge=20, progress=False)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(7)  # and the attack does not depend on what the process draws
    again = rs.attack(chancy, x[:2], y[:2], radii=[0.1], steps=1, judge=20, progress=False)
    assert torch.equal(first.images, again.images)
    np.testing.assert_array_equal(first.votes, again.votes)


@pytest.mark.usefixtures("kept_float32")
def test_inference_mode_and_another_default_type_around_the_call_change_nothing(smoothed, digits):
    x, y = (torch.from_numpy(of) for of in digits)
    plain = smoothed.certify(x[:3], n=64, progress=False)
    moved = rs.attack(smoothed, x[:3], y[:3], radii=[0.3], judge=20, progress=False)
    torch.set_default_dtype(torch.float64)
    with torch.inference_mode():
        images = x[:3] + 0.0
        fresh = rs.smooth(lambda rows: smoothed._network(rows), sigma=SIGMA, batch=32, device="cpu")
        found = fresh.certify(images, n=64, progress=False)
        attacked = rs.attack(fresh, images, y[:3], radii=[0.3], judge=20, progress=False)
    assert torch.get_default_dtype() == torch.float64
    np.testing.assert_array_equal(found.counts.estimation, plain.counts.estimation)
    assert torch.equal(attacked.images, moved.images)
    again = rs.attack(smoothed, images, y[:3], radii=[0.3], judge=20, progress=False)
    assert torch.equal(again.images, moved.images)


class Draws(nn.Module):
    def forward(self, logits):
        return logits + torch.rand_like(logits)


def test_blocks_beyond_the_first_are_drawn_anew_and_add_up(smoothed, digits, monkeypatch):
    x, _ = digits
    monkeypatch.setattr("rs.api.voting.BLOCK", 64)
    one, two = (smoothed.certify(x[:1], n=n, progress=False).counts.estimation for n in (64, 100))
    assert two.sum() == 100
    assert (two >= one).all()


def test_sequential_votes_stop_as_the_rule_says_and_only_anytime_bounds_take_them(smoothed, digits):
    x, _ = digits
    found = smoothed.certify(x[:8], n=4096, stop={"radii": [0.1]}, progress=False)
    n = found.counts.draws.estimation.n
    assert found.counts.draws.stopping == "sequential"
    assert n.min() < 1000  # most images are clear
    assert (n % 32 == 0).all()  # a look after every batch
    assert (found.radius[found.prediction >= 0] > 0).all()
    assert found.counts.draws.stop["alpha"] == 0.001
    strict = smoothed.certify(x[:8], n=4096, alpha=1e-6, stop={"radii": [0.1]}, progress=False)
    assert strict.counts.draws.stop["alpha"] == 1e-6  # stopped for the claim that is made of the votes
    assert (strict.counts.draws.estimation.n >= n).all()
    # a bound for a fixed number of votes would say more: it is not taken
    hits = found.counts.estimation[np.arange(8), found.counts.selection.argmax(1)]
    fixed = special.betaincinv(hits, n + 1 - hits, 0.001)
    assert (found.lower < fixed).all()
    with pytest.raises(rs.UserError, match="fixed number"):
        rs.certify_counts(found.counts, randomised=True)


def test_scores_noises_and_certificates_by_name(nearest_mean, digits):
    x, _ = digits
    gaussian = rs.smooth(nearest_mean, sigma=SIGMA, batch=32)
    soft = gaussian.certify(x[:4], n=200, certificate="soft_bernstein", beta=2, progress=False)
    assert list(soft.counts.draws.estimation.sums) == [2.0]
    assert soft.certificate == {"name": "soft_bernstein", "beta": 2}
    again = rs.certify_counts(soft.counts, "soft_bernstein", beta=2)
    np.testing.assert_array_equal(again.radius, soft.radius)
    laplace = rs.smooth(nearest_mean, "laplace", scale=0.1, batch=32)
    assert laplace.certify(x[:4], n=100, certificate="laplace_l1", progress=False).norm == 1
    spherical = rs.smooth(nearest_mean, {"name": "spherical", "sigma": 0.25, "k": 10}, batch=32)
    assert spherical.certify(x[:4], n=100, certificate="dual", progress=False).radius.max() > 0


def test_predict_abstains_only_between_two_close_classes(digits):
    x, _ = digits

    def close(images):  # two classes that noise decides between, and one that never wins
        mean = images.mean((1, 2, 3)) - float(x[0].mean())
        return torch.stack([mean, -mean, torch.full_like(mean, -9.0)], 1)

    smoothed = rs.smooth(close, sigma=0.1)
    answers = smoothed.predict(np.concatenate([x[:1], x[:1] * 0.8]), n=100, alpha=0.001, progress=False)
    assert answers.tolist() == [-1, 1]


def test_half_of_the_logits_are_not_finite(digits):
    x, _ = digits

    def broken(images):
        mean = images.mean((1, 2, 3))
        return torch.stack([mean / (mean > x[1].mean()).float(), mean], 1)

    with pytest.raises(rs.UserError, match=r"image 0: \d+ of 100 votes .*not finite"):
        rs.smooth(broken, sigma=0.5, batch=16).certify(x[1:3], n=100, n0=100, progress=False)


@pytest.mark.parametrize("randomised", [False, True])
def test_an_average_is_cut_to_0_and_the_radius_of_unanimous_votes(randomised):
    """Of three images Student's interval reaches far beyond both."""
    more = {"randomised": True, "uniform": 0.2} if randomised else {}
    votes = ([[9, 0]] * 3, [[100, 0]] * 2 + [[90, 10]])
    found = rs.certify_counts(votes, sigma=0.5, labels=[0, 0, 1], **more)
    mean, low, high = found.average_radius()
    assert (mean, low) == (pytest.approx(2 / 3 * found.radius[0]), 0.0)
    better = rs.certify_counts(votes, sigma=0.5, **more | {"uniform": np.nextafter(1.0, 0)} if more else {})
    assert high == better.radius[0] >= found.radius[0]


def test_stopped_votes_are_cut_at_what_all_of_them_could_certify(smoothed, digits):
    x, y = digits
    found = smoothed.certify(x[:4], y[:4], n=19968, stop={"radii": [0.1]}, progress=False)
    assert found.counts.estimation.sum(1).max() < 19968
    largest = largest_radius(found)
    assert found.radius.max() < largest < SIGMA * special.ndtri(0.001 ** (1 / 19968))
    every = rs.certify_counts(([[9, 0]], [[found.counts.estimation.sum(1).max(), 0]]), sigma=SIGMA)
    assert largest > every.radius[0]


def test_a_noise_without_parameters_leaves_no_gap_in_the_text():
    assert repr(rs.smooth(lambda x: x.flatten(1), "none", device="cpu")).endswith(": none noise, on cpu>")
