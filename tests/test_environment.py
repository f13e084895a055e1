"""environment.yml gives conda users what pyproject.toml gives pip users."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}


def test_environment_matches_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {f"python{project['requires-python']}", "pip"}
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        found = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", requirement)
        assert found, requirement
        wanted.add(CONDA_NAMES.get(found[1], found[1]) + found[2])
    assert set(yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]) == wanted


def test_nothing_sends_people_to_a_package_of_another_owner() -> None:
    """`rs` is the import and the command; the public index has somebody else's package of that name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "rs-smoothing"
    texts = [ROOT / "README.md", ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "environment.yml"]
    for folder, kinds in (("docs", ("md",)), ("rs", ("py", "html")), ("workflow", ("yaml", "smk"))):
        texts += [path for kind in kinds for path in (ROOT / folder).rglob(f"*.{kind}")]
    texts += [path for folder in ("config", "benchmarks") for path in (ROOT / folder).rglob("*.*")]
    wrong = re.compile(r"pip3? install (?:[^\n]*[ '\"])?rs(\[|['\"\s`]|$)|rs\[(attacks|slurm|dev)\]", re.M)
    assert wrong.search("pip install 'rs[attacks]'")
    assert wrong.search("pip install rs\n")
    assert [p.name for p in texts if p.suffix != ".pyc" and wrong.search(p.read_text("utf-8"))] == []


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [r for extra in project["optional-dependencies"].values() for r in extra]
    loose = [r for r in project["dependencies"] + extras if not re.search(r">=[\d.]+,<[\d.]+$", r)]
    assert loose == []
