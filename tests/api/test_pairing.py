"""`certify_from`: a second classifier from a first one's votes, on the draws that it would meet alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import special

import rs
from rs.api.certification import largest_radius
from rs.methods.claims import most_votes

STOP = {"radii": [0.0, 0.25, 0.5]}


@pytest.fixture
def first(nearest_mean):
    return rs.smooth(nearest_mean, sigma=0.5, batch=64, device="cpu", name="first")


@pytest.fixture
def second(nearest_mean):
    other = copy.deepcopy(nearest_mean)
    with torch.no_grad():
        other[1].bias.add_(torch.linspace(-0.02, 0.02, 10))
    return rs.smooth(other, sigma=0.5, batch=64, device="cpu", name="second")


@pytest.fixture
def certified(first, digits):
    x, y = digits
    return first.certify(x[:6], y[:6], n=4000, positions=range(4, 10), progress=False)


def test_votes_are_those_of_both_networks_on_the_same_draws(first, second, certified, digits):
    x, y = digits
    found = second.certify_from(first, certified, x[:6], stop=STOP, n=1280, progress=False)
    draws = found.counts.draws
    assert np.array_equal(draws.first.counts, certified.counts.estimation)
    assert np.array_equal(draws.estimation.n, draws.beside.sum(1))
    assert (found.labels == y[:6]).all()
    assert found.frame()["n"].tolist() == (2 * draws.estimation.n).tolist()
    assert np.all(draws.both <= np.minimum(draws.beside, draws.estimation.counts))
    assert 0 < (draws.estimation.n - draws.both.sum(1)).sum() < 0.1 * draws.estimation.n.sum()
    assert len(set(draws.estimation.n)) > 1  # each stopped by itself
    kept = found.prediction >= 0
    assert np.array_equal(found.prediction[kept], draws.selection.counts.argmax(1)[kept])
    np.testing.assert_allclose(found.radius[kept], 0.5 * special.ndtri(found.lower[kept]), rtol=1e-9)
    assert kept.sum() >= 4
    assert rs.certify_counts(found.counts, "cohen").radius.shape == (6,)
    again = rs.certify_counts(found.counts, "incremental")
    assert np.array_equal(again.radius, found.radius)
    assert largest_radius(found) == pytest.approx(0.5 * special.ndtri(0.001 ** (1 / 1280)))
    assert found.average_radius()[2] <= largest_radius(found)
    assert not rs.compare(found, found, radii=[0.25])["lower_bound"].all()


def test_one_block_of_draws_is_answered_as_each_network_alone_would(first, second, certified, digits):
    x = digits[0][:6]
    stop = {"radii": [0.5]}
    found = second.certify_from(first, certified, x, stop=stop, n=64, alpha=0.01, progress=False)
    draws = found.counts.draws
    assert (draws.estimation.n == 64).all()
    for network, votes in ((second, draws.estimation.counts), (first, draws.beside)):
        alone = network.certify(x, n=64, positions=range(4, 10), progress=False).counts.estimation
        assert np.array_equal(votes, alone)


def test_the_same_network_differs_nowhere(first, nearest_mean, certified, digits):
    twin = rs.smooth(nearest_mean, sigma=0.5, batch=64, device="cpu")
    found = twin.certify_from(first, certified, digits[0][:6], stop=STOP, n=640, progress=False)
    draws = found.counts.draws
    assert np.array_equal(draws.both, draws.estimation.counts)
    assert np.all(found.radius <= certified.radius)


def test_what_is_refused_before_anything_is_drawn(first, second, certified, digits):
    x = digits[0][:6]
    other = rs.smooth(lambda images: images.flatten(1)[:, :10], sigma=0.25, batch=64, device="cpu")
    wide = rs.smooth(lambda images: images.flatten(1)[:, :10], sigma=0.5, batch=32, device="cpu")
    for call, line in (
        (lambda: second.certify_from(certified, first, x, stop=STOP), "give the first SmoothedClassifier"),
        (lambda: other.certify_from(first, certified, x, stop=STOP), "votes are under .*0.5.*, not .*0.25"),
        (lambda: wide.certify_from(first, certified, x, stop=STOP), "batches of: 64 of the first one, 32"),
        (lambda: second.certify_from(first, certified, x[:5], stop=STOP), "5 images, but .* are of 6"),
        (lambda: second.certify_from(first, certified, x, stop={}), "give one of radii and width"),
        (lambda: second.certify_from(first, certified, x, stop={"radii": [2]}, n=640), "decide nothing"),
        (lambda: second.certify_from(first, certified, x, stop=STOP, share=1), "share"),
        (lambda: second.certify_from(first, certified, x, stop=STOP | {"alpha": 0.01}), "leave it out"),
        (lambda: second.certify(x, certificate="incremental"), "use certify_from"),
        (lambda: rs.certify_counts(certified.counts, "incremental"), "needs the counts of certify_from"),
    ):
        with pytest.raises(rs.UserError, match=line):
            call()


class Seldom(torch.nn.Module):
    """A network with a weight that matters far out in the noise only."""

    def __init__(self, network: torch.nn.Module, weight: float) -> None:
        super().__init__()
        self.network, self.weight = network, torch.nn.Parameter(torch.full((10,), weight))

    def forward(self, images):
        return self.network(images) + torch.relu(images.flatten(1).amax(1, keepdim=True) - 5) * self.weight


def test_votes_of_other_images_or_of_another_first_network_are_refused(
    first, second, certified, digits, nearest_mean
):
    x = digits[0]
    options = {"stop": STOP, "n": 640, "progress": False}
    swapped = np.concatenate([x[1:2], x[:1], x[2:6]])
    for images in (x[6:12], swapped):
        with pytest.raises(rs.UserError, match="images: the first one's votes are of other images"):
            second.certify_from(first, certified, images, **options)
    plain = rs.smooth(lambda images: images.flatten(1)[:, :10], sigma=0.5, batch=64, device="cpu")
    close = copy.deepcopy(nearest_mean)
    with torch.no_grad():
        close[1].bias[0].add_(1e-6)
    answers = plain.certify(x[:6], n=64, n0=100, alpha=0.1, progress=False)
    for model, votes in ((close, certified), (lambda images: images.flatten(1)[:, :10] * 1.01, answers)):
        other = rs.smooth(model, sigma=0.5, batch=64, device="cpu")
        with pytest.raises(rs.UserError, match="certified: votes of another network than the first one"):
            second.certify_from(other, votes, x[:6], **options)
    one, two, apart = (
        rs.smooth(Seldom(nearest_mean, w), sigma=0.5, batch=64, device="cpu") for w in (1.0, 1.0, 2.0)
    )
    before = one.certify(x[:6], n=1000, progress=False)
    assert len(two.predict(x[20:30], n=64, progress=False)) == 10  # whatever it met first, it is the same
    assert len(second.certify_from(two, before, x[:6], **options).radius) == 6
    with pytest.raises(rs.UserError, match="certified: votes of another network than the first one"):
        second.certify_from(apart, before, x[:6], **options)


@pytest.mark.parametrize("missing", ["images", "network"])
def test_votes_that_say_not_what_they_are_of_are_refused(first, second, certified, digits, missing):
    draws = certified.counts.draws
    origin = {key: value for key, value in draws.origin.items() if key != missing}
    bare = replace(certified, counts=replace(certified.counts, draws=replace(draws, origin=origin)))
    with pytest.raises(rs.UserError, match="do not name theirs"):
        second.certify_from(first, bare, digits[0][:6], stop=STOP, n=640, progress=False)


def test_a_second_networks_votes_may_be_a_third_ones_first(first, second, certified, digits, nearest_mean):
    x = digits[0][:6]
    found = second.certify_from(first, certified, x, stop=STOP, n=1280, progress=False)
    third = rs.smooth(nearest_mean, sigma=0.5, batch=64, device="cpu")
    last = third.certify_from(second, found, x, stop=STOP, n=640, progress=False)
    assert last.counts.draws.first_stop["n"] == 1280
    assert most_votes(last.counts.draws) == 100 + 640 + 1280  # as many as the rules allowed
    assert most_votes(found.counts.draws) == 100 + 1280 + 4000


def test_draws_of_two_networks_decide_nothing_for_another_certificate(first, second, certified, digits):
    found = second.certify_from(first, certified, digits[0][:6], stop=STOP, n=1280, progress=False)
    alone = rs.certify_counts(found.counts, "cohen")
    for a, b, open_ in ((certified, found, False), (certified, alone, True), (alone, certified, True)):
        table = rs.compare(a, b, radii=[0.25], across=True)
        at = table[table["metric"] == "certified_accuracy"].iloc[0]
        assert at["lower_bound"] == open_
        assert np.isnan(at["p"]) == open_
        assert not open_ or at["verdict"] == "undecided"
