"""`rs audit`: our own Parquet files and tables, what is not checked, programs' output, bad input.

What it finds in logs is planted in tests/soundness/test_mistakes_in_logs.py.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tampered import edited, tables_of

from rs.cli.main import main
from rs.provenance.files import read_table, write_table
from rs.statistics.attainable import largest, least_alpha, radius_of, within
from rs.study.certification_log import Log, write_log
from rs.study.log_audit import unit_of


@pytest.fixture
def audit(capsys):
    def lines(*arguments, code=0):
        assert main(["audit", *map(str, arguments)]) == code
        out = capsys.readouterr()
        assert code != 1 or out.err.splitlines()[-1].startswith("rs: ")
        return out.out if code != 1 else out.err

    return lines


@pytest.mark.slow
def test_certified_files_know_what_they_were_made_with(space, audit):
    path = space.path(space.job("certify").outputs["certified"])
    assert f"{path}: cohen: nothing found\n" in audit(path)
    (found,) = json.loads(audit(path, "--json"))["files"]
    assert found["stated"] == {"sigma": 0.25, "n": 64, "alpha": 0.001, "images": None, "acr": None}
    assert found["not_checked"] == ["how many images (--images)", "the average (--acr)"]
    table, provenance = read_table(path)
    radius = np.array(table.column("radius").to_pylist())
    at = int(radius.argmax())
    write_table(path, table.slice(0, 5), provenance)
    assert "subset-as-the-whole (5): not the 6 images that its settings name" in audit(path, code=2)
    moved = table.set_column(
        table.column_names.index("radius"), "radius", [(radius + 1e-4 * (np.arange(6) == at)).tolist()]
    )
    write_table(path, moved, provenance)
    assert re.search(rf"(impossible-radius|radius-above-cap) \(1\): .*image|idx {at}", audit(path, code=2))
    edited(path, radius=0.3, prediction=-1)
    assert "abstention-with-radius (1): abstains with a radius above 0: image 0" in audit(path, code=2)


@pytest.mark.slow
def test_tables_are_looked_at_for_what_cannot_be(space, audit):
    tables_of(space)
    folder = space.path(space.plan.tables)
    curve, average = (
        folder / f"{name}.parquet" for name in ("certified_accuracy", "average_certified_radius")
    )
    assert audit(curve, average).count("nothing found") == 2
    edited(curve, certified_accuracy=0.0, low=0.0)
    edited(average, acr=4.0, high=4.5)
    output = audit(curve, average, code=2)
    assert "certified accuracy rises with the radius" in output
    assert "acr beyond largest_radius: row 0" in output
    edited(curve, certified_accuracy=1.5)
    assert "certified_accuracy out of range" in audit(curve, code=2)
    assert "nothing to audit" in audit(folder / "training.parquet", code=1)


@pytest.mark.slow
def test_all_tables_and_files_of_a_study_can_be_named_at_once(space, audit, capsys):
    tables_of(space)
    assert main(["audit", *map(str, sorted(space.path(space.plan.tables).glob("*.parquet")))]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("nothing found") == 3
    assert "images.parquet: the table images of a study; nothing to audit" in printed.err
    assert "remove it" not in printed.err
    path = space.path(space.job("certify").outputs["certified"])
    table, provenance = read_table(path)
    again = path.with_name("another-certificate-beside-it.parquet")
    write_table(again, table, provenance)
    assert "same-log-twice" not in audit(path, again)
    write_table(again, table, {**provenance, "model": "another network"})
    assert "same-log-twice" in audit(path, again, code=2)


def test_a_table_of_logs_is_looked_at_log_by_log(tmp_path, audit):
    for name, radius in (("a", 0.5001), ("b", 0.3001)):
        i = np.arange(3)
        write_log(tmp_path / f"{name}.tsv", Log(i, i, i, i * 0 + radius, i == i, i * 0.0))
    with contextlib.chdir(tmp_path):
        assert main(["import-log", "a.tsv", "b.tsv", "--out", "both.parquet"]) == 0
        output = audit("both.parquet", "--sigma", "0.25", "--n", "100", "--alpha", "0.001", code=2)
    assert "both.parquet: a.tsv: radius-above-cap (3): " in output
    assert "both.parquet: b.tsv: impossible-radius (3): " in output


def certified(path: Path, certificate: str | list[str], radii=(0.2, 0.33, 0.4), n=100, **provenance):
    """A certified file of three images for each certificate; `provenance` is in its metadata."""
    many = [certificate] if isinstance(certificate, str) else certificate
    k = len(many)
    columns = {"certificate": np.repeat(many, 3), "image": [0, 1, 2] * k, "label": [1, 1, 1] * k}
    columns |= {"prediction": [1, 1, 1] * k, "radius": [*radii] * k, "alpha": [0.001] * 3 * k}
    write_table(path, pa.table(columns | {"n": np.broadcast_to(n, (k, 3)).ravel()}), provenance)
    return path


STATED = ("--sigma", "0.25", "--n", "100", "--alpha", "0.001")
NOISE = {"name": "gaussian", "sigma": 0.25}


@pytest.mark.parametrize(
    ("name", "noise", "reason", "kept"),
    [
        ("bilateral", NOISE, "of bilateral", {}),
        ("cohen", NOISE, "of votes that a rule stopped", {"stop": {"width": 0.1}}),
        ("cohen", NOISE | {"exact": True}, "under exact noise", {}),
        ("cohen", {"name": "uniform", "width": 1}, "under uniform noise", {}),
    ],
)
def test_what_a_file_says_it_is_no_certify_of_is_not_held_against_it(
    tmp_path, audit, name, noise, reason, kept
):
    path = certified(tmp_path / "certified.parquet", name, spec={"noise": noise}, **kept)
    assert f"not checked: radii (they are {reason}), " in (out := audit(path, *STATED))
    assert "nothing found" in out
    plain = certified(tmp_path / "plain.parquet", "cohen", spec={"noise": NOISE})
    for stated in ((), STATED):
        assert "radius-above-cap (1): " in audit(plain, *stated, code=2)
    several = certified(tmp_path / "several.parquet", "cohen", n=[100, 80, 60])
    assert "they are of votes that a rule stopped" in audit(several, *STATED)


@pytest.mark.parametrize(
    ("column", "value"),
    [("image", -1), ("n", 0), ("n", -(2**62)), ("n", 2**62), ("alpha", 1.0), ("alpha", 2.0), ("alpha", -0.1)],
)
def test_a_row_that_no_votes_give_is_a_finding(tmp_path, audit, column, value):
    path = certified(tmp_path / "certified.parquet", "cohen", radii=(0.2, 0.4, 0.33), spec={"noise": NOISE})
    edited(path, **{column: value})
    out = audit(path, code=2)
    assert "impossible-value (1): a radius, prediction, label, image, n or alpha that cannot be: image" in out
    assert "radius-above-cap (1)" in out  # the other rows are looked at


@pytest.mark.parametrize(
    ("test", "size"),
    [
        ([1], 400),
        ({"max": " "}, 400),
        ({"skip": 0}, 400),
        ({"every": 2}, 400),
        ({}, "x"),
        ({}, math.inf),
        ({}, 0),
    ],
)
def test_settings_that_name_no_images_are_one_line(tmp_path, audit, test, size):
    path = certified(tmp_path / "certified.parquet", "cohen", spec={"test": test, "data_size": size})
    assert f"{path}: cohen: test {json.dumps(test)} of " in audit(path, code=1)


@pytest.mark.parametrize("sigma", [None, "x", 0, -1, 1e-320, math.nan])
def test_radii_under_noise_without_a_level_wait_for_one(tmp_path, audit, sigma):
    path = certified(tmp_path / "certified.parquet", "cohen", spec={"noise": {**NOISE, "sigma": sigma}})
    assert "not checked: radii (give --sigma, --n, --alpha)" in audit(path)


def test_a_folder_of_images_may_have_no_labels(tmp_path, audit):
    rows = {"image": [0, 1, 2], "label": [-1] * 3, "prediction": [1, 1, 2], "radius": [0.2, 0.3, 0.4]}
    write_table(tmp_path / "images.parquet", pa.table(rows | {"file": ["a.png", "b.png", "c.png"]}), {})
    assert "nothing found" in audit(tmp_path / "images.parquet")
    write_table(tmp_path / "other.parquet", pa.table(rows), {})
    assert "impossible-value (3): " in audit(tmp_path / "other.parquet", code=2)


def test_alike_are_outcomes_of_two_files_of_one_kind(tmp_path, audit):
    """Not the certificates of one file, and not a log and its import; but two certified files."""
    both = certified(tmp_path / "both.parquet", ["cohen", "dual"])
    assert "finding" not in audit(both)
    i = np.arange(3)
    with contextlib.chdir(tmp_path):
        write_log(Path("a.tsv"), Log(i, i, i, i * 0.1, i == i, i * 0.0))
        assert main(["import-log", "a.tsv", "--out", "a.parquet"]) == 0
        assert "same-log-twice" not in audit("a.tsv", "a.parquet")
    output = audit(both, certified(tmp_path / "again.parquet", ["dual", "cohen"]), code=2)
    assert output.count("same-log-twice (3): every outcome is that of") == 2
    assert f"again.parquet: dual: same-log-twice (3): every outcome is that of {both}: dual" in output


def test_bad_input_is_one_line_and_the_others_are_told(tmp_path, audit):
    log = tmp_path / "log.tsv"
    i = np.arange(3)
    write_log(log, Log(i, i, i, i * 0.1, i == i, i * 0.0))
    assert "not checked: radii (give --sigma, --n, --alpha)" in audit(log)
    assert "not checked: radii (give --n, --alpha)" in audit(tmp_path, "--sigma", "0.5")
    for sigma in ("1e-320", "nan", "inf", "1e300"):
        refused = audit(log, "--sigma", sigma, code=1)
        assert f"audit: --sigma {float(sigma)}: must be a number from 1e-06 to 1000000" in refused
    for option, value in (("sigma", "-1"), ("n", "0"), ("alpha", "1"), ("images", "-1"), ("acr", "much")):
        assert f"audit: --{option} {value}" in audit(log, f"--{option}", value, code=1)
    assert "audit: give logs" in audit(code=1)
    (tmp_path / "other.tsv").write_text("a\tb\n")
    assert "other.tsv:1: lacks the columns idx" in audit(tmp_path / "other.tsv", code=1)
    assert "1 file could not be read; 0 findings in 0 of 1 other\n" in audit(
        log, tmp_path / "other.tsv", code=1
    )
    assert "no.parquet: cannot be read" in audit(tmp_path / "no.parquet", code=1)
    assert "lacks the marks" in audit("--mistakes", "--write", tmp_path / "log.tsv", code=1)
    (tmp_path / "doc.md").write_text("<!-- mistakes -->\n<!-- /mistakes -->\n")
    audit("--mistakes", "--write", tmp_path / "doc.md")
    assert audit("--mistakes") in (tmp_path / "doc.md").read_text()


OUTCOMES = {"image": [0, 1], "label": [3, 4], "prediction": [3, 4], "radius": [0.1, 0.2]}
CURVE = {"certified_accuracy": [0.5, 0.4], "radius": [0.0, 0.5], "low": [0.4, 0.3], "high": [0.6, 0.5]}
RIGOROUS = {"certificate": ["cohen", "cohen"], "rigorous": [True, True], "largest_radius": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("columns", "changed", "problem"),
    [
        (OUTCOMES | RIGOROUS, {"certificate": ["cohen", None]}, "row 1: certificate is empty"),
        (OUTCOMES | {"log": ["a", "b"]}, {"log": [None, None]}, "row 0: log is empty"),
        (OUTCOMES, {"image": [0, None]}, "column image holds nan; allowed whole numbers"),
        (OUTCOMES, {"label": [None, None]}, "column label holds "),
        (OUTCOMES, {"prediction": ["3", "4"]}, "column prediction holds 3; allowed whole numbers"),
        (OUTCOMES, {"radius": ["0.1", "9"]}, "column radius holds 0.1; allowed numbers"),
        (OUTCOMES, {"radius": [0.1, None]}, "row 1: radius is nan"),
        (OUTCOMES | RIGOROUS, {"largest_radius": [None, "1"]}, "column largest_radius holds 1"),
        (OUTCOMES | RIGOROUS, {"rigorous": ["no", "no"]}, "column rigorous holds no"),
        (CURVE, {"low": ["0.4", "0.3"]}, "column low holds 0.4; allowed numbers"),
        (CURVE, {"radius": [None, 0.5]}, "row 0: radius is nan"),
        ({"acr": [0.4], "low": [0.3], "high": [0.5]}, {"acr": ["0.4"]}, "column acr holds 0.4"),
    ],
)
def test_a_column_without_numbers_or_names_is_a_fault_in_one_line(tmp_path, audit, columns, changed, problem):
    path = tmp_path / "theirs.parquet"
    pq.write_table(pa.table(columns), path)
    assert "nothing found" in audit(path)
    pq.write_table(pa.table(columns | changed), path)
    (line,) = audit(path, code=1).splitlines()
    assert line.startswith(f"rs: {path}: {problem}")


@pytest.mark.parametrize("columns", [OUTCOMES, OUTCOMES | RIGOROUS, CURVE])
def test_a_table_without_rows_is_a_fault(tmp_path, audit, columns):
    path = tmp_path / "theirs.parquet"
    pq.write_table(pa.table(columns).slice(0, 0), path)
    assert audit(path, code=1) == f"rs: {path}: has no rows; nothing to audit\n"


def test_attainable_radii_are_those_of_some_number_of_votes():
    n, alpha = 1000, 0.01
    radii = radius_of(np.arange(400), n, alpha)
    assert radii[0] == largest(n, alpha)
    assert least_alpha(radii[0], n) == pytest.approx(alpha)
    assert np.all(within(radii, 0 * radii, n, alpha)[0])
    between = (radii[:-1] + radii[1:]) / 2
    assert not np.any(within(between, 0 * between, n, alpha)[0])
    gap = -np.diff(radii)
    near, above = within(between, 0.51 * gap, n, alpha)
    assert np.all(near)
    assert np.all(above)
    just_below = radii[1:] + 0.3 * gap  # a radius lies below, none above within 0.4 of the gap
    near, above = within(just_below, 0.4 * gap, n, alpha)
    assert np.all(near)
    assert not np.any(above)


def test_units_are_those_of_the_digits_that_are_written():
    assert unit_of(np.array([0.953, 1.96, 0.0, 0.0734])).tolist() == pytest.approx([1e-3, 1e-2, 1e-4, 1e-4])
    assert unit_of(np.array([0.953, 12.345])).tolist() == pytest.approx([1e-3, 1e-3])


@pytest.mark.skipif("RS_DATA_DIR" not in os.environ, reason="needs the published logs in RS_DATA_DIR")
def test_published_logs(audit):
    folder = Path(os.environ["RS_DATA_DIR"]) / "published-logs"
    log = folder / "cohen-cifar10-resnet110-noise_0.25-sigma_0.25.tsv"
    if not log.exists():
        pytest.skip("no published logs in RS_DATA_DIR")
    output = audit(log, "--sigma", "0.25", "--n", "100000", "--alpha", "0.001", "--acr", "0.429", code=2)
    assert "radius-above-cap (77): " in output
    assert "needs an alpha of at least 0.0095" in output
    assert "average-over-some" not in output
    output = audit(log, "--sigma", "0.25", "--n", "100000", "--alpha", "0.01", code=2)
    assert "radius-above-cap" not in output
    assert "impossible-radius" not in output
    assert "radius-rounded-up (82): " in output
