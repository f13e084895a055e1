"""What the jobs of a plan compute: passes through networks, and images in them, by the specs. No torch.

Votes are counted as the sample stage draws them, in whole batches. How many votes a stopping rule needs is
not known beforehand: `copies` is then a share (STOPPED or JUDGED) of the maximum `most`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.provenance.digests import dumps
from rs.settings.images import Subset
from rs.settings.passes import KINDS, counted
from rs.settings.sampling import asked_form, by_openvino
from rs.statistics.majority import looks
from rs.study.schema import defaults, method_schema, section

# Share of n for the mean image of a sequential run: 1/143 to 1/10.3 for radii up to 2 sigma, 1/2.6 for all of
# a table (docs/evidence/sampling.md).
STOPPED = 0.1
ASKED = 0.1  # share of votes that an ensemble's members after the first ones see (docs/evidence/engine.md)
# Share of a judge's n for the mean image: 0.075 to 0.115 where n is 1,000
# (docs/evidence/attack-throughput.md).
JUDGED = 0.12
# Kinds of passes, and their cost in forward passes: those that methods state for training, and those of an
# observed network: votes in the inference form, and gradients of the image (rs.networks.differentiable).
FORWARDS = {**KINDS, "vote": 1, "gradient": 2}
RESIDENT = 16 * 2**30  # bytes of images
TOGETHER = 512  # copies in a batch of calibrate and distributional


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
        return defaults(method_schema("models", self._given["name"]), self._given)

    @property
    def _given(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.model)
        return found

    @property
    def costs(self) -> dict[str, int] | None:
        """Multiply-adds, outputs, weights and operations of a built-in architecture, or of all that a model
        joins. None for other models, whose costs are known once measured.
        """
        total: dict[str, int] = {}
        for part in parts_of(self._given) or [self._given]:
            model = part["imported"]["architecture"] if "imported" in part else part
            known = method_schema("models", model["name"]).get("x-costs", {})
            found: dict[str, int] | None = known.get("x".join(map(str, self.shape)))
            if found is None:
                return None
            total = {key: total.get(key, 0) + cost for key, cost in found.items()}
        return total


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


def work_of(plan: Plan, job: Job) -> Iterator[Work]:
    """The work of a job; empty for a job that runs no network. Raises NotPriced."""
    made = {"train": _train, "sample": _sample, "attack": _attack}
    made |= {"calibrate": _calibrate, "distributional": _distributional}
    if job.stage in made:
        yield from made[job.stage](plan, job)


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


def _trained(plan: Plan, manifest: Any) -> Job:
    """The job that makes a network."""
    return plan.maker(Path(manifest))


def network_of(
    plan: Plan, trained: Job, precision: str, compiled: bool = False, engine: str = "torch"
) -> Network:
    """The network that a train, import or join job makes."""
    model = trained.spec["model"]
    for part in parts_of(model) or [model]:
        if "imported" in part and "architecture" not in part["imported"]:
            raise NotPriced(f"{trained.run}: a network of somebody else's code ({part['name']})")
    model = model["imported"]["architecture"] if "imported" in model else model
    return Network(dumps(model), tuple(plan.data_facts["x-shape"]), precision, compiled, engine)


def parts_of(model: dict[str, Any]) -> list[dict[str, Any]]:
    """The models that a model joins, with joined ones replaced by their own parts; empty for other models."""
    each = [part for value in model.values() for part in (value if isinstance(value, list) else [value])]
    parts = [part["model"] for part in each if isinstance(part, dict) and "model" in part]
    return [found for part in parts for found in parts_of(part) or [part]]


def _passes(kind: str, method: dict[str, Any], **more: Any) -> dict[str, tuple[int, int]]:
    facts = method_schema(kind, method["name"])
    if "x-passes" not in facts:
        raise NotPriced(f"{kind} {method['name']}: it does not state its `passes`")
    return counted(facts["x-passes"], {**defaults(facts, method), **more})


def trained_images(plan: Plan, job: Job) -> int:
    """How many images an epoch of a train job goes through."""
    training = defaults(section("training"), job.spec["training"])
    used = len(Subset(**job.spec.get("train", {})).positions(plan.data_facts["x-sizes"]["train"]))
    held = bool(training["keep"] == "best_clean" and training["selection"] == "held_out")
    return used - int(training["held_out"]) * held


def _train(plan: Plan, job: Job) -> Iterator[Work]:
    training = defaults(section("training"), job.spec["training"])
    images, epochs = trained_images(plan, job), training["epochs"]
    network = network_of(plan, job, training["precision"])
    steps = epochs * math.ceil(images / training["batch_size"])
    recorded = not streamed(plan) and job.processes == 1
    for kind, (times, copies) in _passes("objectives", job.spec["objective"]).items():
        yield Work(network, kind, steps * times, epochs * images * times * copies, recorded)
    if training["keep"] == "best_clean":
        on_test = training["selection"] == "test"
        looked_at = plan.data_facts["x-sizes"]["test"] if on_test else training["held_out"]
        yield Work(network, "forward", epochs * math.ceil(looked_at / 1000), epochs * looked_at)


def streamed(plan: Plan) -> bool:
    """Whether images are decoded while they are used, because they do not fit into memory."""
    return image_bytes(plan) > RESIDENT


def image_bytes(plan: Plan) -> int:
    """Bytes of the prepared images of both splits, one for each number."""
    sizes: dict[str, int] = plan.data_facts["x-sizes"]
    shape: list[int] = plan.data_facts["x-shape"]
    return sum(sizes.values()) * math.prod(shape)


def _form(plan: Plan, job: Job, manifest: Any) -> Network:
    form = asked_form(job.spec)
    asked = form["precision"], form["compiled"], form.get("engine", "torch")
    return network_of(plan, _trained(plan, manifest), *asked)


def _sample(plan: Plan, job: Job) -> Iterator[Work]:
    spec, batch = job.spec, job.spec["batch"]
    network, images = _form(plan, job, job.inputs["model"]), len(range(*spec["images"]))
    if spec["purpose"] == "sequential":
        most = images * math.ceil(spec["n"] / batch)
        least = images * math.ceil(spec["block"] / batch)
        passes = max(least, STOPPED * most)
        yield Work(network, "vote", passes, passes * batch, most=most * batch)
        return
    passes = images * math.ceil(spec["size"] / batch)
    yield Work(network, "vote", passes, passes * batch)


def _constant(noise: dict[str, Any]) -> bool:
    return bool(method_schema("noises", noise["name"]).get("x-constant", False))


def attacked_images(plan: Plan, job: Job) -> int:
    """How many images an attack job attacks."""
    given = job.spec["attack"]
    use = defaults(method_schema("attacks", given["name"]), given)
    return len(Subset(**use["images"]).positions(plan.data_facts["x-sizes"]["test"]))


def _attack(plan: Plan, job: Job) -> Iterator[Work]:
    """The search at every radius, its checks on the first images, and the judge's votes."""
    spec = job.spec
    use = defaults(method_schema("attacks", spec["attack"]["name"]), spec["attack"])
    positive = [r for r in use["radii"] if r > 0]
    images = attacked_images(plan, job)
    if "source" in spec:
        proposing = spec["source"]
        made = _form(plan, job, job.inputs["source"])
        method, noise = proposing["attack"], proposing["noise"]
    else:
        method, noise, made = spec["attack"], spec["noise"], _form(plan, job, job.inputs["model"])
    base = use["judge"] == "base" and "source" not in spec
    facts = method_schema("attacks", method["name"])
    fixed = {"samples": 1, "votes": 1} if base or _constant(noise) else {}
    white = facts["x-access"] == "white-box" and "source" not in spec and positive
    checked = min(use["checks"], images) if white else 0
    together = max(1, spec["batch"] // defaults(facts, method).get("samples", 1))
    at_one = _passes("attacks", method, **fixed, radii=positive[:1])
    for kind, (times, copies) in _passes("attacks", method, **fixed, radii=positive).items():
        taken = [(images, times, images * times * copies)]
        if checked:  # three checks at one radius: twice the steps, twice the samples, and without a bound
            steps, once = at_one[kind][0], math.prod(at_one[kind])
            taken.append((checked, 4 * steps, checked * 5 * once))
        for attacked, after, through in taken:  # a pass takes many images, or an image takes several passes
            passes = max(math.ceil(attacked / together) * after, math.ceil(through / spec["batch"]))
            yield Work(made, "gradient" if kind == "ascent" else kind, passes, through)
    yield from _judged(plan, job, use, images, checked, len(positive))


def _judged(
    plan: Plan, job: Job, use: dict[str, Any], images: int, checked: int, radii: int
) -> Iterator[Work]:
    n = 1 if use["judge"] == "base" or _constant(job.spec["noise"]) else use["judge"]["n"]
    judged, batch = images * (1 + radii) + 3 * checked, job.spec["batch"]
    votes = max(looks(n)[0], JUDGED * n) * judged
    form, most = _form(plan, job, job.inputs["model"]), n * judged
    yield Work(form, "vote", math.ceil(votes / batch), votes, most=most if most > votes else None)


def _calibrate(plan: Plan, job: Job) -> Iterator[Work]:
    trained = _trained(plan, job.inputs["model"])
    settings = defaults(section("calibration"), job.spec)
    images = len(Subset(**settings["images"]).positions(trained_images(plan, trained)))
    network, steps, samples = network_of(plan, trained, "float32"), settings["steps"], settings["samples"]
    batches = math.ceil(images / max(1, TOGETHER // samples))
    yield Work(network, "gradient", batches * steps, images * steps * samples)


def _distributional(plan: Plan, job: Job) -> Iterator[Work]:
    """Ascents at every gamma and in every ball, and the losses at their ends, for both adversaries."""
    settings = defaults(section("distributional"), job.spec)
    network = network_of(plan, _trained(plan, job.inputs["model"]), "float32")
    images = len(Subset(**settings["images"]).positions(plan.data_facts["x-sizes"]["test"]))
    batches = math.ceil(images / max(1, TOGETHER // settings["samples"]))
    balls = len([r for r in settings["attack_radii"] if r > 0])
    ends, searches = len(settings["gammas"]) + 1 + 2 * (balls + 1), len(settings["gammas"]) + balls
    noises = [(1, 2)] + (
        [] if _constant(job.spec["noise"]) else [(settings["samples"], settings["estimates"])]
    )
    for samples, estimates in noises:
        steps = searches * settings["steps"]
        yield Work(network, "gradient", batches * steps, images * steps * samples)
        taken = math.ceil(estimates / settings["samples"])
        yield Work(network, "forward", batches * ends * taken, images * ends * estimates)
