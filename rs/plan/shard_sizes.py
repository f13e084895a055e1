"""How many images a run's draw files hold: as many as the existing files do. No torch.

The size is not part of a run's id, and no count depends on it. But other image ranges would be drawn anew. So
a run that has draws keeps its shards when another size is stated, by the edited study, by its overlay for
another device, or by another study. The names of the draw files are the record, on any machine. The sizes of
processes that run (rs.plan.running_plans) count before it.

A size that is not the study's is also written to a file beside the draws before any job starts. Files that
are drawn anew are missing for a moment, and every job of a cluster plans again. That record counts only while
no draw file exists, and only as long as the study states the same size as when it was written.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rs.errors import UserError, plural
from rs.provenance import checksums
from rs.provenance.files import ADVICE, read_json, write_json
from rs.settings.images import Subset

if TYPE_CHECKING:
    from rs.plan.plan import Plan

RECORD = "shards.json"
KEY = "images_per_shard"
_NAME = re.compile(r"(\d+)-(\d+)-([1-9]\d*)_block\d+\.parquet")  # rs.plan.draw_paths


@dataclass(frozen=True)
class Shards:
    """The draws of run `label` in `folder`: the study states `stated` images a file, files hold `images`,
    or will hold them, as another process that is `running` has planned.
    """

    folder: Path
    label: str
    stated: int
    images: int
    running: bool = False


Kept = dict[tuple[Path, int, int], Shards]  # by the draws' folder and the subset's first image and step


def shards_of(
    folder: Path, label: str, stated: int, subset: Subset, size: int, running: int | None = None
) -> Shards:
    """The shards of a `subset` of a split of `size` images, in the size of a `running` process if there is
    one. Raises UserError for a folder that cannot be read, and, where there are no draws, for an invalid
    record.
    """
    if running is not None:
        return Shards(folder, label, stated, running, running=True)
    try:
        images = _drawn(folder, stated, subset, size) or recorded(folder, stated) or stated
    except OSError as error:
        place, reason = error.filename or folder, error.strerror or error
        raise UserError(
            f"{place}: cannot be read: {reason}; the shard size is read from the draws there"
        ) from error
    return Shards(folder, label, stated, images)


def _drawn(folder: Path, stated: int, subset: Subset, size: int) -> int | None:
    """The size in which most images of this subset are drawn, by the names of the files; each block counts.
    Of equal sizes `stated`, else the nearest to it. None where nothing is drawn.

    A file that ends at the end of the split may be a shortened last shard, so it counts for every size that
    has a last shard there.
    """
    whole, ends = Counter[int](), Counter[tuple[int, int]]()
    for first, stop, step in ranges_in(folder):
        images = len(range(first, stop, step))
        at, off = divmod(first - subset.first, step)
        if step != subset.skip or off or at < 0:
            continue
        if stop < size and at % images == 0:
            whole[images] += images
        elif stop == size:
            ends[at, images] += images
    sizes = {stated, *whole}
    for at, images in ends:
        if not any(at % k == 0 and images <= k for k in sizes):
            sizes |= {k for k in range(images, max(at, images) + 1) if at % k == 0}

    def drawn(k: int) -> int:
        return whole[k] + sum(n for (at, images), n in ends.items() if at % k == 0 and images <= k)

    most = max(sizes, key=lambda k: (drawn(k), -abs(k - stated), k))
    return most if drawn(most) else None


def ranges_in(folder: Path) -> Iterator[tuple[int, int, int]]:
    """The image range of each draw file, as (first, stop, step)."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as purposes:
        for purpose in filter(os.DirEntry.is_dir, purposes):
            with os.scandir(purpose) as files:
                for named in filter(None, (_NAME.fullmatch(file.name) for file in files)):
                    first, stop, step = map(int, named.groups())
                    if first < stop:
                        yield first, stop, step


def recorded(folder: Path, stated: int) -> int | None:
    path = folder / RECORD
    if not path.is_file() or not any(entry.is_dir() for entry in folder.iterdir()):
        return None  # files that are drawn anew leave their folders
    record = read_json(path)
    images = record.get(KEY) if isinstance(record, dict) else None
    if isinstance(record, dict) and checksums.KEY not in record:
        raise UserError(f"{path}: has no checksum, so a plan did not write it; {ADVICE}")
    if type(images) is not int or images < 1:
        raise UserError(f"{path}: {KEY} is {images!r}; allowed a whole number from 1; {ADVICE}")
    return images if record.get("stated") == stated else None


# --- the sizes of a plan that are not the study's ---


def settle(plan: Plan) -> list[str]:
    """Records sizes that are not the study's, removes records that draws contradict; returns `sentences`."""
    for shards in plan.observer.kept.values():
        if shards.running:  # that process has recorded what there is to record
            continue
        record, stored = shards.folder / RECORD, None
        with contextlib.suppress(UserError):  # the draws replace an invalid record
            stored = recorded(shards.folder, shards.stated)
        if shards.images != shards.stated and stored != shards.images:
            write_json(record, {KEY: shards.images, "stated": shards.stated})
        elif shards.images == shards.stated and record.is_file() and any(ranges_in(shards.folder)):
            with contextlib.suppress(OSError):  # the draws count in any case
                record.unlink()
    return sentences(plan)


def sentences(plan: Plan) -> list[str]:
    """Sentences to show before computing: which draws are not in shards of the study's size."""
    kept: dict[tuple[int, int, bool], list[Shards]] = {}
    for shards in plan.observer.kept.values():
        if shards.images != shards.stated:
            kept.setdefault((shards.images, shards.stated, shards.running), []).append(shards)
    return [_sentence(alike) for alike in kept.values()]


def _sentence(alike: list[Shards]) -> str:
    first, more = alike[0], f" and {len(alike) - 1} more" * (len(alike) > 1)
    start, size = (
        f"{first.label}{more}: ",
        f"shards of {plural(first.images, 'image')}, which are kept; sampling.{KEY}: ",
    )
    if first.running:
        return f"{start}a process that runs now has planned {size}{first.stated} counts if it draws nothing"
    start += f"drawn in {size}"
    return f"{start}{first.stated} applies to new draws (to draw again, remove {first.folder})"
