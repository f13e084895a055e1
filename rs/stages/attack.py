"""The attack stage: what an attack comes to (rs.stages.outcomes), one row per image and radius.

A few rows more are for the checks of the attack itself (`variant`): the first images are attacked again with
twice the steps, with twice the samples, and without a bound, which rs.tables.attack_checks compares with the
rest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.devices import device_name, generator
from rs.machine.progress import follow
from rs.methods import catalog
from rs.methods.interfaces import AttackAtRadii, MinimalAttack
from rs.networks import audit as network_audit
from rs.networks import checkpoints, forms
from rs.networks.differentiable import Differentiable, require_gradients
from rs.networks.images import open_split
from rs.networks.inference import InferenceForm
from rs.provenance.files import provenance, write_table
from rs.provenance.prepared import read_manifest
from rs.settings.attacks import AttackUse
from rs.smoothing.noise import Noise
from rs.smoothing.smoothed import Smoothed
from rs.stages.judge import Judge
from rs.stages.outcomes import OUTWARDS, Target, outcomes, variants

if TYPE_CHECKING:
    from rs.plan.jobs import Job

EXAMPLES = 6  # of the first images, clean, noisy and attacked pixels are kept for the report

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
    """Attacks the run under one smoothing noise (radius 0 is always among the radii).

    `form_file` is what the form stage wrote, for a form that had to be tried out. `source` is the manifest of
    the network that a transfer attack differentiates instead; `spec["source"]` has its attack and noise.
    """
    use: AttackUse = catalog.build_use("attacks", spec["attack"])
    noise: Noise = catalog.build("noises", spec["noise"])
    audited = network_audit.load(model_manifest, data, device)
    manifest, wanted = audited.manifest, forms.wanted(spec, form_file, audited.manifest["sha256"])
    form = InferenceForm(audited, wanted, device)
    seen, seen_spec, seen_manifest, seed = audited, spec, model_manifest, use.seed
    if source is not None:
        proposing = load_source(source, data, manifest["classes"])
        seen = replace(audited, network=proposing, run=source.parent.name, chance=False)
        seen_spec, seen_manifest, seed = spec["source"], source, spec["source"]["seed"]
    method: AttackAtRadii | MinimalAttack = catalog.build("attacks", seen_spec["attack"])
    # an attack sees what it is judged by
    judged_noise = {"name": "none"} if use.judge == "base" and source is None else seen_spec["noise"]
    seen_noise: Noise = catalog.build("noises", judged_noise)
    differentiable = Differentiable(seen, wanted, device)
    keep = getattr(method, "keeps_broken", False) if use.keep_broken is None else use.keep_broken
    radii = sorted({0.0, *map(float, use.radii)})
    split, judge = open_split(data, "test", device), Judge(form, noise, use)
    positions = list(use.images.positions(len(split)))
    examples, checked = set(positions[:EXAMPLES]), set(positions[: use.checks if source is None else 0])
    rows: list[dict[str, Any]] = []
    name = f"{spec['attack']['name']} on {model_manifest.parent.name}"
    # as many noisy copies go through the network at once as in a batch of votes
    together = max(1, form.batch // getattr(method, "samples", 1))
    pieces = [positions[i : i + together] for i in range(0, len(positions), together)]
    for batch in follow(pieces, len(pieces), name, f"batches of {together} images"):
        x, y = split.take(batch)
        if method.access != "gradient-free":
            require_gradients(differentiable, x[0], seen_manifest, spec["attack"]["name"])
        generators = [generator(device, seed, "attack", i) for i in batch]
        target = Target(Smoothed(differentiable, seen_noise, generators), x, y, batch, judge)
        for outcome in outcomes(method, target, radii, keep):
            for i, row in enumerate(outcome.rows(target, method.norm)):
                shown = pixels(x[i], outcome.images[i], judge, batch[i]) if batch[i] in examples else {}
                rows.append(row | shown)
        part = target.part([i for i, position in enumerate(batch) if position in checked])
        for outcome in variants(method, part, radii, keep):
            rows += outcome.rows(part, method.norm)
    made = provenance(
        spec,
        code,
        model=manifest["sha256"],
        form=form.description,
        compared={"form": form.compared, "differentiable": differentiable.compared},
        device=device_name(device),
        norm=method.norm,
        access="transfer" if source else method.access,
        samples=1 if getattr(seen_noise, "constant", False) else getattr(method, "samples", None),
        shares="minimal" if isinstance(method, MinimalAttack) else "kept" if keep else "none",
        looks=len(OUTWARDS) if isinstance(method, MinimalAttack) else 1,
        judge="base" if use.judge == "base" else use.judge.n,
        classes=form.classes,
        shape=list(x.shape[1:]),
    )
    write_table(output, pa.Table.from_pylist(rows, pa.schema(SCHEMA)), made)


def load_source(manifest: Path, data: Path, classes: int) -> nn.Module:
    """The network of a transfer attack's source run. UserError where it does not take the target's images."""
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
    """What the report shows of an example: the clean, a noisy and the attacked image, flattened."""
    noise = judge.noise.sample((1, *clean.shape), generator(clean.device, judge.use.seed, "judge", index))[0]
    shown = {"clean": clean, "noisy": clean + noise, "attacked": attacked}
    return {name: image.flatten().tolist() for name, image in shown.items()}
