"""A method that is added to this package fails with the same single lines as a plug-in's."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.noise.gaussian import Gaussian
from rs.study.plugin_schema import broken

MODULE = "rs.methods.objectives.mine"
HEAD = '''"""Mine."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import cross_entropy

from rs.methods.objectives.macer import Macer
from rs.methods.objectives.nal import Nal


@dataclass(frozen=True)
class Mine:
    """Mine."""

    source: ClassVar[str] = "here"

'''
ARGUMENTS = "self, model, x, y, noise, generator, progress"


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Adds the objective `mine` with these methods to the package."""

    def added(body: str) -> None:
        file = tmp_path / "mine.py"
        file.write_text(HEAD + body)
        spec = importlib.util.spec_from_file_location(MODULE, file)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, MODULE, module)
        spec.loader.exec_module(module)
        monkeypatch.setitem(catalog.TABLES["objectives"], "mine", f"{MODULE}:Mine")

    return added


def step() -> torch.Tensor:
    """The loss of the first step, as a training takes it."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    given = torch.rand(5, 1, 2, 2), torch.arange(5) % 3, Gaussian(0.5), torch.Generator(), 0.0
    loss: torch.Tensor = catalog.build("objectives", {"name": "mine"}).loss(model, *given)[0]
    return loss


def test_a_loss_that_is_no_scalar_is_one_line_in_the_first_step(add):
    """Backward of a vector is that of its sum: it would train."""
    line = f"    def loss({ARGUMENTS}):\n        return cross_entropy(model(x), y%s), {{}}\n"
    add(line % "")
    assert step().requires_grad
    add(line % ", reduction='none'")
    says = r"mine\.py:\d+: objective mine: `loss` returned a tensor \[5\] of float32 as the loss; must be"
    with pytest.raises(UserError, match=says):
        step()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "    def loss(self, model, x, y): ...\n",
            "`loss` must take (model, x, y, noise, generator, progress)",
        ),
        ("    def losses(self): ...\n", "lacks the method `loss`"),
        ("    noise = frozenset()\n    loss = Nal.loss\n", "states `noise`, which is no fact of objectives"),
        (
            f"    def loss({ARGUMENTS}):\n        return progress * x.mean(), {{}}\n",
            "must state `phase(progress)`",
        ),
        (
            f"    def loss({ARGUMENTS}):\n"
            "        return Macer().loss(model, x, y, noise, generator, progress)\n",
            "must state `phase(progress)`",
        ),
    ],
)
def test_a_class_that_breaks_the_protocol_is_one_line_before_it_is_built(add, body, says):
    add(body)
    place = rf"mine\.py: objectives mine = {re.escape(MODULE)}:Mine: .*{re.escape(says)}"
    for using in (lambda: catalog.build("objectives", {"name": "mine"}), catalog.schema):
        with pytest.raises(UserError, match=place):
            using()


def test_progress_may_be_handed_on_to_a_loss_that_does_not_depend_on_it(add):
    add(f"    def loss({ARGUMENTS}):\n        return Nal().loss(model, x, y, noise, generator, progress)\n")
    assert broken("objectives", "mine", sys.modules[MODULE].Mine) == ""


def test_a_module_that_is_no_python_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "no_python.py").write_text("class Mine(:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(catalog.TABLES["objectives"], "mine", "no_python:Mine")
    with pytest.raises(UserError, match=r"objectives mine = no_python:Mine: .*\(no_python\.py, line 1\)"):
        catalog.find("objectives", "mine")
    monkeypatch.setitem(catalog.TABLES["objectives"], "mine", "rs.methods.objectives:METHODS")
    with pytest.raises(UserError, match=r"__init__\.py: objectives mine = .*: must be a class"):
        catalog.find("objectives", "mine")


def test_so_is_one_that_raises_anything_else(tmp_path, monkeypatch):
    """Its schema may have been made, and kept, where the variable was set."""
    (tmp_path / "elsewhere.py").write_text("import os\nFOLDER = os.environ['SET_ELSEWHERE']\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(catalog.TABLES["objectives"], "mine", "elsewhere:Mine")
    with pytest.raises(UserError, match=r"^objectives mine = elsewhere:Mine: KeyError: 'SET_ELSEWHERE'$"):
        catalog.find("objectives", "mine")


@pytest.mark.parametrize("kind", catalog.TABLES)
def test_methods_of_ours_keep_the_protocol(kind):
    """Which `find` compares; and those that a parameter selects."""
    for name in catalog.TABLES[kind]:
        assert catalog.find(kind, name)
    for name, switches in catalog.SWITCHES.get(kind, {}).items():
        for path in switches.values():
            assert catalog.find(kind, name, path)
