"""Draw files: written, read, and merged into the draws of a run.

Files of several versions of torch are merged, with a warning, and the versions are kept beside the radii. A
vote is a function of network, form, seed and device class, which another version may round differently. Two
versions are thus two base classifiers f and g that hardly differ. If m of n votes are f's, the counts are of
their mixture, the base classifier (m f + (n - m) g) / n, whose values are probabilities. The mixture is
certified, not f or g: votes stay independent, and the theorems hold for such classifiers too, since the
smoothed one is as smooth. Clopper-Pearson holds for a mean p of probabilities that differ, where Hoeffding's
inequality (1956) covers it: for the event of c or fewer votes for other classes with c <= n p - 1. These are
rare counts, so the inequality covers only a small alpha. Enumeration for n = 5 to 40 and all bounds of p_A
above 1/2 finds no error above alpha at alpha <= 0.05; at alpha = 0.5 the error reaches 1.2 alpha.

A rule that stops has all votes of an image from one job, and so of one version. Device classes differ by
their kernels; draws of different device classes are refused.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
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
    """Writes one draw file. `provenance` must hold `form` (the inference form), `dimension` and `classes`."""
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

    Raises UserError where it is no draw file, holds impossible votes, or lies in the place of another one.
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
    """The first contradiction found: votes are whole numbers that add up, moments lie between 0 and the
    votes.
    """
    n = votes.n
    if {images.dtype.kind, labels.dtype.kind, votes.counts.dtype.kind} - {*"iu"}:
        return "holds images, labels or votes that are no whole numbers"
    if "images" in spec and images.tolist() != list(range(*spec["images"])):
        return f"holds other images than {spec['images']}, which it was drawn for"
    if len(images) == 0 or votes.counts.shape[1] != classes or labels.min() < 0 or labels.max() >= classes:
        return f"holds votes or labels of other classes than 0 to {classes - 1}"
    # a sequential run draws at most n votes of an image
    few, many = ("size", "size") if "size" in spec else ("block", "n")
    least, most = (spec[few], spec[many]) if many in spec else (0, np.inf)
    bad = (votes.counts < 0).any(1) | (n < least) | (n > most)
    if bad.any():
        allowed = f"{least}" if least == most else f"{least} to {most}"
        return (
            f"image {images[bad][0]} has the votes {votes.counts[bad][0].tolist()}; allowed {allowed} in all"
        )
    for beta, sums in votes.sums.items():
        squares, slack = votes.squares[beta], 1e-3 * n[:, None]
        inside = (squares >= 0) & (squares <= sums + slack) & (sums <= n[:, None] + slack)
        if not (inside.all() and np.allclose(sums.sum(1), n, rtol=1e-3)):
            return f"its softmax moments at beta {beta:g} are none of its votes"
    return None


def _misplaced(path: Path, spec: dict[str, Any]) -> str | None:
    """Where the file belongs, if it lies in the place of another draw file; else None."""
    if "_block" not in path.name or "images" not in spec:
        return None
    size = (
        spec["size"] if "size" in spec else sequential_key(*(spec[k] for k in ("n0", "n", "block", "stop")))
    )
    extent, block = "-".join(map(str, spec["images"])), spec["block"] if "size" in spec else 0
    own = draw_file(path.parents[1], spec["purpose"], size, extent, block)
    return None if own == path else f"belongs to {own}"


def merge(
    selection: Sequence[Path],
    estimation: Sequence[Sequence[Path]],
    requested: np.ndarray,
    uniform: np.ndarray,
) -> Draws:
    """Draws of the `requested` images from the files of all shards.

    `selection` has one file per image range, `estimation` one list of block files per image range. `uniform`
    belongs to `requested`. Raises UserError where files differ in model, form, device class, noise, seed or
    way of drawing, a block comes twice, an image is missing, or a file disagrees with its neighbours.
    """
    merged, parts = Merged(), []
    for select_file, block_files in zip(selection, estimation, strict=True):
        parts.append(_shard(merged, select_file, block_files))
    images = np.concatenate([part.images for part in parts])
    order = np.argsort(images, kind="stable")
    at = order[np.clip(np.searchsorted(images, requested, sorter=order), 0, len(images) - 1)]
    if not np.array_equal(images[at], requested):
        raise UserError(f"draws: image {requested[images[at] != requested][0]} is in none of the files")

    def join(votes: list[Votes]) -> Votes:
        return Votes(
            np.concatenate([v.counts for v in votes])[at],
            {b: np.concatenate([v.sums[b] for v in votes])[at] for b in votes[0].sums},
            {b: np.concatenate([v.squares[b] for v in votes])[at] for b in votes[0].squares},
        )

    stop = merged.stops[False][0]
    votes = sum(int(part.selection.n.sum() + part.estimation.n.sum()) for part in parts)
    return Draws(
        requested,
        np.concatenate([part.labels for part in parts])[at],
        join([part.selection for part in parts]),
        join([part.estimation for part in parts]),
        merged.dimension,
        uniform,
        "fixed" if stop is None else "sequential",
        stop or {},
        {**merged.classifier, "content": merged.content, "drawn": merged.drawn() | {"votes": votes}},
    )


@dataclass(frozen=True)
class Shard:
    """All votes of one range of images."""

    images: np.ndarray
    labels: np.ndarray
    selection: Votes
    estimation: Votes


def _shard(merged: Merged, select_file: Path, block_files: Sequence[Path]) -> Shard:
    """Raises UserError where a file is of another block or purpose, or of other images."""
    images, labels, selection, provenance = read_votes(select_file)
    _expected(select_file, provenance["spec"], "select", set())
    merged.take(select_file, provenance, selects=True)
    blocks, seen = [], set[Any]()
    for path in block_files:
        others, their_labels, votes, provenance = read_votes(path)
        _expected(path, provenance["spec"], None, seen)
        merged.take(path, provenance, selects=False)
        if not (np.array_equal(others, images) and np.array_equal(their_labels, labels)):
            raise UserError(f"{path}: other images or labels than {select_file}")
        seen.add(provenance["spec"].get("block"))
        blocks.append(votes)
    return Shard(images, labels, selection, functools.reduce(operator.add, blocks))


def _expected(path: Path, spec: dict[str, Any], purpose: str | None, seen: set[Any]) -> None:
    """Raises UserError for selection votes in the place of estimation votes or vice versa, and for a block
    that was already `seen`.
    """
    if (spec.get("purpose") == "select") != (purpose == "select") or spec.get("block") in seen:
        problem = f"{spec.get('purpose')} votes of block {spec.get('block')}, not expected here"
        raise UserError(f"{path}: {problem}")


class Merged:
    """The facts that all files of a run's draws share."""

    def __init__(self) -> None:
        self.classifier: dict[str, Any] = {}
        self.content = "checked"
        self.dimension = 0
        self._files: list[dict[str, Any]] = []
        self.stops: dict[
            bool, tuple[Any, Path]
        ] = {}  # whether the votes select -> the rule, and the file that states it
        self._first: Path | None = None
        self._classes: dict[Any, Any] = {}  # device name -> device class
        self._codes: dict[Any, frozenset[str]] = {}  # purpose -> the code that all its files count as made by

    def take(self, path: Path, provenance: dict[str, Any], selects: bool) -> None:
        """Adds a file. Raises UserError where its classifier, rule or code differs."""
        self.content = self.content if KEY in provenance else "not checked"
        fields = {key: provenance.get(key) for key in ("commit", "device", "seconds", "passes")}
        self._files.append({**fields, "torch": (provenance.get("versions") or {}).get("torch")})
        self._same_classifier(path, provenance)
        rule, code = provenance.get("stop"), str(provenance.get("code_digest"))
        known, source = self.stops.setdefault(selects, (rule, path))
        if rule != known:
            raise UserError(f"{path}: stopped by {rule}, but {source} by {known}: not one run's draws")
        counted, purpose = counts_as(path, code), provenance["spec"].get("purpose")
        common = self._codes.get(purpose, counted) & counted
        if not common:
            advice = "rs accept says what differs, and takes both as one"
            raise UserError(f"{path}: drawn by code {code}, but {source} by other code; {advice}")
        self._codes[purpose] = common
        self.dimension = int(provenance["dimension"])

    def drawn(self) -> dict[str, Any]:
        """Number of files; their commits, devices and versions of torch; total seconds, None if a file does
        not state them; an ensemble's passes, if every file states them.
        """
        seconds = [file["seconds"] for file in self._files]
        keys = ("commit", "device", "torch")
        values = {key: sorted({str(file[key]) for file in self._files if file[key]}) for key in keys}
        passes = [file["passes"] for file in self._files]
        counted = {} if None in passes else {"passes": sum(passes)}
        spent = None if None in seconds else round(sum(seconds), 2)
        return {"files": len(seconds), **values, "seconds": spent, **counted}

    def _same_classifier(self, path: Path, provenance: dict[str, Any]) -> None:
        here = {key: provenance.get(key) for key in ("form", "model")}
        # files older than device classes name only the processor or card; a newer file may give its class
        name, device_class = provenance.get("device"), provenance.get("device_class")
        self._classes |= {name: device_class} if device_class else {}
        if device_class and name and self.classifier.get("device_class") == name:
            self.classifier["device_class"] = device_class
        here["device_class"] = device_class or self._classes.get(name, name)
        here |= {key: provenance["spec"].get(key) for key in ("noise", "seed")}
        if self._first is None:
            self.classifier, self._first = here, path
        differing = [key for key in here if here[key] != self.classifier[key]]
        if differing:
            own, other = ({key: stated[key] for key in differing} for stated in (here, self.classifier))
            problem = f"drawn as {own}, but {self._first} as {other}: different smoothed classifiers"
            raise UserError(f"{path}: {problem}")
