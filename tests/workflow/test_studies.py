"""Every shipped study plans, large ones too; the Slurm profile and the linter."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any

import pytest
from workspace import CHECKOUT, Workspace

from rs.plan.plan import Plan
from rs.study.study import Study

pytestmark = pytest.mark.workflow

STUDIES = sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "config").glob("*.yaml"))
PAPERS = sorted((CHECKOUT / "config/papers").glob("*.yaml"))
EVIDENCE = sorted((CHECKOUT / "config/evidence").glob("*.yaml"))
QUICK = "config/scales/quick.yaml"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout in which nothing ran yet, with the trained networks that studies of evidence import."""
    work = Workspace.of_checkout(tmp_path_factory.mktemp("fresh") / "study")
    (work.folder / "evidence").mkdir()
    (work.folder / "evidence/networks").symlink_to(CHECKOUT / "evidence/networks")
    return work


@pytest.mark.parametrize("study", STUDIES)
def test_a_shipped_study_plans_and_its_quick_form_is_smaller(fresh: Workspace, study: str) -> None:
    full, quick = fresh.planned(study=(study,)), fresh.planned(study=(study, QUICK))
    assert full.total() >= quick.total() > 0
    # the quick form runs eagerly, so it has no form to try out
    assert {rule for rule, _ in quick} == {rule for rule, _ in full} - {"form"}


@pytest.mark.parametrize("study", PAPERS, ids=lambda path: path.stem)
def test_a_study_of_a_paper_plans_without_snakemake_too(fresh: Workspace, study: Path) -> None:
    with contextlib.chdir(fresh.folder):
        full, quick = Plan(Study([study])), Plan(Study([study, CHECKOUT / QUICK]))
    assert {stage for stage, jobs in full.jobs.items() if jobs} >= {
        s for s, jobs in quick.jobs.items() if jobs
    }
    assert sum(map(len, full.jobs.values())) >= sum(map(len, quick.jobs.values())) > 0


@pytest.mark.parametrize("file", EVIDENCE, ids=lambda path: path.stem)
def test_evidence_plans_with_the_command_that_it_names(fresh: Workspace, file: Path) -> None:
    commands = re.findall(r"^#.*--configfile (.+)$", file.read_text(), re.MULTILINE)
    assert any(file.name in command for command in commands)
    with contextlib.chdir(fresh.folder):
        for command in commands:
            assert Plan(Study([CHECKOUT / name for name in command.split()])).runs


def test_the_papers_index_counts_every_published_number() -> None:
    """README.md of config/papers names each study, with the number of values that it sets beside ours."""
    text = (CHECKOUT / "config/papers/README.md").read_text()
    documented = dict(re.findall(r"\[([\w-]+)\.yaml\]\([\w-]+\.yaml\).*\| *(\d+|none)\b", text))
    counted = {}
    for path in PAPERS:
        entries = Study([path]).published
        lists = sum(len(e["certified_accuracy"]) + len(e["empirical_accuracy"]) for e in entries)
        single = sum(e[k] is not None for e in entries for k in ("acr", "epsilon", "train_hours"))
        counted[path.stem] = str(lists + single or "none")
    assert documented == counted


def test_a_thousand_jobs_plan_in_seconds(fresh: Workspace, record_property: Any) -> None:
    def grow(study: dict[str, Any]) -> None:
        study["seeds"] = list(range(66))
        study["sampling"] = {**study["sampling"], "n": 500}
        study["runs"] = {
            "macer": {"objective": {"name": "macer"}},
            "gaussian": {"objective": {"name": "gaussian"}},
        }

    fresh.study(grow, "large.yaml")
    started = time.monotonic()
    jobs = fresh.jobs(study=("large.yaml",))
    record_property("seconds", round(time.monotonic() - started, 1))
    # per run: train, certify, one file of selection and five of estimation; four more once
    assert len(jobs) == 66 * 2 * (1 + 1 + 6) + 4


def test_a_dry_run_tells_how_many_jobs_are_missing_and_what_they_cost(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh.folder / "cache"))
    done = fresh.snakemake("--dry-run")
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("rs: ")]
    found = re.match(r"rs: (\d+) jobs missing: about [\d.]+ (core|GPU)-hours here \((.*)\): train ", sentence)
    assert found
    assert int(found.group(1)) == len(fresh.jobs()) - 3  # tables, page, MLflow
    assert found.group(3) == "assumed; `rs price` measures"
    assert fresh.rs("status", "--study", "study.yaml").splitlines()[-1] == sentence.removeprefix("rs: ")


def test_the_slurm_profile_plans_with_memory_and_time_for_every_job(fresh: Workspace) -> None:
    """GPUs are asked for when jobs are submitted (tests/machine/test_cluster.py): a dry run is local."""
    done = fresh.snakemake("--dry-run", "--workflow-profile", "workflow/profiles/slurm")
    text = done.stdout + done.stderr
    blocks = re.split(r"^(?=(?:local)?rule \w+:$)", text, flags=re.MULTILINE)[1:]
    resources = {
        m.group(1): m.group(0)
        for block in blocks
        if (m := re.match(r"(?:local)?rule (\w+):[\s\S]*?resources: .*", block))
    }
    assert {"train", "calibrate", "sample", "certify", "attack"} <= resources.keys()
    assert "mem_mb=16000" in resources["attack"]
    assert "runtime=1440" in resources["train"]
    assert "runtime=60" in resources["certify"]
    assert "profiles/default" not in text


def test_the_linter_finds_only_that_no_rule_names_a_container(fresh: Workspace) -> None:
    """The jobs run in the environment that runs Snakemake (docs/workflow.md says why)."""
    done = fresh.snakemake("--lint", check=False)
    found = set(re.findall(r"^    \* (.*)$", done.stdout + done.stderr, re.MULTILINE))
    assert found == {"Specify a conda environment or container for each rule.:"}


def test_every_rule_writes_a_log_and_tracks_its_code(fresh: Workspace) -> None:
    for path in sorted(Path(fresh.folder / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            name = block.partition(":")[0]
            assert re.search(r"^    log:$", block, re.MULTILINE), name
            assert re.search(r"^        code=", block, re.MULTILINE), name
