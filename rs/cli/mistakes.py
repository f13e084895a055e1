"""Mistakes that make a certificate false, and where each is refused or flagged: mistakes.yaml.

tests/soundness makes each of them, checks that it is caught there with these words, and checks that the same
input without the mistake passes. `rs audit --mistakes` prints the table; `--write FILE` puts it between the
marks of docs/evidence/soundness.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import yaml

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
    return tuple(Mistake(kind, name, *told) for kind, of in listed.items() for name, told in of.items())


def table() -> str:
    """All mistakes in Markdown, by kind."""
    lines, kind = ["| | mistake | caught | says |", "|---|---|---|---|"], ""
    for m in mistakes():
        if m.kind != kind:
            kind = m.kind
            lines.append(f"| **{kind}** | | | |")
        lines.append(f"| `{m.name}` | {m.what} | {m.where} | {m.says} |")
    return "\n".join(lines) + "\n"
