"""How many images a run's draw files hold: as many as those that are there. No torch.

The size is no part of a run's id, and no count depends on it. Other ranges would be drawn anew all the same,
so a run that has draws keeps its shards when the study, its overlay for another device, or another study says
another size: the names of its files are the record, found on any machine. A size that is not the study's is
also written down beside them before any job starts, since files that are drawn anew are gone for a moment,
and every job of a cluster plans again; that counts as long as the study says what it said then.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rs.errors import UserError
from rs.provenance.files import ADVICE, read_json, write_json
from rs.settings.images import Subset

if TYPE_CHECKING:
    from rs.plan.plan import Plan

RECORD = "shards.json"
KEY = "images_per_shard"
_NAME = re.compile(r"(\d+)-(\d+)-([1-9]\d*)_block\d+\.parquet")  # rs.plan.draw_paths


@dataclass(frozen=True)
class Shards:
    """Of the draws in `folder`, of run `label`: the study says `stated` images, and files hold `images`."""

    folder: Path
    label: str
    stated: int
    images: int


def shards_of(folder: Path, label: str, stated: int, subset: Subset, size: int) -> Shards:
    """Of a `subset` of a split of `size` images. Raises UserError for a record that is none."""
    images = _recorded(folder, stated) or _drawn(folder, stated, subset, size) or stated
    return Shards(folder, label, stated, images)


def settle(plan: Plan) -> list[str]:
    """Writes down the sizes that are not the study's; returns what to know before the compute."""
    kept: dict[tuple[int, int], list[Shards]] = {}
    for shards in plan.observer.kept.values():
        if shards.images != shards.stated:
            kept.setdefault((shards.images, shards.stated), []).append(shards)
            if _recorded(shards.folder, shards.stated) != shards.images:
                write_json(shards.folder / RECORD, {KEY: shards.images, "stated": shards.stated})
    return [_sentence(alike) for alike in kept.values()]


def _sentence(alike: list[Shards]) -> str:
    first, more = alike[0], f" and {len(alike) - 1} more" * (len(alike) > 1)
    told = f"{first.label}{more}: drawn in shards of {first.images} images, which stay; sampling.{KEY}: "
    return f"{told}{first.stated} is for new draws (remove {first.folder} to draw anew)"


def _drawn(folder: Path, stated: int, subset: Subset, size: int) -> int | None:
    """What the names of the files there tell: `stated` if any is of it, else what most of this subset are of.

    A file that ends where the split does may have been cut short. Where there is no other, it has a place
    among shards of several sizes, and the one nearest to `stated` is taken.
    """
    whole, ends = Counter[int](), list[tuple[int, int]]()
    for first, stop, step in _files(folder):
        images = len(range(first, stop, step))
        at, off = divmod(first - subset.first, step)
        if step != subset.skip or off or at < 0:
            continue
        if stop < size and at % images == 0:
            if images == stated:
                return stated
            whole[images] += 1
        elif stop == size:
            ends.append((at, images))
    if whole:
        return max(whole, key=lambda images: (whole[images], images))
    if any(at % stated == 0 and images <= stated for at, images in ends):
        return stated
    fitting = [k for at, images in ends for k in range(images, max(at, images) + 1) if at % k == 0]
    return min(fitting, key=lambda images: abs(images - stated), default=None)


def _files(folder: Path) -> Iterator[tuple[int, int, int]]:
    """The image range of each draw file, as it is come upon: mostly the first one tells enough."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as purposes:
        for purpose in filter(os.DirEntry.is_dir, purposes):
            with os.scandir(purpose) as files:
                for named in filter(None, (_NAME.fullmatch(file.name) for file in files)):
                    first, stop, step = map(int, named.groups())
                    if first < stop:
                        yield first, stop, step


def _recorded(folder: Path, stated: int) -> int | None:
    path = folder / RECORD
    if not path.is_file():
        return None
    told = read_json(path)
    images = told.get(KEY) if isinstance(told, dict) else None
    if not isinstance(images, int) or images < 1:
        raise UserError(f"{path}: {KEY} is {images!r}; allowed a whole number from 1; {ADVICE}")
    return images if told.get("stated") == stated else None
