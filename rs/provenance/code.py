"""Digests of the code that a job executes: of what computes, and of nothing else. No torch.

What counts are definitions at the top level of modules (functions, classes, constants): those that a job
enters by, and those that their code names, and so on. Where a definition lies and how it was imported does
not count: a name stands for the text of what it is bound to, so that a moved or a new one changes nothing.
Outside are comments, docstrings, annotations (of a class's fields only their limits), citations, what errors,
warnings and progress say (not that they are raised), and OUTSIDE.

It counts more rather than less: a class as a whole, every branch, a local variable that has the name of a
definition. Statements at the top level that define nothing count with every definition of a module that is
imported. Not seen is what is looked up by text, so that is named among the places a job enters by: methods
(rs.methods.catalog), stages (rs.plan.stages). Code that is named and not found is an error. The
method of a plug-in counts with what it names of the plug-in's own top-level package.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rs.errors import UserError
from rs.provenance.digests import digest
from rs.provenance.plain_syntax import Definition, Module, read_module
from rs.settings.plugins import plug_ins

ROOT = Path(__file__).resolve().parents[1]
# Tables of contents and what joins them, files and their provenance, what tells of errors and progress.
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
Place = tuple[str, str]  # a module, and a name at its top level ("" for what it executes beside definitions)


def code_digest(entries: Iterable[str], length: int = 12) -> str:
    """Digest of the code that `entries` execute: each a "module:name", or a "module" for all that it defines.

    Raises UserError for code that is named and not found.
    """
    entries = tuple(entries)
    return digest(sorted(set(here(*entries).closure(entries).values())), length)


def here(*entries: str) -> Code:
    """The package as it lies on disk now, and the packages of plug-ins that are among `entries`."""
    tops = {entry.partition(":")[0].split(".")[0] for entry in entries} - {ROOT.name}
    tops &= {plug_in.top for plug_in in plug_ins()} if tops else set()
    roots = (ROOT, *(place for top in sorted(tops) if (place := plug_in_root(top)) is not None))
    return _read_packages(roots, tuple(time for root in roots for time in _times(root)))


@functools.lru_cache(maxsize=32)
def _read_packages(roots: tuple[Path, ...], times: tuple[tuple[str, int], ...]) -> Code:
    return Code(*roots)


def plug_in_root(top: str) -> Path | None:
    """The folder of a top-level package, or a top-level module without its `.py`; None without either."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    file = Path(spec.origin) if spec is not None and spec.origin else Path()
    if file.suffix != ".py":  # a folder without __init__.py has no file
        return None
    return file.parent if file.name == "__init__.py" else file.with_suffix("")


def _times(folder: Path) -> Iterator[tuple[str, int]]:
    """Every Python file below a folder with the time of its last change."""
    if not folder.is_dir():  # a module
        file = folder.with_name(f"{folder.name}.py")
        yield str(file), file.stat().st_mtime_ns
        return
    with os.scandir(folder) as found:
        for item in sorted(found, key=lambda item: item.name):
            if item.name.endswith(".py"):
                yield item.path, item.stat().st_mtime_ns
            elif item.is_dir() and item.name != "__pycache__":
                yield from _times(Path(item.path))


class Code:
    """The definitions of packages, and what each of them refers to. `roots` are their folders; `content` is
    the digest of all their lines.
    """

    def __init__(self, *roots: Path) -> None:
        self.roots = {root.name: root for root in roots}
        files = {Path(file): root for root in roots for file, _ in _times(root)}
        self._texts = {file: file.read_text(encoding="utf-8") for file in files}  # all of one moment
        named = ([str(file.relative_to(root.parent)), self._texts[file]] for file, root in files.items())
        self.content = digest(sorted(named), 32)
        self._modules: dict[str, Module] = {}
        self._entries: dict[Place, tuple[str, list[Place]]] = {}

    def closure(self, entries: Iterable[str]) -> dict[Place, str]:
        """Every definition that `entries` execute, with the digest of it and of what its names stand for."""
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
        """Digest of a definition and of what its names stand for, and where that lies."""
        if place not in self._entries:
            defined = self.definition(place)
            referred: list[Place] = [(m, "") for m in self._executed(place[0], defined)]
            stand_for = set()
            for written in defined.written:
                for label, target in self._stand_for(place[0], written, defined):
                    stand_for.add((".".join(written), label))
                    referred += [target] if target else []
            self._entries[place] = (digest([defined.text, sorted(stand_for)], 64), referred)
        return self._entries[place]

    def definition(self, place: Place) -> Definition:
        module = self.module(place[0])
        return module.names[place[1]] if place[1] else module.effects

    def _executed(self, module: str, defined: Definition) -> list[str]:
        """The modules whose top level runs before a definition: its own, its packages', the imported ones."""
        parts = module.split(".")
        found = {".".join(parts[:i]) for i in range(1, len(parts) + 1)}
        for name in self.module(module).imports.executed | defined.imports.executed:
            if self._ours(name):
                found.add(name if self._is_module(name) else name.rpartition(".")[0])
        return sorted(found - OUTSIDE)

    def _stand_for(
        self, module: str, written: tuple[str, ...], defined: Definition
    ) -> list[tuple[str, Place | None]]:
        """What a name, or a name and attributes of it, is bound to: labels, and places in the package."""
        around, local, first = self.module(module), defined.imports.bound, written[0]
        places = self._resolve(module, first) if first in around.names and first not in local else []
        target = local.get(first) or around.imports.bound.get(first)
        if target and not self._ours(target[0]):
            return [(".".join(filter(None, target)), None)]
        places += self._attributes(target, written[1:]) if target else []
        return [
            (self.definition(place).text, place) for place in places
        ]  # none for what Python or a loop binds

    def _attributes(self, target: Place, attributes: tuple[str, ...]) -> list[Place]:
        """The definitions behind a name that is bound to `target` and the attributes taken of it."""
        module, name = target
        for attribute in (*filter(None, [name]), *attributes):
            if not self._is_module(f"{module}.{attribute}") or attribute in self.module(module).names:
                return self._resolve(module, attribute)
            module = f"{module}.{attribute}"
        return self._whole(module)

    def _resolve(self, module: str, name: str) -> list[Place]:
        """Where `name` of `module` is defined, through packages that hand it on; nothing if it is outside."""
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
        """What a module of the package defines. Raises UserError where there is none."""
        if name not in self._modules:
            path = self._file(name)
            if path is None:
                raise UserError(
                    f"code digest: no module {name} in {', '.join(map(str, self.roots.values()))}"
                )
            found = read_module(self._texts[path])
            inner = (defined.imports for defined in found.names.values())
            for source, bound in (
                target for each in (found.imports, *inner) for target in each.bound.values()
            ):
                if source.startswith(".") or bound == "*":
                    raise UserError(f"{path}: code digest: from {source} import {bound} cannot be followed")
            self._modules[name] = found
        return self._modules[name]

    def _ours(self, module: str) -> bool:
        return module.split(".")[0] in self.roots

    def _file(self, module: str) -> Path | None:
        top, *below = module.split(".")
        if top not in self.roots:
            return None
        place = self.roots[top].joinpath(*below)
        files = (place.with_name(f"{place.name}.py"), place / "__init__.py")
        return next((f for f in files if f in self._texts), None)

    def _is_module(self, module: str) -> bool:
        return module in self._modules or self._file(module) is not None
