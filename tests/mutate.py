"""Changes one operator, comparison or number of a module at a time and tells which changes its tests pass.

    python tests/mutate.py rs/statistics/bounds.py tests/statistics/test_bounds.py

No part of CI: each change runs the tests once, in a copy of the repository and a fork of this process, which
has imported the slow libraries beforehand. A person reads the changes that survive: some mean the same (`<`
for `<=` where equality cannot be), the others lack a test. `--every 5 --first 2` takes each fifth change from
the third on; `--pytest "-m 'not slow'"` leaves tests out.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.LtE}
OTHER |= {ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OTHER |= {ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
OTHER |= {ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
NAMES = {"max": "min", "min": "max", "any": "all", "all": "any", "maximum": "minimum", "minimum": "maximum"}
NAMES |= {"floor": "ceil", "ceil": "floor"}
SLOW_TO_IMPORT = ("torch", "torchvision.transforms.v2", "scipy.stats", "scipy.optimize", "scipy.integrate")
SLOW_TO_IMPORT += ("pandas", "pyarrow.parquet", "hypothesis", "mpmath", "jsonschema", "pydantic", "sklearn")
SLOW_TO_IMPORT += ("matplotlib.figure", "jinja2", "safetensors.torch", "pytest")
SECONDS = 300  # a change that takes longer has been noticed


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
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            node.value = not node.value
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            node.attr = NAMES[node.attr]
        elif isinstance(node, ast.Name) and node.id in NAMES:
            node.id = NAMES[node.id]
        else:
            continue
        yield node.lineno, ast.unparse(tree)


def passes(place: Path, arguments: list[str], output: Path) -> bool:
    """Whether pytest is green in `place`, in a process of its own that ends within SECONDS."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    signal.alarm(SECONDS)
    with output.open("w") as file:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
    os.chdir(place)
    os.environ["PYTHONPATH"] = str(place)
    sys.path[:] = [str(place), *(p for p in sys.path if p != str(Path(__file__).parent))]
    os._exit(int(sys.modules["pytest"].main(["-qx", "-p", "no:cacheprovider", *arguments])))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pytest", default="", help="more arguments for pytest, as one word")
    args = parser.parse_args()
    arguments = [*args.tests, *shlex.split(args.pytest)]
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)
    source = args.module.read_text()
    before = ast.unparse(ast.parse(source))
    with tempfile.TemporaryDirectory() as folder:
        place, output = Path(folder) / "copy", Path(folder) / "output"
        shutil.copytree(".", place, ignore=shutil.ignore_patterns(".git", "results", ".*"))
        (place / args.module).write_text(before)
        if not passes(place, arguments, output):
            sys.exit(f"the tests fail without a change\n{output.read_text()[-2000:]}")
        survivors = tried = 0
        for line, text in list(changes(source))[args.first :: args.every]:
            (place / args.module).write_text(text)
            tried += 1
            if passes(place, arguments, output):
                survivors += 1
                lines = zip(before.splitlines(), text.splitlines(), strict=False)
                changed = [f"\n  - {a.strip()}\n  + {b.strip()}" for a, b in lines if a != b]
                print(f"{args.module}:{line}:", *changed[:1], flush=True)
        print(f"{args.module}: {survivors} of {tried} changes pass the tests", flush=True)


if __name__ == "__main__":
    main()
