"""`rs precision`: what it changes that a network votes in bfloat16 instead of float32, on trained runs.

Both forms meet the same noise, so a vote that differs is due to rounding. A bfloat16 network is a base
classifier of its own with its own certificate: the command tells how far apart the two are, not an error of
either.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rs.errors import UserError
from rs.machine.devices import generator, use_device
from rs.machine.progress import follow
from rs.methods import catalog
from rs.networks import audit as network_audit
from rs.networks.forms import wanted
from rs.networks.images import open_split
from rs.networks.inference import form_of
from rs.plan.plan import Plan
from rs.settings.images import Subset
from rs.settings.labels import label_of
from rs.settings.limits import MOST_IMAGES, MOST_VOTES
from rs.smoothing.noise import Noise
from rs.statistics.draws import Draws, Votes
from rs.statistics.seeding import Purpose, stored_uniform
from rs.study.study import Study

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Compared:
    """Of N images: draws per precision, and how many of their single votes differ, int64 [N]."""

    draws: dict[str, Draws]
    differing: np.ndarray

    @property
    def votes(self) -> int:
        return sum(
            int(v.n.sum()) for v in (self.draws["float32"].selection, self.draws["float32"].estimation)
        )


def run(args: argparse.Namespace) -> None:
    """Prints, per run and smoothing noise, how many votes differ, both certified accuracies and both ACRs."""
    for option, value, most in (("--images", args.images, MOST_IMAGES), ("--n", args.n, MOST_VOTES)):
        if not 1 <= value <= most:
            raise UserError(f"precision: {option} must be a whole number from 1 to {most}")
    plan = Plan(Study(args.study))
    labels = dict.fromkeys(planned.run.label for planned in plan.runs)
    if args.run is not None and args.run not in labels:
        raise UserError(f"{args.study[0]}: no run {args.run!r}; runs: {', '.join(labels)}")
    trained = [
        (planned, observation)
        for planned in plan.runs
        if args.run in (None, planned.run.label) and (planned.folder / "model.json").is_file()
        for observation in planned.observations
        if observation.certified
    ]
    if not trained:
        raise UserError(f"{args.study[0]}: no trained run with a certificate yet; run the study first")
    for planned, observation in trained:
        fixed = planned.inputs.get("form")
        sampling = planned.run.sections["sampling"]
        sampling = {**sampling, **wanted(sampling, fixed if fixed and fixed.is_file() else None)}
        with use_device(sampling["device"]) as device:
            found = compare(
                planned.folder / "model.json",
                plan.data_manifest,
                Subset(**plan.study.test),
                observation.noise,
                sampling,
                (args.images, args.n),
                device,
            )
        spec = plan.job("certify", str(observation.certified)).spec
        print(f"\n{planned.run.label}, smoothing noise {observation.noise}")
        print(text(found, spec["certificates"], observation.noise, plan.study.report["radii"]))


def compare(
    manifest: Path,
    data: Path,
    test: Subset,
    smoothing: dict[str, Any],
    sampling: dict[str, Any],
    size: tuple[int, int],
    device: torch.device,
) -> Compared:
    """Votes of both precisions on the same noise: `size` holds the images and their estimation votes."""
    audited = network_audit.load(manifest, data, device)
    model = audited.manifest
    noise: Noise = catalog.build("noises", smoothing)
    split = open_split(data, "test", device)
    positions = list(test.positions(len(split)))[: size[0]]
    forms = [form_of(audited, {**sampling, "precision": p}, device) for p in PRECISIONS]
    if forms[1].description["precision"] != "bfloat16":
        why = "; ".join(forms[1].fallbacks) or "it draws at random"
        raise UserError(f"{manifest}: has no form in bfloat16: {why}")
    asked: tuple[tuple[Purpose, int], ...] = (("select", sampling["n0"]), ("estimate", size[1]))
    counts = np.zeros((len(asked), len(forms), len(positions), model["classes"]), np.int64)
    differing = np.zeros(len(positions), np.int64)
    for row, index in follow(enumerate(positions), len(positions), "precision", "images"):
        image = split.take([index])[0][0]
        for i, (purpose, votes) in enumerate(asked):
            draws = generator(device, sampling["seed"], purpose, index, 0)
            for start in range(0, votes, forms[0].batch):
                rows = min(forms[0].batch, votes - start)
                noisy = noise.sample((rows, *image.shape), draws).add_(image)
                logits = [form(noisy) for form in forms]
                if not all(bool(values.isfinite().all()) for values in logits):
                    raise UserError(f"{manifest}: its logits are not finite for image {index}")
                single, half = (values.argmax(1) for values in logits)
                differing[row] += int((single != half).sum())
                for j, predicted in enumerate((single, half)):
                    counts[i, j, row] += _tally(predicted, model["classes"])
    uniform = np.array([stored_uniform(sampling["seed"], i) for i in positions])
    labels = split.labels[positions].cpu().numpy()
    dimension = split.take(positions[:1])[0].numel()
    draws_of = {
        p: Draws(np.array(positions), labels, Votes(counts[0, j]), Votes(counts[1, j]), dimension, uniform)
        for j, p in enumerate(PRECISIONS)
    }
    return Compared(draws_of, differing)


def _tally(predicted: Tensor, classes: int) -> np.ndarray:
    return np.bincount(predicted.cpu().numpy(), minlength=classes)


def text(
    found: Compared, certificates: list[dict[str, Any]], smoothing: dict[str, Any], radii: list[float]
) -> str:
    """What `run` prints of one run."""
    noise = catalog.build("noises", smoothing)
    images = len(found.differing)
    share = found.differing.sum() / found.votes
    lines = [
        f"{found.differing.sum()} of {found.votes} single votes differ ({share:.3%}), "
        f"in {np.count_nonzero(found.differing)} of {images} images; "
        f"certified accuracy with {int(found.draws['float32'].estimation.n[0])} votes:"
    ]
    for method in certificates:
        certificate, use = catalog.build("certificates", method), catalog.build_use("certificates", method)
        if certificate.needs != {"counts"}:
            continue
        for precision, draws in found.draws.items():
            certified = certificate.certify(draws, noise, use.alpha)
            right = certified.prediction == draws.labels
            held = [f"r={r:g} {np.mean(right & (certified.radius >= r)):.3f}" for r in radii]
            acr = float(np.mean(np.where(right, certified.radius, 0.0)))
            lines.append(f"  {label_of(method):<12} {precision:<9} {'  '.join(held)}  ACR {acr:.4f}")
    return "\n".join(lines)
