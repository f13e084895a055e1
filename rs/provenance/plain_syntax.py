"""The definitions of one file of code, without the parts that compute nothing: texts and annotations. No
torch.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rs.provenance.local_names import number_locals
from rs.provenance.nodes import inner_nodes

PROGRESS = (
    "rs.machine.progress"  # calls of its functions pass their first argument on; the other ones are only text
)

# Facts of a class that no job executes.
FACTS = {"source": "ClassVar[str]", "passes": "ClassVar[Passes]", "free_norm": "ClassVar[float]"}
FACTS |= {"spends": "ClassVar[Spends]", "capped": "ClassVar[frozenset[str]]"}
FACTS |= {"dimension_less": "ClassVar[dict[str, dict[str, int]]]"}


class Plain(ast.NodeTransformer):
    """Drops from a module's tree: docstrings and other string statements; blocks for type checkers, the guard
    of those that they do not see, and blocks for running a file as a program; annotations of arguments,
    results and variables, and limits of a class's fields; facts of a class that no job executes (FACTS); the
    texts of UserErrors, assertions, warnings, prints and progress lines.
    """

    def __init__(self, tree: ast.Module) -> None:
        nodes = inner_nodes(tree)
        froms = (n for n in nodes if isinstance(n, ast.ImportFrom) and n.module == PROGRESS)
        self.progress = {alias.asname or alias.name for node in froms for alias in node.names}
        classes = [n for n in nodes if isinstance(n, ast.ClassDef)]
        self.fields = {id(n) for c in classes for n in c.body if isinstance(n, ast.AnnAssign)}

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return None
        if isinstance(value, ast.Call) and _tells(value):
            return None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        if _name(node.test) == "TYPE_CHECKING":
            return self.generic_visit(ast.Module(node.orelse, [])).body  # type: ignore[attr-defined]
        if ast.unparse(node.test) == "not TYPE_CHECKING":
            return self.generic_visit(ast.Module(node.body, [])).body  # type: ignore[attr-defined]
        if ast.unparse(node.test) == "__name__ == '__main__'":
            return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call) and _name(node.exc.func) == "UserError":
            return ast.Raise(exc=node.exc.func, cause=None)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Assert(test=self.visit(node.test), msg=None)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _name(node.func) in self.progress and node.args:
            return ast.Call(func=node.func, args=[self.visit(node.args[0])], keywords=[])
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Keeps annotations of a class's fields, since they make the fields."""
        if id(node) in self.fields:
            expected = FACTS.get(_name(node.target)) == ast.unparse(node.annotation)
            return None if expected else self.generic_visit(node)
        value = node.value and self.visit(node.value)
        return ast.Assign(targets=[self.visit(node.target)], value=value) if value else None

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if _name(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
            kept = [self.visit(each) for each in node.slice.elts if not _is_limit(each)]
            if kept[1:]:
                return ast.Subscript(node.value, ast.Tuple(kept, ast.Load()), node.ctx)
            plain_type: ast.AST = kept[0]
            return plain_type
        return self.generic_visit(node)


def _name(node: ast.AST | None) -> str:
    """The last name of `a.b.c`, or nothing for other expressions."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_limit(node: ast.AST) -> bool:
    """Whether a part of Annotated only limits or describes a field; others, as validators, may compute."""
    return isinstance(node, ast.Call) and _name(node.func) in ("Field", "WithJsonSchema")


def _tells(call: ast.Call) -> bool:
    """Whether a call only writes to the terminal."""
    speaks = {ast.unparse(k.value) for k in call.keywords if k.arg == "file"} <= {"sys.stderr", "sys.stdout"}
    return ast.unparse(call.func) == "warnings.warn" or (ast.unparse(call.func) == "print" and speaks)


_SKIPPED = ("ctx", "kind", "type_comment")  # fields of nodes


def plain(node: Any) -> Any:
    """A syntax tree as nested lists, without places, contexts and imports. Unlike `ast.dump` and
    `ast.unparse`, it is the same in every version of Python.
    """
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, repr(node.value)]
    if isinstance(node, ast.AST):
        values = {name: getattr(node, name, None) for name in node._fields if name not in _SKIPPED}
        fields = ([name, plain(value)] for name, value in values.items() if value is not None and value != [])
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [plain(item) for item in node if not isinstance(item, (ast.Import, ast.ImportFrom))]
    return repr(node)


@dataclass
class Imports:
    """`bound`: name -> module and name in it ("" for the module itself). `executed`: modules, or names in
    them that may be modules.
    """

    bound: dict[str, tuple[str, str]] = field(default_factory=dict)
    executed: set[str] = field(default_factory=set)

    def add(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.bound[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0],
                    "",
                )
                self.executed.add(alias.name)
            return
        source = "." * node.level + str(node.module or "")
        for alias in node.names:
            self.bound[alias.asname or alias.name] = (source, alias.name)
            self.executed.add(f"{source}.{alias.name}")


class Definition:
    """The statements that define one name, or the statements of a module that define none."""

    def __init__(self) -> None:
        self.nodes: list[ast.stmt] = []

    @functools.cached_property
    def text(self) -> str:
        return hashlib.sha256(repr([plain(node) for node in self.nodes]).encode()).hexdigest()

    @functools.cached_property
    def written(self) -> frozenset[tuple[str, ...]]:
        """The names in it, with the attributes taken of them."""
        return frozenset(name for node in self.nodes for name in _written(node))

    @functools.cached_property
    def imports(self) -> Imports:
        """The imports inside it."""
        return _imports(self.nodes)


class Module:
    """The top level of one file: the definitions of each name, its imports, and its other statements."""

    def __init__(self, text: bytes) -> None:
        tree = ast.parse(text)  # of bytes, in the encoding that the file declares
        self.names: dict[str, Definition] = {}
        self.effects = Definition()
        number_locals(tree)
        body: list[ast.stmt] = Plain(tree).visit(tree).body
        for node in body:
            names = _defined(node)
            if names is None and not isinstance(node, (ast.Import, ast.ImportFrom)):
                self.effects.nodes.append(node)
                inner = inner_nodes(node)
                names = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                names |= {n.name for n in inner if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
            for name in names or ():
                self.names.setdefault(name, Definition()).nodes.append(node)
        imports = (ast.Import, ast.ImportFrom)
        self.imports = _imports([n for n in body if isinstance(n, imports) or n in self.effects.nodes])


@functools.cache
def read_module(text: bytes) -> Module:
    return Module(text)


def _imports(nodes: list[ast.stmt]) -> Imports:
    found = Imports()
    for node in nodes:
        for inner in inner_nodes(node):
            if isinstance(inner, (ast.Import, ast.ImportFrom)):
                found.add(inner)
    return found


def _defined(node: ast.stmt) -> set[str] | None:
    """The names that a statement defines, if it does nothing else; otherwise None."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if not isinstance(node, (ast.Assign, ast.AugAssign)):
        return None
    inner: list[Any] = [n for t in targets for n in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return {n.id for n in inner} if all(isinstance(n, ast.Name) for n in inner) else None


def _written(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every name in a piece of code, with the attributes taken of it: ("bounds", "upper")."""
    chain: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        chain.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield (inner.id, *reversed(chain))
        return
    for child in ast.iter_child_nodes(inner):
        yield from _written(child)
