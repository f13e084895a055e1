"""Replaces the part of a document between two marks."""

from __future__ import annotations

import re
from pathlib import Path

from rs.errors import UserError


def within(path: Path, mark: str, content: str) -> str:
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
