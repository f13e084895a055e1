"""Bounds and their checks written out: what each spends of alpha, its standard errors, its corrections."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attack_outcomes import attacked, certified, frame, only
from scipy import stats

from rs.statistics.intervals import t_interval
from rs.tables import bound_checks, distributional, worst_cases
from rs.tables import distributional_proofs as proofs
from rs.tables.attack_checks import LEVEL, checks
from rs.tables.distributional_observations import Independent, Observed, Setting

GAMMAS = (0.5, 2.0, 3.0)
SETTING = Setting(2.0, 0.5, 4, 100, 0.01, GAMMAS, (0.0, 0.1))


def observed(images: int = 50) -> Observed:
    draw = np.random.default_rng(0)
    shape = (images, len(GAMMAS) + 1)
    distance = np.concatenate([draw.uniform(0, 0.1, (images, len(GAMMAS))), np.zeros((images, 1))], 1)
    loss = draw.uniform(0.1, 0.3, shape)
    return Observed(np.array([*GAMMAS, np.inf]), distance, loss, loss**2 + 0.01, draw.uniform(0, 1e-3, shape))


def test_the_proven_gap_spends_alpha_over_two_bounds_of_every_concave_gamma():
    points = observed()
    smooth = 2 * stats.norm.pdf(1) * 2.0 / 0.25
    assert 2 * 0.5 < smooth < 2 * 2.0  # two of the three are concave
    found = proofs.proven(points, SETTING)
    assert list(found["nal_gap"]) == [2.0, 3.0]
    alpha, width = 0.01 / 4, 2.0 * math.sqrt(math.log(4 / 0.01) / (2 * 50 * 100))
    for i, gamma in ((1, 2.0), (2, 3.0)):
        gradient = proofs.gradient_upper(points.gradient_product[:, i], SETTING, alpha)
        own = (points.loss[:, i] - gamma * points.squared_distance[:, i]).mean()
        expected = min(own + width + gradient / (2 * (2 * gamma - smooth)), 2.0)
        assert found["nal_gap"][gamma] == pytest.approx(expected, rel=1e-12)
    assert min(found["nal_gap"].values()) < 2.0
    clean = points.loss[:, -1].mean() + 2.0 * math.sqrt(math.log(1 / 0.01) / (2 * 50 * 100))
    for gamma, bound in found["neyman_pearson"].items():
        assert bound == 2.0 * proofs.neyman_pearson(clean / 2.0, gamma * 0.25 / 2.0)


def test_rows_say_where_the_inner_problem_is_concave():
    found = {"base": observed(), "smoothed": observed()}
    rows = list(distributional.certificates(found, SETTING))
    smooth = 2 * stats.norm.pdf(1) * 2.0 / 0.25
    for row in rows:
        concave = row["certificate"] in ("nal", "nal_gap", "neyman_pearson") and row["gamma"] > smooth / 2
        assert row["concave"] == concave
        assert row["gamma_concave"] == pytest.approx(smooth / 2)
        assert row["gamma_corollary_1"] == pytest.approx(2 * 2.0 / 0.25)
    assert {row["concave"] for row in rows} == {True, False}


def independent(distance: list[float], images: int = 40) -> Independent:
    draw = np.random.default_rng(1)
    loss = draw.uniform(0.1, 0.3, (images, len(distance))) + np.array(distance)
    return Independent(np.tile(distance, (images, 1)), loss, loss**2 + 0.04, loss)


def test_a_mixture_has_the_standard_error_of_the_points_it_takes():
    points = independent([0.0, 0.5])
    # all images go to the second point: mean of 40 estimates of variance 0.04 from 10 draws each
    weights = worst_cases.mixture(points, 0.5)
    assert worst_cases.noise_error(points, weights, 10) == pytest.approx(math.sqrt(0.04 / 9 / 40))
    weights = np.tile([0.75, 0.25], (40, 1))
    apart = Independent(points.squared_distance, points.loss, points.loss**2 + [0.04, 0.16], points.loss)
    expected = (0.75 * 0.2 + 0.25 * 0.4) / 3 / math.sqrt(40)  # errors of one image's points add up
    assert worst_cases.noise_error(apart, weights, 10) == pytest.approx(expected)


def test_mixtures_end_where_their_points_do_and_carry_intervals():
    points = independent([0.0, 0.5, 2.0])
    rows = list(worst_cases.mixtures({"smoothed": points}, (0.0, 3.0, 0.4, 1.0, 8.0), 10))
    assert [row["rho"] for row in rows] == pytest.approx([0.4, 1.0, 2.0])  # 8.0 buys no more than 3.0
    for row, rho in zip(rows, (0.4, 1.0, 3.0), strict=True):
        weights = worst_cases.mixture(points, rho)
        assert (row["loss"], row["low"], row["high"]) == t_interval((weights * points.loss).sum(1))
        spent = t_interval((weights * points.squared_distance).sum(1), least=0.0)  # equal: no upper end
        np.testing.assert_equal((row["rho"], row["rho_low"], row["rho_high"]), spent)
        assert row["adversary"] == "pgd_smoothed"
    seen = observed()
    kept = seen.without(seen.refused(100))
    (end,) = worst_cases.ends({"base": seen}, [2.0, 2.0], 100)
    for column, ends, values in (("loss", "", kept.loss), ("rho", "rho_", kept.squared_distance)):
        shown = end[column], end[f"{ends}low"], end[f"{ends}high"]
        np.testing.assert_equal(shown, t_interval(values[:, 1], least=0.0))


def claim(rho: float, loss: float, error: float | None = 0.01) -> dict:
    return {"certificate": "nal", "rho": rho, "loss": loss, "noise_error": error, "rigorous": error is None}


def case(rho: float, loss: float, error: float = 0.02) -> dict:
    return {"adversary": "pgd_smoothed", "rho": rho, "loss": loss, "noise_error": error, "images": 40}


def test_a_bound_is_asked_at_every_rho_that_it_covers_with_both_errors_and_a_correction():
    claims = [claim(0.1, 0.3), claim(0.2, 0.4), claim(0.5, 0.6)]
    worst = [case(0.1, 0.31), case(0.15, 0.45), case(0.9, 9.0)]  # no claim reaches 0.9
    (row,) = bound_checks.checks(claims, worst)
    assert (row["rho"], row["bound"], row["rhos"]) == (0.15, 0.4, 2)  # the claim at 0.2 covers 0.15
    assert row["excess"] == pytest.approx(0.05)
    assert row["error"] == pytest.approx(0.03)
    assert row["p"] == pytest.approx(2 * stats.norm.sf(0.05 / 0.03))
    assert row["verdict"] == "holds"
    limit = 0.03 * stats.norm.isf(LEVEL / 2)
    for excess, verdict in ((limit * 0.99, "holds"), (limit * 1.01, "fails")):
        (row,) = bound_checks.checks(claims, [case(0.1, 0.2), case(0.2, 0.4 + excess)])
        assert row["verdict"] == verdict
    # without any noise there is no chance: up to rounding the loss may not be above
    for loss, verdict in ((0.3, "holds"), (0.3 + 1e-13, "holds"), (0.3 + 1e-9, "fails")):
        (row,) = bound_checks.checks([claim(0.1, 0.3, None)], [case(0.1, loss, 0.0)])
        assert (row["verdict"], row["rigorous"]) == (verdict, True)
    assert list(bound_checks.checks(claims, [case(0.1, math.nan)])) == []


def test_weaker_access_is_corrected_for_the_radii_that_it_was_asked_at():
    strong = attacked(frame({0.0: 190, 0.5: 110, 1.0: 100}))
    weak = attacked(frame({0.0: 190, 0.5: 100, 1.0: 96}), "weak", access="transfer")
    row = only(checks([strong, weak], None), "weaker access: transfer")
    # ten images helped, none harmed, two radii looked at
    assert (row["radius"], row["verdict"]) == (0.5, "holds")
    assert row["p"] == pytest.approx(2 * 0.5**10)
    # an attack that leaves nothing right is the strongest of all
    best = attacked(frame({0.0: 190, 0.5: 0, 1.0: 0}), "best")
    row = only(checks([strong, best, weak], None), "weaker access: transfer")
    assert (row["against"], row["measured"], row["verdict"]) == ("best", 0.0, "holds")


def test_of_radii_that_are_alike_the_nearest_to_failing_is_told():
    strong = attacked(frame({0.0: 190, 0.5: 20, 1.0: 10}))
    weak = attacked(frame({0.0: 190, 0.5: 90, 1.0: 20}), "weak", access="transfer")
    row = only(checks([strong, weak], None), "weaker access: transfer")
    assert (row["radius"], row["measured"], row["reference"], row["p"]) == (1.0, 0.05, 0.1, 1.0)


def test_a_minimal_attack_pays_for_the_places_that_it_is_judged_at():
    """Ten classes, one row, six places: level 1e-3 / 54; of two classes there is one other."""
    for lost, classes, looks, count in (
        *((443, 10, 1, 0), (437, 10, 1, 100), (437, 10, 6, 0), (430, 10, 6, 100)),
        *((450, 2, 1, 100), (451, 2, 1, 0)),
    ):
        rows = frame({0.5: 100})
        rows["votes"] = [[0, lost, 1000 - lost] if s else [0, 900, 100] for s in rows["success"]]
        tested = stats.binomtest(1000 - lost, 1000, 0.5, "greater").pvalue
        assert (tested < LEVEL / ((classes - 1) * looks)) == (count > 0)
        row = only(checks([attacked(rows, classes=classes, looks=looks)], certified(0.7)), "certificate")
        assert (row["measured"], row["changed"]) == (count, 100)


@pytest.mark.parametrize(
    ("certificate", "adversary"),
    [("sinha", "pgd_base"), ("sinha_line", "pgd_base"), ("nal", "pgd_smoothed"), ("nal_gap", "pgd_smoothed")],
)
def test_a_bound_is_held_against_the_adversary_of_its_own_classifier(certificate, adversary):
    claim = {"certificate": certificate, "rho": 0.1, "loss": 0.5, "rigorous": True}
    case = {"rho": 0.1, "loss": 0.4, "noise_error": 0.01, "images": 50}
    cases = [case | {"adversary": name} for name in ("pgd_base", "pgd_smoothed")]
    (found,) = bound_checks.checks([claim], cases)
    assert found["adversary"] == adversary
