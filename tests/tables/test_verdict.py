"""Every status of a published number, each both ways it could come out."""

from __future__ import annotations

from typing import Any

import pytest

from rs.report.verdict_words import verdict_words
from rs.statistics.intervals import wilson_interval
from rs.tables.published import beside

PAPER = {"test": {"max": 6}, "sampling": {"n": 64}, "certificate": {"alpha": 0.001}}


def entry(printed: Any, **more: Any) -> dict[str, Any]:
    return {
        "paper": "P",
        "table": "T",
        "run": "gaussian",
        "radii": [0.25],
        "certified_accuracy": [printed],
    } | more


def rows(*shares: float, images: int = 500, label: str = "gaussian", **more: Any) -> dict[str, Any]:
    """Certified accuracies at 0.25, one per seed."""
    out = []
    for share in shares:
        low, high = (float(v) for v in wilson_interval(share * images, images))
        row = {"label": label, "certificate": "cohen", "smoothing": "gaussian", "radius": 0.25}
        row |= {"certified_accuracy": share, "low": low, "high": high, "images": images}
        out.append(row | more)
    return {"certified_accuracy": out}


@pytest.fixture
def row_of(plan_of, tiny):
    """The one row of a study with this paper's settings, entry and measured rows."""

    def tell(one: dict[str, Any], measured: dict[str, Any], paper: Any = None, **study: Any) -> Any:
        papers = {"P": PAPER if paper is None else paper}
        return beside(plan_of({**tiny, "papers": papers, "published": [one], **study}).study, measured)[0]

    return tell


def thrice(share: float, images: int = 10000, **more: Any) -> dict[str, Any]:
    """Three seeds that agree up to one image."""
    return rows(share, share, share, images=images, **more)


def test_agrees_where_the_interval_lies_within_the_margin(row_of) -> None:
    row = row_of(entry(0.99), thrice(0.99), {"images": 10000})
    assert (row["status"], row["counted"], row["paper_images"]) == ("agrees", "images and seeds", 10000)
    row = row_of(entry(0.99), thrice(0.99), {"images": 10000}, agreement={"accuracy": 0.001})
    assert row["status"] == "consistent"


def test_margins_of_averages_are_shares(row_of) -> None:
    acr = {"label": "gaussian", "certificate": "cohen", "images": 500, "largest_radius": 2.0}
    acr |= {"acr": 1.51, "low": 1.49, "high": 1.53}
    measured = {"average_certified_radius": [acr | {"acr": value} for value in (1.509, 1.51, 1.511)]}
    one = {"paper": "P", "table": "T", "run": "gaussian", "acr": "1.500"}
    row = row_of(one, measured, {"images": 500})
    assert (row["status"], row["margin"], row["printed"]) == ("agrees", pytest.approx(0.075), "1.500")
    assert row_of(one, measured, {"images": 500}, agreement={"acr": 0.005})["status"] == "consistent"


def test_consistent_only_where_the_papers_own_noise_exceeds_the_margin(row_of) -> None:
    assert row_of(entry("0.5000"), thrice(0.51), {"images": 500})["status"] == "consistent"
    row = row_of(entry("0.5000"), thrice(0.502, 500), {"images": 10000})
    assert (row["status"], row["decides"]) == ("undecided", "images")
    assert 500 < row["decides_count"] < 100000


def test_a_small_study_is_not_consistent_for_its_size(row_of) -> None:
    """Where the paper's own noise alone would not reach the number, more of ours could tell them apart."""
    few, many = (row_of(entry("0.900"), thrice(0.8, n), {"images": 500}) for n in (40, 10000))
    assert (few["status"], few["decides"], many["status"]) == ("undecided", "images", "differs")
    assert 40 < few["decides_count"] < 10000
    spread = row_of(entry("0.690"), rows(0.59, 0.60, 0.64, images=10000), {"images": 10000})
    assert spread["difference_high"] > 0
    assert (spread["status"], spread["decides"]) == ("undecided", "seeds")
    both = row_of(entry("0.690"), rows(0.59, 0.60, 0.64, images=120), {"images": 10000})
    assert (both["status"], both["decides"], both["decides_count"]) == ("undecided", "images and seeds", None)
    assert verdict_words(both).endswith("; more images and training seeds together may decide it")


def test_images_that_the_paper_does_not_count_are_not_its_noise(row_of) -> None:
    """They are taken to be as many as ours: a study of few images would excuse itself by its own size."""
    row = row_of(entry("0.900"), thrice(0.9, 400), {})
    assert (row["status"], row["decides"], row["paper_images"]) == ("undecided", "images", None)
    assert row_of(entry("0.900"), thrice(0.9, row["decides_count"]), {})["status"] == "agrees"


@pytest.mark.parametrize(
    ("share", "direction", "beyond"),
    [(0.6, "above", True), (0.4, "below", True), (0.53, "above", False), (0.47, "below", False)],
)
def test_differs_with_its_direction_and_size(row_of, share: float, direction: str, beyond: bool) -> None:
    row = row_of(entry("0.5000"), thrice(share), {"images": 10000})
    found = (row["status"], row["direction"], row["beyond_margin"])
    assert found == ("differs", direction, beyond)


@pytest.mark.parametrize("share", [0.4, 0.5, 0.6])
def test_fewer_than_three_seeds_neither_agree_nor_differ_on_any_images(row_of, share: float) -> None:
    paper = {"images": 10000}
    assert row_of(entry("0.5000"), thrice(share), paper)["status"] == (
        "agrees" if share == 0.5 else "differs"
    )
    row = row_of(entry("0.5000"), rows(share, share, images=10000), paper)
    assert (row["status"], row["decides"], row["decides_count"]) == ("undecided", "seeds", 3)
    assert (row["counted"], row["direction"], row["beyond_margin"]) == ("images", None, None)
    assert row["difference_low"] < share - 0.5 < row["difference_high"]
    assert "; 3 training seeds at least (2 seeds: the spread over seeds is not" in verdict_words(row)
    assert (
        row_of(entry("0.5000"), rows(0.51), {"images": 500})["status"] == "consistent"
    )  # any spread adds to it


def test_on_the_papers_own_images_seeds_decide(row_of) -> None:
    row = row_of(entry(0.9), rows(0.95))
    assert row["shared_images"]
    found = (row["status"], row["decides"], row["decides_count"], row["difference_low"])
    assert found == ("undecided", "seeds", 3, None)
    assert row_of(entry("0.90"), rows(0.95, 0.951, 0.949))["status"] == "differs"
    row = row_of(entry("0.900"), rows(0.905, 0.906, 0.904))
    assert (row["status"], row["counted"], row["seeds"]) == ("agrees", "seeds", 3)
    assert row_of(entry("0.900"), rows(0.85, 0.906, 0.95))["status"] == "consistent"  # any network varies so
    row = row_of(entry("0.900"), rows(0.95), PAPER | {"test": {"first": 3, "max": 6}})
    assert (row["status"], row["shared_images"], row["paper_images"]) == ("undecided", False, 6)
    row = row_of(entry("0.900"), rows(0.899, 0.9, 0.901), PAPER | {"test": {"first": 3, "max": 6}})
    assert (row["status"], row["decides"], row["decides_count"]) == ("undecided", "the paper's images", 6)


def test_more_of_the_papers_own_images_or_seeds_may_be_what_decides(row_of) -> None:
    row = row_of(entry("0.910"), rows(0.90, 0.905, 0.91))
    assert (row["status"], row["decides"]) == ("undecided", "seeds")
    assert row["decides_count"] > 3


def test_zero_by_construction_needs_both_sides(row_of) -> None:
    report = {"report": {"radii": [0.25, 0.5]}}
    none = entry(0, radii=[0.5])
    far = rows(0.0)
    far["certified_accuracy"][0]["radius"] = 0.5
    assert row_of(none, {}, **report)["status"] == "zero by construction"  # known without a run
    assert row_of(none, far, **report)["status"] == "zero by construction"
    many = PAPER | {"sampling": {"n": 100_000}}  # which certify 0.95
    assert row_of(none, {}, many, **report)["status"] == "not run"
    assert row_of(entry(0), rows(0.0), **report)["status"] != "zero by construction"  # 64 votes certify 0.317
    assert row_of(entry(0.01, radii=[0.5]), {}, **report)["status"] == "not run"  # what is printed is no zero
    assert row_of(none, {}, {"images": 500}, **report)["status"] == "not run"  # its votes are not known


def test_other_settings_are_named_and_get_no_verdict(row_of) -> None:
    paper = {"training": {"epochs": 440, "batch_size": 128}, "objective": {"name": "gaussian"}}
    row = row_of(entry(0.9), rows(0.9), paper)
    assert (row["status"], row["settings"]) == ("other settings", "training.epochs 1, not 440")
    assert (row["reproduced"], row["difference"], row["difference_low"]) == (0.9, 0.0, None)
    assert row_of(entry(0.9, settings={"training": {"epochs": 1}}), rows(0.9), paper)["settings"] is None
    row = row_of(entry(0.9), rows(0.9), {"model": {"name": "lenet"}})
    assert row["settings"] == "model digits_cnn, not lenet"
    row = row_of(entry(0.9), rows(0.9), {"data": {"name": "digits"}}, train={"max": 400})
    assert row["settings"] == "train max 400, not all"
    assert row_of(entry(0.9), rows(0.9), {}, train={"max": 400})["settings"] is None  # nothing is stated
    row = row_of(entry(0.9), rows(0.9), {"train": {"max": 400}}, train={"max": 400})
    assert row["settings"] is None
    row = row_of(entry(0.9), rows(0.9), {"sampling": {"n": 100_000}, "certificate": {"alpha": 0.01}})
    assert row["settings"] == "sampling.n 64, not 100000; certificate.alpha 0.001, not 0.01"
    override = {"override": {"training": {"epochs": 2}}}
    assert row_of(entry(0.9), rows(0.9), {"training": {"epochs": 1}}, **override)["settings"] is not None


def test_bounded_unless_the_bound_itself_is_above(row_of) -> None:
    bound = rows(0.9, lower_bound=True)
    row = row_of(entry(0.99), bound, {"images": 500})
    assert (row["status"], row["decides"]) == ("bounded", "votes")
    row = row_of(entry(0.5), thrice(0.9, 500, lower_bound=True), {"images": 500})
    assert (row["status"], row["direction"], row["difference_high"]) == ("differs", "above", float("inf"))


def test_the_digits_of_a_list_are_those_of_its_longest_number(row_of) -> None:
    one = entry(0.3, radii=[0.0, 0.25], certified_accuracy=[0.9, 0.3])
    lists = ([0.3, 0.9125], [0.3, 0.9], ["0.3000", 0.9])
    found = [one | {"radii": [0.25, 0.0], "certified_accuracy": each} for each in lists]
    narrow, wide, texts = (row_of(each, rows(0.3), {"images": 500}) for each in found)
    width = [r["difference_high"] - r["difference_low"] for r in (narrow, wide, texts)]
    assert width[0] == pytest.approx(width[2])
    assert width[1] - width[0] == pytest.approx(2 * (0.05 - 0.00005))


def test_one_network_for_a_row_or_one_for_each_column(plan_of, tiny) -> None:
    numbers = {"run": ["gaussian", "nal"], "radii": [0.0, 0.25], "certified_accuracy": [0.9, 0.5]}
    measured = rows(0.6)["certified_accuracy"] + rows(0.5, label="nal")["certified_accuracy"]
    for row, clean in ((0, 0.7), (1, 0.9)):
        measured.append(measured[row] | {"radius": 0.0, "certified_accuracy": clean})
    found = {}
    for row in (None, "the best"):
        one = {"paper": "P", "table": "T", "row": row, **numbers}
        study = plan_of({**tiny, "published": [one]}).study
        found[row] = [r["reproduced"] for r in beside(study, {"certified_accuracy": measured})]
    assert found == {None: [0.9, 0.6], "the best": [0.9, 0.5]}


def test_how_many_seeds_would_tell_is_known_only_from_their_spread(row_of) -> None:
    row = row_of(entry(0.9), rows(0.93, images=6))
    assert (row["decides"], row["decides_count"], row["difference_low"]) == ("seeds", 3, None)
    assert verdict_words(row) == "undecided: +0.030; 3 training seeds at least"
    row = row_of(entry("0.910"), rows(0.90, 0.905, 0.91))
    assert verdict_words(row).endswith(f"; {row['decides_count']} training seeds may decide it")
