"""Settings of votes: how many, in which inference form, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.settings.limits import MOST_METHODS, Images, Positive, Radii, Seed, Share, Votes

DEVICE_CLASS = r"^(cpu [a-z0-9_-]+|cuda \d+\.\d+)$"  # as rs.machine.device_class names them
FORM = ("precision", "batch", "compiled")  # keys of Sampling that fix the inference form


def by_openvino(form: Mapping[str, Any]) -> bool:
    """Whether OpenVINO runs the network: where it is the engine, and always for int8."""
    return form["precision"] == "int8" or form.get("engine") == "openvino"


def requested_form(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """The inference form that a run's `sampling` or a job's spec asks for. OpenVINO always compiles."""
    form = {key: sampling[key] for key in FORM}
    if by_openvino(sampling):
        form["compiled"] = True
        form |= {} if form["precision"] == "int8" else {"engine": "openvino"}
    return form


def differentiated(precision: str) -> str:
    """The precision in which a network that votes in `precision` is differentiated: int8 has no gradients."""
    return "bfloat16" if precision == "int8" else precision


@dataclass(frozen=True)
class Stop:
    """Stopping under `mode: sequential`: votes are drawn for an image until they decide, at error rate
    `alpha`.

    Either each of `radii` (l2, Gaussian noise) is certified or given up, or the radius is within `width` of
    what all n votes would certify. `futility` is the chance of giving up a radius that all n votes would just
    certify.
    """

    alpha: Share = 0.001
    radii: Radii = ()
    width: Positive | None = None
    futility: Share = 0.5


@dataclass(frozen=True)
class Sampling:
    """How a smoothed classifier is observed.

    `n0` selection votes choose the class; `n` estimation votes bound its probability. n is a multiple of
    `block`. Where the study states no block, n is rounded up to one: the block that the run was drawn in,
    else min(n, 10,000). One draw file holds one block of `images_per_shard` images; existing draws keep their
    shards.

    With `mode: sequential`, n is the maximum for an image, `stop` says when an image has enough votes, and a
    draw file holds all blocks. `rule: tests` decides `stop.radii` by exact group sequential tests, and the
    certificate `group_sequential` claims them. This takes fewer votes but certifies no radii in between. A
    radius is given up where deciding it would take more votes than determining a radius to `resolution`
    sigma. Batches then hold votes of several images.

    `betas` are the inverse temperatures of the softmax moments to store. `precision`, `batch`, `compiled` and
    `engine` are the inference form, fixed before the first vote. OpenVINO runs it instead of torch where it
    is the `engine`, and always for int8: on processors, and always compiled. `device_class` (`cuda 9.0`, `cpu
    avx512`) pins the class of devices that draw votes. Votes of two classes never merge, so those of another
    class are drawn anew. Like `device`, it is not part of what is drawn.

    `answers` is for a run that others start from: the class of each of an image's first `answers` votes
    (whole blocks, at most n) is stored. `source` names such a run, for certificate `incremental`: this run's
    network, in sequential mode, sees the same draws, and the votes in which the two networks differ are
    counted.
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
    device_class: Annotated[str, Field(pattern=DEVICE_CLASS)] | None = None
    answers: Votes | None = None
    source: str | None = None
