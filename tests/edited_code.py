"""A copy of the package whose files can be edited, and the digests of its code."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import golden

from rs.provenance import code as code_digest


class EditedCode:
    """The package below `folder`. Every edit gives a file another time, however fast they follow."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "rs"
        ignored = shutil.ignore_patterns("__pycache__", "*.json", "*.html")
        shutil.copytree(code_digest.ROOT, self.root, ignore=ignored)
        self.clock: Iterator[int] = iter(range(10**18, 10**18 + 10_000))

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        now = next(self.clock)
        os.utime(path, ns=(now, now))

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text()
        assert old in text, f"{file} no longer holds {old!r}"
        self.write(file, text.replace(old, new, 1))

    def everywhere(self, pattern: str, new: str) -> None:
        """Replaces a regular expression in all files."""
        for path in self.root.rglob("*.py"):
            text = path.read_text()
            if (changed := re.sub(pattern, new, text, flags=re.MULTILINE)) != text:
                self.write(str(path.relative_to(self.root)), changed)

    def move(self, file: str, to: str) -> None:
        self.write(to, (self.root / file).read_text())
        (self.root / file).unlink()

    def stale(self, before: dict[str, str]) -> set[str]:
        """Stages and methods whose code is no longer that of `before`."""
        now = golden.code_digests()
        assert now.keys() == before.keys()
        return {name for name in now if now[name] != before[name]}
