"""The checks of attacks: each holds where it should and fails where the outcomes say so, beyond chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from rs import figures
from rs.attack_sections import attacks_section, checks_section
from rs.attack_tables import attack_rows
from rs.jobs import Observation
from rs.provenance import write_table
from rs.sanity import COLUMNS, LEVEL, Attacked, checks

N = 200
MADE = {"norm": 2.0, "access": "white-box", "judge": 1000, "classes": 10, "samples": 16, "shares": "none"}


def frame(correct: dict[float, int], variant: str = "", images: int = N, first: int = 0) -> pd.DataFrame:
    """`correct[radius]` of the images (from `first` on, cyclically) keep their label 1."""
    rows = []
    for radius, number in correct.items():
        right = {(first + i) % images for i in range(number)}
        for image in range(images):
            success = image not in right
            votes = [0, 300, 700] if success else [0, 900, 100]
            rows.append(
                {"image": image, "label": 1, "radius": radius, "prediction": 2 if success else 1}
                | {"distortion": radius, "success": success, "steps": 20, "votes": votes, "variant": variant}
            )
    return pd.DataFrame(rows)


def attacked(rows: pd.DataFrame, name: str = "pgd_l2", certificate: str | None = None, **made) -> Attacked:
    return Attacked(name, rows, {**MADE, **made}, certificate)


def only(rows, check):
    (row,) = [r for r in rows if r["check"] == check]
    return row


def test_accuracy_may_not_rise_with_the_radius_beyond_chance():
    falls = only(checks([attacked(frame({0.0: 190, 0.5: 120, 1.0: 40}))], None), "radius")
    assert falls["verdict"] == "holds"
    noise = only(checks([attacked(frame({0.0: 190, 0.5: 120, 1.0: 123}))], None), "radius")
    assert (noise["verdict"], noise["measured"], noise["reference"]) == ("holds", 123 / N, 120 / N)
    rises = only(checks([attacked(frame({0.0: 190, 0.5: 120, 1.0: 140}))], None), "radius")
    assert (rises["verdict"], rises["radius"], rises["against"]) == ("fails", 1.0, "radius 0.5")
    # 20 images helped, none harmed, two pairs of radii looked at
    assert rises["p"] == pytest.approx(2 * stats.binomtest(20, 20, 0.5, "greater").pvalue)
    assert {*rises} == set(COLUMNS)


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
    linf = attacked(frame({0.0: 190, 1.0: 20}), "other", access=access, norm=float("inf"))
    assert [r for r in checks([masked, linf], None) if r["check"].startswith("weaker")] == []


def certified(radius: float, prediction: int = 1, certificate: str = "cohen", norm: float = 2.0):
    rows = {"certificate": certificate, "norm": norm, "alpha": 0.001, "image": np.arange(N)}
    return pd.DataFrame({**rows, "prediction": prediction, "radius": radius})


def test_certified_predictions_stay_within_their_radius():
    rows = frame({0.0: 200, 0.5: 195, 1.0: 100})
    row = only(checks([attacked(rows)], certified(0.4)), "radius")
    assert [r for r in checks([attacked(rows)], certified(0.4)) if r["check"] == "certificate"] == []
    row = only(checks([attacked(rows)], certified(0.7)), "certificate")
    assert (row["images"], row["measured"], row["changed"], row["verdict"]) == (N, 5, 5, "fails")
    assert row["reference"] == stats.binom.isf(LEVEL, N, 0.001 + LEVEL)
    # a point on the sphere of the certified radius is not inside it
    assert [r for r in checks([attacked(rows)], certified(0.5)) if r["check"] == "certificate"] == []


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


# --- tables, page and figure ---


@pytest.fixture
def stored(tiny, plan_of, tmp_path, monkeypatch):
    """Rows of the tables for one run with a white-box, a transferred and a soft-certified view."""
    monkeypatch.chdir(tmp_path)
    tiny["sampling"]["betas"] = [1.0]
    tiny["certificates"] += [{"name": "soft_hoeffding", "beta": 1}]
    transfer = {"name": "transfer", "source_run": "nal", "attack": "pgd", "radii": [0.5], "label": "from nal"}
    tiny["attacks"] = [{**tiny["attacks"][0], "label": "pgd", "certificate": "cohen"}, transfer]
    planned = plan_of(tiny).runs[0]
    paths = [tmp_path / "white.parquet", tmp_path / "transfer.parquet"]
    pixels = {"clean": None, "noisy": None, "attacked": None}
    white = pd.concat([frame({0.0: 190, 0.5: 60}), frame({0.5: 50}, "more steps")])
    for path, rows, access in zip(
        paths, (white, frame({0.0: 190, 0.5: 150})), ("white-box", "transfer"), strict=True
    ):
        table = pa.Table.from_pandas(rows.assign(**pixels), preserve_index=False)
        write_table(path, table, {**MADE, "access": access, "shape": [1, 1, 1]})
    claims = pd.concat([certified(0.7), certified(0.7, certificate="soft_hoeffding beta=1")])
    write_table(tmp_path / "certified.parquet", pa.Table.from_pandas(claims, preserve_index=False), {})
    observation = Observation({"name": "gaussian"}, tmp_path / "certified.parquet", paths)
    head = {"run": "r", "label": "gaussian", "smoothing": "gaussian sigma=0.25", "smoothing_sigma": 0.25}
    return attack_rows(planned, observation, head)


def test_tables_tell_access_samples_steps_and_what_radii_share(stored):
    accuracies, examples, found = stored
    assert [(r["attack"], r["radius"], r["accuracy"], r["access"], r["panel"]) for r in accuracies] == [
        ("pgd", 0.0, 0.95, "white-box", "pgd"),
        ("pgd", 0.5, 0.3, "white-box", "pgd"),
        ("from nal", 0.0, 0.95, "transfer", "pgd"),
        ("from nal", 0.5, 0.75, "transfer", "pgd"),
    ]
    assert all(
        (r["samples"], r["shares"], r["steps"], r["images"]) == (16, "none", 20, N) for r in accuracies
    )
    assert examples == []
    assert [(r["check"], r["attack"], r["against"]) for r in found] == [
        ("radius", "pgd", "radius 0"),
        ("more steps", "pgd", "itself with half"),
        ("certificate", "pgd", "cohen"),  # soft certificates speak of another classifier than the judge's
        ("radius", "from nal", "radius 0"),
        ("weaker access: transfer", "from nal", "pgd"),
        ("certificate", "from nal", "cohen"),
    ]


def test_the_page_shows_what_was_assumed_and_what_fails_first(stored, tmp_path):
    accuracies, _, found = stored
    for name, rows in (("empirical_accuracy", accuracies), ("attack_checks", found)):
        table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
        write_table(tmp_path / f"{name}.parquet", table, {})
    (table,) = attacks_section(tmp_path, {}).tables
    assert "200 test images" in table.note
    assert "16 noise samples per step (EOT)" in table.note
    assert "every radius attacked anew" in table.note
    assert "judged by the majority of 1,000 fresh votes" in table.note
    assert ("access", "text") in table.columns
    (table,) = checks_section(tmp_path, {}).tables
    verdicts = [row[-1].text for row in table.rows]
    assert verdicts == sorted(verdicts)  # fails before holds
    assert verdicts.count("fails") == 2  # both attacks change certified predictions here
    assert table.note.startswith("6 checks, 2 failed")


def test_white_box_is_solid_and_transfer_dashed_in_one_panel(stored):
    empirical = pd.DataFrame(stored[0])
    styles = figures._styles(pd.DataFrame(), ["gaussian"])
    drawn = figures._empirical(empirical, styles)
    (axes,) = drawn.axes
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    assert {t.get_text() for t in drawn.legends[0].get_texts()} == {"gaussian", "white-box", "transfer"}


def test_one_label_under_several_noises_has_a_line_for_each():
    rows = [
        {"label": label, "smoothing": noise, "attack": "pgd_l2", "norm": 2.0, "radius": r, "accuracy": 1 - r}
        | {"low": 0.0, "high": 1.0}
        for label, noise in (("nal", "none"), ("nal", "gaussian sigma=0.1"), ("wrm", "none"))
        for r in (0.0, 0.5)
    ]
    styles = figures._styles(pd.DataFrame(), ["nal", "wrm"])
    drawn = figures._empirical(pd.DataFrame(rows), styles)
    assert len(drawn.axes) == 1
    names = {t.get_text() for t in drawn.legends[0].get_texts()}
    assert names == {"nal, none", "nal, gaussian σ = 0.1", "wrm"}
    assert len({(line.get_color(), line.get_marker()) for line in drawn.axes[0].lines}) == 3
