"""The sample stage of a sequential run: votes for one range of images, each drawn until the image is decided.

The class comes from the selection votes, which are drawn before. Then every undecided image of the range gets
a block of votes, the rule (rs.statistics.stopping) looks at the counts, and so on; host and device
synchronise once per block. An image's votes and where they stop depend on no other image, so the same images
have the same counts in any range. An image's block is seeded as in a run of fixed n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.settings.sampling import Stop
from rs.stages.voter import JobVoter, Totals
from rs.statistics.seeding import Purpose
from rs.statistics.stopping import StoppingRule


def sample(
    spec: dict[str, Any], inputs: dict[str, Path], output: Path, device: torch.device, code: str
) -> None:
    """Draws the votes that `spec` asks for (see rs.plan.drawing) and writes them with the rule in their
    provenance.

    `inputs` has a JobVoter's inputs and the file of the `selection` votes.
    """
    voter = JobVoter(spec, inputs, device)
    top, totals = voter.selected(inputs["selection"]), voter.zeros(len(voter.images))
    rule = StoppingRule(Stop(**spec["stop"]), spec["noise"]["sigma"], spec["n"], spec["block"])
    decided = draw_until_decided(rule, top, totals, voter.vote)
    for _ in voter.follow(decided, "sequential", samples=lambda: int(totals[0].sum())):
        pass
    voter.write(output, totals, code, stop=asdict(rule.stop))


def draw_until_decided(
    rule: StoppingRule, top: np.ndarray, totals: Totals, vote: Callable[[int, Purpose, int, int], Totals]
) -> Iterator[int]:
    """Adds the votes of `vote(row, "estimate", block, size)` to the rows of `totals` until `rule` has enough
    of each.

    `top` [N] is the class that the rule is about. Yields rows as they are decided.
    """
    undecided, drawn = np.arange(len(top)), 0
    for block, size in enumerate(rule.sizes()):
        for row in undecided:
            for total, part in zip(totals, vote(int(row), "estimate", block, size), strict=True):
                total[row] += part
        drawn += size
        failures = drawn - totals[0].cpu().numpy()[undecided, top[undecided]]
        more = rule.going_on(failures, drawn)
        yield from undecided[~more].tolist()
        undecided = undecided[more]
        if len(undecided) == 0:
            return
