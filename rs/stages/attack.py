"""The attack stage: the outcomes of an attack (rs.stages.outcomes), one row per image and radius.

A few additional rows check the attack itself (`variant`): the first images are attacked again with twice the
steps, with twice the samples, and without a bound. rs.tables.attack_checks compares them with the other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.devices import device_class, device_name, generator
from rs.methods import catalog
from rs.methods.interfaces import AttackAtRadii, MinimalAttack
from rs.networks import audit as network_audit
from rs.networks import checkpoints, forms
from rs.networks.compiled_gradients import CompiledGradients
from rs.networks.differentiable import Differentiable, require_gradients
from rs.networks.images import open_split
from rs.provenance.digests import file_digest
from rs.provenance.files import provenance, versions, write_table
from rs.provenance.prepared import read_manifest
from rs.settings.attacks import AttackUse
from rs.settings.sampling import differentiated
from rs.smoothing.noise import Noise
from rs.smoothing.smoothed import Smoothed
from rs.stages.judge import Judge
from rs.stages.outcomes import OUTWARDS, Target, outcomes, variants
from rs.stages.parts import Parts

if TYPE_CHECKING:
    from rs.plan.jobs import Job

EXAMPLES = 6  # number of first images whose clean, noisy and attacked pixels are kept for the report

PIXELS = pa.list_(pa.float32())
SCHEMA = {"image": pa.int64(), "label": pa.int64(), "radius": pa.float64(), "prediction": pa.int64()}
SCHEMA |= {"distortion": pa.float64(), "success": pa.bool_(), "steps": pa.int64()}
SCHEMA |= {"votes": pa.list_(pa.int32()), "variant": pa.string()}
SCHEMA |= {"clean": PIXELS, "noisy": PIXELS, "attacked": PIXELS}


def run_job(job: Job, device: torch.device, code: str) -> None:
    inputs = job.inputs
    places = (inputs["model"], inputs["data"], job.outputs["attacks"])
    attack(job.spec, *places, device, code, inputs.get("form"), inputs.get("source"))


def attack(
    spec: dict[str, Any],
    model_manifest: Path,
    data: Path,
    output: Path,
    device: torch.device,
    code: str,
    form_file: Path | None = None,
    source: Path | None = None,
) -> None:
    """Attacks the run under one smoothing noise; radius 0 is always among the radii. A killed job continues
    after the last batch of images that it finished.

    `form_file` is the form stage's file, for a form that had to be tried out. `source` is the manifest of the
    network that a transfer attack differentiates instead; `spec["source"]` has that run's attack and noise.
    """
    use: AttackUse = catalog.build_use("attacks", spec["attack"])
    audited = network_audit.load(model_manifest, data, device)
    stated = forms.form_for(spec, form_file, audited.manifest["sha256"])
    form = forms.fixed(audited, spec, form_file, data, device)
    seen = seen_by(spec, use, audited, model_manifest, source, data)
    method, radii = seen.method, sorted({0.0, *map(float, use.radii)})
    keep = getattr(method, "keeps_broken", False) if use.keep_broken is None else use.keep_broken
    split, judge = open_split(data, "test", device), Judge(form, catalog.build("noises", spec["noise"]), use)
    positions = list(use.images.positions(len(split)))
    examples, checked = set(positions[:EXAMPLES]), set(positions[: 0 if seen.transferred else use.checks])
    name = f"{spec['attack']['name']} on {model_manifest.parent.name}"
    # one pass takes as many noisy copies as a batch of votes
    together = max(1, form.batch // getattr(method, "samples", 1))
    differentiable = proposing(seen, stated, device, min(together, len(positions)) if use.compiled else None)
    pieces = [positions[i : i + together] for i in range(0, len(positions), together)]

    def attacked(batch: list[int]) -> pa.Table:
        x, y = split.take(batch)
        if method.access != "gradient-free":
            require_gradients(differentiable, x[0], seen.manifest, spec["attack"]["name"])
        generators = [generator(device, seen.seed, "attack", i) for i in batch]
        target = Target(Smoothed(differentiable, seen.noise, generators), x, y, batch, judge)
        rows = rows_of(target, method, radii, keep, examples, checked)
        return pa.Table.from_pylist(rows, pa.schema(SCHEMA))

    read = [file_digest(path) for path in (model_manifest, data, form_file, source) if path]
    parts = Parts(output, [spec, code, read, form.description, *rounded_by(device)])
    tables = parts.tables(pieces, attacked, name, f"batches of {together} images")
    compared = {"form": form.compared, "differentiable": differentiable.compared}
    facts = facts_of(seen, use, keep, audited.probes.shape[1:])
    facts |= {"model": audited.manifest["sha256"], "form": form.description, "compared": compared}
    facts |= {"device": device_name(device), "classes": form.classes}
    write_table(output, pa.concat_tables(tables), provenance(spec, code, **facts))
    parts.remove()


def rounded_by(device: torch.device) -> list[str]:
    """Device class and library versions; with others, attacks round and draw differently."""
    return [device_class(device), *(versions()[name] for name in ("torch", "numpy"))]


@dataclass(frozen=True)
class Seen:
    """What an attack works with: a network under a noise, and the seed of its draws."""

    network: network_audit.Audited
    manifest: Path
    method: AttackAtRadii | MinimalAttack
    noise: Noise
    seed: int
    transferred: bool


def proposing(
    seen: Seen, form: dict[str, Any], device: torch.device, compiled: int | None = None
) -> Differentiable:
    """The network that proposes images to a judge of this form; with compiled gradients of `compiled` images
    at once, if given.
    """
    form = {"precision": differentiated(form["precision"])}
    if compiled is None:
        return Differentiable(seen.network, form, device)
    copies = 1 if getattr(seen.noise, "constant", False) else getattr(seen.method, "samples", 1)
    return CompiledGradients(seen.network, form, device, compiled, copies)


def seen_by(
    spec: dict[str, Any],
    use: AttackUse,
    audited: network_audit.Audited,
    manifest: Path,
    source: Path | None,
    data: Path,
) -> Seen:
    """The network that is judged, under the noise of the judge; for a transfer attack the network of
    `source`, under the source run's noise.
    """
    if source is None:
        judged = {"name": "none"} if use.judge == "base" else spec["noise"]
        method = catalog.build("attacks", spec["attack"])
        return Seen(audited, manifest, method, catalog.build("noises", judged), use.seed, False)
    proposing, settings = load_source(source, data, audited.manifest["classes"]), spec["source"]
    network = replace(audited, network=proposing, run=source.parent.name, chance=False)
    method, noise = catalog.build("attacks", settings["attack"]), catalog.build("noises", settings["noise"])
    return Seen(network, source, method, noise, settings["seed"], True)


def rows_of(
    target: Target,
    method: AttackAtRadii | MinimalAttack,
    radii: list[float],
    keep: bool,
    examples: set[int],
    checked: set[int],
) -> list[dict[str, Any]]:
    """The rows of a batch of images, with pixels for `examples`, and the rows of the checks for `checked`."""
    rows, found = list[dict[str, Any]](), outcomes(method, target, radii, keep)
    for outcome in found:
        for i, row in enumerate(outcome.rows(target, method.norm)):
            image = target.positions[i]
            shown = pixels(target.x[i], outcome.images[i], target.judge, image) if image in examples else {}
            rows.append(row | shown)
    few = [i for i, position in enumerate(target.positions) if position in checked]
    part = target.part(few)
    for outcome in variants(method, part, radii, keep, found[0].part(few)):
        rows += outcome.rows(part, method.norm)
    return rows


def facts_of(seen: Seen, use: AttackUse, keep: bool, shape: Sequence[int]) -> dict[str, Any]:
    """Facts about the attack on images of this shape that tables need beside its settings."""
    method, minimal = seen.method, isinstance(seen.method, MinimalAttack)
    alone = getattr(seen.noise, "constant", False)
    return {
        "norm": method.norm,
        "access": "transfer" if seen.transferred else method.access,
        "samples": 1 if alone else getattr(method, "samples", None),
        "shares": "minimal" if minimal else "kept" if keep else "none",
        "looks": len(OUTWARDS) if minimal else 1,
        "judge": "base" if use.judge == "base" else use.judge.n,
        "shape": list(shape),
    }


def load_source(manifest: Path, data: Path, classes: int) -> nn.Module:
    """The network of a transfer attack's source run. Raises UserError where it does not take the target's
    images.
    """
    network, _ = checkpoints.load(manifest, data)
    shape = read_manifest(data)["shape"]
    try:
        with torch.no_grad():
            found = list(network(torch.zeros(1, *shape)).shape[1:])
    except RuntimeError as error:
        takes = "x".join(map(str, shape))
        raise UserError(f"{manifest}: the transfer source does not take images of {takes}") from error
    if found != [classes]:
        raise UserError(
            f"{manifest}: the transfer source's output is {found}; the target has {classes} classes"
        )
    return network


def pixels(clean: Tensor, attacked: Tensor, judge: Judge, index: int) -> dict[str, list[float]]:
    """The pixels of an example for the report: the clean, a noisy and the attacked image, flattened."""
    noise = judge.noise.sample((1, *clean.shape), generator(clean.device, judge.use.seed, "judge", index))[0]
    shown = {"clean": clean, "noisy": clean + noise, "attacked": attacked}
    return {name: image.flatten().tolist() for name, image in shown.items()}
