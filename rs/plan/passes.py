"""Passes through networks, forward and back, as the jobs of a study take them and as rates are measured. No
torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rs.provenance.digests import dumps
from rs.settings.passes import KINDS
from rs.settings.sampling import by_openvino
from rs.study.schema import defaults, method_schema

ASKED = 0.1  # share of votes that an ensemble's members after the first ones see (docs/evidence/engine.md)
COMPILED_GRADIENT = "compiled gradient"
# Kinds of passes, and their cost in forward passes: those that methods state for training, and those of an
# observed network: votes in the inference form, and gradients of the image (rs.networks.differentiable), with
# both halves compiled on a processor (rs.networks.compiled_gradients).
FORWARDS = {**KINDS, "vote": 1, "gradient": 2, COMPILED_GRADIENT: 2}


@dataclass(frozen=True)
class Network:
    """A network in one precision, for which a rate is measured. `model` is its part of a study."""

    model: str  # canonical JSON
    shape: tuple[int, int, int]
    precision: str
    compiled: bool = False  # for votes
    engine: str = "torch"  # for votes

    @property
    def name(self) -> str:
        """The name as text, such as `lenet, bfloat16, compiled`."""
        return ", ".join(
            [
                self.described["name"],
                self.precision,
                *["compiled"] * (self.compiled and self.in_torch),
                *["OpenVINO"] * (not self.in_torch),
            ]
        )

    @property
    def in_torch(self) -> bool:
        """Whether torch runs the network when it votes."""
        return not by_openvino({"precision": self.precision, "engine": self.engine})

    @property
    def described(self) -> dict[str, Any]:
        """The model with all its options."""
        return defaults(method_schema("models", self._settings["name"]), self._settings)

    @property
    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads(self.model)
        return settings

    @property
    def costs(self) -> dict[str, int] | None:
        """Multiply-adds, outputs, weights and operations of a built-in architecture, or of all that a model
        joins. None for other models, whose costs are known once measured.
        """
        total: dict[str, int] = {}
        for part in parts_of(self._settings) or [self._settings]:
            model = part["imported"]["architecture"] if "imported" in part else part
            known = method_schema("models", model["name"]).get("x-costs", {})
            costs: dict[str, int] | None = known.get("x".join(map(str, self.shape)))
            if costs is None:
                return None
            total = {key: total.get(key, 0) + cost for key, cost in costs.items()}
        return total


def parts_of(model: dict[str, Any]) -> list[dict[str, Any]]:
    """The models that a model joins, with joined ones replaced by their own parts; empty for other models."""
    each = [part for value in model.values() for part in (value if isinstance(value, list) else [value])]
    parts = [part["model"] for part in each if isinstance(part, dict) and "model" in part]
    return [member for part in parts for member in parts_of(part) or [part]]


@dataclass(frozen=True)
class Work:
    """`copies` images through a network in `passes` successive passes of one of the kinds above."""

    network: Network
    kind: str
    passes: float
    copies: float
    recorded: bool = False  # steps that may be CUDA graphs
    most: float | None = None  # maximum of copies, where `copies` is an expectation


class NotPriced(Exception):
    """Why a job's work is unknown."""


def taken(work: Work, gpu: bool) -> Work:
    """The work as a machine does it: on a GPU, attacks compile no gradients."""
    return replace(work, kind="gradient") if gpu and work.kind == COMPILED_GRADIENT else work


def compiled_kinds(works: Iterable[Work]) -> set[str]:
    """The kinds of passes that a job compiles before it takes them."""
    return {
        work.kind
        for work in works
        if work.kind == COMPILED_GRADIENT
        or (work.kind == "vote" and work.network.compiled and work.network.in_torch)
    }


def singly(work: Work) -> Iterator[Work]:
    """The same work by each network that does it: for an ensemble by its members, equal ones together.

    The first `consensus` members see all votes; the others see about the share `ASKED` of them.
    """
    model: dict[str, Any] = json.loads(work.network.model)
    members = next((value for value in model.values() if isinstance(value, list)), None)
    if members is None or not all(isinstance(part, dict) and "model" in part for part in members):
        yield work
        return
    first = model.get("consensus", len(members)) if work.kind == "vote" else len(members)
    shares: dict[str, list[float]] = {}
    for number, part in enumerate(members):
        alone = part["model"]["imported"]["architecture"] if "imported" in part["model"] else part["model"]
        shares.setdefault(dumps(alone), []).append(1.0 if number < first else ASKED)
    for alone, each in shares.items():
        most = len(each) * (work.copies if work.most is None else work.most)
        network, share = replace(work.network, model=alone), sum(each)
        yield replace(
            work, network=network, passes=share * work.passes, copies=share * work.copies, most=most
        )
