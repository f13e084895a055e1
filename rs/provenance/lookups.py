"""Code that is looked up by text, such as `import_module(name)` or `eval`: no digest can follow it. No torch.

A library that is looked up by its literal name is as good as imported: libraries do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping

from rs.provenance.nodes import inner_nodes

IMPORTS = ("import_module", "__import__")  # functions that take a module's name
LOOKUPS = {
    *(f"builtins.{name}" for name in ("eval", "exec", "globals", "__import__")),
    *("importlib.import_module", "importlib.__import__", "importlib.util.spec_from_file_location"),
    *("runpy.run_module", "runpy.run_path"),
}


def lookups(
    nodes: Iterable[ast.AST],
    bound: Mapping[str, tuple[str, str]],
    own: Iterable[str],
    ours: Callable[[str], bool],
) -> Iterator[tuple[int, str]]:
    """Line and function of every look-up in statements, except for libraries'. `bound` is what imported names
    mean, `own` the other names of the module, and `ours` tells whether a module's code counts.
    """
    inner = [each for node in nodes for each in inner_nodes(node)]
    stored = {each.id for each in inner if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    others = {"", *own, *stored, *(each.arg for each in inner if isinstance(each, ast.arg))}
    libraries = {
        id(call.func) for call, name in literal(inner) if not name.startswith(".") and not ours(name)
    }
    for node in inner:
        if isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in libraries:
            first, *attributes = _dotted(node)
            known = ".".join(filter(None, bound.get(first, ("" if first in others else "builtins", first))))
            if ".".join([known, *attributes]) in LOOKUPS:
                yield node.lineno, ".".join([first, *attributes])


def literal(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.Call, str]]:
    """The calls among these nodes that look up a module by a literal name, and the name."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.args[0].value
            if _dotted(node.func)[-1] in IMPORTS and isinstance(name, str):
                yield node, name


def _dotted(node: ast.AST) -> list[str]:
    """The names of `a.b.c`; the first is empty where something else than a name stands there."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return [node.id if isinstance(node, ast.Name) else "", *reversed(attributes)]
