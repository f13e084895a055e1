"""The workflow as a module of another one, and Snakemake's own report of a study."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from workspace import CHECKOUT, MACER, STUDY, TABLES, Workspace

pytestmark = pytest.mark.workflow

OUTER = f"""
configfile: "config/lab.yaml"

module smoothing:
    snakefile: "{CHECKOUT / "Snakefile"}"
    config: config["smoothing"]

use rule * from smoothing as smoothing_*

rule everything:
    default_target: True
    input: rules.smoothing_all.input
"""


class Lab(Workspace):
    """A folder with a workflow of its own that uses this one."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PYTHONPATH": str(CHECKOUT)}

    def command(self, *arguments: str, study: tuple[str, ...] = ()) -> list[str]:
        return [sys.executable, "-m", "snakemake", *arguments, "--cores", "2"]

    def tell(self, study: dict[str, Any]) -> None:
        text = yaml.safe_dump({"cohort": 3, "smoothing": study}, sort_keys=False)
        text = text.replace("learning_rate: 0.002", "learning_rate: 2e-3")  # text to Snakemake's YAML reader
        (self.folder / "config/lab.yaml").write_text(text)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "Snakefile").write_text(OUTER)
    lab.tell(STUDY)
    return lab


def planned(lab: Lab) -> Counter[str]:
    done = lab.snakemake("--dry-run")
    return Counter(re.findall(r"^(?:local)?rule (\w+):$", done.stdout + done.stderr, re.MULTILINE))


def test_a_module_plans_the_study_in_its_config(lab: Lab) -> None:
    found = planned(lab)
    expected = Counter({"smoothing_data": 1, "everything": 1, "smoothing_calibrate": 1})
    for (rule, _), number in TABLES.items():
        expected[f"smoothing_{rule}"] = number
    for (rule, _), number in MACER.items():
        expected[f"smoothing_{rule}"] += number * (1 if rule == "attack" else 2)
    expected["smoothing_train"] += 1  # of nal, whose calibration is asked for
    assert found == expected
    kept = yaml.safe_load((lab.folder / "results/tiny/study.yaml").read_text())
    assert kept == STUDY


def test_a_module_runs_its_study_and_knows_it_afterwards(lab: Lab) -> None:
    lab.tell({**STUDY, "runs": {"gaussian": {"objective": {"name": "gaussian"}}}})
    lab.snakemake(anew=True)  # as users run a study: each job imports what it needs by itself
    assert (lab.folder / "results/tiny/report.html").is_file()
    assert planned(lab) == Counter()
    assert "nothing to clean" in lab.rs("clean")
    assert "gaussian" in lab.rs("show", "--study", "results/tiny/study.yaml")


def test_what_is_wrong_with_a_module_is_one_line(lab: Lab) -> None:
    wrong = copy.deepcopy(STUDY)
    wrong["noise"]["sgma"] = wrong["noise"].pop("sigma")

    def message() -> str:
        done = lab.snakemake("--dry-run", check=False)
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if line.startswith("rs: ")]
        assert len(lines) == 1, done.stderr
        assert "Traceback" not in done.stderr
        return lines[0]

    lab.tell(wrong)
    assert "module smoothing: config: noise.sgma" in message()
    lab.tell({})
    assert "module smoothing: config: name: lacks this key" in message()
    assert not (lab.folder / "results").exists()
    lab.tell(STUDY)
    (lab.folder / "Snakefile").write_text(OUTER.replace("    config:", '    prefix: "lab"\n    config:'))
    assert message() == "rs: module smoothing: prefix: cannot be used; results lie in results/"


def test_snakemakes_report_holds_page_tables_and_figures(work: Workspace) -> None:
    """It embeds them, and needs no network."""
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}  # nobody listens
    done = subprocess.run(
        work.command("--report", "snakemake.html"),
        cwd=work.folder,
        env={**work.environment, **nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (work.folder / "snakemake.html").read_text()
    shown = json.loads(re.search(r"^\s*var categories = (.*);$", page, re.MULTILINE)[1])
    held = {category: [path for paths in shown[category].values() for path in paths] for category in shown}
    assert held["Study"] == ["results/tiny/report.html"]
    assert set(held["Tables"]) == {f"results/tiny/tables/{p.name}" for p in work.one("tiny/tables").iterdir()}
    drawn = [p.name for p in work.one("tiny/figures").glob("*.png")]
    assert set(held["Figures"]) == {f"results/tiny/figures/{name}" for name in drawn}
    assert "certified-accuracy.png" in drawn
