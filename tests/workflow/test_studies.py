"""Every shipped study plans, large ones too; the Slurm profile and the linter."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from workspace import CHECKOUT, Workspace

pytestmark = pytest.mark.workflow

STUDIES = sorted(
    str(path.relative_to(CHECKOUT))
    for folder in ("config", "config/papers")
    for path in (CHECKOUT / folder).glob("*.yaml")
)
QUICK = "config/scales/quick.yaml"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout in which nothing ran yet."""
    return Workspace.of_checkout(tmp_path_factory.mktemp("fresh") / "study")


@pytest.mark.parametrize("study", STUDIES)
def test_a_shipped_study_plans_and_its_quick_form_is_smaller(fresh: Workspace, study: str) -> None:
    full, quick = fresh.planned(study=(study,)), fresh.planned(study=(study, QUICK))
    assert full.total() >= quick.total() > 0
    # the quick form runs eagerly, so it has no form to try out
    assert {rule for rule, _ in quick} == {rule for rule, _ in full} - {"form"}


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


def test_the_slurm_profile_plans_with_a_gpu_for_every_job_that_computes(fresh: Workspace) -> None:
    done = fresh.snakemake("--dry-run", "--workflow-profile", "workflow/profiles/slurm")
    text = done.stdout + done.stderr
    blocks = re.split(r"^(?=(?:local)?rule \w+:$)", text, flags=re.MULTILINE)[1:]
    asked = {
        m.group(1): m.group(0)
        for block in blocks
        if (m := re.match(r"(?:local)?rule (\w+):[\s\S]*?resources: .*", block))
    }
    assert {rule for rule, block in asked.items() if "gpu=1" in block} == {
        "train",
        "calibrate",
        "sample",
        "attack",
    }
    assert "runtime=1440" in asked["train"]
    assert "runtime=240" in asked["certify"]
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
