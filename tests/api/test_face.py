"""What `import rs` promises: it costs nothing, and its names and parameters change on purpose only."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from golden import GOLDEN, RENEW, face

import rs
from rs.cli.main import main

ROOT = Path(rs.__file__).parents[1]
CODE = """
import sys, time
start = time.process_time()
import rs
seconds = time.process_time() - start
{}
print(seconds, *(name in sys.modules for name in ("torch", "scipy")))
"""


def run(code: str) -> tuple[float, bool, bool]:
    """Processor seconds of the import in a process of its own; whether torch and scipy were loaded after."""
    command = [sys.executable, "-c", CODE.format(code)]
    seconds, *loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), *(word == "True" for word in loaded)


@pytest.mark.slow
def test_importing_costs_nothing_and_votes_need_no_torch():
    seconds, *loaded = run("pass")
    assert seconds < 0.2
    assert loaded == [False, False]
    assert run("rs.radius([90, 10], [863, 137], sigma=0.5)")[1:] == (False, True)


def test_names():
    assert dir(rs) == sorted(rs.__all__)  # completion offers what is promised, and no module
    assert all(getattr(rs, name) is not None for name in rs.__all__)
    assert all(getattr(rs, name).__doc__ for name in rs.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="module 'rs' has no attribute 'certify'"):
        rs.certify  # noqa: B018


def test_type_checkers_are_told_what_the_names_are():
    """A file says that the package has types; the names are imported where checkers alone look, from where
    they come when they are used.
    """
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["rs"]
    assert "py.typed" in data
    assert (ROOT / "rs" / "py.typed").is_file()
    body = ast.parse(Path(rs.__file__).read_text()).body
    stated, dynamic = [node for node in body if isinstance(node, ast.If)]
    assert ast.unparse(stated.test) == "TYPE_CHECKING"
    assert {(name.asname, node.module) for node in stated.body for name in node.names} == {
        *rs._PLACES.items()
    }
    # hidden from checkers, which would take every misspelt name for one that it returns
    assert ast.unparse(dynamic.test) == "not TYPE_CHECKING"
    assert [node.name for node in dynamic.body] == ["__getattr__"]
    assert not [node for node in body if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"]


def test_signatures_change_on_purpose_only():
    assert face() == (GOLDEN / "face.txt").read_text(), f"names or parameters of import rs changed; {RENEW}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"sigma": 0.5},
        {"certificate": "cohen_linf", "sigma": 0.5, "dimension": 48},
        {"certificate": "pixeldp", "noise": "laplace", "scale": 0.5, "alpha_share": 0.25},
        {"certificate": "dual", "noise": "spherical", "k": 10, "sigma": 0.5, "dimension": 48},
        {"certificate": "renyi", "sigma": 0.5},
    ],
)
def test_radius_is_what_the_command_prints(arguments, capsys):
    found = rs.radius([90, 10], [863, 137], alpha=0.01, **arguments)
    options = ["radius", "--selection", "90,10", "--estimation", "863,137", "--alpha", "0.01", "--json"]
    for key, value in arguments.items():
        named = key in ("certificate", "noise", "dimension")
        options += [f"--{key}", str(value)] if named else ["--set", f"{key}={value}"]
    assert main(options) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (found.prediction, found.radius, found.rigorous) == tuple(
        printed[key] for key in ("prediction", "radius", "rigorous")
    )
    assert (found.norm, found.confidence) == (float(printed["norm"]), printed["confidence"])


def test_many_images_at_once_are_each_by_itself():
    selection, estimation = (
        np.array([[90, 10], [5, 95], [50, 50]]),
        np.array([[863, 137], [3, 997], [500, 500]]),
    )
    found = rs.certify_counts((selection, estimation), sigma=0.5)
    assert found.prediction.tolist() == [0, 1, -1]
    alone = [rs.radius(s, e, sigma=0.5).radius for s, e in zip(selection, estimation, strict=True)]
    assert found.radius.tolist() == alone
    right = rs.certify_counts((selection, estimation), sigma=0.5, labels=[0, 0, 0])
    assert right.correct.tolist() == [True, False, False]
    assert right.average_radius()[0] == pytest.approx(alone[0] / 3)


def test_randomised_bounds_take_the_stored_number():
    votes = ([90, 10], [863, 137])
    low, high = (rs.certify_counts(votes, sigma=0.5, randomised=True, uniform=u).radius for u in (0.0, 0.9))
    assert low < high
    assert low == rs.certify_counts(votes, sigma=0.5).radius  # the conservative end
