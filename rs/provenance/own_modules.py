"""The code of plug-ins: their own packages and modules, and the Python files in them. No torch.

A distribution may hold more than the package of its method: a module beside it is followed like the package.
It is the plug-in's own if the list of installed files of its distribution has it, or, where the plug-in is
used from a folder of its user's (an editable installation, a folder on the path), if it lies in that folder.
All else are libraries, whose code does not count.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from rs.errors import UserError
from rs.provenance.lookups import literal
from rs.settings.plugins import PlugIn, plug_ins

_PATHS = (
    *map(sysconfig.get_path, ("purelib", "platlib")),
    *site.getsitepackages(),
    site.getusersitepackages(),
)
INSTALLED = {Path(path).resolve() for path in _PATHS}  # folders with the modules of many distributions


def roots_of(tops: set[str]) -> tuple[Path, ...]:
    """The packages (folders) and modules (files without `.py`) of the plug-ins with these top-level packages:
    these, and their own modules that any of their files imports.

    Raises UserError where such a module is not written in Python.
    """
    found: dict[str, Path] = {}
    for plug_in in plug_ins() if tops else ():
        todo = {plug_in.top} & tops
        while todo:
            top = todo.pop()
            if top not in found and (root := _root(plug_in, top)) is not None:
                found[top] = root
                names = {name for file, time in python_files(root) for name in _imported(file, time)}
                todo |= {name for name in names - found.keys() if _is_own(plug_in, name)}
    return tuple(found[top] for top in sorted(found))


def python_files(root: Path) -> Iterator[tuple[str, int]]:
    """Every Python file below a folder, or that of a module, with its modification time."""
    if not root.is_dir():  # a module
        file = root.with_name(f"{root.name}.py")
        yield str(file), file.stat().st_mtime_ns
        return
    with os.scandir(root) as found:
        for item in sorted(found, key=lambda item: item.name):
            if item.name.endswith(".py") and item.is_file():  # an editor's lock is a link to nothing
                yield item.path, item.stat().st_mtime_ns
            elif item.is_dir() and item.name != "__pycache__":
                yield from python_files(Path(item.path))


def _root(plug_in: PlugIn, top: str) -> Path | None:
    place = _place(top)
    if place is None or place.suffix == ".py":
        return place and place.with_suffix("")
    if (place / "__init__.py").is_file():
        return place
    if top == plug_in.top:
        return None
    why = "a package needs an __init__.py" if place.is_dir() else "it is not written in Python"
    raise UserError(
        f"{place}: code digest: {plug_in.distribution} imports it, and it cannot be followed: {why}"
    )


def _place(top: str) -> Path | None:
    """The folder of a top-level package, or the file of a top-level module; None if neither exists."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0]) if folders else Path(spec.origin) if spec.has_location and spec.origin else None


def _is_own(plug_in: PlugIn, name: str) -> bool:
    """Whether a top-level module is of the plug-in's distribution."""
    if name in sys.stdlib_module_names or name == "rs":
        return False
    place, beside = _place(name), _place(plug_in.top)
    if place is None or beside is None:
        return False
    if place.is_dir() and next(place.rglob("*.py"), None) is None:
        return False  # a folder of other files, which Python takes for a package
    place, beside, files = place.resolve(), beside.resolve(), _installed(plug_in.distribution)
    if beside in files:
        return place in files
    return place.parent == beside.parent and beside.parent not in INSTALLED


@functools.cache
def _installed(distribution: str) -> frozenset[Path]:
    """The top-level folders and files of a distribution; those that only point to an editable one, too."""
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return frozenset()
    tops = {file.parts[0] for file in found.files or ()}
    return frozenset(Path(str(found.locate_file(top))).resolve() for top in tops)


@functools.lru_cache(maxsize=4096)
def _imported(file: str, time: int) -> frozenset[str]:
    """The top-level modules that a file imports anywhere; none for one that is no Python, which is refused
    where a method needs it.
    """
    try:
        nodes = list(ast.walk(ast.parse(Path(file).read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return frozenset(name.split(".")[0] for name in names | {name for _, name in literal(nodes)})
