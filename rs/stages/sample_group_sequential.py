"""The sample stage under `rule: tests`: votes until an image's tests are decided, in full batches.

An image's blocks of votes are drawn in pieces. A batch holds several pieces, of several images
(rs.stages.shared_batches). When an image stops, the next image of the range takes its place, so a batch may
be as large as suits the device, however few votes an image needs. Noise is seeded by image and block and
drawn piece by piece, whichever batch a piece is in. Where images may not share batches, each batch holds one
piece.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.machine.devices import generator
from rs.networks.transformations import warn
from rs.settings.sampling import Stop
from rs.stages.shared_batches import SharedBatches, shares
from rs.stages.voter import JobVoter, Totals
from rs.statistics.group_sequential import GroupSequentialRule


def sample(
    spec: dict[str, Any], inputs: dict[str, Path], output: Path, device: torch.device, code: str
) -> None:
    """Draws the votes that `spec` asks for (see rs.plan.drawing) and writes them with the rule in their
    provenance.

    `inputs` has a JobVoter's inputs and the file of the `selection` votes.
    """
    voter = JobVoter(spec, inputs, device)
    stop = Stop(spec["stop"].get("alpha", Stop.alpha), tuple(spec["stop"]["radii"]))
    rule = GroupSequentialRule(
        stop, spec["noise"]["sigma"], spec["n"], spec["block"], spec["stop"]["resolution"]
    )
    batches = Batches(voter, rule, voter.selected(inputs["selection"]))
    counts = batches.totals[0]
    for _ in voter.follow(batches.run(), "group sequential", samples=lambda: int(counts.sum())):
        pass
    facts = {"stop": rule.record(), "filled": batches.filled, "packed": batches.packed}
    voter.write(output, batches.totals, code, **facts)


@dataclass
class Image:
    """An image's row, its next look, the noise of the block before that look, and the block's remaining
    pieces.
    """

    row: int
    look: int
    noise: torch.Generator
    pieces: int


@dataclass
class Batches:
    """Draws for all images of a voter; `top` [N] are the classes that the rule tests."""

    voter: JobVoter
    rule: GroupSequentialRule
    top: np.ndarray
    packed: bool = field(init=False)

    def __post_init__(self) -> None:
        batch = self.voter.form.batch
        self.piece = math.gcd(self.rule.block, batch)
        self.packed = batch > self.piece and shares(self.voter)
        if batch > self.piece and not self.packed:
            fact = f"a batch of {batch} holds {self.piece} votes"
            warn(self.voter.run, f"{fact}: its logits depend on the rest of the batch, or on chance")
        self.slots = batch // self.piece if self.packed else 1
        self.shared = SharedBatches(self.voter, range(len(self.top)))

    @property
    def totals(self) -> Totals:
        return self.shared.totals

    @property
    def filled(self) -> float:
        """The share of the batches' places that held a vote."""
        return int(self.totals[0].sum()) / max(self.shared.passes * self.voter.form.batch, 1)

    def run(self) -> Iterator[int]:
        """Yields rows as they are decided."""
        waiting, drawn = iter(range(len(self.top))), deque[Image]()
        while True:
            batch, judged, free = [], [], self.slots
            while free:
                if not drawn and (row := next(waiting, None)) is not None:
                    drawn.append(self._to_look(row, 0))
                if not drawn:
                    break
                image = drawn[0]
                taken = min(image.pieces, free)
                batch += [image] * taken
                image.pieces -= taken
                free -= taken
                if not image.pieces:
                    judged.append(drawn.popleft())
            if not batch:
                return
            self._vote(batch)
            for image, more in zip(judged, self._going_on(judged), strict=True):
                if more:
                    drawn.append(self._to_look(image.row, image.look + 1))
                else:
                    yield image.row

    def _to_look(self, row: int, look: int) -> Image:
        voter = self.voter
        noise = generator(voter.device, voter.seed, "estimate", voter.images[row], look)
        return Image(row, look, noise, int(self.rule.design.sizes[look]) // self.piece)

    def _vote(self, batch: list[Image]) -> None:
        """Votes on a batch; an image stands in it once per piece."""
        voter, piece, first = self.voter, self.piece, batch[0]
        # the piece's number where a batch holds only one, as for every network that draws at random
        ordinal = int(self.rule.design.looks[first.look]) // piece - first.pieces - 1
        with voter.within_memory(), voter.own_draws(first.row, "estimate", ordinal):
            for image in batch:
                noise = voter.noise.sample((piece, *voter.x.shape[1:]), image.noise)
                self.shared.put(image.row, noise.add_(voter.x[image.row]))
            self.shared.vote()

    def _going_on(self, judged: list[Image]) -> list[bool]:
        """Whether each of these images, which have come to a look, goes on. Without any, the device is not
        waited for.
        """
        if not judged:
            return []
        rows = [image.row for image in judged]
        hits = self.totals[0][rows, self.top[rows].tolist()].tolist()
        looks = self.rule.design.looks
        votes = [int(looks[image.look]) for image in judged]
        return [
            bool(self.rule.going_on(np.array([n - hit]), n)[0]) for n, hit in zip(votes, hits, strict=True)
        ]
