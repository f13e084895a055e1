"""Records the sizes of a plan's draw files (rs.plan.shard_sizes) where they are not the study's, and tells of
them. No torch.
"""

from __future__ import annotations

import contextlib

from rs.errors import UserError, plural
from rs.plan.plan import Plan
from rs.plan.shard_sizes import KEY, RECORD, Shards, ranges_in, recorded
from rs.provenance.files import write_json


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
