"""Numbers as pages show them, and the natural order of names with numbers: Table 2 before Table 10."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MINUS = "−"  # U+2212, as in print; the scripts of the pages write the same


def order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """A sort key."""
    parts = re.split(r"(\d+)", name)
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part.lower()) for part in parts if part)


def naturally(paths: Iterable[Path]) -> list[Path]:
    """Files in natural order."""
    return sorted(paths, key=lambda path: order(str(path)))


def numeral(value: Any, spec: str = "g") -> str:
    """The number in a format such as `+.3f`, with the minus sign of print, also in its exponent; ∞ if
    infinite.
    """
    return format(value, spec).replace("-", MINUS).replace("inf", "∞")


def printed(sentence: str) -> str:
    """A sentence of the terminal with the minus sign of print before its numbers; hyphens of words stay."""
    return re.sub(r"(?<![^\s\[(])-(?=[\d∞])", MINUS, sentence)
