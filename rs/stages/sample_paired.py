"""Votes of two networks on the same draws of the noise, until the second network's claims are decided.

The second network's class comes from its selection votes. Then every undecided image gets a block of draws,
both networks answer them, the rule (rs.statistics.paired_stopping) looks at the differences, and so on. As in
a sequential run, an image's votes depend on no other image, and its blocks are seeded in the same way. So the
second network's votes are those that it would cast alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rs.networks.inference import InferenceForm
from rs.stages import answers
from rs.stages.voter import Voter
from rs.statistics.bounds import Floats
from rs.statistics.paired_stopping import PairedRule


@dataclass(frozen=True)
class Pair:
    """The voter of the second network and the first network's inference form; batches, device and classes
    agree.
    """

    second: Voter
    first: InferenceForm

    def vote(self, row: int, block: int, draws: int) -> Tensor:
        """int64 [3, classes] for `draws` draws of the row-th image: answers of the second network, of the
        first, and of both together; on the device.
        """
        voter = self.second
        found = torch.zeros(3, voter.classes, dtype=torch.int64, device=voter.device)
        with voter.within_memory(" with two networks"):
            for noisy in voter.noisy(row, "estimate", block, draws):
                answers.count(found, *(answers.answers(form, noisy) for form in (voter.form, self.first)))
        return found

    def check(self) -> None:
        """Raises UserError where a logit of either network was infinite or NaN."""
        self.second.form.check()
        self.first.check()

    def until_decided(
        self, rule: PairedRule, top: np.ndarray, bound: Floats, totals: Tensor
    ) -> Iterator[int]:
        """Adds votes to `totals` int64 [N, 3, classes] until `rule` has enough of each image; yields rows as
        they are decided. `top` [N] is the class that the rule is about, `bound` [N] the bound from the first
        network's votes.
        """
        undecided, drawn = np.arange(len(top)), 0
        for block, size in enumerate(rule.sizes()):
            for row in undecided:
                totals[row] += self.vote(int(row), block, size)
            drawn += size
            seen = totals.cpu().numpy()[undecided, :, top[undecided]]  # [M, 3]
            losses, gains = seen[:, 1] - seen[:, 2], seen[:, 0] - seen[:, 2]
            more = rule.going_on(bound[undecided], losses, gains, drawn)
            yield from undecided[~more].tolist()
            undecided = undecided[more]
            if len(undecided) == 0:
                return
