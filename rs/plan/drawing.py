"""The draw jobs of a run under one noise: which votes of which images go to which files. No torch."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.plan.draw_paths import estimation_file, files_of
from rs.plan.jobs import Job, PlannedRun, noise_slug
from rs.provenance.digests import digest
from rs.settings.sampling import requested_form
from rs.study.sampling_refusals import of_two
from rs.study.schema import defaults, method_schema, prune, section
from rs.study.study import Run

USUAL_BLOCK = 10_000  # votes
_BLOCKS = re.compile(r"(?:estimate|answered)-([1-9][0-9]*)")  # folders of blocks (rs.plan.draw_paths)


def in_blocks(sampling: dict[str, Any], draws: Path) -> dict[str, Any]:
    """Sampling with its block filled in. Where the study states none, it is the block of the existing draws,
    else USUAL_BLOCK votes. n and the number of stored answers are rounded up to whole blocks, so a smaller or
    larger n draws only what is missing.
    """
    n, block = sampling["n"], sampling["block"]
    if block is None and sampling["mode"] == "sequential":  # whole batches
        block = max(min(n, USUAL_BLOCK) // sampling["batch"], 1) * sampling["batch"]
    elif block is None:
        votes: Counter[int] = Counter()
        for file in draws.glob("*/*-*/*.parquet"):
            if named := _BLOCKS.fullmatch(file.parent.name):
                votes[int(named[1])] += int(named[1])
        block = max(votes, key=lambda size: (votes[size], size), default=min(n, USUAL_BLOCK))
    if sampling["block"] is None:
        n = -(-n // block) * block
    answers = sampling.get("answers")
    rounded = {} if answers is None else {"answers": min(-(-answers // block) * block, n)}
    return {**sampling, "block": block, "n": n, **rounded}


def in_batches_of(sampling: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Sampling of a run that starts from the answers of `source` (sampling settings with a block). n is
    rounded up to the end of a batch of the source; an image may stop after each batch.
    """
    batch = min(sampling["batch"], source["block"])
    whole, rest = divmod(sampling["n"], source["block"])
    n = whole * source["block"] + min(-(-rest // batch) * batch, source["block"])
    return {**sampling, "block": batch, "n": n}


def stop_of(run: Run) -> dict[str, Any]:
    """The `stop` part of a sequential run's specs; empty for a run with a fixed number of votes."""
    sampling = run.sections["sampling"]
    if sampling["mode"] == "fixed":
        return {}
    stop = prune(sampling["stop"], section("sampling")["properties"]["stop"])
    if sampling["rule"] != "tests":
        return {"stop": stop}
    rule = {"rule": sampling["rule"], "resolution": sampling["resolution"]}
    return {"stop": {**stop, **rule}, "rule": sampling["rule"]}


def share_of(run: Run) -> float:
    """The share of alpha for the source's bound, from the first certificate on votes of two networks."""
    first = of_two(run)[0]
    return float(defaults(method_schema("certificates", first["name"]), first)["share"])


@dataclass
class Drawing:
    """The draws of a run under `noise`. `common` is the part of the specification that all of them share."""

    planned: PlannedRun
    noise: dict[str, Any]
    common: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        sampling = self.sampling
        self.common = {
            "noise": self.noise,
            **requested_form(sampling),
            "betas": sampling["betas"],
            "seed": sampling["seed"],
        }

    @property
    def sampling(self) -> dict[str, Any]:
        sampling: dict[str, Any] = self.planned.run.sections["sampling"]
        return sampling

    @property
    def source(self) -> dict[str, Any]:
        """What the draws' specification says of their source run; empty without a source."""
        planned = self.planned.source
        if planned is None:
            return {}
        theirs = planned.run.sections["sampling"]
        settings = requested_form(theirs) | {key: theirs[key] for key in ("n", "block", "answers")}
        return {"source": {"run": planned.network, **settings, "share": share_of(self.planned.run)}}

    @functools.cached_property  # asked by each of thousands of jobs
    def key(self) -> str:
        return f"{noise_slug(self.noise)}-{digest({**self.common, **self.source})}"

    @functools.cached_property
    def folder(self) -> Path:
        return self.planned.folder / "draws" / self.key

    @property
    def answers(self) -> dict[str, Any]:
        """How many votes have their answers stored; empty if none have."""
        return {} if self.sampling["answers"] is None else {"answers": self.sampling["answers"]}

    def jobs(self, ranges: Iterable[range], classes: tuple[str, ...]) -> Iterator[tuple[str, list[Job]]]:
        """The name and the jobs of each range: the selection votes, then one job per block of votes, or for a
        sequential run one job that draws all blocks.
        """
        for images in ranges:
            extent = [images.start, images.stop, images.step]
            shard = "-".join(map(str, extent))
            draws = [*(self._stopped if stop_of(self.planned.run) else self._fixed)(shard, extent)]
            yield shard, [self._job(spec, inputs, to, classes) for spec, inputs, to in draws]

    def _job(self, spec: Any, more: dict[str, Path], output: Path, classes: tuple[str, ...]) -> Job:
        inputs, sampling = {**self.planned.inputs, **more}, self.sampling
        described = ("sample", {**self.common, **spec}, classes, self.planned.id, inputs, {"draws": output})
        return Job(*described, sampling["device"], device_class=sampling["device_class"])

    def _selection(self, shard: str, extent: list[int]) -> tuple[dict[str, Any], dict[str, Path], Path]:
        n0 = self.sampling["n0"]
        selection, _ = files_of(self.folder, [shard], n0, 0, 1)
        return {"purpose": "select", "images": extent, "size": n0, "block": 0}, {}, selection[0]

    def _fixed(self, shard: str, extent: list[int]) -> Iterator[tuple[dict[str, Any], dict[str, Path], Path]]:
        yield self._selection(shard, extent)
        block, answers = self.sampling["block"], self.sampling["answers"] or 0
        for index in range(self.sampling["n"] // block):
            spec = {"images": extent, "size": block, "block": index}
            stored = index < answers // block
            spec |= {"purpose": "answered", "answers": True} if stored else {"purpose": "estimate"}
            yield spec, {}, estimation_file(self.folder, block, shard, index, answers)

    def _stopped(
        self, shard: str, extent: list[int]
    ) -> Iterator[tuple[dict[str, Any], dict[str, Path], Path]]:
        yield (chosen := self._selection(shard, extent))
        sizes, stop = {key: self.sampling[key] for key in ("n0", "n", "block")}, stop_of(self.planned.run)
        _, estimation = files_of(self.folder, [shard], **sizes, stop=stop["stop"])
        inputs = {"selection": chosen[2]}
        if (first := self.planned.source) is not None:
            inputs |= {"source": Drawing(first, self.noise).folder}
            inputs |= {"source_model": first.manifest}
        spec = {**sizes, **stop, "purpose": "sequential", "images": extent, **self.source}
        yield spec, inputs, estimation[0][0]
