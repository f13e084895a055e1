"""`rs power`: sample sizes from pilots."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from contestants_made import contestant
from observed_runs import observe, write_radii
from scipy import stats
from tiny_study import TINY, write_study

from rs.cli.main import main
from rs.cli.power import answer
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.statistics.bounds import clopper_pearson_upper
from rs.study.study import Study
from rs.tables.contestants import of_runs
from rs.tables.pilot import at_votes, pilot_of

KEYS = {"paired_images", "unpaired_images", "correlation", "seeds", "votes", "price", "shown", "difference"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("power")
    draw = np.random.default_rng(0)
    common = np.minimum(draw.exponential(0.5, 400), 1.8)
    write_radii(folder / "a.tsv", common + draw.normal(0.05, 0.02, 400).clip(0))
    write_radii(folder / "b.tsv", common)
    study = {**TINY, "seeds": [0, 1, 2], "attacks": []}
    plan = Plan(Study([write_study(folder / "study.yaml", study)]))
    here = Path.cwd()
    os.chdir(folder)
    gain = {"gaussian": (0, 0, 0), "nal": (0.02, 0.5, 0.02)}
    observe(plan, lambda run: [0.1 * i + gain[run.label][run.seed] * (i > 1) for i in range(6)])
    os.chdir(here)
    return folder


@pytest.fixture(autouse=True)
def place(logs, monkeypatch):
    monkeypatch.chdir(logs)


@pytest.fixture
def power(capsys):
    def found(*arguments):
        assert main(["power", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return found


def test_images_follow_from_the_pilots_spread(power):
    found = power("a.tsv", "b.tsv", "--difference", "0.02")
    assert set(found) >= KEYS
    a, b = (np.genfromtxt(name, skip_header=1, usecols=3) for name in ("a.tsv", "b.tsv"))
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert found["correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert found["paired_images"] == math.ceil((z / 0.02) ** 2 * np.var(a - b, ddof=1))
    both = np.var(a, ddof=1) + np.var(b, ddof=1)
    assert found["unpaired_images"] == math.ceil((z / 0.02) ** 2 * both)
    assert found["seeds"] is None
    assert found["votes"] == []
    assert found["price"] is None


def test_fewer_votes_take_more_images(power):
    found = power("a.tsv", "b.tsv", "--sigma", "0.5")
    rows = {row["n"]: row for row in found["votes"]}
    assert list(rows) == [100, 1000, 10_000, 100_000]
    assert rows[100_000]["difference"] == pytest.approx(found["difference"], rel=1e-6)
    assert rows[100_000]["paired_images"] == pytest.approx(found["paired_images"], rel=0.05)
    images = [row["paired_images"] for row in rows.values()]
    assert images == sorted(images, reverse=True)
    assert all(row["difference"] <= found["difference"] * (1 + 1e-9) for row in rows.values())


def test_radii_at_other_numbers_of_votes_are_those_of_as_large_a_share():
    """Without fewer votes nothing changes; with fewer, the spread has their noise too."""
    alpha, n, failures = 0.001, 1000, np.array([[0, 20, 100, 300, 600], [10, 20, 120, 200, 600]])

    def radii(failures, n):
        bound = clopper_pearson_upper(failures, n, alpha)
        return np.where(bound < 0.5, -0.5 * stats.norm.ppf(bound), -1.0)

    sides = [contestant(name, radii(of, n), sigma=0.5) for name, of in zip("ab", failures, strict=True)]
    for votes in (n, 4 * n, n // 10):
        deviation, mean = at_votes(sides, (n, n), votes, (alpha, alpha))
        again = np.maximum(radii(failures * votes // n, votes), 0)
        assert mean == pytest.approx(again.mean(), rel=1e-6)
        of_images = (again[0] - again[1]).std(ddof=1)
        if votes < n:
            assert of_images * 1.05 < deviation < 3 * of_images
        else:
            assert deviation == pytest.approx(of_images, rel=1e-6)


def test_votes_are_redrawn_at_the_alpha_that_the_radii_were_made_with(monkeypatch, capsys):
    """As many votes as the pilot drew give its own mean and spread; another alpha would give others."""
    failures, n = np.array([[0, 20, 100, 300, 200], [10, 20, 120, 200, 100]]), 10_000

    def side(name, failures, alpha):
        radii = -0.5 * stats.norm.ppf(clopper_pearson_upper(failures, n, alpha))
        return contestant(name, radii, sigma=0.5, conditions={"alpha": alpha, "n": n})

    sides = [side(name, of, a) for name, of, a in zip("ab", failures, (0.05, 0.01), strict=True)]
    monkeypatch.setattr("rs.cli.power.find", lambda args: (sides, None))

    def found(*more):
        assert main(["power", "a", "b", "--difference", "0.1", "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)["votes"]

    own = next(row for row in found() if row["n"] == n)
    assert own["difference"] == pytest.approx(0.1)
    assert own["paired_deviation"] == pytest.approx(pilot_of(sides, None).paired, rel=1e-4)
    sides[1] = contestant("b", sides[1].certified.values, sigma=0.5)  # a log, which states nothing
    at = {alpha: found("--alpha", alpha, "--votes", str(n)) for alpha in ("0.01", "0.001")}
    assert next(row for row in at["0.01"] if row["n"] == n) == pytest.approx(own)
    assert at["0.001"] != at["0.01"]


@pytest.mark.parametrize(("option", "value"), [("--alpha", "0.05"), ("--votes", "1000")])
def test_an_option_for_logs_may_not_contradict_a_study(capsys, option, value):
    pair = ["study.yaml:nal", "study.yaml:gaussian", "--difference", "0.05"]
    assert main(["power", *pair, option, value]) == 1
    own = {"--alpha": "0.001", "--votes": "64"}[option]
    assert capsys.readouterr().err == (
        f"rs: power: {option} {value}: the pilot's own is {own}; this option is for logs\n"
    )
    assert main(["power", *pair, option, own]) == 0


def test_the_radii_of_a_labelled_randomised_bound_determine_p_a(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    certificate = {"name": "cohen", "label": "exact", "randomised": True, "alpha": 0.001}
    plan = Plan(Study([write_study(Path("s.yaml"), {**TINY, "attacks": [], "certificates": [certificate]})]))
    observe(plan, lambda run: [0.1 * i for i in range(6)])
    assert {(c.conditions["certificate"], c.sigma) for c in of_runs(plan)} == {("exact (randomised)", 0.25)}


def test_the_other_way_round(power):
    found = power("a.tsv", "b.tsv", "--images", "200", "--seeds", "5", "--seed-deviation", "0.1")["shown"]
    pilot = power("a.tsv", "b.tsv", "--difference", str(found["paired"]))
    assert pilot["paired_images"] in (200, 201)
    assert found["methods"] > 0.1


def test_accuracies_count_discordant_images(power):
    found = power("a.tsv", "b.tsv", "--at", "0.5", "--difference", "0.05")
    a, b = (np.genfromtxt(name, skip_header=1, usecols=3) >= 0.5 for name in ("a.tsv", "b.tsv"))
    psi = np.mean(a != b)
    assert found["discordant"] == pytest.approx(psi)
    z = stats.norm.ppf(0.975) * math.sqrt(max(psi, 0.05)) + stats.norm.ppf(0.8) * math.sqrt(
        max(psi, 0.05) - 0.0025
    )
    assert found["paired_images"] == math.ceil((z / 0.05) ** 2)


def test_seeds_of_a_study_say_how_many_it_takes(power):
    found = power("study.yaml:nal", "study.yaml:gaussian", "--difference", "0.05")
    gains = [g * 4 / 6 for g in (0.02, 0.5, 0.02)]
    assert found["seed_deviation"] == pytest.approx(np.std(gains, ddof=1))
    assert found["seeds"] >= 3


def test_one_contestant_stands_for_both_sides(power):
    found = power("a.tsv", "--difference", "0.1")
    assert (found["b"], found["paired_images"], found["correlation"]) == (None, None, None)
    assert found["unpaired_images"] > 100
    alone = pilot_of([contestant("a", [0.0, 0.5, 1.0])], 0.5)
    assert (alone.metric, alone.radius, alone.images, alone.seeds) == ("certified_accuracy", 0.5, 3, 1)
    assert alone.unpaired == pytest.approx(math.sqrt(2 / 3))  # of 0, 1 and 1: variance 1/3 on either side
    both = pilot_of([contestant("a", [0.0, 0.5, 1.0]), contestant("b", [0.0, 0.5, 0.4])], 0.5)
    assert (both.metric, both.radius, both.images, both.seeds) == ("certified_accuracy", 0.5, 3, 1)
    assert (both.difference, both.discordant) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert both.paired == pytest.approx(math.sqrt(1 / 3))


@pytest.mark.parametrize("level", [0.3, 2.0])
def test_a_pilot_without_spread_does_not_promise_a_difference_from_two_images(power, level):
    """All of 50 images right, or none: accuracies that are apart have a spread, radii that of one image."""
    write_radii(Path("alike-a.tsv"), np.full(50, 0.537))
    write_radii(Path("alike-b.tsv"), np.full(50, 0.537))
    z2 = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2
    for names in (["alike-a.tsv"], ["alike-a.tsv", "alike-b.tsv"]):
        found = power(*names, "--at", str(level), "--difference", "0.05", "--images", "500")
        assert found["unpaired_images"] == math.ceil(z2 * 0.95 / 0.05)
        assert found["shown"]["unpaired"] == pytest.approx(z2 / (z2 + 500))
        average = power(*names, "--difference", "0.01", "--images", "500")
        assert average["unpaired_images"] == math.ceil(z2 * (0.537 / 0.01) ** 2 / 50)
        assert average["shown"]["unpaired"] > 0
    assert found["paired_images"] > 100
    assert average["paired_images"] == average["unpaired_images"]


def test_a_share_of_the_images_leaves_accuracies_a_spread_too(power):
    whole = [contestant(name, np.full(20, 1.0), factor=0.95) for name in "ab"]
    pilot = pilot_of(whole, 0.5)
    assert (pilot.paired, pilot.unpaired, pilot.discordant) == (0.0, 0.0, None)
    arguments = argparse.Namespace(
        difference=0.05, images=100, seeds=None, seed_deviation=None, level=0.95, power=0.8
    )
    found = answer(pilot, arguments)
    assert found["paired_images"] == found["unpaired_images"] > 100
    assert found["shown"]["paired"] > 0.05


def test_a_pilot_that_certifies_nothing_tells_no_spread():
    with pytest.raises(UserError, match="certifies no image at any radius"):
        pilot_of([contestant("a", [-1.0, 0.0]), contestant("b", [-1.0, -1.0])], None)


def test_more_images_than_any_data_set_has_are_not_priced(power):
    """The pilot's own difference may be this small; the line named a key of a study that nobody wrote."""
    found = power("study.yaml:gaussian", "study.yaml:nal", "--difference", "1e-9")
    assert found["paired_images"] > 10**9
    assert found["price"] is None


def test_people_get_sentences(capsys):
    assert main(["power", "a.tsv", "b.tsv", "--images", "500"]) == 0
    out = capsys.readouterr().out
    assert "images, paired" in out
    assert "500 images show, with 80 % power at 95 %" in out


@pytest.mark.parametrize("at", [[], ["--at", "0.5"]])
def test_where_the_search_for_a_number_of_images_ends_is_no_answer(capsys, at):
    assert main(["power", "a.tsv", "b.tsv", "--difference", "1e-300", *at]) == 0
    out = capsys.readouterr().out
    assert "  more than 1000000000000000 images, paired\n" in out
    assert "  more than 1000000000000000 images on each side, unpaired\n" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["a.tsv"], "the pilot shows no difference; give the one to detect"),
        (["a.tsv", "b.tsv", "--difference", "0"], "--difference 0: must be a number other than 0"),
        (["a.tsv", "b.tsv", "--seed-deviation=-1"], "--seed-deviation -1: must be a number above 0"),
        (["a.tsv", "--seeds", "5", "--seed-deviation", "1e300"], "above 0 and at most 1000000"),
        (["a.tsv", "b.tsv", "--difference", "1e300"], "other than 0, of at most 1000000"),
        (["a.tsv", "b.tsv", "--power", "1"], "--power 1: must be between 0 and 1"),
        (["a.tsv", "b.tsv", "--images", "1"], "--images 1: must be 2 to 1000000000000000"),
        (["a.tsv", "b.tsv", "--seeds", "2"], "--seeds 2: must be 3 to 10000"),
        (["a.tsv", "--seeds", str(10**20), "--seed-deviation", "1"], f"{10**20}: must be 3 to 10000"),
        (["a.tsv", "--difference", "0.1", "--votes", str(10**20)], f"{10**20}: must be 1 to 1000000000"),
        (["a.tsv", "b.tsv", "--seeds", "4"], "the pilot has 1 training seed, at least 3 are needed"),
        (["a.tsv", "b.tsv", "--at", "1", "--difference", "2"], "accuracies differ by at most 1"),
        (["a.tsv", "b.tsv", "study.yaml:nal"], "3 contestants; a pilot is one or two"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, line):
    assert main(["power", *arguments]) == 1
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.skipif("RS_DATA_DIR" not in os.environ, reason="needs the published logs in RS_DATA_DIR")
def test_published_logs(power):
    """About 1,580 paired images tell CAT-RS from SmoothMix, and 26,400 on each side unpaired."""
    folder = Path(os.environ["RS_DATA_DIR"]) / "published-logs"
    names = [folder / f"acr2025-cifar10-resnet110-{m}-sigma_0.5.tsv" for m in ("catrs", "smoothmix")]
    if not all(name.exists() for name in names):
        pytest.skip("no published logs in RS_DATA_DIR")
    found = power(*map(str, names))
    assert found["paired_images"] == pytest.approx(1578, abs=3)
    assert found["unpaired_images"] == pytest.approx(26_445, abs=5)


def test_a_difference_of_nothing_takes_as_many_images_as_are_counted_to():
    from rs.statistics import power

    assert power.images(0.5, 1e-300) == power.MOST_IMAGES


def test_a_pilot_under_other_conditions_says_so(power, capsys):
    over = {"name": "tiny", "override": {"noise": {"sigma": 0.5}}, "seeds": [0, 1, 2]}
    files = [Path("study.yaml"), write_study(Path("over.yaml"), over)]
    observe(Plan(Study(files)), lambda run: [0.1 * i for i in range(6)])
    sides = ["study.yaml:nal", "study.yaml+over.yaml:nal"]
    (unlike,) = power(*sides, "--difference", "0.1")["conditions"]
    assert unlike.endswith(":nal: smoothing gaussian sigma=0.25 and gaussian sigma=0.5")
    assert main(["power", *sides, "--difference", "0.1"]) == 0
    assert (
        f"\nnot under the same conditions, which are part of the difference: {unlike}\n"
        in capsys.readouterr().out
    )
    assert power("study.yaml:nal", "study.yaml:gaussian", "--difference", "0.1")["conditions"] == []
