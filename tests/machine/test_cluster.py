"""What jobs ask a cluster for, and what Ctrl-C leaves on the screen."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rs.cli import stages
from rs.machine import launching
from rs.plan.jobs import Job

ROOT = Path(__file__).parents[2]
PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/profile.v9+.yaml").read_text())


def rules() -> dict[str, str]:
    """Every rule's text by its name."""
    text = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_rule_that_slurm_runs_states_memory_and_time_that_double():
    local = set(
        re.search(r"^localrules:\n((?:    \w+,\n)+)", (ROOT / "Snakefile").read_text(), re.M)[1].split()
    )
    remote = rules().keys() - {name.strip(",") for name in local}
    assert PROFILE["set-resources"].keys() == remote
    for stated in PROFILE["set-resources"].values():
        for value in (stated["mem_mb"], stated["runtime"]):
            first, *later = (eval(value, {"attempt": attempt}) for attempt in (1, 2, 3))
            assert later == [2 * first, 4 * first]
    assert PROFILE["retries"] == 2


@pytest.mark.parametrize("name", ["train", "calibrate", "form", "sample", "attack", "distributional"])
def test_every_stage_that_can_use_a_gpu_asks_for_one(name):
    assert f'gpu=gpus("{name}", ' in rules()[name]
    assert "gpu" not in PROFILE["set-resources"][name]  # which would hide what the rule asks for


def test_gpus_that_a_job_asks_for(monkeypatch):
    def asked(device: str, elsewhere: bool, processes: int = 1) -> int:
        return stages.gpus(Job("train", {}, (), device=device, processes=processes), elsewhere)

    for here in (False, True):
        monkeypatch.setattr(stages, "gpu_here", lambda here=here: here)
        assert [asked("cpu", False), asked("cpu", True)] == [0, 0]
        assert [asked("cuda", False), asked("cuda", True, 4)] == [1, 4]
        assert [asked("auto", False), asked("auto", True, 2)] == [int(here), 2]


# --- Ctrl-C ---


def test_ctrl_c_is_one_line():
    code = """
import os, signal
from rs.cli import main as cli
cli.parser = lambda: os.kill(os.getpid(), signal.SIGINT)
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
