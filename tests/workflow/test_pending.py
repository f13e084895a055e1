"""What `rs status` tells without Snakemake is what Snakemake says, in whatever state files are."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from denoised_study import STUDY as DENOISED
from shared_runs import made_once
from snakemake.cli import main as snakemake
from workspace import CHECKOUT, STUDY, Workspace

from rs.cli import status
from rs.plan import mixed_draws, pending, records, rules, running_plans, shard_sizes, staleness
from rs.plan.plan import Plan
from rs.plan.stages import STAGES, STUDY_STAGES
from rs.provenance.files import provenance, write_json
from rs.study.study import Study

NAL, SMOOTHADV = STUDY["runs"]["nal"], STUDY["runs"]["smoothadv"]
BESIDE = {"mode": "sequential", "stop": {"radii": [0.0]}, "source": "answered", "precision": "bfloat16"}
SEQUENTIAL = {"mode": "sequential", "stop": {"alpha": 0.001, "radii": [0.25]}, "block": 256, "n": 1024}
EVERYTHING = {  # every rule, and every kind of input
    **DENOISED,
    "runs": {
        **DENOISED["runs"],
        "nal": {**NAL, "distributional": {"images": {"max": 4}}},
        "smoothadv": SMOOTHADV,
        "stopped": {
            "objective": {"name": "gaussian"},
            "sampling": {**SEQUENTIAL, "compiled": True},
            "attacks": [{"name": "transfer", "source_run": "clean", "attack": "pgd_l2", "radii": [0.5]}],
        },
        "answered": {"objective": {"name": "gaussian"}, "seeds": [7], "sampling": {"answers": 32}},
        "beside": {
            "objective": {"name": "gaussian"},
            "seeds": [7],
            "sampling": {**BESIDE, "n": 32},
            "certificates": [{"name": "incremental", "alpha": 0.1}],
        },
    },
    "imported": {"theirs": {"weights": "theirs.pt", "entry": "theirs:net", "noise": DENOISED["noise"]}},
}


def make_finished(folder: Path) -> None:
    """A study whose files hold nothing, but are there and remembered: `--touch` records as a run does."""
    Workspace.of_checkout(folder)
    with contextlib.chdir(folder):
        Path("theirs.pt").write_text("weights")
        Path("study.yaml").write_text(yaml.safe_dump(EVERYTHING))
        plan = planned()
        (plan.folder / "figures").mkdir(parents=True)
        Path("results/mlflow.db").touch()
        for path in outputs(plan):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name != "figures":
                path.write_text("{}")
        by_snakemake("--touch", "--forceall")


@pytest.fixture
def finished(tmp_path_factory, tmp_path, monkeypatch):
    place = made_once(tmp_path_factory, "pending", lambda folder: make_finished(folder / "study"))
    shutil.copytree(place / "study", tmp_path / "study", symlinks=True)
    monkeypatch.chdir(tmp_path / "study")


def planned() -> Plan:
    return Plan(Study([Path("study.yaml")]))


def outputs(plan: Plan) -> list[Path]:
    return list(map(Path, pending.files(plan)))


def by_snakemake(*arguments: str) -> str:
    """What Snakemake prints; in this process, since its start takes longer than its judgement."""
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as ended,
    ):
        snakemake([*arguments, "--cores", "1", "--configfile", "study.yaml"])
    running_plans._HELD.clear()  # as the end of its process would
    assert ended.value.code == 0, printed.getvalue()
    return printed.getvalue()


def both(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], dict[str, str]]:
    """Every file and its state: as told here, and by Snakemake."""
    plan = planned()
    staleness.settle(plan)
    mixed_draws.settle(plan)
    shard_sizes.settle(plan)
    here = dict(pending.judged(plan))

    def run(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(stdout=by_snakemake("--dry-run"), stderr="", returncode=0)

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "run", run)
        return here, dict(status.by_dry_run(plan, [Path("study.yaml")]))


# --- what happens to files ---


def change_record(path: Path, draw: random.Random) -> None:
    record = records.read(path)
    if record is None:
        return
    key = draw.choice([k for k in record if k not in ("starttime", "endtime", "rule")])
    other = {"input_checksums": {}, "params": ["'other'"], "input": ["other"], "record_format_version": 5}
    record[key] = draw.choice([None, other.get(key, "other")]) if key != "record_format_version" else 5
    records.place(path).write_text(json.dumps(record))


def rewrite(path: Path, draw: random.Random) -> None:
    if path.is_file():
        path.write_text(draw.choice(["{}", "other", '{"spec": 1}']))
        dated(path, draw)


def dated(path: Path, draw: random.Random) -> None:
    if os.path.lexists(path):
        at = path.stat().st_mtime
        time = draw.choice([0, 1, at - 100, at + 0.001, at + 100])
        os.utime(path / ".snakemake_timestamp" if path.is_dir() else path, (time, time))


def remove(path: Path, draw: random.Random) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def link(path: Path, draw: random.Random) -> None:
    if path.is_file() and not path.is_symlink():
        target = path.rename(path.with_name(f"real-{path.name}"))
        path.symlink_to(target.name)
        dated(target, draw)


def begin(path: Path, draw: random.Random) -> None:
    place = records.place(path, records.UNFINISHED)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("{}")


def grow(path: Path, draw: random.Random) -> None:
    """Larger than what is compared by content."""
    if path.is_file():
        with open(path, "ab") as file:
            file.truncate(101_000_000)
        dated(path, draw)


def forget(path: Path, draw: random.Random) -> None:
    records.place(path).unlink(missing_ok=True)


def halve(path: Path, draw: random.Random) -> None:
    if (place := records.place(path)).is_file():
        place.write_bytes(place.read_bytes()[:100])


def edit_study(path: Path, draw: random.Random) -> None:
    study = copy.deepcopy(yaml.safe_load(Path("study.yaml").read_text()))
    edits: list[Callable[[], Any]] = [
        lambda: study["certificates"][0].update(alpha=0.01),
        lambda: study["sampling"].update(n=96),
        lambda: study["sampling"].update(images_per_shard=3),
        lambda: study["runs"]["mse"].update(training={"epochs": 2}),
        lambda: study["runs"].pop("smoothadv", None),
        lambda: study["runs"]["nal"].update(calibration={"steps": 4}),
        lambda: study["report"].update(radii=[0.0]),
        lambda: study["test"].update(max=4),
        lambda: study["runs"].update(another={"objective": {"name": "gaussian"}}),
    ]
    draw.choice(edits)()
    Path("study.yaml").write_text(yaml.safe_dump(study))


EVENTS = (change_record, rewrite, dated, remove, link, begin, grow, forget, halve, edit_study)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_what_is_told_is_what_snakemake_says(finished, monkeypatch, seed):
    draw = random.Random(seed)
    paths = outputs(planned())
    for event in draw.choices(EVENTS, k=draw.randint(1, 5)):
        event(draw.choice(paths), draw)
    here, there = both(monkeypatch)
    assert here == there


def test_the_workflow_is_the_one_that_was_compared(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    here = rules.digest_here()
    assert here == rules.COMPARED, f"once the other tests here pass: COMPARED = {here!r}"


@pytest.mark.slow
def test_a_finished_study_has_everything_by_every_rule(finished, monkeypatch):
    here, there = both(monkeypatch)
    assert here == there == dict.fromkeys(pending.files(planned()), "has")
    summary = by_snakemake("--summary").splitlines()
    assert {line.partition("\t")[0] for line in summary if line.count("\t") == 5} == {"output_file", *here}
    assert {job.stage for job in planned().all_jobs()} == {*STAGES}
    assert rules.read().keys() == {*(stage.rule for stage in STAGES.values()), *STUDY_STAGES}


@pytest.mark.slow
def test_another_size_of_shards_makes_nothing_stale(finished, monkeypatch):
    there = dict.fromkeys(pending.files(planned()), "has")
    study = yaml.safe_load(Path("study.yaml").read_text())
    assert study["sampling"]["images_per_shard"] != 3
    study["sampling"]["images_per_shard"] = 3
    Path("study.yaml").write_text(yaml.safe_dump(study))
    output = by_snakemake("--dry-run")
    assert (
        output.count("drawn in shards of 6 images, which are kept; sampling.images_per_shard: 3 applies to")
        == 1
    )
    assert both(monkeypatch) == (there, there)
    lines = status.status(planned(), [Path("study.yaml")]).splitlines()
    assert [line for line in lines if " more: drawn in shards of 6 images" in line]


@pytest.mark.slow
def test_what_a_stage_by_hand_made_is_not_made_again(finished, monkeypatch):
    """Its record is of what Snakemake made before, by other code."""
    job = next(iter(planned().jobs["calibrate"].values()))
    record = records.place(job.target)
    record.write_text(json.dumps({**json.loads(record.read_text()), "params": ["'other code'"]}))
    before = record.stat().st_mtime - 100
    os.utime(record, (before, before))
    inputs = staleness.inputs_digest(job.reads())
    write_json(job.target, {"provenance": provenance(job.spec, job.code, inputs=inputs)})
    here, there = both(monkeypatch)
    assert here[str(job.target)] == there[str(job.target)] == "has"


# --- what Snakemake is asked for ---


@pytest.mark.slow
def test_what_was_not_compared_is_snakemakes_to_judge(finished, monkeypatch):
    monkeypatch.setattr(
        status, "by_dry_run", lambda plan, files: [("results/tiny/tables/runs.parquet", "stale")]
    )

    def refused(why: str) -> None:
        with pytest.raises(pending.NotJudged, match=why):
            list(pending.judged(planned()))

    rule = Path("workflow/rules/form.smk")
    text = rule.read_text()
    rule.write_text(text.replace("model=MODEL", "model=ancient(MODEL)"))
    refused("workflow")
    assert status.status(planned(), [Path("study.yaml")]).splitlines()[1].split() == ["tiny", "0", "0", "1"]
    rule.write_text(text)
    profile = Path("workflow/profiles/default/profile.v9+.yaml")
    settings = profile.read_text()
    profile.write_text(f"{settings}rerun-triggers: mtime\n")
    refused("profile")
    profile.write_text(settings.replace("cores: all", "cores: 7"))
    record = records.place(planned().folder / "mlflow.json")
    record.write_text(record.read_text().replace('"record_format_version": 6', '"record_format_version": 7'))
    refused("later Snakemake")
