"""The checks of attacks: each holds where it should and fails where the outcomes say so, beyond chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from attack_outcomes import N, attacked, certified, frame, only
from scipy import stats

from rs.statistics.majority import WRONG
from rs.tables.attack_checks import LEVEL, Check, checks


def test_accuracy_may_not_rise_with_the_radius_beyond_chance():
    falls = only(checks([attacked(frame({0.0: 190, 0.5: 120, 1.0: 40}))], None), "radius")
    assert falls["verdict"] == "holds"
    noise = only(checks([attacked(frame({0.0: 190, 0.5: 120, 1.0: 123}))], None), "radius")
    assert (noise["verdict"], noise["measured"], noise["reference"]) == ("holds", 123 / N, 120 / N)
    rises = only(checks([attacked(frame({0.0: 190, 0.5: 120, 1.0: 140}))], None), "radius")
    assert (rises["verdict"], rises["radius"], rises["against"]) == ("fails", 1.0, "radius 0.5")
    # 20 images helped, none harmed, two pairs of radii looked at
    assert rises["p"] == pytest.approx(2 * stats.binomtest(20, 20, 0.5, "greater").pvalue)
    assert {*rises} == set(Check.__annotations__)


def test_images_count_not_accuracies():
    """Equal accuracies on other images are a coin's toss; few images decide nothing."""
    moved = pd.concat([frame({0.5: 100}), frame({1.0: 100}, first=100)])
    assert only(checks([attacked(moved)], None), "radius")["verdict"] == "holds"
    few = frame({0.5: 2, 1.0: 6}, images=6)
    assert only(checks([attacked(few)], None), "radius")["verdict"] == "holds"


@pytest.mark.parametrize("variant", ["more steps", "more samples"])
def test_a_stronger_attack_may_not_help_the_defender(variant):
    base = frame({0.0: 190, 0.5: 120})
    for number, verdict in ((110, "holds"), (122, "holds"), (170, "fails")):
        extra = frame({0.5: number}, variant)
        row = only(checks([attacked(pd.concat([base, extra]))], None), variant)
        assert (row["verdict"], row["radius"], row["images"]) == (verdict, 0.5, N)
    # the variant looks at the first images only, and is compared on those
    extra = frame({0.5: 40}, variant, images=50)
    row = only(checks([attacked(pd.concat([base, extra]))], None), variant)
    assert (row["images"], row["reference"], row["measured"]) == (50, 1.0, 0.8)


def test_without_a_bound_accuracy_falls_to_chance():
    base = frame({0.0: 190, 0.5: 120})
    for number, verdict in ((0, "holds"), (20, "holds"), (60, "fails")):
        row = only(
            checks([attacked(pd.concat([base, frame({28.0: number}, "unbounded")]))], None), "unbounded"
        )
        assert (row["verdict"], row["reference"]) == (verdict, 0.1)


@pytest.mark.parametrize("access", ["transfer", "gradient-free"])
def test_weaker_access_may_not_beat_the_strongest_white_box_attack(access):
    strong = attacked(frame({0.0: 190, 0.5: 60, 1.0: 10}))
    weak = attacked(frame({0.0: 190, 0.5: 100, 1.0: 90}), "pgd with few steps")
    other = attacked(frame({0.0: 190, 0.5: 150, 1.0: 100}), "weaker", access=access)
    row = only(checks([weak, strong, other], None), f"weaker access: {access}")
    assert (row["verdict"], row["against"], row["attack"]) == ("holds", "pgd_l2", "weaker")
    masked = attacked(frame({0.0: 190, 0.5: 150, 1.0: 100}))
    better = attacked(frame({0.0: 190, 0.5: 140, 1.0: 20}), "other", access=access)
    row = only(checks([masked, better], None), f"weaker access: {access}")
    assert (row["verdict"], row["radius"]) == ("fails", 1.0)


def seeded(seed: int) -> dict:
    return {"spec": {"attack": {"seed": seed}}}


@pytest.mark.parametrize(
    "made", [{"norm": float("inf")}, {"judge": "base"}, {"judge": 100}, seeded(1), {"access": "transfer"}]
)
def test_another_judge_or_norm_is_no_rival_and_the_row_says_so(made):
    """An attack judged otherwise may look stronger for its judge's sake alone."""
    rival = attacked(frame({0.0: 190, 0.5: 60}), "rival", **made)
    weak = attacked(frame({0.0: 190, 0.25: 160, 0.5: 150}), "weak", access="transfer")
    row = only([r for r in checks([rival, weak], None) if r["attack"] == "weak"], "weaker access: transfer")
    assert (row["verdict"], row["images"]) == ("not checked", 0)
    assert row["against"] == "no white-box attack of this norm, judge and images at radius 0.25, 0.5"
    assert np.isnan([row[c] for c in ("measured", "reference", "p", "radius")]).all()
    # what can be compared is, against the one of the same judge although the other seems stronger
    masked = attacked(frame({0.0: 190, 0.5: 180}), "masked", **seeded(0))
    rows = [r for r in checks([rival, masked, weak], None) if r["attack"] == "weak"]
    found = [(r["verdict"], r["radius"], r["images"]) for r in rows if r["check"].startswith("weaker")]
    assert found[0] == ("fails", 0.5, N)
    assert [verdict for verdict, _, _ in found] == ["fails", "not checked"]  # nothing at radius 0.25


def test_a_judge_without_noise_has_no_seed():
    white = attacked(frame({0.0: 190, 0.5: 60}), judge="base", **seeded(1))
    weak = attacked(frame({0.0: 190, 0.5: 150}), "weak", access="transfer", judge="base", **seeded(2))
    assert only(checks([white, weak], None), "weaker access: transfer")["verdict"] == "holds"


def test_rivals_are_compared_on_the_images_that_both_attacked():
    weak = attacked(frame({0.0: 100, 0.5: 60}, images=100), "weak", access="transfer")
    elsewhere = frame({0.0: 100, 0.5: 0}, images=100)
    elsewhere["image"] += 1000
    elsewhere = attacked(elsewhere, "elsewhere")
    row = only(checks([elsewhere, weak], None), "weaker access: transfer")
    assert row["verdict"] == "not checked"
    # over all its images "late" leaves the higher accuracy (0.75), on the shared ones the lower one (0.5)
    late = attacked(frame({0.0: 200, 0.5: 150}, first=50), "late")
    early = attacked(frame({0.0: 200, 0.5: 70}), "early")
    row = only(checks([elsewhere, early, late, weak], None), "weaker access: transfer")
    assert (row["against"], row["images"], row["measured"]) == ("late", 100, 0.5)


@pytest.mark.parametrize("shares", ["kept", "minimal"])
def test_what_cannot_rise_with_the_radius_is_not_asked(shares):
    rows = checks([attacked(frame({0.0: 190, 0.5: 120}), shares=shares)], None)
    assert [r for r in rows if r["check"] == "radius"] == []


def test_certified_predictions_stay_within_their_radius():
    rows = frame({0.0: 200, 0.5: 195, 1.0: 100})
    row = only(checks([attacked(rows)], certified(0.4)), "radius")
    assert [r for r in checks([attacked(rows)], certified(0.4)) if r["check"] == "certificate"] == []
    row = only(checks([attacked(rows)], certified(0.7)), "certificate")
    assert (row["images"], row["measured"], row["changed"], row["verdict"]) == (N, 5, 5, "fails")
    assert row["reference"] == stats.binom.isf(LEVEL, N, 0.001 + LEVEL) == 3
    # a point on the sphere of the certified radius is not inside it
    assert [r for r in checks([attacked(rows)], certified(0.5)) if r["check"] == "certificate"] == []


def test_all_images_attacked_and_asked_may_change_not_only_those_met():
    """Each certificate is wrong with probability alpha before its radius is known."""
    rows, claims = frame({0.0: 200, 0.5: 197}), certified(0.7)
    claims.loc[:99, "radius"] = 0.4  # attacked beyond it only
    claims.loc[100:149, "prediction"] = -1  # abstained
    row = only(checks([attacked(rows)], claims), "certificate")
    assert (row["images"], row["measured"], row["reference"], row["verdict"]) == (50, 3, 3, "holds")
    # nobody asked for a certificate of the others
    row = only(checks([attacked(rows)], claims[claims["image"] >= 150]), "certificate")
    assert (row["images"], row["measured"], row["reference"], row["verdict"]) == (50, 3, 2, "fails")


def test_an_image_is_tested_at_the_level_over_all_of_its_tests():
    """Ten classes and one row: level 1e-3 / 9; in five rows: 1e-3 / 45."""
    votes = [0, 445, 555]  # p = 2.8e-4: changed at 1e-3, not at 1.1e-4
    clear, rows = [0, 441, 559], frame({0.5: 100})  # p = 1.1e-4 and less
    p = [stats.binomtest(v[2], 1000, 0.5, "greater").pvalue for v in (votes, clear)]
    assert LEVEL / 9 < p[0] < LEVEL
    assert LEVEL / 45 < p[1] < LEVEL / 9
    for given, radii, count in ((votes, 1, 0), (clear, 1, 100), (clear, 5, 0)):
        rows = frame(dict.fromkeys([0.1, 0.2, 0.3, 0.4, 0.5][:radii], 100))
        rows["votes"] = [given if s else [0, 900, 100] for s in rows["success"]]
        row = only(checks([attacked(rows)], certified(0.7)), "certificate")
        assert (row["measured"], row["changed"]) == (count, 100)


@pytest.mark.slow
def test_an_image_that_did_not_change_seldom_counts():
    """Every class as likely as the certified one, three radii: the worst case, and still at most LEVEL."""
    draw, images = np.random.default_rng(0), 20_000
    rows = pd.DataFrame(
        {"image": np.tile(np.arange(images), 3), "radius": np.repeat([0.1, 0.2, 0.3], images)}
    )
    votes = draw.multinomial(1000, [0.1] * 10, len(rows))
    rows = rows.assign(votes=list(votes), prediction=votes.argmax(1), distortion=rows["radius"], variant="")
    claims = pd.DataFrame({"certificate": "cohen", "norm": 2.0, "alpha": 0.001, "image": np.arange(images)})
    rows = rows.assign(success=rows["prediction"] != 1, label=1)
    row = only(checks([attacked(rows)], claims.assign(prediction=1, radius=0.7)), "certificate")
    assert 0 < row["measured"] <= stats.binom.isf(LEVEL, images, LEVEL)


@pytest.mark.parametrize(
    ("radius", "met"), [(0.5, 0), (0.5 * (1 + 5e-7), 0), (0.5 * (1 + 2e-6), 1), (0.51, 1)]
)
def test_a_point_is_within_a_radius_that_exceeds_it_by_more_than_rounding(radius, met):
    found = checks([attacked(frame({0.0: 200, 0.2: 199, 0.5: 195}))], certified(radius))
    row = only(found, "certificate")
    assert (row["radius"], row["measured"]) == ((0.5, 5) if met else (0.2, 1))


def test_images_may_count_by_chance_and_votes_may_have_stopped_by_mistake():
    """A sure claim may be met at LEVEL all the same; a lead pays for what may have ended the votes."""
    claims = certified(0.7).assign(alpha=1e-4)
    row = only(checks([attacked(frame({0.5: 200}))], claims), "certificate")
    assert row["reference"] == stats.binom.isf(LEVEL, N, 1e-4 + LEVEL) > stats.binom.isf(LEVEL, N, 1e-4)
    votes, looks = [0, 200, 500], 100  # p is far below WRONG
    rows = frame({0.5: 100})
    rows["votes"] = [votes + [0] * 7 if s else [0, 900, 100] for s in rows["success"]]
    for more, count in ((looks, 100), (round(LEVEL / 9 / WRONG) + 1, 0)):
        row = only(checks([attacked(rows, looks=more)], certified(0.7)), "certificate")
        assert (row["measured"], row["changed"]) == (count, 100)


def test_near_ties_of_the_judge_are_no_broken_certificates():
    rows = frame({0.0: 200, 0.5: 150})
    rows["votes"] = [[0, 480, 520] if s else [0, 900, 100] for s in rows["success"]]
    row = only(checks([attacked(rows)], certified(0.7)), "certificate")
    assert (row["measured"], row["changed"], row["verdict"]) == (0, 50, "holds")


def test_only_certificates_of_the_attacks_norm_and_choice_are_met():
    rows = frame({0.0: 200, 0.5: 150})
    both = pd.concat([certified(0.7), certified(0.7, certificate="other"), certified(0.7, norm=1.0)])
    met = [r["against"] for r in checks([attacked(rows)], both) if r["check"] == "certificate"]
    assert met == ["cohen", "other"]
    chosen = checks([attacked(rows, certificate="other")], both)
    assert [r["against"] for r in chosen if r["check"] == "certificate"] == ["other"]
    for nothing in (
        checks([attacked(rows, judge="base")], both),  # the base classifier is another one
        checks([attacked(rows)], certified(0.7, prediction=-1)),  # it abstained
        checks([attacked(frame({0.0: 100}))], both),  # radius 0 is no attack
    ):
        assert [r for r in nothing if r["check"] == "certificate"] == []
