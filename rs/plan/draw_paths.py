"""The paths of draw files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rs.provenance.digests import digest


def draw_file(folder: Path, purpose: str, size: int | str, images: str, block: int) -> Path:
    """The path of a draw file. `images` is start-stop-step in the full split. `size` is the number of votes
    in a block; for purpose `sequential`, it is the digest of the settings that decide the number of votes.
    """
    return folder / f"{purpose}-{size}" / f"{images}_block{block}.parquet"


def sequential_key(n0: int, n: int, block: int, stop: dict[str, Any]) -> str:
    """Digest of all settings, apart from the votes, that decide how many votes a sequential run draws."""
    return digest({"n0": n0, "n": n, "block": block, "stop": stop})


def files_of(
    folder: Path, shards: list[str], n0: int, n: int, block: int, stop: dict[str, Any] | None = None
) -> tuple[list[Path], list[list[Path]]]:
    """The files that `merge` reads: selection by shard, estimation by shard and block.

    `stop` is the rule of a sequential run, which has one file of estimation votes per shard.
    """
    selection = [draw_file(folder, "select", n0, shard, 0) for shard in shards]
    if stop is not None:
        key = sequential_key(n0, n, block, stop)
        return selection, [[draw_file(folder, "sequential", key, s, 0)] for s in shards]
    blocks = range(n // block)
    return selection, [[draw_file(folder, "estimate", block, s, b) for b in blocks] for s in shards]


def estimation_file(folder: Path, block: int, shard: str, index: int, answers: int) -> Path:
    """The path of a block of votes in a run that stores the answers of its first `answers` votes."""
    purpose = "answered" if index < answers // block else "estimate"
    return draw_file(folder, purpose, block, shard, index)


def read_by_sample(spec: dict[str, Any], inputs: dict[str, Any]) -> list[Path]:
    """The source run's draw files of the same images, for a job that starts there; answered ones first."""
    if "source" not in spec:
        return []
    source, shard = spec["source"], "-".join(map(str, spec["images"]))
    block, answers = source["block"], source["answers"]
    blocks = range(source["n"] // block)
    return [estimation_file(inputs["source"], block, shard, b, answers) for b in blocks]


def read_by_certify(spec: dict[str, Any], inputs: dict[str, Any]) -> list[Path]:
    """Every draw file that a certify job reads."""
    selection, estimation = shards_of(spec, inputs)
    return [*selection, *(path for blocks in estimation for path in blocks)]


def shards_of(spec: dict[str, Any], inputs: dict[str, Any]) -> tuple[list[Path], list[list[Path]]]:
    """`files_of` a certify job."""
    sizes = (spec["n0"], spec["n"], spec["block"], spec.get("stop"))
    selection, estimation = files_of(inputs["folder"], inputs["shards"], *sizes)
    if "answers" in spec:
        more = (inputs["folder"], spec["block"])
        blocks, answers = range(spec["n"] // spec["block"]), spec["answers"]
        estimation = [[estimation_file(*more, s, b, answers) for b in blocks] for s in inputs["shards"]]
    return selection, estimation
