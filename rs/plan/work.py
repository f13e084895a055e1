"""What the jobs of a plan compute: passes through networks, and images in them, by the specs. No torch.

Votes are counted as the sample stage draws them, in whole batches, which images may share. How many votes a
stopping rule needs is not known beforehand: `copies` is then a share (STOPPED or JUDGED) of the maximum
`most`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rs.plan.jobs import Job
from rs.plan.passes import COMPILED_GRADIENT, Network, NotPriced, Work, parts_of
from rs.plan.plan import Plan
from rs.provenance.digests import dumps
from rs.settings.images import Subset
from rs.settings.passes import counted
from rs.settings.sampling import requested_form
from rs.settings.training import trained_positions
from rs.statistics.majority import looks
from rs.study.schema import defaults, method_schema, section

# Share of n for the mean image of a sequential run: 1/143 to 1/10.3 for radii up to 2 sigma, 1/2.6 for all of
# a table (docs/evidence/sampling.md).
STOPPED = 0.1
# Share of a judge's n for the mean image: 0.075 to 0.115 where n is 1,000
# (docs/evidence/attack-throughput.md).
JUDGED = 0.12
TRIALS = 5  # passes that decide whether images may share batches (rs.stages.shared_batches)
RESIDENT = 16 * 2**30  # bytes of images
TOGETHER = 512  # copies in a batch of calibrate and distributional


def work_of(plan: Plan, job: Job) -> Iterator[Work]:
    """The work of a job; empty for a job that runs no network. Raises NotPriced."""
    by_stage = {"train": _train, "sample": _sample, "attack": _attack}
    by_stage |= {"calibrate": _calibrate, "distributional": _distributional}
    if job.stage in by_stage:
        yield from by_stage[job.stage](plan, job)


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


def _passes(kind: str, method: dict[str, Any], **more: Any) -> dict[str, tuple[int, int]]:
    facts = method_schema(kind, method["name"])
    if "x-passes" not in facts:
        raise NotPriced(f"{kind} {method['name']}: it does not state its `passes`")
    return counted(facts["x-passes"], {**defaults(facts, method), **more})


def trained_images(plan: Plan, job: Job) -> int:
    """How many images an epoch of a train job goes through."""
    training = defaults(section("training"), job.spec["training"])
    size = plan.data_facts["x-sizes"]["train"]
    return len(trained_positions(Subset(**job.spec.get("train", {})), training, size))


def _train(plan: Plan, job: Job) -> Iterator[Work]:
    training = defaults(section("training"), job.spec["training"])
    images, epochs = trained_images(plan, job), training["epochs"]
    network = network_of(plan, job, training["precision"])
    steps = epochs * math.ceil(images / training["batch_size"])
    for kind, (times, copies) in _passes("objectives", job.spec["objective"]).items():
        for share, recorded in _recorded(plan, job):
            passes = share * steps * times
            yield Work(network, kind, passes, share * epochs * images * times * copies, recorded)
    if training["keep"] == "best_clean":
        on_test = training["selection"] == "test"
        looked_at = plan.data_facts["x-sizes"]["test"] if on_test else training["held_out"]
        yield Work(network, "forward", epochs * math.ceil(looked_at / 1000), epochs * looked_at)


def _recorded(plan: Plan, job: Job) -> list[tuple[float, bool]]:
    """Shares of a training's steps, and whether these may be CUDA graphs: not on streamed images or in
    several processes, nor while the objective warms up, where every step has another phase
    (rs.networks.captured_step).
    """
    if streamed(plan) or job.processes > 1:
        return [(1.0, False)]
    objective = job.spec["objective"]
    warmup = defaults(method_schema("objectives", objective["name"]), objective).get("warmup", 0.0)
    if not (isinstance(warmup, int | float) and 0 <= warmup <= 1):  # a plug-in's may be no share
        warmup = 0.0
    return [(share, recorded) for share, recorded in ((warmup, False), (1 - warmup, True)) if share]


def streamed(plan: Plan) -> bool:
    """Whether images are decoded while they are used, because they do not fit into memory."""
    return image_bytes(plan) > RESIDENT


def image_bytes(plan: Plan) -> int:
    """Bytes of the prepared images of both splits, one for each number."""
    sizes: dict[str, int] = plan.data_facts["x-sizes"]
    shape: list[int] = plan.data_facts["x-shape"]
    return sum(sizes.values()) * math.prod(shape)


def _form(plan: Plan, job: Job, manifest: Any) -> Network:
    form = requested_form(job.spec)
    inference = form["precision"], form["compiled"], form.get("engine", "torch")
    return network_of(plan, plan.maker(manifest), *inference)


def _sample(plan: Plan, job: Job) -> Iterator[Work]:
    spec, batch = job.spec, job.spec["batch"]
    network, images = _form(plan, job, job.inputs["model"]), len(range(*spec["images"]))
    if spec["purpose"] == "sequential":
        most, least = (images * math.ceil(spec[votes] / batch) for votes in ("n", "block"))
        if "rule" in spec:
            most, least = (shared_batches(images, spec[votes], batch) for votes in ("n", "block"))
        passes = max(least, STOPPED * most)
        yield Work(network, "vote", passes, passes * batch, most=most * batch)
        return
    passes = shared_batches(images, spec["size"], batch)
    yield Work(network, "vote", passes, passes * batch)


def shared_batches(images: int, votes: int, batch: int) -> int:
    """Batches for `votes` votes of each image. Images share them where that saves more than its trial costs
    (rs.stages.shared_batches). A network that fails the trial takes more; that is not known beforehand.
    """
    return min(images * math.ceil(votes / batch), math.ceil(images * votes / batch) + TRIALS)


def _constant(noise: dict[str, Any]) -> bool:
    return bool(method_schema("noises", noise["name"]).get("x-constant", False))


def attacked_images(plan: Plan, job: Job) -> int:
    """How many images an attack job attacks."""
    attack = job.spec["attack"]
    use = defaults(method_schema("attacks", attack["name"]), attack)
    return len(Subset(**use["images"]).positions(plan.data_facts["x-sizes"]["test"]))


def _attack(plan: Plan, job: Job) -> Iterator[Work]:
    """The search at every radius, its checks on the first images, and the judge's votes."""
    spec = job.spec
    use = defaults(method_schema("attacks", spec["attack"]["name"]), spec["attack"])
    positive = [r for r in use["radii"] if r > 0]
    images = attacked_images(plan, job)
    if "source" in spec:
        proposing = spec["source"]
        network = _form(plan, job, job.inputs["source"])
        method, noise = proposing["attack"], proposing["noise"]
    else:
        method, noise, network = spec["attack"], spec["noise"], _form(plan, job, job.inputs["model"])
    base = use["judge"] == "base" and "source" not in spec
    facts = method_schema("attacks", method["name"])
    fixed = {"samples": 1, "votes": 1} if base or _constant(noise) else {}
    white = facts["x-access"] == "white-box" and "source" not in spec and positive
    checked = min(use["checks"], images) if white else 0
    together = min(max(1, spec["batch"] // defaults(facts, method).get("samples", 1)), images)
    at_one = _passes("attacks", method, **fixed, radii=positive[:1])
    # a batch that has lost a broken image is no longer whole
    compiled = use["compiled"] and not use["keep_broken"]
    for kind, (times, copies) in _passes("attacks", method, **fixed, radii=positive).items():
        searches = [(images, times, copies, compiled)]
        if checked:  # at one radius: twice the steps and, once more, without a bound; twice the samples
            steps, once = at_one[kind]
            searches += [(checked, 3 * steps, once, compiled), (checked, steps, 2 * once, False)]
        for attacked, after, each, whole in searches:
            yield from _steps(network, kind, attacked, together, spec["batch"], after, each, whole)
    yield from _judged(plan, job, use, images, checked, len(positive))


def _steps(
    network: Network,
    kind: str,
    images: int,
    together: int,
    batch: int,
    times: int,
    copies: int,
    compiled: bool,
) -> Iterator[Work]:
    """`times` successive passes with `copies` copies of each image, over batches of `together` images.
    Gradients may be compiled, but only those of whole batches.
    """
    whole = images // together * together if compiled and kind == "ascent" else 0
    plain = "gradient" if kind == "ascent" else kind
    for taken, of in ((whole, COMPILED_GRADIENT), (images - whole, plain)):
        through = taken * times * copies
        # a pass takes many images, or an image takes several passes
        passes = max(math.ceil(taken / together) * times, math.ceil(through / batch))
        if taken:
            yield Work(network, of, passes, through)


def _judged(
    plan: Plan, job: Job, use: dict[str, Any], images: int, checked: int, radii: int
) -> Iterator[Work]:
    n = 1 if use["judge"] == "base" or _constant(job.spec["noise"]) else use["judge"]["n"]
    judged, batch = images * (1 + radii) + 3 * checked, job.spec["batch"]
    votes = max(looks(n)[0], JUDGED * n) * judged
    form, most = _form(plan, job, job.inputs["model"]), n * judged
    yield Work(form, "vote", math.ceil(votes / batch), votes, most=most if most > votes else None)


def _calibrate(plan: Plan, job: Job) -> Iterator[Work]:
    trained = plan.maker(job.inputs["model"])
    settings = defaults(section("calibration"), job.spec)
    images = len(Subset(**settings["images"]).positions(trained_images(plan, trained)))
    network, steps, samples = network_of(plan, trained, "float32"), settings["steps"], settings["samples"]
    batches = math.ceil(images / max(1, TOGETHER // samples))
    yield Work(network, "gradient", batches * steps, images * steps * samples)


def _distributional(plan: Plan, job: Job) -> Iterator[Work]:
    """Ascents at every gamma and in every ball, and the losses at their ends, for both adversaries."""
    settings = defaults(section("distributional"), job.spec)
    network = network_of(plan, plan.maker(job.inputs["model"]), "float32")
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
