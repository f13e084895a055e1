"""Pairs of runs as rows: what is paired, adjusted and decided."""

from __future__ import annotations

import numpy as np
import pytest
from contestants_made import contestant, rows_of
from observed_runs import observed_pair
from scipy import stats
from tiny_study import TINY

from rs.errors import UserError
from rs.statistics.paired import of_means, of_medians
from rs.tables import comparisons
from rs.tables.behind_averages import _share, on_hard_images, probabilities
from rs.tables.comparisons import PairSettings, compare, of_study, refuse_other_conditions
from rs.tables.contestants import Contestant, Outcomes, common_images, of_runs
from rs.tables.pilot import pilot_of
from rs.tables.stored import Stored

RADII = {"a": [0.6, 0.4, -1, 0.0, 0.9, 0.3], "b": [0.5, -1, -1, 0.2, 0.9, -1]}


def test_wrong_and_abstained_images_count_as_0():
    a, b = (contestant(name, radii) for name, radii in RADII.items())
    rows = compare([(a, b, PairSettings([0, 0.5, 2.0], margins={"acr": 1.0}))])
    assert [list(row) for row in rows] == [list(comparisons.COLUMNS)] * len(rows)
    first, second = (np.maximum(radii, 0) for radii in RADII.values())
    (acr,), (median,) = rows_of(rows, "acr"), rows_of(rows, "median_radius")
    expected = of_means(first, second)
    assert acr["difference"] == pytest.approx((2.2 - 1.6) / 6)
    assert (acr["low"], acr["high"], acr["p"]) == (expected.low, expected.high, expected.p)
    assert acr["verdict"] == "equivalent"
    assert median["difference"] == pytest.approx(0.35 - 0.1)
    assert median["high"] == of_medians(first, second).high
    at = {r["radius"]: r for r in rows_of(rows, "certified_accuracy")}
    assert list(at) == [0, 0.5]  # at 2 neither certifies anything
    assert at[0]["difference"] == pytest.approx(2 / 6)
    assert at[0]["p"] == stats.binomtest(2, 2).pvalue
    assert at[0]["adjusted_p"] == 1
    assert (at[0.5]["images"], at[0.5]["seeds"]) == (6, 1)


def test_images_are_matched_by_their_index():
    a = contestant("a", [0.1, 0.2, 0.3, 0.4], images=[3, 5, 7, 9])
    b = contestant("b", [0.1, 9.0, 0.1, 0.1], images=[5, 6, 7, 9])
    (row,) = rows_of(compare([(a, b, PairSettings([0]))]), "acr")
    assert row["images"] == 3
    assert row["difference"] == pytest.approx((0.1 + 0.2 + 0.3) / 3)


@pytest.mark.parametrize("more", [{"seeds": (0, 1, 2)}, {"seeds": (0,), "factor": 0.9}])
def test_nothing_certified_on_either_side_is_not_equivalent(more):
    a, b = (contestant(n, [[-1.0] * 20] * len(more["seeds"]), **more) for n in "ab")
    margins = {"acr": 0.01, "certified_accuracy": 0.01}
    rows = compare([(a, b, PairSettings([], [0.25], margins=margins))])
    (acr,), (at,) = rows_of(rows, "acr"), rows_of(rows, "certified_accuracy")
    assert (acr["verdict"], acr["p"], at["verdict"], at["p"]) == ("undecided", 1, "undecided", 1)
    assert comparisons.as_json(acr)["low"] is None
    assert 0.05 < at["high"] == -at["low"]


def test_holm_counts_all_pairs_and_radii_of_one_question():
    draw = np.random.default_rng(0)
    sides = [contestant(n, draw.exponential(0.5 + 0.1 * i, 80)) for i, n in enumerate("abc")]
    pairs = [(sides[i], sides[j], PairSettings([0.3, 0.6])) for i, j in ((0, 1), (0, 2), (1, 2))]
    rows = compare(pairs)
    found = rows_of(rows, "certified_accuracy")
    smallest = min(found, key=lambda r: r["p"])
    assert smallest["adjusted_p"] == pytest.approx(min(6 * smallest["p"], 1))
    for row in rows:
        assert (row["verdict"] != "undecided") == (row["adjusted_p"] <= 0.05)


def test_attacks_of_the_same_settings_are_compared():
    images = np.arange(40)

    def attacked(right, settings="same"):
        return {("pgd", settings, 0.5): Outcomes(images, images * 0, np.array([right], np.float64))}

    a = Contestant("a", (0,), None, attacked=attacked([1] * 30 + [0] * 10))
    b = Contestant("b", (0,), None, attacked=attacked([1] * 18 + [0] * 22))
    found = rows_of(compare([(a, b, PairSettings([]))]), "empirical_accuracy")
    assert [(r["difference"], r["radius"], r["attack"]) for r in found] == [(0.3, 0.5, "pgd")]
    assert found[0]["p"] == pytest.approx(stats.binomtest(12, 12).pvalue)
    other = Contestant("b", (0,), None, attacked=attacked([1] * 40, "another"))
    assert compare([(a, other, PairSettings([]))]) == []


@pytest.mark.parametrize(
    ("b", "message"),
    [
        (
            contestant("b", [1, 1], images=[8, 9]),
            "a and b: no image in common: a has images 0 to 5, b 8 to 9",
        ),
        (
            contestant("b", [1] * 6, labels=[0, 0, 3, 0, 0, 0]),
            "different data: image 2 has label 0 there and 3",
        ),
        (contestant("b", [1], images=[5]), "only one image in common; at least 2 are needed"),
    ],
)
def test_what_cannot_be_paired_is_one_line(b, message):
    with pytest.raises(UserError, match=message):
        compare([(contestant("a", RADII["a"]), b, PairSettings([0]))])


def test_other_conditions_are_refused_unless_asked_for():
    a = contestant("a", [1], conditions={"smoothing": "gaussian sigma=0.5", "n": 100})
    b = contestant("b", [1], conditions={"smoothing": "gaussian sigma=1", "n": 100})
    log = contestant("log", [1])
    with pytest.raises(UserError, match=r"smoothing gaussian sigma=0.5 and gaussian sigma=1: .*; give"):
        refuse_other_conditions([(a, b)], "give --across")
    assert refuse_other_conditions([(a, b)], "") == [
        "a and b: smoothing gaussian sigma=0.5 and gaussian sigma=1"
    ]
    assert refuse_other_conditions([(a, log), (log, b)], "give --across") == []


def test_a_row_has_the_conditions_of_the_side_that_states_more():
    stated = {"smoothing": "gaussian sigma=0.5", "certificate": "cohen", "alpha": 0.001, "n": 100}
    run = contestant("run", [0.1, 0.2], conditions=stated)
    log = contestant("log", [0.1, 0.2], conditions={"smoothing": "gaussian sigma=0.5"})
    for pair in ((run, log), (log, run)):
        assert {row["certificate"] for row in compare([(*pair, PairSettings([0]))])} == {"cohen"}


def test_images_are_the_same_only_if_their_marks_are():
    def of(kind, names):
        return Outcomes(np.arange(3), np.zeros(3, int), np.ones((1, 3)), {kind: np.array(names)})

    a = of("file", ["a", "b", "c"])
    message = "x and y: of different images: image 1 has the file b there and d here"
    with pytest.raises(UserError, match=message):
        common_images(a, of("file", ["a", "d", "e"]), ("x", "y"))
    unknown = Outcomes(np.arange(3), np.zeros(3, int), np.ones((1, 3)))
    for other in (a, unknown, of("digest", ["a", "d", "e"])):
        assert len(common_images(a, other, ("x", "y"))[0]) == 3


def test_hard_images_are_those_that_the_reference_certifies_at_no_radius():
    a, b = (contestant(name, radii) for name, radii in RADII.items())
    (found,) = on_hard_images([a, b], b)
    assert (found["name"], found["images"], found["accuracy"]) == ("a", 3, pytest.approx(2 / 3))
    low, high = stats.binomtest(2, 3).proportion_ci(0.95, "wilson")
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["in_turn"]["images"] == 1
    assert found["in_turn"]["accuracy"] == 0


def test_hard_images_that_do_not_spread_have_wilsons_interval():
    """Of several networks: none of 9 images certified, and one image."""
    for images in (9, 1):
        a = contestant("a", [[-1.0] * images + [0.5]] * 3, (0, 1, 2))
        b = contestant("b", [[-1.0] * images + [0.5]] * 3, (0, 1, 2))
        (found,) = on_hard_images([a, b], b)
        ends = stats.binomtest(0, images).proportion_ci(0.95, "wilson")
        assert (found["low"], found["high"]) == pytest.approx((ends.low, ends.high))
        assert found["images"] == images


def test_shares_of_hard_images_have_intervals_of_possible_shares():
    """Of three images and two networks, 5 of 6 certified: Student's interval ends above 1."""
    own = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, -1.0]])
    found = _share(own, np.full((1, 3), -1.0), 0.95)
    assert (found["images"], found["accuracy"]) == (3, pytest.approx(5 / 6))
    assert 0 <= found["low"] < 5 / 6 < found["high"] == 1
    assert _share(-own, np.full((1, 3), -1.0), 0.95)["low"] == 0


def test_a_pilot_counts_the_factor_and_what_one_image_in_one_seed_makes():
    a = contestant("a", [[0.5] * 6 + [-1] * 4] * 3, (0, 1, 2), factor=0.9)
    b = contestant("b", [[0.5] * 6 + [-1] * 4] * 3, (0, 1, 2))
    pilot = pilot_of([a, b], 0.25)
    assert pilot.difference == pytest.approx(-0.06)
    assert pilot.discordant is None
    assert pilot.paired == pytest.approx(0.1 * np.sqrt(0.6 * 0.4 * 10 / 9))
    assert pilot.seed_deviation == pytest.approx(0.1 / np.sqrt(3))


def test_lower_bounds_of_p_a_follow_from_the_radii():
    found = {row["p_a"]: row for row in probabilities(contestant("a", RADII["a"], sigma=0.5))}
    assert found[0.5]["share"] == pytest.approx(5 / 6)  # all but the wrong one
    assert found[0.8]["share"] == pytest.approx(2 / 6)  # from 0.5 x 0.84 = 0.42 on
    half = np.sqrt(np.log(40) / 12)
    assert (found[0.8]["low"], found[0.8]["high"]) == (0, pytest.approx(2 / 6 + half))
    assert probabilities(contestant("a", RADII["a"])) == []


def test_the_bands_of_several_networks_hold_together():
    """Dvoretzky and others bound one network's curve; the networks have their images in common."""
    one = contestant("a", [0.4] * 60 + [-1.0] * 40, sigma=0.5)
    three = contestant("a", [[0.4] * 60 + [-1.0] * 40] * 3, (0, 1, 2), sigma=0.5)
    widths = [probabilities(c)[1]["high"] - probabilities(c)[1]["low"] for c in (one, three)]
    assert widths == pytest.approx([2 * np.sqrt(np.log(2 * k / 0.05) / 200) for k in (1, 3)])


@pytest.fixture
def observed(tiny, plan_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda **study: observed_pair(plan_of, {**tiny, **study}, 0.2)


def test_every_pair_of_a_study_under_the_same_noise_and_certificate(observed):
    noises = [{"name": "gaussian", "sigma": s} for s in (0.25, 0.5)]
    plan = observed(smoothing=noises, seeds=[0, 1, 2], attacks=[])
    rows = of_study(of_runs(plan), [], [0.25])
    assert {(r["a"], r["b"]) for r in rows} == {("gaussian", "nal")}
    found = {(r["smoothing"], r["about"]): r for r in rows if r["metric"] == "acr"}
    assert len(found) == 4
    assert all(r["difference"] == pytest.approx(-0.1) for r in found.values())
    assert {r["verdict"] for (_, about), r in found.items() if about == "networks"} == {"worse"}
    # six images tell an average no better, however equal the seeds
    assert {r["verdict"] for (_, about), r in found.items() if about == "methods"} == {"undecided"}
    assert {r["seeds"] for r in rows} == {3}


def test_attacks_stand_once_however_many_certificates_there_are(observed):
    certificates = [{"name": "cohen", "alpha": 0.001}, {"name": "tcertify"}]
    plan = observed(certificates=certificates)
    rows = of_study(of_runs(plan), [], [0.25])
    attacked = rows_of(rows, "empirical_accuracy")
    assert [(r["radius"], r["difference"]) for r in attacked] == [(0.0, 0.0), (0.5, pytest.approx(-1 / 3))]
    assert len(rows_of(rows, "acr")) == 2


def test_attacks_are_compared_whatever_certificates_the_runs_have(observed):
    runs = {name: {**TINY["runs"][name]} for name in ("gaussian", "nal")}
    runs["nal"].pop("calibration")
    runs["nal"]["certificates"] = [{"name": "tcertify"}]
    rows = of_study(of_runs(observed(runs=runs)), [], [0.25])
    assert rows_of(rows, "acr") == []  # of two certificates
    assert [r["difference"] for r in rows_of(rows, "empirical_accuracy")] == [0.0, pytest.approx(-1 / 3)]
    named = [{"better": "nal", "than": "gaussian", "at": (), "margin": None}]
    assert of_study(of_runs(observed(runs=runs)), named, [0.25])
    runs["nal"]["certificates"] = []
    rows = of_study(of_runs(observed(runs=runs)), [], [0.25])
    assert len(rows_of(rows, "empirical_accuracy")) == 2


def test_named_comparisons_of_a_study_have_their_own_radii(observed):
    plan = observed(attacks=[])
    entries = [{"better": "nal", "than": "gaussian", "at": (0.4, 0.5), "margin": None}]
    rows = of_study(of_runs(plan), entries, [0.25])
    assert {(r["a"], r["b"]) for r in rows} == {("nal", "gaussian")}
    assert [r["radius"] for r in rows_of(rows, "certified_accuracy")] == [0.4, 0.5]


def test_many_pairs_become_one_for_each_run(monkeypatch):
    monkeypatch.setattr(comparisons, "MOST_PAIRS", 5)
    runs = [contestant(n, [0.1 * i, 0.5], conditions={"smoothing": "s"}) for i, n in enumerate("abcd")]
    pairs = {(r["a"], r["b"]) for r in of_study(runs, [], [0])}
    assert pairs == {("b", "a"), ("c", "a"), ("d", "a")}
    monkeypatch.setattr(comparisons, "MOST_PAIRS", 6)
    assert len({(r["a"], r["b"]) for r in of_study(runs, [], [0])}) == 6


def test_runs_whose_classes_other_numbers_of_votes_chose_are_no_pair_of_a_study():
    """A run without the votes that a class needs is no worse network; a log does not state their number."""
    under = {"conditions": {"smoothing": "s"}}
    runs = [contestant(n, [0.1, 0.5], n0=n0, **under) for n, n0 in zip("abc", (100, 1, None), strict=True)]
    assert {(r["a"], r["b"]) for r in of_study(runs, [], [0])} == {("a", "c"), ("b", "c")}
    entries = [{"better": "a", "than": other, "at": (), "margin": None} for other in "bc"]
    assert {(r["a"], r["b"]) for r in of_study(runs, entries, [0])} == {("a", "c")}
    assert refuse_other_conditions([runs[:2]], "") == ["a and b: n0 100 and 1"]


def test_the_table_of_a_study_has_what_it_asks_for(observed):
    entries = [{"better": "nal", "than": "gaussian", "at": [0.4], "margin": 0.5}]
    plan = observed(comparisons=entries, attacks=[])
    rows_ = list(comparisons.TABLE.rows(Stored(plan)))
    assert {(r["a"], r["b"], r["smoothing_level"]) for r in rows_} == {("nal", "gaussian", 0.25)}
    assert rows_of(rows_, "acr")[0]["verdict"] == "equivalent"
    other = observed(attacks=[])
    assert plan.summary != other.summary
    assert [p.id for p in plan.runs] == [p.id for p in other.runs]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"better": "macer", "than": "gaussian"}, "comparisons[0].better: no run or log is labelled 'macer'"),
        ({"better": "nal", "than": "nal"}, "comparisons[0].than: nal is compared with itself"),
        ({"better": "nal", "than": "gaussian", "margin": 0}, "comparisons[0].margin"),
        ({"better": "nal", "than": "gaussian", "metric": "acr"}, "comparisons[0]"),
    ],
)
def test_comparisons_that_cannot_be_made_are_refused(tiny, refusal, entry, message):
    assert message in refusal({**tiny, "comparisons": [entry]})


def test_runs_and_logs_of_other_images_have_no_rows_unless_they_are_named():
    kept = {"conditions": {"smoothing": "s"}}
    runs = [contestant("a", [0.1, 0.5], **kept), contestant("b", [0.1, 0.5], images=[7, 8], **kept)]
    assert of_study(runs, [], [0]) == []
    with pytest.raises(UserError, match="no image in common"):
        of_study(runs, [{"better": "a", "than": "b", "at": (), "margin": None}], [0])
