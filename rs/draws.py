"""The stored observations: what a network did under noise, and nothing derived from it. No torch.

A draw file holds one row per image: index in the full split, label, votes per class, and for every inverse
temperature beta the sums of softmax scores and of their squares. Files of different blocks add up; files of
different image ranges follow one another; files of different inference forms never mix. A sequential run has
one file per range with all its votes, and in its provenance the rule that stopped them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rs.interfaces import UserError
from rs.provenance import digest, read_table, write_table


@dataclass(frozen=True)
class Votes:
    """``counts`` int64 [N, C]; ``sums`` and ``squares``: beta -> float64 [N, C] of softmax(beta * logits)."""

    counts: np.ndarray
    sums: dict[float, np.ndarray] = field(default_factory=dict)
    squares: dict[float, np.ndarray] = field(default_factory=dict)

    @property
    def n(self) -> np.ndarray:
        """Votes per image, int64 [N]."""
        return self.counts.sum(1)

    def __add__(self, other: Votes) -> Votes:
        return Votes(
            self.counts + other.counts,
            {b: self.sums[b] + other.sums[b] for b in self.sums},
            {b: self.squares[b] + other.squares[b] for b in self.squares},
        )

    def rows(self, keep: np.ndarray | slice) -> Votes:
        return Votes(
            self.counts[keep],
            {b: v[keep] for b, v in self.sums.items()},
            {b: v[keep] for b, v in self.squares.items()},
        )


@dataclass(frozen=True)
class Draws:
    """All that a certificate sees of N images, beside the noise.

    `selection` chooses the class and `estimation` bounds its probability: separate draws. `dimension` is the
    number of input coordinates; `uniform` float64 [N] in [0, 1) is stored for randomised bounds; `stopping`
    says how the number of estimation votes was chosen: "fixed" before looking at any vote, or "sequential" by
    looking at them, with `stop` the rule (rs.spec.Stop).
    """

    images: np.ndarray
    labels: np.ndarray
    selection: Votes
    estimation: Votes
    dimension: int
    uniform: np.ndarray
    stopping: str = "fixed"
    stop: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def from_counts(
        selection: Any, estimation: Any, dimension: int, labels: Any = None, uniform: Any = None
    ) -> Draws:
        """Draws from plain arrays of votes [N, C] or [C], for tests and for votes that somebody types in."""
        sel = np.atleast_2d(np.asarray(selection, np.int64))
        est = np.atleast_2d(np.asarray(estimation, np.int64))
        n = len(est)
        return Draws(
            np.arange(n),
            np.zeros(n, np.int64) if labels is None else np.asarray(labels, np.int64),
            Votes(np.broadcast_to(sel, est.shape)),
            Votes(est),
            dimension,
            np.full(n, 0.5) if uniform is None else np.asarray(uniform, np.float64),
        )


def draw_file(folder: Path, purpose: str, size: int | str, images: str, block: int) -> Path:
    """Where a draw file lies: `images` is start-stop-step in the full split, `size` the votes in a block, or
    for purpose `sequential` the digest of what chose their number.
    """
    return folder / f"{purpose}-{size}" / f"{images}_block{block}.parquet"


def sequential_key(n0: int, n: int, block: int, stop: dict[str, Any]) -> str:
    """Digest of all that the number of votes of a sequential run depends on, beside the votes."""
    return digest({"n0": n0, "n": n, "block": block, "stop": stop})


def files_of(
    folder: Path, shards: list[str], n0: int, n: int, block: int, stop: dict[str, Any] | None = None
) -> tuple[list[Path], list[list[Path]]]:
    """The files that `merge` wants: selection by shard, estimation by shard and block.

    `stop` is the rule of a sequential run, which has one file of estimation votes per shard.
    """
    selection = [draw_file(folder, "select", n0, shard, 0) for shard in shards]
    if stop is not None:
        key = sequential_key(n0, n, block, stop)
        return selection, [[draw_file(folder, "sequential", key, s, 0)] for s in shards]
    blocks = range(n // block)
    return selection, [[draw_file(folder, "estimate", block, s, b) for b in blocks] for s in shards]


def write_votes(
    path: Path, images: np.ndarray, labels: np.ndarray, votes: Votes, provenance: dict[str, Any]
) -> None:
    """One draw file. `provenance` must hold `form` (the inference form), `dimension` and `classes`."""
    columns: dict[str, pa.Array] = {"image": pa.array(images), "label": pa.array(labels)}

    def add(name: str, values: np.ndarray) -> None:
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])

    add("counts", votes.counts)
    for beta in sorted(votes.sums):
        add(f"sum@{beta!r}", votes.sums[beta])
        add(f"square@{beta!r}", votes.squares[beta])
    write_table(path, pa.table(columns), provenance)


def read_votes(path: Path) -> tuple[np.ndarray, np.ndarray, Votes, dict[str, Any]]:
    """Images, labels, votes and provenance of one draw file."""
    table, provenance = read_table(path, needs=("image", "label", "counts"))

    def matrix(name: str) -> np.ndarray:
        column = table.column(name).combine_chunks()
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)

    betas = [float(n.removeprefix("sum@")) for n in table.column_names if n.startswith("sum@")]
    votes = Votes(
        matrix("counts"),
        {b: matrix(f"sum@{b!r}") for b in betas},
        {b: matrix(f"square@{b!r}") for b in betas},
    )
    return table.column("image").to_numpy(), table.column("label").to_numpy(), votes, provenance


def merge(
    selection: Sequence[Path], estimation: Sequence[Sequence[Path]], wanted: np.ndarray, uniform: np.ndarray
) -> Draws:
    """Draws of the `wanted` images from the files of all shards.

    `selection` has one file per image range, `estimation` one list of block files per image range. `uniform`
    belongs to `wanted`. Raises UserError where model, form, device class, noise, seed or how the votes were
    drawn differ, a block comes twice, an image is missing or a file disagrees with its neighbours.
    """
    classifier: tuple[Any, str] | None = None
    drawn: dict[bool, tuple[Any, str]] = {}  # by whether the file holds selection votes
    parts: list[tuple[np.ndarray, np.ndarray, Votes, Votes]] = []
    dimension = 0
    for select_file, block_files in zip(selection, estimation, strict=True):
        first: tuple[np.ndarray, np.ndarray] | None = None
        blocks: list[Votes] = []
        seen: set[Any] = set()  # the blocks of estimation votes
        for path in (select_file, *block_files):
            images, labels, votes, provenance = read_votes(path)
            spec = provenance["spec"]
            here = {key: provenance.get(key) for key in ("form", "model")}
            # files of before there were classes name the processor or card
            here["device_class"] = provenance.get("device_class", provenance.get("device"))
            here |= {key: spec.get(key) for key in ("noise", "seed")}
            classifier = classifier or (here, str(path))
            if here != classifier[0]:
                here, other = (
                    {k: v for k, v in a.items() if here[k] != classifier[0][k]} for a in (here, classifier[0])
                )
                raise UserError(
                    f"{path}: drawn as {here}, but {classifier[1]} as {other}: different smoothed classifiers"
                )
            if (spec.get("purpose") == "select") != (len(blocks) == 0) or spec.get("block") in seen:
                raise UserError(
                    f"{path}: {spec.get('purpose')} votes of block {spec.get('block')}, not expected here"
                )
            seen |= {spec.get("block")} if blocks else set()
            how = {key: provenance.get(key) for key in ("code_digest", "stop")}
            like = drawn.setdefault(path == select_file, (how, str(path)))
            if how != like[0]:
                raise UserError(f"{path}: drawn by {how}, but {like[1]} by {like[0]}: not one run's draws")
            if first is None:
                first = (images, labels)
            elif not (np.array_equal(images, first[0]) and np.array_equal(labels, first[1])):
                raise UserError(f"{path}: other images or labels than {select_file}")
            dimension = int(provenance["dimension"])
            blocks.append(votes)
        assert first is not None
        total = blocks[1]
        for block in blocks[2:]:
            total = total + block
        parts.append((*first, blocks[0], total))
    images = np.concatenate([p[0] for p in parts])
    order = np.argsort(images, kind="stable")
    at = order[np.clip(np.searchsorted(images, wanted, sorter=order), 0, len(images) - 1)]
    if not np.array_equal(images[at], wanted):
        raise UserError(f"draws: image {wanted[images[at] != wanted][0]} is in none of the files")

    def join(votes: list[Votes]) -> Votes:
        return Votes(
            np.concatenate([v.counts for v in votes])[at],
            {b: np.concatenate([v.sums[b] for v in votes])[at] for b in votes[0].sums},
            {b: np.concatenate([v.squares[b] for v in votes])[at] for b in votes[0].squares},
        )

    stop = drawn[False][0]["stop"]
    return Draws(
        wanted,
        np.concatenate([p[1] for p in parts])[at],
        join([p[2] for p in parts]),
        join([p[3] for p in parts]),
        dimension,
        uniform,
        "fixed" if stop is None else "sequential",
        stop or {},
    )
