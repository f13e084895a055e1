"""What jobs ask a cluster for, and what Ctrl-C leaves on the screen."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from tiny_study import TINY, write_study
from warm import warm_python

from rs.cli import stages
from rs.errors import UserError
from rs.machine import launching
from rs.plan.jobs import Job
from rs.plan.stages import STAGES, STUDY_STAGES

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/profile.v9+.yaml").read_text())


def rules() -> dict[str, str]:
    """Every rule's text by its name."""
    text = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def local_rules() -> set[str]:
    listed = re.search(r"^localrules:\n((?:    \w+,\n)+)", (ROOT / "Snakefile").read_text(), re.M)
    assert listed is not None
    return {name.strip(",") for name in listed[1].split()}


def test_every_rule_that_slurm_runs_states_memory_and_time_that_double():
    """Not the time of stages that continue where they were ended: twice it may exceed a partition's limit."""
    remote = rules().keys() - local_rules()
    assert PROFILE["set-resources"].keys() == remote
    for rule, stated in PROFILE["set-resources"].items():
        for key, value in stated.items():
            first, *later = (eval(str(value), {"attempt": attempt}) for attempt in (1, 2, 3))
            grows = key == "mem_mb" or rule not in ("train", "attack")
            assert later == ([2 * first, 4 * first] if grows else [first, first]), rule
    assert PROFILE["retries"] == 2


def test_a_copy_of_the_profile_names_account_and_partition_by_lines_that_are_there():
    text = (ROOT / "workflow/profiles/slurm/profile.v9+.yaml").read_text()
    own = yaml.safe_load(re.sub(r"^#(default-resources:|  slurm_)", r"\1", text, flags=re.M))
    assert own == {**PROFILE, "default-resources": {"slurm_account": "lab", "slurm_partition": "gpu"}}


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_a_stage_asks_for_gpus_and_threads_where_its_record_says_that_it_computes_on_them(stage):
    rule = rules()[stage.rule]
    assert (f'gpu=gpus("{stage.name}", ' in rule) == stage.device
    assert (f'threads: cpus("{stage.name}", ' in rule) == stage.device
    assert ("        nodes=1,\n" in rule) == stage.device
    assert PROFILE["set-resources"].get(stage.rule, {}).keys() <= {
        "mem_mb",
        "runtime",
    }  # gpu: the rule says it


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_a_rule_has_the_files_of_its_stage_s_record(stage):
    rule = rules()[stage.rule]
    inputs, record = rule.partition("    output:")[0], {*stage.inputs, *stage.beside}
    named = set(re.findall(r"^        (\w+)=", inputs, re.M))
    if f'reads("{stage.name}", ' in inputs:  # of the job, which are the record's
        assert named <= record
    else:
        assert named == record
    if len(stage.outputs) > 1:
        assert re.findall(r"^        (\w+)=", rule[rule.index("output:") : rule.index("log:")], re.M)[
            : len(stage.outputs)
        ] == list(stage.outputs)
    for argument in ("spec", "code", "whole"):
        assert f'{argument}("{stage.name}", ' in rule
    assert f" {stage.name} --worker {{log}} " in rule
    assert stage.data_dir == ("--data-dir" in rule)


def test_the_workflow_has_a_rule_for_every_stage_and_no_other():
    snakefile = (ROOT / "Snakefile").read_text()
    assert rules().keys() == {*(stage.rule for stage in STAGES.values()), *STUDY_STAGES}
    assert local_rules() == {"all", *(s.rule for s in STAGES.values() if s.local), *STUDY_STAGES}
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        assert f'include: "workflow/rules/{path.name}"' in snakefile


def test_gpus_that_a_job_asks_for(monkeypatch):
    def gpus(device: str, elsewhere: bool, processes: int = 1) -> int:
        return stages.gpus(Job("train", {}, (), device=device, processes=processes), elsewhere)

    for here in (False, True):
        monkeypatch.setattr(stages.device_class, "has_gpu", lambda here=here: here)
        assert [gpus("cpu", False), gpus("cpu", True)] == [0, 0]
        assert [gpus("cuda", False), gpus("cuda", True, 4)] == [1, 4]
        assert [gpus("auto", False), gpus("auto", True, 2)] == [int(here), 2]


def test_processors_that_a_job_asks_for():
    def cpus(stage: str, decodes: bool) -> int:
        return stages.cpus(Job(stage, {}, (), threads=3, processes=2, workers=4), decodes)

    assert [cpus("train", False), cpus("train", True), cpus("sample", True)] == [6, 14, 6]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("snakemake_executor_plugin_slurm") is None, reason="needs rs[slurm]")
def test_a_dry_run_shows_the_gpus_that_jobs_will_ask_slurm_for(tmp_path):
    runs = {"gaussian": TINY["runs"]["gaussian"]}
    study = write_study(tmp_path / "study.yaml", {**TINY, "runs": runs, "training": {"epochs": 1}})
    snakemake = [warm_python(), "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "--configfile", study]
    for profile, there in (("slurm", True), ("default", False)):
        named = ["--workflow-profile", ROOT / "workflow/profiles" / profile, "--until", "train"]
        done = subprocess.run(
            [*snakemake, *named], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=True
        )
        assert ("gpu=1" in done.stdout + done.stderr) is there, profile


@pytest.mark.slow
@pytest.mark.skipif(find_spec("snakemake_executor_plugin_slurm") is None, reason="needs rs[slurm]")
def test_a_training_on_several_gpus_asks_for_one_node_and_for_its_decoders(tmp_path):
    training = {"epochs": 1, "processes": 4, "threads": 3, "workers": 2, "device": "cuda"}
    text = {**TINY, "data": {"name": "imagenet"}, "model": {"name": "resnet50"}, "training": training}
    study = write_study(tmp_path / "study.yaml", {**text, "runs": {"gaussian": TINY["runs"]["gaussian"]}})
    snakemake = [warm_python(), "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "--configfile", study]
    profile = ["--workflow-profile", ROOT / "workflow/profiles/slurm", "--until", "train"]
    profile += ["--cores", "64"]  # a dry run has no more threads than these
    done = subprocess.run(
        [*snakemake, *profile], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=True
    )
    _, _, job = done.stdout.partition("rule train:")
    assert "threads: 20\n" in job  # 4 processes with 3 threads and 2 decoders each
    assert {"gpu=4", "nodes=1"} <= {*re.split(r"[\s,]+", job)}


# --- Ctrl-C ---


def test_ctrl_c_is_one_line():
    code = """
import signal
from rs.cli import main as cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
cli.parser = lambda asked: signal.raise_signal(signal.SIGINT)
raise SystemExit(cli.main())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (130, "rs: interrupted\n")


def test_ctrl_c_of_several_processes_is_one_line(monkeypatch):
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException

    def interrupted(args: object) -> None:
        raise SignalException("Process got signal: 2", signal.SIGINT)

    monkeypatch.setattr(run, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launching.torchrun("train", {"processes": 2, "spec": "SECRET"})


@pytest.mark.parametrize(("code", "how"), [(-9, "SIGKILL"), (3, "exit code 3")])
def test_a_process_that_the_system_ended_is_one_line(monkeypatch, code, how):
    """As for lack of memory: it leaves no error of its own."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

    def killed(args: object) -> None:
        failure = ProcessFailure(local_rank=1, pid=1, exitcode=code, error_file="none")
        raise ChildFailedError("rs", {1: failure})

    monkeypatch.setattr(run, "run", killed)
    with pytest.raises(UserError, match=f"^train: process 1 of 2 ended by {how}$"):
        launching.torchrun("train", {"processes": 2})
