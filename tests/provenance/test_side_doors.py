"""What digests cannot follow is known by name, and nothing else goes by text."""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
import torch

import rs
from rs.plan.jobs import Job
from rs.plan.stages import STAGES
from rs.provenance import code as digests
from rs.provenance.code import here

pytestmark = pytest.mark.slow  # parses the whole package for each edit


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_all_that_a_stage_s_function_hands_its_job_to_is_among_its_code(stage):
    """That function itself is outside, so that what it is handed can change; so it computes nothing."""
    called = set(handed_to(*stage.function.split(":")))
    executes = {*stage.executes, *(entry for places in stage.instead.values() for entry in places)}
    assert called - executes <= {
        "rs.plan.draw_paths:shards_of",  # hands on what files_of says
        "rs.plan.mixed_draws:check",  # refuses, before anything is computed
        "rs.machine.devices:device_class",
        "rs.networks.kept_forms:clear",  # removes what killed processes left, in the user's cache
    }
    assert called


def handed_to(module: str, name: str) -> Iterator[str]:
    """What a definition names; in place of a table beside it, what that names."""
    code = here()
    for place in set(code.entry((module, name))[1]) - {(module, name)}:
        assigned = all(isinstance(node, ast.Assign) for node in code.definition(place).nodes)
        if place[1] and place[0] == module and assigned:
            yield from handed_to(*place)
        elif place[1]:
            yield f"{place[0]}:{place[1]}"


WITH_WAYS = [stage for stage in STAGES.values() if stage.instead]  # their jobs have one way of several
ASKED = [
    pytest.param(stage, keys, id=" ".join((stage.name, *keys)))
    for stage in WITH_WAYS
    for size in range(len(stage.instead) + 1)
    for keys in combinations(stage.instead, size)
]


@pytest.mark.parametrize(("stage", "keys"), ASKED)
def test_a_job_is_handed_to_the_code_that_counts_for_it(stage, keys, monkeypatch):
    """Whichever of the keys that ask for another way its spec has."""
    called: list[str] = []
    module = importlib.import_module(stage.function.partition(":")[0])
    for entry in (stage.executes[0], *(places[0] for places in stage.instead.values())):
        place, _, name = entry.partition(":")
        way = getattr(importlib.import_module(place), name)
        stand_in = functools.partial(lambda entry, *_: called.append(entry), entry)
        monkeypatch.setattr(f"{place}.{name}", stand_in)
        for key, held in list(getattr(module, "WAYS", {}).items()):
            if held is way:
                monkeypatch.setitem(module.WAYS, key, stand_in)
    monkeypatch.setattr("rs.plan.mixed_draws.check", lambda *_: None)
    monkeypatch.setattr("rs.stages.certify.shards_of", lambda *_: ([], []))
    spec, inputs, outputs = dict.fromkeys(keys, True), *map(_somewhere, (stage.known, stage.outputs))
    module.run_job(Job(stage.name, spec, (), "", inputs, outputs, "cpu"), torch.device("cpu"), "")
    assert called == [stage.code_of(spec)[0]]


def _somewhere(keys):
    return dict.fromkeys(keys, Path())


def test_what_carries_a_job_out_knows_no_stage():
    """Digests cannot follow `rs <stage>` itself."""
    called = {place[0] for place in here().entry(("rs.stages.execution", "_execute"))[1] if place[1]}
    assert called == {
        *("rs.stages.execution", "rs.plan.staleness", "rs.machine.devices"),
        "rs.plan.extras",  # refuses, before anything is computed
        *("rs.machine.launching", "rs.machine.gpu_slots"),  # choose a GPU of several
    }


def test_no_side_doors():
    """Digests follow names; what is looked up by text is a stage, a method, a verb, or somebody's network."""
    doors, found = {"eval", "exec", "globals", "__import__", "import_module"}, set()
    for file in set(digests.ROOT.rglob("*.py")) - {digests.ROOT / "__init__.py"}:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                method = isinstance(node.func, ast.Attribute) and called != "import_module"  # model.eval()
                found |= {(file.name, called)} if called in doors and not method else set()
    by_text = ("catalog.py", "execution.py", "imported.py", "plugin_schema.py", "sources.py", "verbs.py")
    assert found == {(file, "import_module") for file in by_text}


def test_nothing_of_ours_goes_through_the_names_that_rs_itself_offers():
    """They are looked up by text, for those who call the package from outside."""
    offered = set(rs.__all__) - {"__version__"}
    assert offered
    for file in digests.ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "rs":
                assert not offered & {name.name for name in node.names}, file
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rs":
                assert node.attr not in offered, file


def test_packages_hold_tables_of_contents_and_nothing_else():
    for file in set(Path(digests.ROOT).glob("*/**/__init__.py")):
        statements = [n for n in ast.parse(file.read_text()).body if not isinstance(n, ast.Expr)]
        held = [ast.unparse(n.targets[0]) for n in statements]  # type: ignore[attr-defined]
        kind = file.parent.parent.name == "methods"
        assert held == (["METHODS"] if kind else []), file
