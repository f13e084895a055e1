"""`rs precision`: the effect of voting in bfloat16 or int8 instead of float32 on a trained network.

Both forms see the same noise, so a vote that differs is due to rounding. A rounded network is a base
classifier of its own with its own certificate: the command shows how far apart the two are, not an error of
either. Certified accuracies are compared image by image, by the test of `rs compare` (rs.statistics.paired);
two are equivalent if they differ by less than MARGIN.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.api.voting import Ready, VoterAtHand
from rs.errors import UserError, plural
from rs.machine.devices import use_device
from rs.machine.progress import follow
from rs.methods import catalog
from rs.methods.claims import claim
from rs.networks import audit as network_audit
from rs.networks import openvino_program as programs
from rs.networks.audit import Audited
from rs.networks.forms import form_for
from rs.networks.images import open_split
from rs.networks.inference import InferenceForm, form_of
from rs.networks.openvino_form import DIFFERING, OpenVinoForm, calibrated, for_noise
from rs.plan.plan import Plan
from rs.settings.images import Subset
from rs.settings.labels import certificate_label
from rs.settings.limits import MOST_IMAGES, MOST_VOTES
from rs.settings.sampling import by_openvino, requested_form
from rs.smoothing.noise import Noise
from rs.stages import answers
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired import of_proportions
from rs.statistics.seeding import Purpose, stored_uniform
from rs.study.study import Study

MARGIN, LEVEL = 0.01, 0.05


@dataclass(frozen=True)
class Compared:
    """N images: draws per precision, and how many of their single votes differ, int64 [N]."""

    draws: dict[str, Draws]  # float32 first
    differing: np.ndarray
    refused: str = ""  # why a run would refuse the second form

    @property
    def votes(self) -> int:
        return sum(
            int(v.n.sum()) for v in (self.draws["float32"].selection, self.draws["float32"].estimation)
        )


def run(args: argparse.Namespace) -> None:
    """Prints, per run and smoothing noise, how many votes differ, both certified accuracies and ACRs, and the
    radii at which they are equivalent.
    """
    for option, value, most in (("--images", args.images, MOST_IMAGES), ("--n", args.n, MOST_VOTES)):
        if not 1 <= value <= most:
            raise UserError(f"precision: {option} must be a whole number from 1 to {most}")
    plan = Plan(Study(args.study))
    trained = [
        (planned, observation)
        for planned in (plan.runs if args.run is None else plan.labelled(args.run))
        if planned.manifest.is_file()
        for observation in planned.observations
        if observation.certified
    ]
    if not trained:
        raise UserError(f"{args.study[0]}: no trained run with a certificate yet; run the study first")
    for planned, observation in trained:
        fixed = observation.form
        sampling = {**planned.run.sections["sampling"], "noise": observation.noise}
        sampling |= form_for(sampling, fixed if fixed and fixed.is_file() else None)
        sampling["precision"] = rounded(args.precision, sampling["precision"])
        with use_device(sampling["device"]) as device:
            compared = compare(
                planned.manifest,
                plan.data_manifest,
                Subset(**plan.study.test),
                observation.noise,
                sampling,
                (args.images, args.n),
                device,
            )
        assert observation.certified is not None
        spec = plan.maker(observation.certified).spec
        print(f"\n{planned.run.label}, smoothing noise {observation.noise}")
        print(text(compared, spec["certificates"], observation.noise, plan.study.report["radii"]))


def compare(
    manifest: Path,
    data: Path,
    test: Subset,
    smoothing: dict[str, Any],
    sampling: dict[str, Any],
    size: tuple[int, int],
    device: torch.device,
) -> Compared:
    """Votes in float32 by torch and in the precision of `sampling`, by its engine, on the same noise. `size`
    holds the number of images and of their estimation votes.
    """
    audited = network_audit.load(manifest, data, device)
    model = audited.manifest
    noise: Noise = catalog.build("noises", smoothing)
    split = open_split(data, "test", device)
    positions = list(test.positions(len(split)))[: size[0]]
    names = "float32", sampling["precision"]
    forms = _forms(audited, sampling, smoothing, data, device)
    if forms[1].description["precision"] != names[1]:
        why = "; ".join(forms[1].fallbacks) or "it draws at random"
        raise UserError(f"{manifest}: has no form in {names[1]}: {why}")
    drawn: tuple[tuple[Purpose, int], ...] = (("select", sampling["n0"]), ("estimate", size[1]))
    counts = np.zeros((len(drawn), len(forms), len(positions), model["classes"]), np.int64)
    differing = np.zeros(len(positions), np.int64)
    ready = Ready(audited, forms[0], sampling, noise, sampling["seed"])
    for row, index in follow(enumerate(positions), len(positions), "precision", "images"):
        voter = VoterAtHand(ready, split.take([index])[0], [index], ())
        for i, (purpose, votes) in enumerate(drawn):
            tally = torch.zeros(3, model["classes"], dtype=torch.int64, device=device)
            with voter.within_memory(" in two forms"):
                for noisy in voter.noisy(0, purpose, 0, votes):
                    plain, other = (answers.answers(form, noisy) for form in forms)
                    answers.count(tally, other, plain)
            rounded_votes, plain_votes, both = tally.cpu().numpy()
            counts[i, :, row] = plain_votes, rounded_votes
            differing[row] += votes - both.sum()
        if any(bool(form.broken) for form in forms):
            raise UserError(f"{manifest}: its logits are not finite for image {index}")
    uniform = np.array([stored_uniform(sampling["seed"], i) for i in positions])
    labels = split.labels[positions].cpu().numpy()
    dimension = split.take(positions[:1])[0].numel()
    draws_of = {
        p: Draws(np.array(positions), labels, Votes(counts[0, j]), Votes(counts[1, j]), dimension, uniform)
        for j, p in enumerate(names)
    }
    return Compared(draws_of, differing, _refused(forms[1]))


def _forms(
    audited: Audited, sampling: dict[str, Any], smoothing: dict[str, Any], data: Path, device: torch.device
) -> list[InferenceForm]:
    """The forms in float32 and in the precision of `sampling`. Int8 is calibrated anew: the run's own scales
    belong to the processor and the versions (of this code too) with which its form was made.
    """
    other, plain = requested_form(sampling), {**sampling, "precision": "float32", "engine": "torch"}
    if not by_openvino(other):
        return [form_of(audited, form, device) for form in (plain, other)]
    programs.check_processor(other, device)
    probed = for_noise(audited, other, smoothing, data)
    program = calibrated(probed, other, smoothing, data)
    # forms that a run would refuse are measured too
    return [form_of(audited, plain, device), OpenVinoForm(probed, other, device, program, most=1.0)]


def _refused(form: InferenceForm) -> str:
    """That a run would refuse this form, and why; empty where it would not."""
    share, most = form.compared["differing_votes"], DIFFERING.get(str(form.description["precision"]), 1.0)
    if not by_openvino(form.description) or share <= most:
        return ""
    reason = f"{share:.1%} of the votes on its probes are not the network's"
    return f"a run refuses this form: {reason}; at most {most:.0%} may be"


def rounded(requested: str | None, own: str) -> str:
    """The precision compared with float32: the requested one, else the study's own, else bfloat16."""
    return requested or (own if own != "float32" else "bfloat16")


def text(
    compared: Compared, certificates: list[dict[str, Any]], smoothing: dict[str, Any], radii: list[float]
) -> str:
    """The text of `run` for one run."""
    images = len(compared.differing)
    share = compared.differing.sum() / compared.votes
    lines = [
        f"{compared.differing.sum()} of {compared.votes} single votes differ ({share:.3%}), "
        f"in {np.count_nonzero(compared.differing)} of {plural(images, 'image')}; "
        f"certified accuracy with {int(compared.draws['float32'].estimation.n[0])} votes:"
    ]
    for method in certificates:
        certificate, use = catalog.build("certificates", method), catalog.build_use("certificates", method)
        if certificate.needs != {"counts"}:
            continue
        held = {}
        for precision, draws in compared.draws.items():
            certified = claim("precision", draws, smoothing, method, use.alpha)
            right = certified.prediction == draws.labels
            held[precision] = right & (certified.radius >= np.array(radii)[:, None])  # [radii, images]
            accuracies = [f"r={r:g} {np.mean(at):.3f}" for r, at in zip(radii, held[precision], strict=True)]
            acr = float(np.mean(np.where(right, certified.radius, 0.0)))
            lines.append(
                f"  {certificate_label(method):<12} {precision:<9} {'  '.join(accuracies)}  ACR {acr:.4f}"
            )
        lines.append(
            f"  {certificate_label(method):<12} {verdict(held['float32'], list(held.values())[1], radii)}"
        )
    return "\n".join([*lines, *filter(None, [compared.refused])])


def verdict(plain: np.ndarray, other: np.ndarray, radii: list[float]) -> str:
    """The radii at which both are equivalent, from the images that each certifies: bool [radii, N]. Radii at
    which neither certifies any image are left out.
    """
    only = (plain & ~other).sum(1), (other & ~plain).sum(1)
    tests = of_proportions(*only, plain.shape[1], margin=MARGIN)
    some = (plain | other).any(1)
    outcomes = [
        (f"{r:g}", at.equivalence < LEVEL) for r, at, any_ in zip(radii, tests, some, strict=True) if any_
    ]
    same, open_ = ([r for r, shown in outcomes if shown is held] for held in (True, False))
    sentence = (
        f"equivalent within {100 * MARGIN:g} point (paired, p < {LEVEL:g}) at r = {', '.join(same) or 'none'}"
    )
    return sentence + f"; not shown at r = {', '.join(open_)}" * bool(open_)
