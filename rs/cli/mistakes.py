"""Mistakes that make a certificate say what is not so, and where each is refused or flagged: mistakes.yaml.

tests/soundness plants every one of them, sees it caught there with these words, and sees the same without the
mistake go through. `rs audit --mistakes` prints the table, `--write FILE` puts it between the marks of
docs/evidence/soundness.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import yaml

LIST = Path(__file__).with_name("mistakes.yaml")


@dataclass(frozen=True)
class Mistake:
    """`what` was done, `where` it is caught (a stage, a verb, a function of `import rs`), and a part of what
    is said there.
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
    """Every mistake in Markdown, by kind."""
    lines, kind = ["| | mistake | caught | says |", "|---|---|---|---|"], ""
    for m in mistakes():
        if m.kind != kind:
            kind = m.kind
            lines.append(f"| **{kind}** | | | |")
        lines.append(f"| `{m.name}` | {m.what} | {m.where} | {m.says} |")
    return "\n".join(lines) + "\n"
