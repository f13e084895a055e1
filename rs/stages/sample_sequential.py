"""The sample stage of a sequential run: the votes of one range of images, each drawn for until it is decided.

The class comes from the selection votes, which are drawn before. Then every undecided image of the range gets
a block of votes, the rule (rs.statistics.stopping) looks at the counts, and so on: the host hears from the
device once per block. An image's votes and where they stop depend on no other image, so the same images have
the same counts in any range. An image's block is seeded as in a run of fixed n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.errors import UserError
from rs.machine.progress import follow
from rs.provenance.digests import canonical
from rs.provenance.files import ADVICE
from rs.settings.sampling import Stop
from rs.stages.draw_files import read_votes
from rs.stages.voter import Totals, Voter
from rs.statistics.stopping import StoppingRule


def sample(
    spec: dict[str, Any],
    inputs: dict[str, Path],
    output: Path,
    device: torch.device,
    code: str,
    form_file: Path | None = None,
) -> None:
    """Draws what `spec` asks for (see rs.plan.drawing) and writes it with the rule in its provenance.

    `inputs` has the `model` and `data` manifests and the file of the `selection` votes.
    """
    voter = Voter(spec, inputs["model"], inputs["data"], device, form_file)
    images = voter.images
    chosen, _, selection, made = read_votes(inputs["selection"])
    if not np.array_equal(chosen, np.asarray(images)):
        raise UserError(f"{inputs['selection']}: holds other images than {images.start} to {images.stop}")
    told = [made["model"], *(made["spec"].get(key) for key in ("purpose", "noise", "seed"))]
    if told != [voter.manifest["sha256"], "select", canonical(spec["noise"]), spec["seed"]]:
        raise UserError(f"{inputs['selection']}: selection votes of another network, noise or seed; {ADVICE}")
    rule = StoppingRule(Stop(**spec["stop"]), spec["noise"]["sigma"], spec["n"], spec["block"])
    zeros = torch.zeros(len(images), len(voter.betas), voter.classes, dtype=torch.float64, device=device)
    counts = torch.zeros(len(images), voter.classes, dtype=torch.int64, device=device)
    totals = counts, zeros, zeros.clone()

    def vote(row: int, block: int, votes: int) -> Totals:
        return voter.vote(row, "estimate", block, votes)

    decided = draw_until_decided(rule, selection.counts.argmax(1), totals, vote)
    label = f"{inputs['model'].parent.name} sequential {images.start}-{images.stop}"
    for _ in follow(decided, len(images), label, "images", samples=lambda: int(counts.sum())):
        pass
    voter.write(output, totals, code, stop=asdict(rule.stop))


def draw_until_decided(
    rule: StoppingRule, top: np.ndarray, totals: Totals, vote: Callable[[int, int, int], Totals]
) -> Iterator[int]:
    """Adds the votes of `vote(row, block, size)` to the rows of `totals` until `rule` has enough of each.

    `top` [N] is the class that the rule is about. Yields rows as they are decided.
    """
    undecided, drawn = np.arange(len(top)), 0
    for block, size in enumerate(rule.sizes()):
        for row in undecided:
            for total, part in zip(totals, vote(int(row), block, size), strict=True):
                total[row] += part
        drawn += size
        failures = drawn - totals[0].cpu().numpy()[undecided, top[undecided]]
        more = rule.going_on(failures, drawn)
        yield from undecided[~more].tolist()
        undecided = undecided[more]
        if len(undecided) == 0:
            return
