"""Every mistake of the list is planted by a test of its name, and no test plants another one."""

from __future__ import annotations

import ast
from pathlib import Path

from rs.cli.mistakes import mistakes, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "evidence" / "soundness.md"


def planting() -> list[str]:
    """Names of the tests of this folder that ask for a planted mistake."""
    found = []
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        functions = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]
        tests = [f for f in functions if f.name.startswith("test_")]
        found += [f.name for f in tests if "mistake" in [argument.arg for argument in f.args.args]]
    return [name.removeprefix("test_").replace("_", "-") for name in found]


def test_every_mistake_is_planted_once():
    assert sorted(planting()) == sorted(m.name for m in mistakes())


def test_there_are_enough_of_them():
    assert len(mistakes()) >= 24
    assert all(m.what and m.where and m.says for m in mistakes())


def test_the_document_has_the_table():
    assert f"<!-- mistakes -->\n{table()}<!-- /mistakes -->" in DOCUMENT.read_text()
