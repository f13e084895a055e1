"""environment.yml gives conda users what pyproject.toml gives pip users; the lock; who is to be cited."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rs import __version__

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}


def test_environment_matches_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = {f"python{project['requires-python']}", "pip"}
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        found = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", requirement)
        assert found, requirement
        expected.add(CONDA_NAMES.get(found[1], found[1]) + found[2])
    assert set(yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]) == expected


def locked() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    stated = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in stated}


def test_the_lock_names_an_exact_version_within_each_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"] + project["optional-dependencies"]["dev"]:
        requirement = Requirement(text)
        (exact,) = locked()[canonicalize_name(requirement.name)].specifier
        assert exact.operator == "=="
        assert requirement.specifier.contains(exact.version), text


def test_the_lock_holds_constraints_and_no_places() -> None:
    """It must fit every machine: no addresses, no hashes or builds of one platform, no untried Python."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    stated = [line for line in lines if not line.startswith("#")]
    form = re.compile(r'[A-Za-z0-9._-]+==[0-9a-z.]+ ; python_version < "3.14"')
    assert [line for line in stated if not form.fullmatch(line)] == []
    assert len(locked()) == len(stated) > 100
    assert all(r.marker and not r.marker.evaluate({"python_version": "3.14"}) for r in locked().values())


@pytest.mark.parametrize("lock", ["requirements.lock", "elsewhere.lock", ""])
def test_make_installs_with_the_lock_unless_told_otherwise(tmp_path: Path, lock: str) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "elsewhere.lock").touch()
    variables = [] if lock == "requirements.lock" else [f"LOCK={lock}"]
    command = ["make", "--dry-run", "demo", *variables]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    install = next(line for line in done.stdout.splitlines() if "pip install" in line and "[dev" in line)
    assert re.findall(r"--constraint (\S+)", install) == ([lock] if lock else [])


def test_the_citation_names_this_version_and_licence() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (__version__, project["license"])
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    newest = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] in ("Unreleased", __version__)


def test_nothing_sends_people_to_a_package_of_another_owner() -> None:
    """`rs` is the import and the command; the public index has somebody else's package of that name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "rs-smoothing"
    roots = ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "environment.yml")
    texts = [ROOT / name for name in roots]
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
