"""The house stays one that a stranger can read: no file is longer than 300 lines."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("place", ["rs", "tests"])
def test_no_file_is_longer_than_300_lines(place):
    lines = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in ROOT.glob(f"{place}/**/*.py")}
    assert len(lines) > 50
    assert {file: n for file, n in lines.items() if n > 300} == {}
