"""The house stays one that a stranger can read: files of at most 300 lines, functions of at most 50."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("place", ["rs", "tests"])
def test_no_file_is_longer_than_300_lines(place):
    lines = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in ROOT.glob(f"{place}/**/*.py")}
    assert len(lines) > 50
    assert {file: n for file, n in lines.items() if n > 300} == {}


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
