"""Mistakes that make a certificate false, and where each is refused or flagged: mistakes.yaml.

tests/soundness makes each of them, checks that it is caught there with these words, and checks that the same
input without the mistake passes. `rs audit --mistakes` prints the table; `--write FILE` puts it between the
marks of docs/evidence/soundness.md.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import yaml

from rs.cli.text_table import markdown

LIST = Path(__file__).with_name("mistakes.yaml")


@dataclass(frozen=True)
class Mistake:
    """`what` was done, `where` it is caught (a stage, a verb, a function of `import rs`), and a part of the
    message there.
    """

    kind: str
    name: str
    what: str
    where: str
    says: str


@functools.cache
def mistakes() -> tuple[Mistake, ...]:
    listed = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    return tuple(Mistake(kind, name, *fields) for kind, of in listed.items() for name, fields in of.items())


def table() -> str:
    """All mistakes in Markdown, by kind."""
    rows: list[list[str]] = []
    for kind, listed in itertools.groupby(mistakes(), key=lambda m: m.kind):
        rows.append([f"**{kind}**", "", "", ""])
        rows += [[f"`{m.name}`", m.what, m.where, m.says] for m in listed]
    return markdown(["", "mistake", "caught", "says"], rows) + "\n"
