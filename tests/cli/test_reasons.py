"""`rs status` says what an edit changed: settings of networks since the last tables, and code."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rs.cli.reasons import _differences, edited, of_other_code, of_the_study, reasons, replaced
from rs.plan import records
from rs.plan.plan import Plan
from rs.plan.staleness import table_inputs
from rs.provenance.files import provenance, write_json, write_table


@pytest.fixture
def finished(plan_of, tiny, tmp_path, monkeypatch) -> Plan:
    """The tiny study with a manifest per network and its table `runs`."""
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tiny)
    rows = []
    for planned in plan.runs:
        job = plan.jobs["train"][str(planned.folder / "model.json")]
        write_json(job.target, {"provenance": provenance(job.spec, job.code)})
        rows.append({"label": planned.run.label, "seed": planned.run.seed, "network": planned.network})
    table = pa.table({key: [row[key] for row in rows] for key in rows[0]})
    write_table(plan.folder / "tables" / "runs.parquet", table, {})
    return plan


def test_runs_with_the_same_edit_share_a_sentence_that_names_both_values(finished, plan_of, tiny) -> None:
    tiny["training"] |= {"optimizer": {"learning_rate": 0.02}, "epochs": 2}
    edits = "other settings than in the last tables: training.epochs is 2, was 1; "
    edits += "training.optimizer.learning_rate is 0.02, was 0.05"
    assert list(edited(plan_of(tiny))) == [f"gaussian seed 0, nal seed 0: {edits}"]


def test_a_default_and_many_changes_are_named_as_such(finished, plan_of, tiny) -> None:
    (before,) = edited(plan_of({**tiny, "training": {**tiny["training"], "precision": "bfloat16"}}))
    assert before.endswith("training.precision is bfloat16, was the default")
    tiny["training"] |= {"epochs": 2, "batch_size": 64, "held_out": 9, "optimizer": {"learning_rate": 1.0}}
    (many,) = edited(plan_of({**tiny, "train": {"max": 500}}))
    assert many.endswith("; and 1 more")


@pytest.mark.parametrize(
    "change", [{}, {"seeds": [0, 1]}, {"certificates": [{"name": "cohen", "alpha": 0.1}]}]
)
def test_what_is_new_or_the_same_was_not_edited(finished, plan_of, tiny, change: dict[str, Any]) -> None:
    assert list(edited(plan_of({**tiny, **change}))) == []


def test_a_network_that_was_trained_since_is_no_news(finished, plan_of, tiny) -> None:
    tiny["training"]["epochs"] = 2
    plan = plan_of(tiny)
    for job in plan.jobs["train"].values():
        write_json(job.target, {"provenance": provenance(job.spec, job.code)})
    assert list(edited(plan)) == []


def test_without_tables_nothing_is_known(plan_of, tiny, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(edited(plan_of(tiny))) == []


@pytest.fixture
def recorded(finished) -> Plan:
    """The same with Snakemake's records of a table and of the page."""
    digests = {
        finished.table_files()[0]: finished.summary,
        finished.folder / "report.html": finished.described,
    }
    for path, digest in digests.items():
        write_json(records.place(path), {"params": [repr(digest), "'another parameter'"]})
    return finished


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({}, []),
        ({"seeds": [0, 1]}, ["stale: tables and page, made with another value of runs"]),
        (
            {"report": {"radii": [0, 0.1]}},
            ["stale: tables and page, made with another value of report.radii"],
        ),
        (
            {"agreement": {"acr": 0.5}, "report": {"radii": [0, 0.1]}, "description": "another one"},
            ["stale: tables and page, made with another value of report.radii, agreement"],
        ),
        ({"description": "another one"}, ["stale: the page, made with another value of description"]),
    ],
)
def test_an_edit_of_the_study_itself_is_named(recorded, plan_of, tiny, change, sentences: list[str]) -> None:
    assert list(of_the_study(plan_of({**tiny, **change}))) == sentences
    assert reasons(plan_of({**tiny, **change}), {"stale": 1}, []) == sentences


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            lambda t: t["certificates"][0].update(alpha=0.01),
            "certify 2: {}certificates[0].alpha is 0.01, was 0.001",
        ),
        (lambda t: t["attacks"][0].update(radii=[0.7]), "attack 2: {}attack.radii is [0.7], was [0.5]"),
        (
            lambda t: t["runs"]["nal"]["calibration"].update(steps=4),
            "calibrate 1: {}steps is 4, was 3",
        ),
    ],
)
def test_missing_files_name_what_was_edited_since_others_were_made(
    finished, plan_of, tiny, edit, sentence
) -> None:
    for stage in ("calibrate", "certify", "attack"):
        for job in finished.jobs[stage].values():
            record = provenance(job.spec, job.code)
            if job.target.suffix == ".json":
                write_json(job.target, {"provenance": record})
            else:
                write_table(job.target, pa.table({"image": [0]}), record)
    assert list(replaced(finished)) == []
    edit(tiny)
    edited_plan, words = plan_of(tiny), sentence.format("other settings than those of finished files: ")
    assert list(replaced(edited_plan)) == [words]
    assert words in reasons(edited_plan, {"lacks": 1}, [])


def test_of_several_finished_files_the_one_that_differs_least_is_named(finished, plan_of, tiny) -> None:
    other = copy.deepcopy(tiny)
    other["certificates"][0]["alpha"] = 0.002
    other["test"]["max"] = 5
    for plan in (finished, plan_of(other)):
        for job in plan.jobs["certify"].values():
            write_table(job.target, pa.table({"image": [0]}), provenance(job.spec, job.code))
    tiny["certificates"][0]["alpha"] = 0.01
    (sentence,) = replaced(plan_of(tiny))
    assert sentence.endswith(": certificates[0].alpha is 0.01, was 0.001")


def test_a_file_that_the_study_still_asks_for_was_not_replaced(finished, plan_of, tiny) -> None:
    for job in finished.jobs["attack"].values():
        write_table(job.target, pa.table({"image": [0]}), provenance(job.spec, job.code))
    tiny["attacks"].append({**tiny["attacks"][0], "steps": 3, "label": "longer"})
    assert list(replaced(plan_of(tiny))) == []


@pytest.mark.parametrize(
    ("certificates", "words"),
    [
        (
            [{"name": "cohen", "alpha": 0.001}, {"name": "renyi", "alpha": 0.001}],
            "certificates: renyi is new",
        ),
        (
            [{"name": "cohen", "alpha": 0.001}, {"name": "cohen", "alpha": 0.01, "label": "1 %"}],
            "certificates: 1 % is new",
        ),
        (
            [{"name": "cohen", "alpha": 0.01}, {"name": "renyi", "alpha": 0.001}],
            "certificates[cohen].alpha is 0.01, was 0.001; certificates: renyi is new",
        ),
    ],
)
def test_entries_that_a_list_gained_are_named(finished, plan_of, tiny, certificates, words) -> None:
    for job in finished.jobs["certify"].values():
        write_table(job.target, pa.table({"image": [0]}), provenance(job.spec, job.code))
    (sentence,) = replaced(plan_of({**tiny, "certificates": certificates}))
    assert sentence == f"certify 2: other settings than those of finished files: {words}"


def test_entries_that_a_list_lost_are_named(finished, plan_of, tiny) -> None:
    more = {**tiny, "certificates": [*tiny["certificates"], {"name": "renyi", "alpha": 0.001}]}
    for job in plan_of(more).jobs["certify"].values():
        write_table(job.target, pa.table({"image": [0]}), provenance(job.spec, job.code))
    (sentence,) = replaced(finished)
    assert sentence.endswith(": certificates: renyi is gone")


def test_a_list_of_entries_with_the_same_name_is_counted(finished, plan_of, tiny) -> None:
    (words,) = _differences({"k": [{"name": "a"}]}, {"k": [{"name": "a", "x": 1}, {"name": "a", "x": 2}]})
    assert words == "k has 2 entries, had 1"
    (words,) = _differences({}, {"k": [{"name": "a"}, {"label": "b", "name": "a"}]})
    assert words == "k is a, b, was the default"


def test_tables_that_wait_for_missing_files_say_so(finished, plan_of, tiny) -> None:
    for path in finished.aggregated_files():
        if path.suffix == ".json":
            write_json(path, {"provenance": {}})
        else:
            write_table(path, pa.table({"image": [0]}), {})
    tables = str(finished.table_files()[0])
    write_table(finished.table_files()[0], pa.table({"image": [0]}), {"inputs": table_inputs(finished)})
    assert list(of_the_study(finished, {tables})) == []
    tiny["certificates"][0]["alpha"] = 0.01
    plan = plan_of(tiny)
    assert list(of_the_study(plan, {tables})) == ["stale: tables and page, which wait for certify 2, missing"]
    assert list(of_the_study(plan)) == []  # they are not stale
    changed = next(path for path in finished.aggregated_files() if path.suffix == ".parquet")
    write_table(changed, pa.table({"image": [1]}), {})
    older = "stale: tables and page, older than files that they are made from"
    assert list(of_the_study(finished, {tables})) == [older]


def test_without_a_record_no_edit_is_named(finished, plan_of, tiny) -> None:
    assert list(of_the_study(plan_of({**tiny, "report": {"radii": [0, 0.1]}}))) == []
    write_json(records.place(finished.table_files()[0]), {"params": None})
    assert list(of_the_study(plan_of({**tiny, "report": {"radii": [0, 0.1]}}))) == []


def test_other_code_is_counted_with_the_command_that_tells_more(finished) -> None:
    files = [Path("study.yaml"), Path("over.yaml")]
    assert of_other_code(finished, files) == []
    job = next(iter(finished.jobs["train"].values()))
    write_json(job.target, {"provenance": provenance(job.spec, "0123456789ab")})
    (sentence,) = of_other_code(finished, files)
    assert sentence.startswith("stale: made by other code: train 1, and what is made from these; ")
    assert sentence.endswith("rs accept --study study.yaml over.yaml")
    assert reasons(finished, {"stale": 0, "lacks": 0}, files) == []
    assert reasons(finished, {"stale": 8}, files) == [sentence]


def test_status_has_the_sentences(finished, plan_of, tiny, tmp_path, monkeypatch) -> None:
    import rs.cli.status as verb

    (tmp_path / "Snakefile").write_text("")
    later = copy.deepcopy(tiny)
    later["training"]["epochs"] = 2
    monkeypatch.setattr(verb, "by_dry_run", lambda plan, files: [("results/tiny/report.html", "lacks")])
    assert "training.epochs is 2, was 1" in verb.status(plan_of(later), [])
