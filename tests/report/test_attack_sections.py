"""Tables, sections of the page and figures of attacks."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from attack_outcomes import MADE, N, attacked, certified, frame, only
from matplotlib.figure import Figure

from rs.plan.jobs import Observation
from rs.provenance.files import write_table
from rs.report import figures
from rs.report.attacks import attacks_section, checks_section
from rs.report.page import write_report
from rs.report.panels import attacked_panels
from rs.tables import empirical_accuracy, examples
from rs.tables.attack_checks import checks
from rs.tables.attacks import attacked_run
from rs.tables.noise import smoothed_with


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
    named = {"run": "r", "label": "gaussian", **smoothed_with({"name": "gaussian", "sigma": 0.25})}
    run = attacked_run(planned, observation, named)
    checked = [{**named, **row} for row in checks(run.attacks, run.certified)]
    return list(empirical_accuracy.rows_of(run)), list(examples.rows_of(run)), checked


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
    assert [row[-1].kind for row in table.rows] == [f"text verdict {verdict}" for verdict in verdicts]
    assert (table.summary, table.opened) == ("Of 6 checks 4 hold and 2 fail.", True)


def test_what_was_not_checked_is_shown_and_counted_apart(tmp_path):
    weak = attacked(frame({0.0: 190, 0.5: 150}), "weak", access="gradient-free")
    rows = [
        {"run": "r", "label": "l", **smoothed_with({"name": "none"}), **row} for row in checks([weak], None)
    ]
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    write_table(tmp_path / "attack_checks.parquet", table, {})
    (table,) = checks_section(tmp_path, {}).tables
    assert [row[-1].text for row in table.rows] == ["not checked", "holds"]
    assert [row[-1].kind for row in table.rows] == ["text verdict not", "text verdict holds"]
    assert [cell.text for cell in table.rows[0][2:]] == [
        "white-box is at least as strong as gradient-free",
        *("weak", "no white-box attack of this norm, judge and images at radius 0.5", "–", "0"),
        *("–", "–", "–", "not checked"),
    ]
    assert (table.summary, table.opened) == ("The one check holds. 1 could not be made.", False)
    page = tmp_path / "report.html"
    write_report("folded", tmp_path, [], page, {})
    section = page.read_text().partition('<section id="checks">')[2].partition("</section>")[0]
    assert "<details><summary>The one check holds. 1 could not be made.</summary>" in section
    assert section.count("</table>") == 1 == section.count("</details>")
    assert table.note.endswith("could not be made where the attack to compare with is missing.")


@pytest.mark.parametrize("label", ["C", None])
def test_a_randomised_certificate_is_met_by_its_name_in_the_study(
    tiny, plan_of, tmp_path, monkeypatch, label
):
    monkeypatch.chdir(tmp_path)
    fields = {"label": label} if label else {}
    tiny["certificates"] = [{"name": "cohen", "randomised": True, **fields}]
    tiny["attacks"] = [{**tiny["attacks"][0], "certificate": label or "cohen"}]
    planned = plan_of(tiny).runs[0]
    pixels = dict.fromkeys(("clean", "noisy", "attacked"))
    rows = pa.Table.from_pandas(frame({0.0: 200, 0.5: 150}).assign(**pixels), preserve_index=False)
    write_table(tmp_path / "pgd.parquet", rows, {**MADE, "shape": [1, 1, 1]})
    stored = "C (randomised)" if label else "cohen randomised=True"  # as rs.stages.certified_rows writes it
    claims = pa.Table.from_pandas(certified(0.7, certificate=stored), preserve_index=False)
    write_table(tmp_path / "certified.parquet", claims, {})
    observation = Observation(
        {"name": "gaussian"}, tmp_path / "certified.parquet", [tmp_path / "pgd.parquet"]
    )
    run = attacked_run(planned, observation, {})
    assert only(checks(run.attacks, run.certified), "certificate")["against"] == stored


def figure_of(empirical: pd.DataFrame) -> list[Figure]:
    return figures._accuracy(attacked_panels(empirical, pd.DataFrame()), "accuracy", "accuracy under attack")


def test_white_box_is_solid_and_transfer_dashed_in_one_panel(stored):
    empirical = pd.DataFrame(stored[0])
    (drawn,) = figure_of(empirical)
    (axes,) = drawn.axes
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    assert {t.get_text() for t in drawn.legends[0].get_texts()} == {"gaussian", "white-box", "transfer"}


def test_transfers_from_two_sources_are_two_lines_without_a_band_over_seeds():
    rows = [
        {"run": "r", "label": "stn", "smoothing": "none", "attack": attack, "access": access, "panel": "pgd"}
        | {"norm": 2.0, "radius": r, "accuracy": a, "low": a, "high": a}
        for attack, access, end in (("pgd", "white-box", 0.1), ("a", "transfer", 0.8), ("b", "transfer", 0.2))
        for r, a in ((0.0, 0.9), (0.5, end))
    ]
    (drawn,) = figure_of(pd.DataFrame(rows))
    (axes,) = drawn.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.9, 0.1], [0.9, 0.8], [0.9, 0.2]]
    assert len({str(line._dash_pattern) for line in axes.lines}) == 3
    names = [t.get_text() for t in drawn.legends[0].get_texts()]
    assert names == ["stn", "white-box", "a", "b"]


def test_one_label_under_several_noises_has_a_line_for_each():
    rows = [
        {"label": label, "smoothing": noise, "attack": "pgd_l2", "norm": 2.0, "radius": r, "accuracy": 1 - r}
        | {"low": 0.0, "high": 1.0}
        for label, noise in (("nal", "none"), ("nal", "gaussian σ = 0.1"), ("wrm", "none"))
        for r in (0.0, 0.5)
    ]
    (drawn,) = figure_of(pd.DataFrame(rows))
    assert len(drawn.axes) == 1
    names = {t.get_text() for t in drawn.legends[0].get_texts()}
    assert names == {"nal, none", "nal, gaussian σ = 0.1", "wrm"}
    assert len({(line.get_color(), line.get_marker()) for line in drawn.axes[0].lines}) == 3
