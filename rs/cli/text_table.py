"""Tables of text: aligned for the terminal, in Markdown, and within a document."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rs.errors import UserError


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """A line per row, with cells two spaces apart and columns as wide as their widest cell. Columns whose
    index is in `left` are aligned left, all others right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        lines.append("  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in cells).rstrip())
    return lines


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, without a line break at its end."""
    first, *others = (f"| {' | '.join(row)} |" for row in (heads, *rows))
    return "\n".join([first, f"|{'---|' * len(heads)}", *others])


def between_marks(path: Path, mark: str, content: str) -> str:
    """The file's text with `content` between <!-- mark --> and <!-- /mark -->. Raises UserError where the
    marks are missing.
    """
    start, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    if not path.is_file():
        there = "it is a folder; a file" if path.is_dir() else "no such file; it"
        raise UserError(f"{path}: {there} needs the marks {start} and {end}")
    whole = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"({start}\n).*?({end})", re.DOTALL)
    if not pattern.search(whole):
        raise UserError(f"{path}: lacks the marks {start} and {end}")
    return pattern.sub(lambda match: f"{match[1]}{content}{match[2]}", whole, count=1)
