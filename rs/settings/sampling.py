"""What a study says of votes: how many, in which inference form, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.settings.device_class import PATTERN
from rs.settings.limits import MOST_METHODS, Images, Positive, Seed, Share, Votes
from rs.settings.numbers import Radii

FORM = ("precision", "batch", "compiled")  # of Sampling: what fixes the inference form


def by_openvino(form: Mapping[str, Any]) -> bool:
    """Whether OpenVINO runs the network: where that is asked for, and int8 always."""
    return form["precision"] == "int8" or form.get("engine") == "openvino"


def asked_form(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """The inference form that a run's `sampling` or a job's spec asks for. OpenVINO always compiles."""
    form = {key: sampling[key] for key in FORM}
    if by_openvino(sampling):
        form["compiled"] = True
        form |= {} if form["precision"] == "int8" else {"engine": "openvino"}
    return form


def differentiated(precision: str) -> str:
    """In which precision a network is differentiated that votes in this one: bytes have no gradients."""
    return "bfloat16" if precision == "int8" else precision


@dataclass(frozen=True)
class Stop:
    """Under `mode: sequential`: an image is drawn for until its votes answer this at error rate `alpha`.

    Either is each of `radii` (l2, Gaussian noise) certified or given up, or the radius is within `width` of
    what all n votes would certify. `futility` is the chance that a radius is given up that all n votes would
    just certify.
    """

    alpha: Share = 0.001
    radii: Radii = ()
    width: Positive | None = None
    futility: Share = 0.5


@dataclass(frozen=True)
class Sampling:
    """How a smoothed classifier is observed.

    `n0` selection votes choose the class, `n` estimation votes bound its probability; n is a multiple of
    `block` (rounded up to one, where the study states no block: then a run keeps the block that it was drawn
    in, else takes min(n, 10,000)). One draw file holds `images_per_shard` images (draws that are there stay
    in the shards that they are in) and one block. With `mode: sequential`, n is the most that an image gets,
    `stop` says when it has enough, and a draw file holds all blocks. `rule: tests` decides `stop.radii` by
    exact group sequential tests, with which the certificate `group_sequential` claims them: fewer votes,
    nothing between the radii, and a radius is given up where telling it would take more votes than knowing a
    radius to `resolution` sigma. Batches then hold votes of several images. `betas` are the inverse
    temperatures of the softmax moments to store. `precision`, `batch`, `compiled` and `engine` are the
    inference form, fixed before the first vote. OpenVINO runs it instead of torch where that is the `engine`,
    and int8 always: on processors, and always compiled. `device_class` (`cuda 9.0`, `cpu avx512`) pins on
    which kind of device votes are drawn: those of two kinds never merge, so the others are drawn anew. Like
    `device` it is no part of what is drawn.

    `answers` is for a run that others start from: of so many of its first votes of an image (whole blocks, at
    most n) it is stored which class each was for. `source` names that run, for certificate `incremental`:
    this one's network, sequential, meets the same draws, and what is counted is where the two differ.
    """

    mode: Literal["fixed", "sequential"] = "fixed"
    stop: Stop = field(default_factory=Stop)
    rule: Literal["confidence_sequence", "tests"] = "confidence_sequence"
    resolution: Annotated[float, Field(ge=1e-3, le=0.5)] = 0.01

    n0: Votes = 100
    n: Votes = 10_000
    block: Votes | None = None
    images_per_shard: Images = 50
    betas: Annotated[tuple[Positive, ...], Field(max_length=MOST_METHODS)] = ()
    precision: Literal["float32", "bfloat16", "int8"] = "float32"
    engine: Literal["torch", "openvino"] = "torch"
    batch: Annotated[int, Field(ge=16, le=2**20, multiple_of=16)] = 512
    compiled: bool = False
    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    device_class: Annotated[str, Field(pattern=PATTERN)] | None = None
    answers: Votes | None = None
    source: str | None = None
