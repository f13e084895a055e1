"""The mean of several networks' logits, and K-consensus, by which most images need only some of the networks.

K-consensus (rs.networks.ensemble has the source): the first K networks answer every image, the others only
the images on whose class these K do not agree. The answer is the mean of all networks that were asked. Where
the K agree on a class, each gives it the largest logit, and so does their mean. Elsewhere the answer is that
of the full ensemble.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from rs.networks.audit import Audited
from rs.networks.consensus import ConsensusForm, agreed
from rs.networks.inference import InferenceForm


class Averaged(nn.Module):
    """`members` in their order: images [B, C, H, W] -> logits [B, classes]. The agreement of the first
    `consensus` members decides; without `consensus`, all answer every image.

    `average` is of the logits, or of the members' softmax; then the output is its logarithm. `forward` is the
    definition and asks every member; the voting form stops early (rs.networks.consensus). Gradients are those
    of the given answer: of the first members' mean where they agree, else of the mean of all.
    """

    def __init__(
        self, members: Iterable[nn.Module], consensus: int | None = None, average: str = "logits"
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.first = len(self.members) if consensus is None else min(consensus, len(self.members))
        self.of_softmax = average == "softmax"

    def forward(self, x: Tensor) -> Tensor:
        logits = [member(x) for member in self.members]
        every = self.mean(logits)
        if self.first == len(self.members):
            return every
        first = logits[: self.first]
        return torch.where(agreed(first).unsqueeze(1), self.mean(first), every)

    def mean(self, logits: list[Tensor]) -> Tensor:
        """The average of the logits [B, classes] of some of the members."""
        if not self.of_softmax:
            return torch.stack(logits).mean(0)
        return torch.stack([each.log_softmax(1) for each in logits]).logsumexp(0) - math.log(len(logits))

    def voting_form(self, audited: Audited, form: dict[str, Any], device: torch.device) -> InferenceForm:
        """The inference form for `audited`, whose network this is (rs.networks.inference.form_of)."""
        early = self.first < len(self.members) and not audited.chance
        return (ConsensusForm if early else InferenceForm)(audited, form, device)
