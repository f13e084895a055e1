"""Votes on disk, stored as they come: an interrupted call continues, and only missing votes are drawn.

A row is one image and one block of votes: the classes with votes, and how many. A block's noise is seeded by
(seed, purpose, image, block), so a row does not depend on when it is drawn. Every file carries the identity
of the classifier and its noise. Refused are rows of another identity, of a changed image, and of another
version of torch, whose noise and rounding may differ; another version of Pillow only where it changes an
image.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
import pyarrow as pa

from rs.errors import UserError
from rs.foreign.fingerprint import are_numbers, same
from rs.provenance.digests import canonical, digest
from rs.provenance.files import provenance, read_json, read_table, write_json, write_table
from rs.statistics.seeding import Purpose

SECONDS = 30.0  # between two files; longer runs write less often
SHARE = 0.05
PURPOSES: tuple[Purpose, Purpose] = ("select", "estimate")
IDENTITY = "identity.json"


class Block(NamedTuple):
    image: int
    purpose: Purpose
    block: int
    votes: int


def blocks_of(image: int, n0: int, n: int, block: int) -> Iterator[Block]:
    """All blocks that an image needs; the last block of each purpose may be shorter."""
    for purpose, number in zip(PURPOSES, (n0, n), strict=True):
        for k, start in enumerate(range(0, number, block)):
            yield Block(image, purpose, k, min(block, number - start))


@dataclass(frozen=True)
class _Row:
    digest: str
    classes: np.ndarray
    counts: np.ndarray


class Kept:
    """The votes in `folder`, of the classifier with this `identity`, whose logits are `answers`."""

    def __init__(self, folder: Path, identity: dict[str, Any], answers: list[str]) -> None:
        """Reads the stored votes. Raises UserError for votes of another classifier."""
        self.folder, self.identity = folder, identity
        self._rows: dict[Block, _Row] = {}
        self._digests: dict[int, str] = {}
        self._pillow: dict[int, str] = {}
        self._new: list[tuple[Block, _Row]] = []
        self._started = self._written = time.monotonic()
        check_identity(folder, identity, answers)
        for file in sorted((folder / "votes").glob("*.parquet")):
            self._read(file)

    def __contains__(self, block: Block) -> bool:
        return block in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def check_image(self, image: int, image_digest: str, where: str) -> None:
        """Raises UserError where stored votes at this position are of another image."""
        if self._digests.get(image, image_digest) != image_digest:
            problem = f"{where} is not the image that the votes in {self.folder} are of"
            before = self._pillow[image]
            if before != PIL.__version__:
                problem += f" (Pillow {before} prepared that, Pillow {PIL.__version__} this)"
            raise UserError(f"certify: {problem}; choose another --out, or remove that folder")

    def add(self, block: Block, image_digest: str, counts: np.ndarray) -> None:
        """Votes int64 [classes] of the image with this digest; written now and then, and by `write`."""
        classes = np.flatnonzero(counts)
        row = _Row(image_digest, classes.astype(np.int32), counts[classes].astype(np.int64))
        self._rows[block] = row
        self._new.append((block, row))
        now = time.monotonic()
        if now - self._written > max(SECONDS, SHARE * (now - self._started)):
            self.write()

    def write(self) -> None:
        """Writes the votes that are not on disk yet."""
        if not self._new:
            return
        blocks, rows = zip(*self._new, strict=True)
        columns: dict[str, Any] = {name: [getattr(b, name) for b in blocks] for name in Block._fields}
        columns |= {"digest": [r.digest for r in rows]}
        columns |= {name: [getattr(r, name).tolist() for r in rows] for name in ("classes", "counts")}
        path = self.folder / "votes" / f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(4)}.parquet"
        write_table(path, pa.table(columns), provenance(self.identity, "", pillow=PIL.__version__))
        self._new, self._written = [], time.monotonic()

    def totals(self, images: list[int], n0: int, n: int, block: int, classes: int) -> list[np.ndarray]:
        """Selection and estimation votes, int64 [images, classes] each, of images with all their blocks."""
        totals = [np.zeros((len(images), classes), np.int64) for _ in PURPOSES]
        for i, image in enumerate(images):
            for key in blocks_of(image, n0, n, block):
                row = self._rows[key]
                totals[PURPOSES.index(key.purpose)][i, row.classes] += row.counts
        return totals

    def _read(self, file: Path) -> None:
        table, provenance = read_table(file, [*Block._fields, "digest", "classes", "counts"])
        if provenance.get("spec_digest") != digest(self.identity):
            raise UserError(
                f"{file}: votes of another classifier or noise than {self.folder / IDENTITY} says"
            )
        for row in table.to_pylist():
            block = Block(*(row[name] for name in Block._fields))
            arrays = np.array(row["classes"], np.int32), np.array(row["counts"], np.int64)
            self._rows[block] = _Row(row["digest"], *arrays)
            self._digests[block.image] = row["digest"]
            self._pillow[block.image] = str(provenance.get("pillow"))


def check_identity(folder: Path, identity: dict[str, Any], answers: list[str]) -> None:
    """Writes the identity where there is none. Raises UserError, naming the difference, for another one."""
    file = folder / IDENTITY
    if not file.exists():
        if any((folder / "votes").glob("*.parquet")):
            raise UserError(f"{file}: missing, though votes are there; remove {folder} and run again")
        write_json(file, {"identity": identity, "answers": answers})
        return
    there, before = _read_identity(file)
    now = canonical(identity)
    advice = "choose another --out, or remove that folder"
    for key in dict.fromkeys([*there, *now]):
        if there.get(key) != now.get(key):
            values = " there, ".join(map(_short, _apart(there.get(key), now.get(key)))) + " now"
            other = "other" if key == "weights" else "another"
            raise UserError(f"certify: {folder}: holds votes of {other} {key} ({values}); {advice}")
    if not same(before, answers):
        code = "its logits for the same images differ now, so code that it calls has changed"
        raise UserError(f"certify: {folder}: holds votes of another network ({code}); {advice}")


def _read_identity(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The recorded identity and logits. Raises UserError for another file."""
    stored = read_json(file)
    identity, noted = (
        (stored.get("identity"), stored.get("answers")) if isinstance(stored, dict) else (None, None)
    )
    if not isinstance(identity, dict) or not isinstance(noted, list) or not all(map(are_numbers, noted)):
        raise UserError(f"{file}: does not say whose votes these are; remove {file.parent} and run again")
    return canonical(identity), noted


def _apart(there: Any, now: Any) -> tuple[Any, Any]:
    """Both values; of two mappings only the keys in which they differ, so that these are not cut off."""
    if not isinstance(there, dict) or not isinstance(now, dict):
        return there, now
    keys = [key for key in {**there, **now} if there.get(key) != now.get(key)]
    return {key: there.get(key) for key in keys}, {key: now.get(key) for key in keys}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
