"""A copy of the checkout in which the real Snakemake runs a tiny study, and what it plans to run next."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from warm import compiling_once, warm_python

CHECKOUT = Path(__file__).resolve().parents[2]
CODE = ("Snakefile", "workflow", "profiles", "rs", "config")
TABLES = Counter({("aggregate", ""): 1, ("report", ""): 1, ("track", ""): 1})

STUDY: dict[str, Any] = yaml.safe_load(
    """
name: tiny
data: {name: digits}
test: {max: 20}
model: {name: digits_cnn}
noise: {name: gaussian, sigma: 0.25}
training:
  epochs: 1
  batch_size: 256
  optimizer: {name: adam, learning_rate: 0.002}
  device: cpu
sampling: {n0: 20, n: 200, block: 100, images_per_shard: 20, batch: 256, device: cpu}
certificates:
  - {name: cohen, alpha: 0.001}
runs:
  macer:
    objective: {name: macer, lambda: 4, k: 8}
    training: {epochs: 6, batch_size: 64}
    attacks:
      - {name: pgd_l2, radii: [0.5], images: {max: 10}, steps: 2, samples: 2, judge: {n: 20}}
  nal:
    objective: {name: nal, gamma: 1.5, steps: 2, samples: 1}
    certificates: []
    calibration: {images: {max: 50}, steps: 2}
  smoothadv:
    objective: {name: smoothadv, epsilon: {calibrated: nal}, samples: 1, steps: 1}
report: {radii: [0.0, 0.25, 0.5]}
"""
)
MACER = Counter(
    {
        ("train", "macer-gaussian-0p25"): 1,
        ("sample", "macer-gaussian-0p25"): 3,
        ("certify", "macer-gaussian-0p25"): 1,
        ("attack", "macer-gaussian-0p25"): 1,
    }
)
SMOOTHADV = Counter(
    {
        ("train", "smoothadv-gaussian-0p25"): 1,
        ("sample", "smoothadv-gaussian-0p25"): 3,
        ("certify", "smoothadv-gaussian-0p25"): 1,
    }
)


@dataclass(frozen=True)
class Planned:
    """One job of a dry run: its rule, its run (without seed and digest, and whole) and its outputs."""

    rule: str
    run: str
    id: str
    outputs: tuple[str, ...]


class Workspace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # --- files ---

    @staticmethod
    def of_checkout(folder: Path) -> Workspace:
        folder.mkdir(parents=True, exist_ok=True)
        for name in CODE:
            source = CHECKOUT / name
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name, follow_symlinks=False)
        work = Workspace(folder)
        work.study()
        return work

    def copy(self, folder: Path) -> Workspace:
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Workspace(folder)

    def study(self, edit: Callable[[dict[str, Any]], Any] | None = None, name: str = "study.yaml") -> None:
        """Writes the tiny study, after `edit` changed it in place."""
        study = copy.deepcopy(STUDY)
        if edit:
            edit(study)
        (self.folder / name).write_text(yaml.safe_dump(study, sort_keys=False))

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) >= 1, f"{path} no longer holds {old!r}"
        file.write_text(text.replace(old, new, 1))

    def change_code(self, module: str) -> None:
        """Another text of a method's class: as a digest sees it, other code."""
        self.edit(module, "    source: ClassVar", "    another = 1\n    source: ClassVar")

    def one(self, pattern: str) -> Path:
        """The one file under results/ that matches."""
        found = list((self.folder / "results").glob(pattern))
        assert len(found) == 1, f"{pattern}: {found}"
        return found[0]

    def finished(self) -> set[Path]:
        """Every file under results/ but logs, resume files and sizes of plans at work."""
        files = (p for p in (self.folder / "results").rglob("*") if p.is_file())
        kept = (p for p in files if not {"log", ".planned"} & {*p.parts})
        return {p for p in kept if not p.name.startswith(("resume-", "log.txt"))}

    # --- Snakemake ---

    @property
    def environment(self) -> dict[str, str]:
        more = {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        return compiling_once() | more

    def command(self, *arguments: str, study: tuple[str, ...] = ("study.yaml",)) -> list[str]:
        # the study last: --configfile takes any number of files
        return [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--configfile", *study]

    def snakemake(
        self,
        *arguments: str,
        study: tuple[str, ...] = ("study.yaml",),
        check: bool = True,
        anew: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake to its end; `anew`: it and its jobs are new processes, no forks of a warm one."""
        _, *command = self.command(*arguments, study=study)
        command = [sys.executable if anew else warm_python(), *command]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if check:
            assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.folder / "started.txt", "ab") as log:
            return subprocess.Popen(
                self.command(*arguments), cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        python = Path(sys.executable).parent
        environment = {**self.environment, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def rs(self, *arguments: str) -> str:
        done = subprocess.run(
            [warm_python(), "-m", "rs", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self, *arguments: str, study: tuple[str, ...] = ("study.yaml",)) -> list[Planned]:
        """The jobs of a dry run, `all` left out."""
        done = self.snakemake("--dry-run", *arguments, study=study)
        return [job for job in read_jobs(done.stdout + done.stderr) if job.rule != "all"]

    def planned(self, *arguments: str, study: tuple[str, ...] = ("study.yaml",)) -> Counter[tuple[str, str]]:
        """How many jobs of each rule a dry run wants for each run."""
        return Counter((job.rule, job.run) for job in self.jobs(*arguments, study=study))


def read_jobs(text: str) -> list[Planned]:
    found = []
    for block in re.split(r"^(?=(?:local)?rule \w+:$)", text, flags=re.MULTILINE)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)
        output = re.search(r"^    output: (.*)$", block, re.MULTILINE)
        wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
        run = re.search(r"\brun=([a-z0-9-]+)", wildcards.group(1)) if wildcards else None
        assert rule
        short = re.sub(r"^digits-digits-cnn-|-seed\d+-[0-9a-f]+$", "", run.group(1)) if run else ""
        outputs = tuple(output.group(1).split(", ")) if output else ()
        found.append(Planned(rule.group(1), short, run.group(1) if run else "", outputs))
    stated = re.search(r"^total +(\d+)$", text, re.MULTILINE)
    assert len(found) == (int(stated.group(1)) if stated else 0), text
    return found


def wait_for(happened: Callable[[], Any], seconds: float = 120) -> Any:
    """What `happened` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")
