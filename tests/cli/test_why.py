"""`rs why`: the files behind a row are those of today's study, and only those that the row comes from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from observed_runs import observe
from tiny_study import write_study

from rs.cli.why import behind, chain
from rs.plan.plan import Plan
from rs.study.study import Study
from rs.tables.aggregate import aggregate


@pytest.fixture
def plan(tmp_path, monkeypatch, tiny):
    """A study with tables, two noises, and files that an earlier version of it left in its runs' folders."""
    monkeypatch.chdir(tmp_path)
    tiny["runs"].pop("nal")
    tiny["smoothing"] = [{"name": "gaussian", "sigma": sigma} for sigma in (0.25, 0.5)]
    tiny["report"]["radii"] = [0.0]
    tiny["attacks"] = [{**tiny["attacks"][0], "label": label} for label in ("one", "another")]
    at = {sigma: {"run": "gaussian", "smoothing": f"gaussian sigma={sigma}"} for sigma in ("0.25", "0.5")}
    bounds = [(at["0.25"], "at_least"), (at["0.5"], "at_most")]
    conditions = [{"value": run, "metric": "acr", end: 0.1, "about": "networks"} for run, end in bounds]
    Path("tests").mkdir()
    Path("tests/test_theorem.py").touch()
    claim = {"paper": "P", "place": "section 1", "claim": "So it is."}
    tiny["claims"] = [
        {"id": "measured", "conditions": conditions, **claim},
        {"id": "theorem", "conditions": [{"proven": "tests/test_theorem.py"}], **claim},
    ]
    plan = Plan(Study([write_study(Path("tiny.yaml"), tiny)]))
    observe(plan, lambda run: [0.6] * 6)
    (run,) = plan.runs
    for observation in run.observations:
        plan.job("certify", str(observation.certified)).inputs["folder"].mkdir(parents=True)
        for file in (observation.certified, *observation.attacks):
            shutil.copy(file, file.with_stem("00-earlier"))
    (run.folder / "calibration").mkdir()
    (run.folder / "calibration" / "earlier.json").touch()
    aggregate(plan, plan.folder / "tables", "")
    return plan


@pytest.mark.parametrize(
    ("table", "behind"),
    [
        ("certified_accuracy", ["sample", "certify"]),
        ("empirical_accuracy", ["attack"]),
        ("attack_checks", ["sample", "certify", "attack"]),
        ("training", []),
    ],
)
def test_only_the_files_that_a_row_comes_from_are_named(plan, table, behind):
    rows = pq.read_table(plan.folder / "tables" / f"{table}.parquet").to_pylist()
    if table == "attack_checks":
        rows = [row if row["check"] == "certificate" else None for row in rows]
    else:
        assert len(rows) == {"certified_accuracy": 2, "empirical_accuracy": 8, "training": 1}[table]
    (run,) = plan.runs
    for index, row in enumerate(rows):
        if row is None:
            continue
        lines = [line.strip() for line in chain(f"tiny/{table}[{index}]") if line.startswith("    ")]
        assert [line.partition(",")[0] for line in lines[:-1]] == behind
        assert lines[-1].startswith("network: ")
        for line in lines[:-1]:
            at = next(o for o in run.observations if f"sigma={o.noise['sigma']:g}" in row["smoothing"])
            sources = {
                "sample": plan.job("certify", str(at.certified)).inputs["folder"],
                "certify": at.certified,
                "attack": at.attacks[row.get("attack") == "another"],
            }
            stage = line.partition(",")[0]
            assert line.endswith(f": {sources[stage].relative_to(run.folder)}")
    assert any(rows)


def test_what_decides_a_claim_comes_first_and_each_run_once(plan):
    lines = list(chain("tiny/claims/measured"))
    assert lines[:2] == ["P, section 1: So it is.", "  verdict: fails"]
    assert lines[2].startswith("  fails: acr (gaussian sigma=0.5) of gaussian at most 0.1 = 0.6 ")
    assert lines[4].startswith("  holds: acr (gaussian sigma=0.25) of gaussian at least 0.1 = 0.6 ")
    assert [lines[3], lines[5]] == [f"    by average_certified_radius[{i}]" for i in (1, 0)]
    assert lines[6].startswith("rows of average_certified_radius, each with label gaussian, seed 0, ")
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["row", "smoothing"])
    rows = [line.split()[:3] for line in lines[start + 1 : start + 3]]
    assert rows == [["[1]", "gaussian", "sigma=0.5"], ["[0]", "gaussian", "sigma=0.25"]]
    assert sum(line.startswith("  run gaussian, seed 0: ") for line in lines) == 1
    assert sum(line.startswith("    sample, ") for line in lines) == 2
    assert lines[-1].startswith("run everything again: ")


def test_a_theorem_is_decided_again_by_its_test_and_not_by_running_the_study(plan):
    _, verdict, condition, again = chain("tiny/claims/theorem")
    assert (verdict, condition) == ("  verdict: holds", "  holds: proven (theory) tests/test_theorem.py")
    assert again == "decide it again: python -m pytest tests/test_theorem.py"


@pytest.mark.parametrize("table", ["calibration", "distributional", "worst_cases", "bound_checks"])
def test_calibrations_and_distributional_rows_come_from_their_own_stage(table):
    stages = ("sample", "certify", "attack", "calibrate", "distributional")
    row = {"smoothing": "gaussian sigma=0.25"}
    files = [{"stage": stage, "what": "", "smoothing": row["smoothing"]} for stage in stages]
    (own,) = (file["stage"] for file in files if behind(table, row, file))
    assert own == ("calibrate" if table == "calibration" else "distributional")


def test_a_study_that_would_not_decide_a_number_says_so(tmp_path, monkeypatch, tiny):
    """A short version states the numbers of the paper, too, and its command decides none of them."""
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    epochs = tiny["training"]["epochs"]
    entry = {"paper": "P", "table": "T", "run": "gaussian", "acr": 0.5}
    for name, stated in (("short", epochs + 1), ("whole", epochs)):
        papers = {"P": {"training": {"epochs": stated}}}
        study = {**tiny, "name": name, "published": [entry], "papers": papers}
        write_study(Path(f"config/{name}.yaml"), study)
    short, whole = ("\n".join(chain(f"{name}/p-t/gaussian/acr")) for name in ("short", "whole"))
    assert f"does not decide it: training.epochs {epochs}, not {epochs + 1}. Studies that do" in short
    assert "verdict: not run" in whole
    assert "does not decide" not in whole
