"""The inference form of an ensemble that stops early: each member in its own form, and which members are
asked.

The first K members see whole batches. The images of a batch on whose class they disagree go on to the other
members, in batches of a fixed smaller shape, which is part of the form. So an image's answer depends on its
own logits and on these shapes, not on which other images are left. The number of images left decides only the
image's row in the smaller batch. In compiled code the row may change a logit's last digit, as it may in any
batch. On a GPU the host waits after each batch for the images that are left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.networks.audit import Audited
from rs.networks.inference import PLAIN_BATCH, InferenceForm
from rs.networks.transformations import DIFFERING, copied, differing, warn

LEFT = 8  # batch / batch of the other members, which is a multiple of 16 images


class Ensemble(Protocol):
    """`members`, of which the `first` ones are asked about every image, and the `mean` of logits of some."""

    members: nn.ModuleList
    first: int

    def mean(self, logits: list[Tensor]) -> Tensor: ...


class ConsensusForm(InferenceForm):
    """`InferenceForm` of an `Averaged` network with a consensus of fewer than all of its members. `passes`
    counts pairs of an image and a member that was asked about it.
    """

    passes: int

    def __init__(self, audited: Audited, form: dict[str, Any], device: torch.device) -> None:
        """Each member's form is compared with the member, and the result with the plain ensemble. All members
        have one precision, and all or none are compiled: the plainest form on which one of them falls back.
        """
        network = audited.network
        self.batch, self.device, self.run = int(form["batch"]), device, audited.run
        self.left = max(self.batch // LEFT // 16, 1) * 16
        self.classes, self.passes = int(audited.manifest["classes"]), 0
        self.broken = torch.zeros((), dtype=torch.int64, device=device)
        self.fallbacks: list[str] = []
        self._averaged: Ensemble = copied(network, self.run)  # type: ignore[assignment]
        probes, plain = audited.probes.to(device), copied(network, self.run).to(device)
        with torch.no_grad():
            votes = torch.cat([plain(part.clone()).argmax(1) for part in probes.split(PLAIN_BATCH)])
        for precision in dict.fromkeys((form["precision"], "float32")):
            self._take_members(audited, {**form, "precision": precision}, device)
            found = differing(self, probes, votes, self.batch)
            self.compared = {"differing_votes": found, "probes": len(probes)}
            self.compared["members"] = [part.compared for part in self.parts]
            if found <= DIFFERING[self.dtype]:
                break
            self.fallbacks.append(f"{precision}: {found:.1%} of its votes are not the network's")
            warn(self.run, f"falls back on a plainer inference form than {self.fallbacks[-1]}")
        else:
            raise UserError(f"{self.run}: its votes depend on the batch that an image is in")
        self.passes = 0

    def _take_members(self, audited: Audited, form: dict[str, Any], device: torch.device) -> None:
        self.parts: list[InferenceForm] = []
        for number, member in enumerate(self._averaged.members):
            batch = self.batch if number < self._averaged.first else self.left
            alone = replace(audited, network=member, run=f"{self.run}, member {number}")
            self.parts.append(InferenceForm(alone, {**form, "batch": batch}, device))
        self.fallbacks += [why for part in self.parts for why in part.fallbacks]
        descriptions = [part.description for part in self.parts]
        of = {
            key: [each[key] for each in descriptions] for key in ("precision", "compiled", "folded", "layout")
        }
        if any(len({*of[key]}) > 1 for key in ("precision", "compiled")):
            plainest = "float32" if "float32" in of["precision"] else form["precision"]
            plainer = {"precision": plainest, "compiled": all(of["compiled"])}
            self._take_members(audited, {**form, **plainer}, device)
            return
        self.dtype, self.layout = self.parts[0].dtype, self.parts[0].layout
        # members of different architectures may differ in folding and layout
        same = {key: values[0] if len({*values}) == 1 else values for key, values in of.items()}
        self.description = {**descriptions[0], **same, "left": self.left}

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        first = self._averaged.first
        logits = [part(images).clone() for part in self.parts[:first]]
        answers, left = self._averaged.mean(logits), (~agreed(logits)).nonzero().squeeze(1)
        self.passes += first * len(images) + (len(self.parts) - first) * len(left)
        for rows in left.split(self.left) if len(left) else ():
            later = [part(images[rows]).clone() for part in self.parts[first:]]
            answers[rows] = self._averaged.mean([each[rows] for each in logits] + later)
        return answers

    def keep(self, probes: Tensor) -> str | None:
        """`InferenceForm.keep` of each member."""
        return "; ".join(filter(None, [part.keep(probes) for part in self.parts])) or None


def agreed(logits: list[Tensor]) -> Tensor:
    """bool [B]: whether all of these logits [B, classes] are largest at the same class."""
    classes = torch.stack([each.argmax(1) for each in logits])
    return (classes == classes[0]).all(0)
