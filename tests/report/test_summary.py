"""What a page says first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import study_tables

from rs.errors import plural
from rs.report.attacks import attacks_section
from rs.report.summary import best, summary
from rs.report.verdict_words import counted, verdict_words
from rs.tables.noise import smoothed_with


def pair(a: str, b: str, radius: float, difference: float, verdict: str) -> dict[str, Any]:
    row = {"a": a, "b": b, "about": "networks", "metric": "certified_accuracy", "certificate": "cohen"}
    row |= smoothed_with({"name": "gaussian", "sigma": 0.25})
    row |= {"radius": radius, "difference": difference, "verdict": verdict}
    return row | {"low": difference - 0.02, "high": difference + 0.02}


def tables(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return study_tables.write(folder, {"comparisons": pd.DataFrame(rows)})


PAIRS = [
    *(pair("one", "two", r, -0.05, "worse") for r in (0.5, 0.75)),
    *(pair("one", "three", r, 0.01, "undecided") for r in (0.5, 0.75)),
    pair("two", "three", 0.5, 0.06, "better"),
    pair("two", "three", 0.75, 0.09, "better"),
    pair("one", "two", 1.0, 0.05, "better"),
    pair("one", "three", 1.0, 0.01, "undecided"),
    pair("two", "three", 1.0, -0.04, "worse"),
]


def test_a_run_is_best_only_where_it_beats_every_other(tmp_path: Path) -> None:
    found = best(tables(tmp_path, PAIRS))
    assert [(b.label, b.radius, b.other) for b in found] == [("two", 0.5, "one"), ("two", 0.75, "one")]
    assert [(round(b.low, 3), round(b.high, 3)) for b in found] == [(0.03, 0.07)] * 2  # turned round


def test_neighbouring_radii_are_one_sentence(tmp_path: Path) -> None:
    (sentence,) = summary(tables(tmp_path, PAIRS))
    assert sentence == (
        "two certifies most at r = 0.5 to 0.75 (+0.050 [+0.030, +0.070] over one at 0.5); "
        "at r = 1 no run leads all others beyond the images' noise."
    )


def test_the_largest_average_is_said_first(tmp_path: Path) -> None:
    only = [pair("one", "two", float("nan"), 0.05, "better") | {"metric": "acr"}]
    (sentence,) = summary(tables(tmp_path, only))
    assert (
        sentence
        == "one has the largest average certified radius (+0.050 [+0.030, +0.070] over two, the next)."
    )
    (sentence,) = summary(tables(tmp_path, [*only, pair("one", "two", 0.5, 0.03, "undecided")]))
    assert sentence.endswith(
        "over two, the next); neither run certifies more than the other at any radius beyond the images' "
        "noise, all comparisons counted."
    )


def test_without_a_real_difference_no_run_is_named(tmp_path: Path) -> None:
    (sentence,) = summary(tables(tmp_path, [pair("one", "two", 0.5, 0.03, "undecided")]))
    assert sentence.startswith(
        "Neither run certifies more than the other at any radius beyond the images' noise"
    )
    (sentence,) = summary(tables(tmp_path, [p | {"verdict": "undecided"} for p in PAIRS]))
    assert sentence.startswith("None of 3 runs certifies more than all others at any radius")


def attacked(*fields: Any, attack: str = "pgd_l2", noise: dict[str, Any] | None = None) -> dict[str, Any]:
    row = pair(*fields) | {"metric": "empirical_accuracy", "certificate": None, "attack": attack}
    return row | (smoothed_with(noise) if noise else {})


def of_attacks(folder: Path, rows: list[dict[str, Any]], labels: dict[str, list[str]]) -> Path:
    """Tables of a study with nothing but attacks: `labels` are the runs that were attacked, by attack."""
    noise, radii = smoothed_with({"name": "gaussian", "sigma": 0.25}), sorted({row["radius"] for row in rows})
    base = {"norm": 2.0, "accuracy": 0.5, "low": 0.4, "high": 0.6, **noise}
    every = [(label, attack, r) for attack, of in labels.items() for label in of for r in radii]
    found = [base | {"run": run, "label": run, "attack": attack, "radius": r} for run, attack, r in every]
    how = {
        "judge": "1000",
        "images": 100,
        "access": "white-box",
        "samples": 1,
        "shares": "none",
        "excess": None,
    }
    found = [row | how for row in found]
    return study_tables.write(
        folder, {"comparisons": pd.DataFrame(rows), "empirical_accuracy": pd.DataFrame(found)}
    )


UNDER_ATTACK = [
    attacked("nal", "gaussian", 0.5, 0.02, "undecided"),
    attacked("nal", "gaussian", 1.0, 0.10, "better"),
    attacked("nal", "gaussian", 1.5, 0.20, "better"),
    attacked("nal", "gaussian", 2.0, 0.01, "undecided"),
]
NAL_LEADS = (
    "Under attack (pgd_l2, gaussian σ = 0.25): nal is most accurate at r = 1 to 1.5 (+0.200 [+0.180, +0.220] "
    "over gaussian at 1.5); at the other 2 radii no run leads all others beyond the images' noise."
)


def test_a_study_of_attacks_alone_says_which_run_is_best_at_which_radius(tmp_path: Path) -> None:
    of = of_attacks(tmp_path, UNDER_ATTACK, {"pgd_l2": ["nal", "gaussian"]})
    assert summary(of) == [NAL_LEADS]
    (table,) = (section := attacks_section(of, {})).tables
    bold = [(row[0].text, i) for row in table.rows for i, cell in enumerate(row) if "best" in cell.kind]
    assert bold == [("nal", 2), ("nal", 3)]  # of label, r = 0.5, 1, 1.5, 2
    assert "Bold: more accurate than every other run under the same noise and attack" in section.lead


def test_each_attack_has_its_sentence(tmp_path: Path) -> None:
    weak = [attacked("nal", "gaussian", r, 0.01, "undecided", attack="weak") for r in (0.5, 1.0)]
    runs = ["nal", "gaussian"]
    sentences = summary(of_attacks(tmp_path, [*UNDER_ATTACK, *weak], {"pgd_l2": runs, "weak": runs}))
    assert sentences[0] == NAL_LEADS
    assert sentences[1].startswith(
        "Under attack (weak, gaussian σ = 0.25): neither run is more accurate than"
    )
    bare = [attacked("nal", "gaussian", 0.5, 0.1, "better", noise={"name": "none"})]
    (sentence,) = summary(tables(tmp_path / "bare", bare))
    assert sentence.startswith("Under attack (pgd_l2, no smoothing noise): nal is most accurate at r = 0.5 (")


def test_a_run_whose_attack_was_not_compared_is_not_beaten(tmp_path: Path) -> None:
    of = of_attacks(tmp_path, UNDER_ATTACK, {"pgd_l2": ["nal", "gaussian", "trades"]})
    assert best(of, "empirical_accuracy") == []


def test_attacks_have_a_sentence_beside_certificates(tmp_path: Path) -> None:
    sentences = summary(tables(tmp_path, [*PAIRS, *UNDER_ATTACK]))
    assert sentences[0].startswith("two certifies most at r = 0.5 to 0.75")
    assert sentences[1:] == [NAL_LEADS]


def test_published_numbers_and_claims_are_counted(tmp_path: Path) -> None:
    statuses = ["agrees", "differs", "differs", "not run"]
    published = pd.DataFrame({"status": statuses, "direction": [None, "above", "below", None]})
    claims = pd.DataFrame({"id": ["a", "a", "b"], "verdict": ["holds", "holds", "undecided"]})
    sentences = summary(study_tables.write(tmp_path, {"published": published, "claims": claims}))
    assert sentences[0] == "Of 4 published numbers 1 agrees, 2 differ (1 above, 1 below) and 1 is not run."
    assert sentences[1] == "Of 2 claims 1 holds and 1 is undecided."


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"holds": 3, "fails": 0, "undecided": 1}, "Of 4 claims 3 hold and 1 is undecided."),
        ({"holds": 1, "fails": 2, "not run": 2}, "Of 5 claims 1 holds, 2 fail and 2 are not run."),
        ({"holds": 4, "fails": 0}, "All 4 claims hold."),
        ({"holds": 2}, "Both claims hold."),
        ({"holds": 1}, "The one claim holds."),
        ({"undecided": 1}, "The one claim is undecided."),
        ({"other settings": 3}, "All 3 claims have other settings."),
        ({"not run": 1100}, "None of 1,100 claims is run."),
        ({"not run": 2}, "Neither claim is run."),
        ({"not run": 1}, "The one claim is not run."),
        (
            {"other settings": 1, "not run": 1100},
            "Of 1,101 claims 1 has other settings and 1,100 are not run.",
        ),
    ],
)
def test_verdicts_are_counted_in_a_sentence(counts: dict[str, int], sentence: str) -> None:
    assert counted(counts, "claims") == sentence


def test_what_is_said_of_all_keeps_its_aside() -> None:
    asides = {"differs": "2 above, 1 below", "agrees": ""}
    assert counted({"differs": 3}, "numbers", asides=asides) == "All 3 numbers differ (2 above, 1 below)."
    assert counted(["agrees"] * 3, "numbers", asides=asides) == "All 3 numbers agree."


@pytest.mark.parametrize(
    ("what", "count", "words"),
    [
        ("the paper's images", 1, "the paper's own 1 image may decide it"),
        ("the paper's images", 2500, "the paper's own 2,500 images may decide it"),
        ("images", 1, "1 image may decide it"),
        ("seeds", 1, "1 training seed at least"),
        ("seeds", 4, "4 training seeds at least"),
    ],
)
def test_what_would_decide_is_told_in_the_right_number(what: str, count: int, words: str) -> None:
    row: dict[str, Any] = {"status": "undecided", "difference": 0.1, "difference_low": 0.0, "seeds": 1.0}
    row |= {"difference_high": 0.2, "decides": what, "decides_count": float(count), "counted": "images"}
    assert f"; {words} (1 seed: the spread" in verdict_words(row)
    known = verdict_words(row | {"counted": "images and seeds"})
    assert known.endswith(f"; {words}".replace("at least", "may decide it"))


def test_counts_of_one_and_of_several() -> None:
    assert [plural(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [plural(n, "class", "classes", ",") for n in (1, 1000)] == ["1 class", "1,000 classes"]


def test_a_study_that_asks_nothing_is_told_nothing(tmp_path: Path) -> None:
    assert summary(tmp_path) == []


def test_a_run_that_was_not_compared_is_not_beaten(tmp_path: Path) -> None:
    noise = smoothed_with({"name": "gaussian", "sigma": 0.25})
    labels = [{"label": label, "certificate": "cohen", **noise} for label in ("one", "two", "three")]
    pairs = {"comparisons": pd.DataFrame([pair("one", "two", 0.5, 0.1, "better")])}
    folder = study_tables.write(tmp_path, {**pairs, "average_certified_radius": pd.DataFrame(labels)})
    assert best(folder) == []


def test_the_noise_is_said_where_the_study_has_another_that_nothing_is_compared_under(tmp_path: Path) -> None:
    rows = [{"label": x, **smoothed_with({"name": "gaussian", "sigma": 0.25})} for x in ("one", "two")]
    rows.append({"label": "alone", **smoothed_with({"name": "laplace", "scale": 0.1})})
    averages = pd.DataFrame([row | {"certificate": "cohen"} for row in rows])
    compared = pd.DataFrame([pair("one", "two", 0.5, 0.03, "undecided")])
    sentences = summary(
        study_tables.write(tmp_path, {"comparisons": compared, "average_certified_radius": averages})
    )
    assert [one.partition(":")[0] for one in sentences] == ["Under gaussian σ = 0.25, cohen"]
