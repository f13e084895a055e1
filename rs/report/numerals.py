"""Sorts names with numbers in natural order: Table 2 before Table 10."""

from __future__ import annotations

import re


def order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """A sort key."""
    parts = re.split(r"(\d+)", name)
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part.lower()) for part in parts if part)
