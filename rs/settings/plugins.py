"""Methods of other distributions, found by their entry points and without importing them. No torch.

A group is "rs." and a kind of method. An entry point maps the method's name in a study to "module:Class", as
the tables of contents of this package do:

    [project.entry-points."rs.objectives"]
    mine = "lab_methods.mine:Mine"
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from rs.errors import UserError, guess

KINDS = ("datasets", "models", "objectives", "noises", "certificates", "attacks")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class PlugIn:
    """A method of another distribution; `path` is "module:Class"."""

    kind: str
    name: str
    path: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plug-in {self.distribution} {self.version}: rs.{self.kind}: {self.name} = {self.path}"

    @property
    def module(self) -> str:
        return self.path.partition(":")[0]

    @property
    def top(self) -> str:
        """Its top-level package."""
        return self.module.split(".")[0]

    def fail(self, message: str) -> UserError:
        return UserError(f"{self}: {message}; mend or uninstall it")


@functools.cache
def plug_ins() -> tuple[PlugIn, ...]:
    """All installed plug-ins. Raises UserError for an invalid group, name or path."""
    by_name: dict[tuple[str, str], PlugIn] = {}
    entries = entry_points()
    ours = [e for group in entries.groups if group.startswith("rs.") for e in entries.select(group=group)]
    for plug_in in sorted(map(_plug_in, ours), key=lambda p: (p.kind, p.name, p.distribution)):
        other = by_name.setdefault((plug_in.kind, plug_in.name), plug_in)
        if other is not plug_in:
            raise plug_in.fail(f"{other.distribution} {other.version} has this name too")
    return tuple(by_name.values())


def table(kind: str) -> dict[str, str]:
    """Name and "module:Class" of every plug-in of this kind."""
    return {p.name: p.path for p in plug_ins() if p.kind == kind}


def _plug_in(entry: EntryPoint) -> PlugIn:
    kind = entry.group.removeprefix("rs.")
    distribution, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")
    plug_in = PlugIn(kind, entry.name, entry.value.replace(" ", ""), distribution, version)
    if kind not in KINDS:
        groups = [f"rs.{kind}" for kind in KINDS]
        meant = guess(entry.group, groups)
        raise plug_in.fail(f"no such kind of method{meant}; allowed: {', '.join(groups)}")
    if not _NAME.fullmatch(plug_in.name):
        raise plug_in.fail(f"a name must match {_NAME.pattern}")
    if not _PATH.fullmatch(plug_in.path):
        raise plug_in.fail("must be module:Class")
    if plug_in.top == "rs":
        raise plug_in.fail("its module must lie in a package of its own, not in rs")
    return plug_in
