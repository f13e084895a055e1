"""Digests of the code that a job executes: of the code that computes, and of nothing else. No torch.

Counted are definitions at the top level of modules (functions, classes, constants): those by which a job
enters, those that their code names, and so on. Where a definition lies and how it was imported does not
count: a name stands for the text of the definition behind it, so moving a definition changes nothing. Not
counted are comments, docstrings, annotations (those of a class's fields do count, but not their limits),
citations, names of local variables, the texts of errors, warnings and progress (that an error is raised does
count), and OUTSIDE.

In doubt more counts rather than less: a class as a whole, every branch, the name of a local variable where
its module has a definition of that name. Top-level statements that define nothing count with every definition
of an imported module. Code that is looked up by text cannot be followed, so it is named among the places by
which a job enters: methods (rs.methods.catalog), stages (rs.plan.stages); a method that looks code up is an
error (rs.provenance.lookups), and so is code that is named and not found. A plug-in's method counts with
everything that it names in the plug-in's own modules (rs.provenance.own_modules).
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
from collections.abc import Iterable
from importlib.util import resolve_name
from pathlib import Path

from rs.errors import UserError
from rs.provenance.digests import digest
from rs.provenance.lookups import lookups
from rs.provenance.own_modules import python_files, roots_of
from rs.provenance.plain_syntax import Definition, Module, read_module
from rs.settings.plugins import plug_ins

ROOT = Path(__file__).resolve().parents[1]
# Tables of contents and the code that joins them, files and their provenance, errors and progress.
OUTSIDE = {
    *(
        "rs.methods.catalog",
        "rs.provenance.checksums",
        "rs.machine.progress",
        "rs.provenance.files",
        "rs.provenance.digests",
        "rs.provenance.reading",
    ),
    *(
        "rs.settings.method_schema",
        "rs.study.plugin_schema",
        "rs.settings.plugins",
        "rs.study.schema_document",
    ),
    *(
        "rs.methods.attacks:METHODS",
        "rs.methods.certificates:METHODS",
        "rs.methods.data:METHODS",
        "rs.methods.models:METHODS",
    ),
    *("rs.methods.noise:METHODS", "rs.methods.objectives:METHODS", "rs.errors:UserError"),
}
Place = tuple[str, str]  # a module, and a name at its top level ("": its statements that are not definitions)


def code_digest(entries: Iterable[str]) -> str:
    """Digest of the code that `entries` execute. An entry is "module:name", or "module" for all its
    definitions.

    Raises UserError for code that is named and not found.
    """
    entries = tuple(entries)
    return digest(sorted(set(here(*entries).closure(entries).values())), 12)


def here(*entries: str) -> Code:
    """The package as it is on disk now, with the modules of plug-ins among `entries`."""
    tops = {entry.partition(":")[0].split(".")[0] for entry in entries} - {ROOT.name}
    tops &= {plug_in.top for plug_in in plug_ins()} if tops else set()
    roots = (ROOT, *roots_of(tops))
    return _read_packages(roots, tuple(time for root in roots for time in python_files(root)))


@functools.lru_cache(maxsize=32)
def _read_packages(roots: tuple[Path, ...], times: tuple[tuple[str, int], ...]) -> Code:
    return Code(*roots)


class Code:
    """The definitions of packages, and the definitions to which each of them refers. `roots` are the
    packages' folders; `content` is the digest of all their lines.
    """

    def __init__(self, *roots: Path) -> None:
        self.roots = {root.name: root for root in roots}
        files = {Path(file): root for root in roots for file, _ in python_files(root)}
        self._texts = {file: _read(file) for file in files}  # all at one time
        named = {file: file.relative_to(root.parent) for file, root in files.items()}
        lines = ([str(name), hashlib.sha256(self._texts[file]).hexdigest()] for file, name in named.items())
        self.content = digest(sorted(lines), 32)
        self._files = {_module(name): file for file, name in sorted(named.items())}
        self._modules: dict[str, Module] = {}
        self._entries: dict[Place, tuple[str, list[Place]]] = {}

    def closure(self, entries: Iterable[str]) -> dict[Place, str]:
        """Every definition that `entries` execute, with the digest of its text and of what its names stand
        for.
        """
        todo: list[Place] = []
        for entry in entries:
            module, _, name = entry.partition(":")
            todo += self._resolve(module, name) if name else self._whole(module)
        found: dict[Place, str] = {}
        seen: set[Place] = set()
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            entry, referred = self.entry(place)
            todo += referred
            if self.definition(place).nodes:
                found[place] = entry
        return found

    def entry(self, place: Place) -> tuple[str, list[Place]]:
        """Digest of a definition and of what its names stand for, and the places of the latter."""
        if place not in self._entries:
            defined = self.definition(place)
            referred: list[Place] = [(m, "") for m in self._executed(place[0], defined)]
            stand_for = set()
            for written in defined.written:
                for label, target in self._stand_for(place[0], written, defined):
                    stand_for.add((".".join(written), label))
                    referred += [target] if target else []
            self._refuse_lookups(place)
            self._entries[place] = (digest([defined.text, sorted(stand_for)], 64), referred)
        return self._entries[place]

    def definition(self, place: Place) -> Definition:
        module = self.module(place[0])
        return module.names[place[1]] if place[1] else module.effects

    def _executed(self, module: str, defined: Definition) -> list[str]:
        """The modules whose top level runs before a definition: its own, its packages', and the imported
        ones.
        """
        parts = module.split(".")
        found = {".".join(parts[:i]) for i in range(1, len(parts) + 1)}
        for name in self.module(module).imports.executed | defined.imports.executed:
            if self._ours(name):
                found.add(name if self._is_module(name) else name.rpartition(".")[0])
        return sorted(found - OUTSIDE)

    def _stand_for(
        self, module: str, written: tuple[str, ...], defined: Definition
    ) -> list[tuple[str, Place | None]]:
        """What a name (or a name with attributes) is bound to: labels, and places in the package."""
        around, local, first = self.module(module), defined.imports.bound, written[0]
        places = self._resolve(module, first) if first in around.names and first not in local else []
        target = local.get(first) or around.imports.bound.get(first)
        if target and not self._ours(target[0]):
            return [(".".join(filter(None, target)), None)]
        places += self._attributes(target, written[1:]) if target else []
        return [
            (self.definition(place).text, place) for place in places
        ]  # none for names bound by Python or a loop

    def _attributes(self, target: Place, attributes: tuple[str, ...]) -> list[Place]:
        """The definitions behind attributes of a name that is bound to `target`."""
        module, name = target
        for attribute in (*filter(None, [name]), *attributes):
            if not self._is_module(f"{module}.{attribute}") or attribute in self.module(module).names:
                return self._resolve(module, attribute)
            module = f"{module}.{attribute}"
        return self._whole(module)

    def _resolve(self, module: str, name: str) -> list[Place]:
        """Where `name` of `module` is defined, through packages that re-export it; empty if it is outside."""
        defined = self.module(module)
        if name in defined.names:
            return [] if module in OUTSIDE or f"{module}:{name}" in OUTSIDE else [(module, name)]
        if name in defined.imports.bound:
            target = defined.imports.bound[name]
            return self._attributes(target, ()) if self._ours(target[0]) else []
        if self._is_module(f"{module}.{name}"):
            return self._whole(f"{module}.{name}")
        raise UserError(f"code digest: no {name!r} in module {module}")

    def _whole(self, module: str) -> list[Place]:
        defined = self.module(module)
        return [] if module in OUTSIDE else [(module, name) for name in ("", *defined.names)]

    # --- files ---

    def module(self, name: str) -> Module:
        """The definitions of a module of the package. Raises UserError where there is no such module."""
        if name not in self._modules:
            path = self._file(name)
            if path is None:
                raise UserError(
                    f"code digest: no module {name} in {', '.join(map(str, self.roots.values()))}"
                )
            found = _parsed(path, self._texts[path])
            inner = (defined.imports for defined in found.names.values())
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            for source, bound in (
                target for each in (found.imports, *inner) for target in each.bound.values()
            ):
                if source.startswith(".") or bound == "*":
                    raise UserError(f"{path}: code digest: {_not_followed(source, bound, package)}")
            self._modules[name] = found
        return self._modules[name]

    def _refuse_lookups(self, place: Place) -> None:
        """Raises UserError where a method's definition looks code up by text. In the rest of this package
        only tables of contents do (a test sees to it).
        """
        module, name = place
        if module.split(".")[0] == ROOT.name and not module.startswith(f"{ROOT.name}.methods."):
            return
        around, defined = self.module(module), self.definition(place)
        assigned = [n for each in around.names.values() for n in each.nodes if isinstance(n, ast.Assign)]
        nodes = defined.nodes if name else [*defined.nodes, *assigned]
        bound = {**around.imports.bound, **defined.imports.bound}
        for line, function in lookups(nodes, bound, around.names, self._ours):
            raise UserError(
                f"{self._file(module)}:{line}: code digest: what `{function}` looks up by text cannot be "
                "followed; import it by its name: import package.module"
            )

    def _ours(self, module: str) -> bool:
        return module.split(".")[0] in self.roots

    def _file(self, module: str) -> Path | None:
        return self._files.get(module)

    def _is_module(self, module: str) -> bool:
        return module in self._modules or self._file(module) is not None


def _module(file: Path) -> str:
    """The name of the module in a file; the path is that from the folder with its package."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: code digest: cannot be read: {error.strerror or error}") from error


def _parsed(file: Path, text: bytes) -> Module:
    """The definitions of a file; the text is decoded as Python decodes it."""
    try:
        return read_module(text)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise UserError(f"{file}{line}: code digest: cannot be read as Python: {reason}") from error


def _not_followed(source: str, bound: str, package: str) -> str:
    """The message on an import that cannot be followed, in a module of this package."""
    if bound == "*":
        return f"from {source} import * cannot be followed; import its names"
    remedy = ""
    with contextlib.suppress(ImportError):  # outside of every package
        remedy = f": from {resolve_name(source, package)} import {bound}"
    return f"from {source} import {bound} cannot be followed; import absolutely{remedy}"
