"""Numbers in place of the names of local variables, so that renaming one changes no digest. No torch.

A name is renamed throughout an outermost function, with the functions inside it. Two different programs stay
different: the numbers are those of the order in which the function stores to its names, and no renamed name
can mean anything else. So a name keeps its letters if it could: if the module or Python itself has a
definition of it, if something in the function takes it as an argument (a caller may give that by name), or if
it is the attribute of a class, declared global, or bound by an import, a pattern or a definition.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from types import BuiltinFunctionType

from rs.provenance.nodes import inner_nodes

# Python's own: interactive sessions and doctest put more there, such as `_` and `display`.
_BUILTINS = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, (type, BuiltinFunctionType)) and value.__name__ == name
}
_PATTERNS = (ast.MatchAs, ast.MatchStar, ast.MatchMapping)


def number_locals(tree: ast.Module) -> None:
    """Renames the local variables of all functions of a module, in place: `1`, `2`, ..., which no code can
    write.
    """
    whole, functions = inner_nodes(tree), [inner_nodes(function) for function in _outermost(tree)]
    inside = {id(node) for nodes in functions for node in nodes}
    outside = {n.id for n in whole if isinstance(n, ast.Name) and id(n) not in inside}
    taken = outside | {name for node in whole for name in _bound(node)} | _BUILTINS
    for nodes in functions:
        _number(nodes, taken)


def _outermost(node: ast.AST) -> Iterator[ast.FunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield child
        else:
            yield from _outermost(child)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a node binds otherwise than by storing to a variable."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).split(".")[0]
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names
    elif isinstance(node, _PATTERNS):
        yield str(getattr(node, "name", None) or getattr(node, "rest", None))


def _number(function: list[ast.AST], taken: set[str]) -> None:
    """Renames the variables of a function, given its nodes."""
    kept = taken | {node.arg for node in function if isinstance(node, ast.arg)}
    classes = (node for node in function if isinstance(node, ast.ClassDef))
    kept |= {name for node in classes for inner in inner_nodes(node) for name in _stored(inner)}
    stored = dict.fromkeys(name for node in function for name in _stored(node) if name not in kept)
    numbers = {name: str(number) for number, name in enumerate(stored, 1)}
    for node in function:
        if isinstance(node, ast.Name):
            node.id = numbers.get(node.id, node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            node.name = numbers.get(node.name, node.name)


def _stored(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
