"""What a claim is derived with: the chance that separate votes are equal, the votes that a law's error counts
for, confidences, and radii that are no numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import rs
from rs.errors import UserError
from rs.methods import claims
from rs.methods.certificates.cohen import Cohen
from rs.methods.interfaces import Certified
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired_draws import PairedDraws
from rs.study.schema import schema

GAUSSIAN = {"name": "gaussian", "sigma": 0.5}


@pytest.mark.parametrize(("images", "refused"), [(9, False), (10, True)])
def test_equal_votes_are_separate_ones_down_to_a_chance_of_one_in_a_million(images, refused):
    """Five of ten votes twice: 252/1024 for each image."""
    votes = np.tile([5, 5], (images, 1))
    chance = stats.binom.pmf(5, 10, 0.5) ** images
    assert (chance < 1e-6) == refused
    if not refused:
        claims.check_separate("radius", votes, votes.copy())
        return
    with pytest.raises(UserError, match=rf"^radius: .* separate ones agree has a chance of {chance:.1g} at"):
        claims.check_separate("radius", votes, votes.copy())
    other = votes.copy()
    other[-1] = [6, 4]  # one image that differs is enough
    claims.check_separate("radius", votes, other)


def test_the_chance_of_equal_votes_is_that_of_several_classes():
    votes = np.array([[40, 30, 20, 10], [25, 25, 25, 25], [97, 1, 1, 1]])
    chance = np.prod([stats.multinomial.pmf(row, 100, row / 100) for row in votes])
    assert chance < 1e-6
    with pytest.raises(UserError, match=rf"chance of {chance:.1g} at most"):
        claims.check_separate("radius", votes, votes.copy())


def test_the_most_votes_are_those_of_the_image_that_has_most_or_of_its_rule():
    """Every vote may be off by the error of the noise's law, also one that a rule left undrawn."""
    selection, estimation = [[9, 1], [15, 5]], [[90, 10], [250, 50]]
    plain = Draws.from_counts(selection, estimation, 4)
    assert claims.most_votes(plain) == 20 + 300
    assert claims.most_votes(replace(plain, stopping="sequential", stop={"n": 1000})) == 20 + 1000
    first, both = Votes(np.array([[500, 100], [600, 100]])), np.array([[80, 5], [240, 40]])
    paired = PairedDraws(**vars(plain), first=first, beside=np.array(estimation), both=both)
    assert claims.most_votes(paired) == 20 + 300 + 700
    assert claims.most_votes(replace(paired, first_stop={"n": 5000})) == 20 + 300 + 5000


def test_a_confidence_is_what_alpha_leaves_in_decimals_and_never_1():
    assert claims.confidence(0.001) == 0.999
    assert claims.confidence(0.9) == 0.1 != 1 - 0.9
    assert 1 - 1e-15 < claims.confidence(1e-20) < 1


def test_radii_depend_on_the_dimension_in_other_norms_and_under_exact_noise():
    assert not claims.needs_dimension(GAUSSIAN, 2)
    assert claims.needs_dimension(GAUSSIAN, float("inf"))
    assert claims.needs_dimension({**GAUSSIAN, "exact": True}, 2)
    assert not claims.needs_dimension({"name": "laplace", "scale": 0.2}, 1)
    assert claims.needs_dimension({"name": "spherical", "sigma": 0.5}, 2)


FREE = [
    (name, noise)
    for name, facts in schema()["$defs"]["certificates"].items()
    for noise in (GAUSSIAN, {"name": "laplace", "scale": 0.2})
    if facts["x-needs"] == ["counts"]
    and "x-rule" not in facts
    and noise["name"] in facts["x-norms"]
    and not claims.needs_dimension(noise, facts["x-norms"][noise["name"]])
]
QUICK = {"draws": 500, "first_draws": 200, "radii": 8}


@pytest.mark.parametrize(("name", "noise"), FREE)
def test_radii_that_do_not_depend_on_the_dimension_are_had_without_one(name, noise):
    known = schema()["$defs"]["certificates"][name]["properties"]
    few = {key: value for key, value in QUICK.items() if key in known}
    found = rs.radius([90, 10], [990, 10], certificate={"name": name, **few}, noise=noise)
    assert found.prediction == 0
    assert found.radius > 0


def test_a_radius_without_end_is_no_claim(monkeypatch):
    def endless(self, draws, noise, alpha):
        return Certified(np.zeros(len(draws), np.int64), np.array([0.5, np.inf]))

    draws = Draws.from_counts([[9, 1]] * 2, [[90, 10]] * 2, 4)
    assert claims.claim("radius", draws, GAUSSIAN, {"name": "cohen"}, 0.001).radius[0] > 0
    monkeypatch.setattr(Cohen, "certify", endless)
    with pytest.raises(UserError, match=r"^radius: gaussian: .* the radius is no finite number$"):
        claims.claim("radius", draws, GAUSSIAN, {"name": "cohen"}, 0.001)
