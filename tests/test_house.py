"""The house stays one that a stranger can read: files of at most 300 lines, functions of at most 50, and
methods that are named where they live.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from rs.methods import catalog

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("place", ["rs", "tests"])
def test_no_file_is_longer_than_300_lines(place):
    lines = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in ROOT.glob(f"{place}/**/*.py")}
    assert len(lines) > 50
    assert {file: n for file, n in lines.items() if n > 300} == {}


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by their names alone, and fails for the second one when all are run."""
    names = [
        path.name for path in (ROOT / "tests").rglob("*.py") if path.stem not in ("conftest", "__init__")
    ]
    assert len(names) == len(set(names)), [name for name in set(names) if names.count(name) > 1]


def test_no_function_is_longer_than_50_lines():
    lengths = {}
    for file in ROOT.glob("rs/**/*.py"):
        for function in functions(ast.parse(file.read_text())):
            lengths[f"{file.relative_to(ROOT)}:{function.name}"] = function.end_lineno - function.lineno + 1
    assert len(lengths) > 1000
    assert {name: n for name, n in lengths.items() if n > 50} == {}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


# Files outside of rs/methods that name methods, and which. What a method says of itself is a fact of its
# class (rs.settings.method_facts); here are defaults that users see, and what is about one method by nature.
NAMES_METHODS = {
    # defaults of the command line, of `import rs` and of settings
    **{f"cli/{file}.py": {"cohen", "gaussian"} for file in ("certify", "radius")},
    "cli/certify_checkpoint.py": {"gaussian"},
    "api/certification.py": {"cohen", "gaussian"},
    "api/attacking.py": {"pgd_l2", "none"},
    "settings/claims.py": {"cohen"},
    "settings/published.py": {"cohen"},
    # the default, and the format that Cohen et al. keep weights in
    "settings/study.py": {"cohen"},
    "stages/import_weights.py": {"cohen"},
    "study/refusals.py": {"cohen"},
    "study/published.py": {"cohen"},  # of an address, which leaves the default out
    # theorems, formulas and rules about Gaussian noise
    "settings/distributional.py": {"gaussian"},
    "study/sampling_refusals.py": {"gaussian"},  # StoppingRule
    "study/joined.py": {"gaussian"},  # what diffusion models are trained with
    "foreign/certifying.py": {"gaussian"},
    "tables/empirical_accuracy.py": {"gaussian"},
    "tables/contestants.py": {"cohen", "gaussian"},  # CERTIFY's radius
    "tables/file_contestants.py": {"gaussian"},  # what a stated sigma means
    "cli/audited_tables.py": {"cohen", "gaussian"},
    "api/lower_bounds.py": {"gaussian", "incremental"},
    "api/smoothed.py": {"cohen", "gaussian", "incremental"},  # votes of two networks have one certificate
    # the base classifier is one that is smoothed with nothing
    "stages/attack.py": {"none"},
    "stages/distributional.py": {"none"},
    # the networks whose rates were measured
    "plan/measured_cards.py": {"lenet", "nal_cnn", "resnet110", "resnet20", "resnet50", "stn_mnist"},
    "networks/denoised.py": {"denoised"},
    "networks/ensemble.py": {"ensemble"},
    # theorems in the distributional table bear their papers' names
    "report/distributional.py": {"nal"},
    "report/distributional_figure.py": {"nal", "neyman_pearson"},
    "tables/distributional.py": {"nal"},
    "tables/distributional_proofs.py": {"neyman_pearson"},
}
# These are words too: they count where they stand as a method's name.
WORDS = {"none", "clean", "transfer"}


def test_methods_are_named_in_their_own_rooms():
    names, found = {name for table in catalog.TABLES.values() for name in table}, {}
    for file in sorted((ROOT / "rs").rglob("*.py")):
        place = str(file.relative_to(ROOT / "rs"))
        named = set() if place.startswith("methods/") else strings(ast.parse(file.read_text())) & names
        if named:
            found[place] = named
    assert found == NAMES_METHODS


def strings(tree: ast.AST) -> set[str]:
    """All texts in a module, the words above only as a `name`."""
    found = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    found -= WORDS
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [ast.unparse(side).rstrip(")") for side in (node.left, *node.comparators)]
            if any(side.endswith(("name", "['name']", "get('name'")) for side in sides):
                found |= {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)} & WORDS
        elif isinstance(node, ast.Dict):
            pairs = ((ast.unparse(k), v) for k, v in zip(node.keys, node.values, strict=True) if k)
            found |= {v.value for k, v in pairs if k == "'name'" and isinstance(v, ast.Constant)} & WORDS
    return found


# Names that say nothing of what they hold: a message, a row, a file's provenance, a shape ...
EMPTY_NAMES = {"told", "said", "asked", "wanted"}


@pytest.mark.parametrize("place", ["rs", "tests", "benchmarks"])
def test_names_say_what_they_hold(place):
    empty = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted(ROOT.glob(f"{place}/**/*.py"))
        for name in bound(ast.parse(file.read_text()))
        if name in EMPTY_NAMES
    ]
    assert empty == []


def bound(tree: ast.AST) -> Iterator[str]:
    """The names of variables, arguments, attributes, functions and classes that a module makes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
