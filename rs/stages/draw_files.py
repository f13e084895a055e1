"""Draw files: written, read, and merged into the draws of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rs.errors import UserError
from rs.plan.draw_paths import draw_file, sequential_key
from rs.provenance.accepted_code import counts_as
from rs.provenance.checksums import KEY
from rs.provenance.files import ADVICE, read_table, write_table
from rs.statistics.draws import Draws, Votes


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
    """Images, labels, votes and provenance of one draw file.

    Raises UserError where it is no draw file, holds what no votes can be, or lies in another one's place.
    """
    table, provenance = read_table(path, needs=("image", "label", "counts"))
    spec = provenance.get("spec")
    if not isinstance(spec, dict) or not {"form", "model", "dimension", "classes"} <= provenance.keys():
        raise UserError(f"{path}: does not say how its votes were drawn, as our draws do; {ADVICE}")

    def matrix(name: str) -> np.ndarray:
        column = table.column(name).combine_chunks()
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)  # type: ignore[no-any-return]

    try:
        betas = [float(n.removeprefix("sum@")) for n in table.column_names if n.startswith("sum@")]
        votes = Votes(
            matrix("counts"),
            {b: matrix(f"sum@{b!r}") for b in betas},
            {b: matrix(f"square@{b!r}") for b in betas},
        )
        images, labels = table.column("image").to_numpy(), table.column("label").to_numpy()
        wrong = _wrong(images, labels, votes, spec, int(provenance["classes"])) or _misplaced(path, spec)
    except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path}: holds no votes ({reason}); {ADVICE}") from error
    if wrong:
        raise UserError(f"{path}: {wrong}; {ADVICE}")
    return images, labels, votes, provenance


def _wrong(
    images: np.ndarray, labels: np.ndarray, votes: Votes, spec: dict[str, Any], classes: int
) -> str | None:
    """What cannot be so: votes are whole numbers that add up, moments lie between 0 and the votes."""
    n = votes.n
    if {images.dtype.kind, labels.dtype.kind, votes.counts.dtype.kind} - {*"iu"}:
        return "holds images, labels or votes that are no whole numbers"
    if "images" in spec and images.tolist() != list(range(*spec["images"])):
        return f"holds other images than {spec['images']}, which it was drawn for"
    if len(images) == 0 or votes.counts.shape[1] != classes or labels.min() < 0 or labels.max() >= classes:
        return f"holds votes or labels of other classes than 0 to {classes - 1}"
    # a sequential run draws at most n of an image
    few, many = ("size", "size") if "size" in spec else ("block", "n")
    least, most = (spec[few], spec[many]) if many in spec else (0, np.inf)
    bad = (votes.counts < 0).any(1) | (n < least) | (n > most)
    if bad.any():
        told = f"{least}" if least == most else f"{least} to {most}"
        return f"image {images[bad][0]} has the votes {votes.counts[bad][0].tolist()}; allowed {told} in all"
    for beta, sums in votes.sums.items():
        squares, slack = votes.squares[beta], 1e-3 * n[:, None]
        inside = (squares >= 0) & (squares <= sums + slack) & (sums <= n[:, None] + slack)
        if not (inside.all() and np.allclose(sums.sum(1), n, rtol=1e-3)):
            return f"its softmax moments at beta {beta:g} are none of its votes"
    return None


def _misplaced(path: Path, spec: dict[str, Any]) -> str | None:
    """Where the file belongs, if it lies in the place of another draw file."""
    if "_block" not in path.name or "images" not in spec:
        return None
    size = (
        spec["size"] if "size" in spec else sequential_key(*(spec[k] for k in ("n0", "n", "block", "stop")))
    )
    extent, block = "-".join(map(str, spec["images"])), spec["block"] if "size" in spec else 0
    own = draw_file(path.parents[1], spec["purpose"], size, extent, block)
    return None if own == path else f"belongs to {own}"


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
    classes: dict[Any, Any] = {}  # of devices by name
    codes: dict[bool, frozenset[str]] = {}  # that all of them count as made by
    content = "checked"
    parts: list[tuple[np.ndarray, np.ndarray, Votes, Votes]] = []
    dimension = 0
    for select_file, block_files in zip(selection, estimation, strict=True):
        first: tuple[np.ndarray, np.ndarray] | None = None
        blocks: list[Votes] = []
        seen: set[Any] = set()  # the blocks of estimation votes
        for path in (select_file, *block_files):
            images, labels, votes, provenance = read_votes(path)
            spec = provenance["spec"]
            content = content if KEY in provenance else "not checked"
            here = {key: provenance.get(key) for key in ("form", "model")}
            # files of before there were classes name the processor or card, as others of the same class may
            name, of = provenance.get("device"), provenance.get("device_class")
            classes |= {name: of} if of else {}
            if classifier and of and name and classifier[0]["device_class"] == name:
                classifier[0]["device_class"] = of
            here["device_class"] = of or classes.get(name, name)
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
            how, code = provenance.get("stop"), str(provenance.get("code_digest"))
            like = drawn.setdefault(path == select_file, (how, str(path)))
            if how != like[0]:
                raise UserError(f"{path}: stopped by {how}, but {like[1]} by {like[0]}: not one run's draws")
            common = codes.get(path == select_file, counts_as(path, code)) & counts_as(path, code)
            if not common:
                advice = "rs accept says what differs, and takes both as one"
                raise UserError(f"{path}: drawn by code {code}, but {like[1]} by other code; {advice}")
            codes[path == select_file] = common
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

    stop = drawn[False][0]
    return Draws(
        wanted,
        np.concatenate([p[1] for p in parts])[at],
        join([p[2] for p in parts]),
        join([p[3] for p in parts]),
        dimension,
        uniform,
        "fixed" if stop is None else "sequential",
        stop or {},
        {**(classifier[0] if classifier else {}), "content": content},
    )
