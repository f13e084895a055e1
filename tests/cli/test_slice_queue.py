"""The queue of a slice: its entries, their faults, and the jobs that they ask for."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from sliced import TRADES, only_gaussian, queue_of
from tiny_study import TINY, write_study

from rs.cli.main import main
from rs.cli.slice_jobs import Waiting
from rs.cli.slice_queue import jobs_of, read_queue, unmade

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def queue(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return only_gaussian(tmp_path)


def test_studies_of_a_queue_draw_a_run_in_one_size(queue, tmp_path):
    sampling = {**TINY["sampling"], "images_per_shard": 7}
    other = {**TINY, "name": "other", "active": ["gaussian"], "attacks": [], "sampling": sampling}
    write_study(tmp_path / "other.yaml", other)
    entries = [{"study": ["study.yaml"]}, {"study": ["other.yaml"]}]
    drawn = []
    for queued in (entries[:1], entries):
        queue.write_text(yaml.safe_dump({"queue": queued}))
        jobs = jobs_of(read_queue(queue))
        drawn.append([job.target for job in jobs if job.job.stage == "sample"])
    assert drawn[0] == drawn[1] != []


@pytest.mark.parametrize(
    "text",
    [
        "queue: []",
        "queue: {study: a.yaml}",
        "queue: [{study: a.yaml}]",
        "queue: [{study: [a.yaml], stage: [train]}]",
        "queue: [{study: [a.yaml], runs: a}]",
        "queue: [{study: [a.yaml], runs: [[1]]}]",
        "queue: [{study: [a.yaml], runs: []}]",
        "queue: [{study: [a.yaml], stages: [1]}]",
        "queue: [{study: []}]",
        "queue: [{study: [null]}]",
        "queue: [a.yaml]",
        "{}",
    ],
)
def test_a_malformed_queue_is_one_line(tmp_path, text, capsys):
    (tmp_path / "queue.yaml").write_text(text)
    assert main(["slice", str(tmp_path / "queue.yaml"), "--minutes", "1"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"{tmp_path / 'queue.yaml'}: queue: " in message


def test_an_entry_names_stages_and_runs(queue, tmp_path, capsys):
    write_study(tmp_path / "study.yaml", TINY)
    queue.write_text(
        yaml.safe_dump({"queue": [{"study": ["study.yaml"], "stages": ["data", "train"], "runs": ["nal"]}]})
    )
    jobs = jobs_of(read_queue(queue))
    assert [job.job.stage for job in jobs] == ["data", "train"]
    assert jobs[1].job.spec["objective"]["name"] == "nal"
    for key, name in (("stages", "trian"), ("runs", "nla")):
        queue.write_text(yaml.safe_dump({"queue": [{"study": ["study.yaml"], key: [name]}]}))
        assert main(["slice", str(queue), "--minutes", "1"]) == 1
        message = f"{queue}: queue: entry 0: {key}: study.yaml has no '{name}'; allowed: "
        assert message in capsys.readouterr().err


def test_the_shipped_queue_plans():
    """Runs that are named exist, and what a job needs comes before it or from the same queue."""
    with contextlib.chdir(CHECKOUT):
        jobs = jobs_of(read_queue(Path("config/gpu/queue.yaml")))
    outputs = {str(path) for job in jobs for path in job.job.outputs.values()}
    assert {str(path) for job in jobs for path in job.job.needs()} <= outputs
    assert jobs[0].job.stage == "data"


def by_request(folder: Path, **entry: list[str]) -> dict[bool, Counter[tuple[str, str]]]:
    """Stages and objectives of the jobs that are asked for (True), and of those that others need (False)."""
    jobs = jobs_of(read_queue(queue_of(folder, {"study": ["study.yaml"], **entry})))
    return {
        requested: Counter(map(of_run, (w for w in jobs if w.requested is requested)))
        for requested in (True, False)
    }


def of_run(waiting: Waiting) -> tuple[str, str]:
    named = {n for n in ("gaussian-gaussian", "nal", "trades") if f"cnn-{n}-" in str(waiting.target)}
    return waiting.job.stage, "".join(named).split("-")[0]


def test_an_entry_takes_of_other_runs_what_its_own_need(queue, tmp_path):
    write_study(tmp_path / "study.yaml", {**TRADES, "active": ["gaussian", "trades"]})
    found = by_request(tmp_path, runs=["gaussian"])
    assert {run for _, run in found[True]} == {"", "gaussian"}
    assert found[False] == Counter()
    found = by_request(tmp_path, runs=["trades"])
    assert {run for _, run in found[True]} == {"", "trades"}
    assert {stage for stage, _ in found[True]} == {"data", "train", "sample", "certify", "attack"}
    nal = Counter({("train", "nal"): 1, ("calibrate", "nal"): 1})
    assert found[False] == nal, "neither its attacks nor its votes"
    whole = by_request(tmp_path)
    assert {run for _, run in whole[True]} == {"", "gaussian", "trades"}
    assert whole[False] == nal, "nor where no runs are named: the study's tables do not show it"
    assert by_request(tmp_path, runs=["trades"], stages=["train"])[False] == Counter({("train", "nal"): 1})


def test_what_a_later_entry_asks_for_stands_at_that_entry(queue, tmp_path):
    write_study(tmp_path / "study.yaml", TRADES)
    first = {"study": ["study.yaml"], "runs": ["trades"]}
    then = {"study": ["study.yaml"], "runs": ["nal"], "stages": ["train", "calibrate"]}
    jobs = jobs_of(read_queue(queue_of(tmp_path, first, then)))
    assert [(*of_run(w), w.requested) for w in jobs[-2:]] == [
        ("train", "nal", True),
        ("calibrate", "nal", True),
    ]
    assert all(w.place.endswith("entry 1") for w in jobs[-2:])
    jobs = jobs_of(read_queue(queue_of(tmp_path, then, first)))
    assert [(*of_run(w), w.requested) for w in jobs[:2]] == [
        ("train", "nal", True),
        ("calibrate", "nal", True),
    ]


def test_an_entry_without_jobs_and_jobs_that_cannot_start_are_one_line_each(queue, tmp_path, capsys):
    queue_of(tmp_path, {"study": ["study.yaml"], "stages": ["attack"], "runs": ["gaussian"]})
    assert main(["slice", "queue.yaml", "--minutes", "1"]) == 1
    problem = "queue.yaml: queue: entry 0: study.yaml has no job of stages attack for these runs"
    assert capsys.readouterr().err == f"rs: {problem}\n"
    queue_of(
        tmp_path,
        {"study": ["study.yaml"], "stages": ["data"]},
        {"study": ["study.yaml"], "stages": ["train"]},
    )
    assert list(unmade(jobs_of(read_queue(Path("queue.yaml"))))) == []
    queue_of(
        tmp_path,
        {"study": ["study.yaml"], "stages": ["data"]},
        {"study": ["study.yaml"], "stages": ["certify"]},
    )
    (line,) = unmade(jobs_of(read_queue(Path("queue.yaml"))))
    assert line.startswith("queue.yaml: queue: entry 1: 1 job cannot start: results/runs/")
    assert line.endswith(" is not there, and no entry makes it")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "queue.yaml: cannot be read: No such file or directory"),
        ({"queue.yaml": "- study: [study.yaml]"}, "queue.yaml: must be a mapping of keys, not a list"),
        ({"queue.yaml": "queue: ["}, "queue.yaml: not valid YAML: "),
        (
            {"queue.yaml": "{queue: [{study: [study.yaml]}], minutes: 3}"},
            "unknown key 'minutes'; allowed: queue",
        ),
        ({"queue.yaml": "queue: [{study: [nowhere.yaml]}]"}, "nowhere.yaml: "),
        ({"queue.yaml": "queue: [{study: [study.yaml, nowhere.yaml]}]"}, "nowhere.yaml: "),
        ({"queue.yaml": "queue: [{study: [bad.yaml]}]", "bad.yaml": "name: x"}, "bad.yaml: "),
        ({"queue.yaml": "queue: [{study: [study.yaml], runs: null}]"}, "entry 0: runs: must be a list"),
    ],
)
def test_a_queue_that_cannot_be_read_is_one_line(queue, tmp_path, files, problem, capsys):
    queue.unlink()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert main(["slice", "queue.yaml", "--minutes", "1"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert problem in message
