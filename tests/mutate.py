"""Changes one operator, comparison or number of a module at a time and tells which changes its tests pass.

    python tests/mutate.py rs/statistics/bounds.py tests/statistics/test_bounds.py

No part of CI: each change runs the tests once, in a copy of the repository. A person reads the changes that
survive: some mean the same (`<` for `<=` where equality cannot be), the others lack a test. `--every 5
--first 2` takes each fifth change from the third on.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.LtE}
OTHER |= {ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OTHER |= {ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
NAMES = {"max": "min", "min": "max", "any": "all", "all": "any", "maximum": "minimum", "minimum": "maximum"}


def changes(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every changed module."""
    for number in range(len(list(ast.walk(ast.parse(source))))):
        tree = ast.parse(source)
        node = list(ast.walk(tree))[number]
        if isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in OTHER:
            node.op = OTHER[type(node.op)]()
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
            node.ops[0] = OTHER[type(node.ops[0])]()
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            node.value = node.value * 1.01 if isinstance(node.value, float) and node.value else node.value + 1
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            node.attr = NAMES[node.attr]
        elif isinstance(node, ast.Name) and node.id in NAMES:
            node.id = NAMES[node.id]
        else:
            continue
        yield node.lineno, ast.unparse(tree)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    source = args.module.read_text()
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(
            ".", place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git", "results", ".*")
        )
        command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", *args.tests]
        run = {"cwd": place, "capture_output": True, "env": {**os.environ, "PYTHONPATH": place}, "text": True}
        (Path(place) / args.module).write_text(ast.unparse(ast.parse(source)))
        if (found := subprocess.run(command, **run)).returncode:
            sys.exit(f"the tests fail without a change\n{found.stdout[-2000:]}")
        survivors = tried = 0
        for line, text in list(changes(source))[args.first :: args.every]:
            (Path(place) / args.module).write_text(text)
            tried += 1
            try:
                passed = subprocess.run(command, timeout=300, **run).returncode == 0
            except subprocess.TimeoutExpired:
                continue
            if passed:
                survivors += 1
                before, after = ast.unparse(ast.parse(source)).splitlines(), text.splitlines()
                changed = [(a, b) for a, b in zip(before, after, strict=False) if a != b]
                print(
                    f"{args.module}:{line}:", *(f"\n  - {a.strip()}\n  + {b.strip()}" for a, b in changed[:1])
                )
        print(f"{survivors} of {tried} changes pass the tests")


if __name__ == "__main__":
    main()
