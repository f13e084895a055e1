"""The inference form of a network that OpenVINO runs (rs.networks.openvino_program).

Like every form, it is judged by the votes that it changes on the probes. Three things differ:
- It does not fall back: a study that requests int8 requests another classifier, not just a faster one.
- An image's logits must be the same bits at any place of a batch, beside any other images. Sums of bytes are
  exact, and OpenVINO computes the rest image by image.
- In int8 the probes are under the noise of the votes (`for_noise`). A form of torch serves every noise and is
  judged under several; int8's ranges belong to one noise. Beyond that noise they cut off, and the network
  itself no longer recognises the images. No certificate needs votes there, so changed votes there are no sign
  of a broken form.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rs.errors import UserError
from rs.methods import catalog
from rs.networks import openvino_program as programs
from rs.networks.audit import IMAGES, Audited, check_batches
from rs.networks.images import load_images, open_split
from rs.networks.inference import PLAIN_BATCH, InferenceForm
from rs.networks.transformations import Transformed, copied, differing, transformed

# The largest share of votes on the probes that rounding may change
DIFFERING = {"float32": 0.01, "bfloat16": 0.05, "int8": 0.1}


class OpenVinoForm(InferenceForm):
    """Calls a network's program on batches of exactly `batch` images."""

    def __init__(
        self,
        audited: Audited,
        form: dict[str, Any],
        device: torch.device,
        program: programs.Program,
        most: float | None = None,
    ) -> None:
        """`program` was made from the network. Raises UserError where its votes differ from the network's on
        more than the share `most` of the probes (by default DIFFERING).
        """
        programs.check_processor(form, device)
        self.most = DIFFERING[form["precision"]] if most is None else most
        if audited.chance:
            raise UserError(
                f"{audited.run}: draws at random, so it votes in torch alone; use {programs.IN_TORCH}"
            )
        self.program = program
        super().__init__(audited, form, device)

    def _choose(self, plain: Transformed, form: dict[str, Any], probes: Tensor) -> None:
        with torch.no_grad():
            logits = torch.cat([self._checked(plain.network(x.clone())) for x in probes.split(PLAIN_BATCH)])
        check_batches(plain.network, probes, logits, (PLAIN_BATCH, self.batch), self.run)
        votes = logits.argmax(1)
        self.dtype, self.layout, self._input = torch.float32, torch.contiguous_format, None
        self.network = programs.running(self.program, form["precision"])
        self.description = {**form, "program": self.program.digest[:16], "device": self.device.type}
        found = differing(self, probes, votes, self.batch)
        if found > self.most:
            problem = f"in {form['precision']} by OpenVINO {found:.1%} of its votes are not the network's"
            raise UserError(f"{self.run}: {problem}; use another precision, or {programs.IN_TORCH}")
        few = probes[: self.batch]
        if not torch.equal(self(few).clone(), self(few.flip(0)).flip(0)):
            problem = "in OpenVINO its logits depend on the place in a batch"
            raise UserError(f"{self.run}: {problem}; use {programs.IN_TORCH}")
        self.compared = {"differing_votes": found, "probes": len(probes)}


def for_noise(audited: Audited, form: dict[str, Any], noise: dict[str, Any], data: Path) -> Audited:
    """The network with the probes of its form: in int8, test images under the noise of its votes, a quarter
    of them without noise (as an attack's judge may see them); in other precisions, the probes that it has.
    """
    if form["precision"] != "int8":
        return audited
    size = len(open_split(data, "test"))
    images, _ = load_images(data, "test", [i * size // IMAGES for i in range(IMAGES)])
    draws = torch.Generator().manual_seed(0)
    built = catalog.build("noises", noise)
    noisy = [built.sample(tuple(images.shape), draws).add_(images) for _ in range(3)]
    probes = torch.stack([images, *noisy], 1).flatten(0, 1)  # neighbours are of both kinds
    return replace(audited, probes=probes.to(audited.probes.device))


def made_here(
    audited: Audited, form: dict[str, Any], noise: dict[str, Any], data: Path, device: torch.device
) -> OpenVinoForm:
    """The form with a newly made program, in int8 calibrated under the noise. Raises UserError."""
    programs.check_processor(form, device)
    audited = for_noise(audited, form, noise, data)
    return OpenVinoForm(audited, form, device, calibrated(audited, form, noise, data))


def calibrated(audited: Audited, form: dict[str, Any], noise: dict[str, Any], data: Path) -> programs.Program:
    """The network's program, in int8 with ranges from training images under the noise. Raises UserError."""
    quantizes = form["precision"] == "int8"
    examples, calibration = programs.calibrating(data, noise) if quantizes else (audited.probes, {})
    return program_of(audited, form, examples, calibration)


def program_of(
    audited: Audited, form: dict[str, Any], examples: Tensor, calibration: dict[str, Any]
) -> programs.Program:
    """The network's program. Batch norm is folded first if that is shown to be the same function; OpenVINO
    would fold it in float32. Raises UserError.
    """
    members = getattr(audited.network, "members", ())
    if getattr(audited.network, "first", len(members)) < len(members):
        problem = "an ensemble that stops at a consensus votes in torch alone; use engine: torch"
        raise UserError(f"{audited.run}: {problem} in float32 or bfloat16")
    plain = copied(audited.network, audited.run).to(examples.device)
    shown = transformed(plain, audited.probes.to(examples.device), audited.run)
    network = shown.network.float().to(memory_format=torch.contiguous_format)
    return programs.build(network, examples, form, calibration, audited.run)
