"""The sample stage under `rule: tests`: votes until an image's tests are decided, in full batches.

An image's blocks of votes are drawn in pieces, of which a batch holds several, of several images: where one
stops, the next one of the range takes its place, so that a batch may be as large as the device likes however
few votes an image needs. Noise is seeded by image and block and drawn piece by piece, whatever batch
a piece is in. Nor do the logits depend on that: rows of a batch are tried out once, on images that are the
same in all jobs, for being the same in any place and beside any others, bit by bit. A network whose are not,
or which draws at random, has a batch for each piece. So counts depend on no other image, shard or order.
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
from torch import Tensor

from rs.errors import UserError
from rs.machine.devices import generator
from rs.machine.progress import follow
from rs.networks.inference import InferenceForm
from rs.networks.transformations import warn
from rs.provenance.digests import canonical
from rs.provenance.files import ADVICE
from rs.settings.sampling import Stop
from rs.stages.draw_files import read_votes
from rs.stages.voter import Totals, Voter
from rs.statistics.group_sequential import GroupSequentialRule


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
    top = _selected(voter, inputs["selection"])
    stop = Stop(spec["stop"].get("alpha", Stop.alpha), tuple(spec["stop"]["radii"]))
    rule = GroupSequentialRule(
        stop, spec["noise"]["sigma"], spec["n"], spec["block"], spec["stop"]["resolution"]
    )
    batches = Batches(voter, rule, top)
    label = f"{inputs['model'].parent.name} group sequential {voter.images.start}-{voter.images.stop}"
    for _ in follow(batches.run(), len(top), label, "images", samples=lambda: int(batches.counts.sum())):
        pass
    facts = {"stop": rule.told(), "filled": batches.filled, "packed": batches.packed}
    voter.write(output, batches.totals, code, **facts)


def _selected(voter: Voter, file: Path) -> np.ndarray:
    """The class that the selection votes chose, [N]. Raises UserError for those of others."""
    images, _, votes, made = read_votes(file)
    if images.tolist() != list(voter.images):
        raise UserError(f"{file}: holds other images than {voter.images.start} to {voter.images.stop}")
    own = [voter.manifest["sha256"], "select", canonical(voter.spec["noise"]), voter.spec["seed"]]
    if own != [made["model"], *(made["spec"].get(key) for key in ("purpose", "noise", "seed"))]:
        raise UserError(f"{file}: selection votes of another network, noise or seed; {ADVICE}")
    return votes.counts.argmax(1)  # type: ignore[no-any-return]


def independent(form: InferenceForm, shape: tuple[int, ...], piece: int) -> bool:
    """Whether logits are those of the image alone: the same in another place of the batch, beside others and
    in a batch that is not full. These are no votes: the form's passes do not count them.
    """
    passes = form.passes
    source = torch.Generator().manual_seed(0)
    images = torch.rand((form.batch, *shape), generator=source).to(form.device)
    there = form(images).clone()
    moved = all(torch.equal(form(images.roll(p, 0)), there.roll(p, 0)) for p in (piece, 1, form.batch // 2))
    found = moved and torch.equal(form(images[:piece]), there[:piece])
    form.passes = passes
    return found


@dataclass
class Image:
    """Its row, the look that it is drawn to, its noise, and pieces of that block still to come."""

    row: int
    look: int
    noise: torch.Generator
    pieces: int


@dataclass
class Batches:
    """Draws for all images of a voter; `top` [N] are the classes that the rule is about."""

    voter: Voter
    rule: GroupSequentialRule
    top: np.ndarray
    counts: Tensor = field(init=False)  # int64 [N, classes]
    sums: Tensor = field(init=False)  # float64 [N, betas, classes]
    squares: Tensor = field(init=False)
    packed: bool = field(init=False)

    def __post_init__(self) -> None:
        voter, form, size = self.voter, self.voter.form, len(self.top)
        self.piece = math.gcd(self.rule.block, form.batch)
        self.slots = form.batch // self.piece
        shape = tuple(voter.x.shape[1:])
        self.packed = self.slots > 1 and not voter.chance and independent(form, shape, self.piece)
        if self.slots > 1 and not self.packed:
            told = f"a batch of {form.batch} holds {self.piece} votes"
            warn(voter.run, f"{told}: its logits depend on the rest of the batch, or on chance")
            self.slots = 1
        self.counts = torch.zeros(size, voter.classes, dtype=torch.int64, device=voter.device)
        moments = (size, len(voter.betas), voter.classes)
        self.sums, self.squares = torch.zeros((2, *moments), dtype=torch.float64, device=voter.device)
        self.passes = 0

    @property
    def totals(self) -> Totals:
        return self.counts, self.sums, self.squares

    @property
    def filled(self) -> float:
        """The share of the batches' places that held a vote."""
        return int(self.counts.sum()) / max(self.passes * self.voter.form.batch, 1)

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
        noise = generator(voter.device, voter.spec["seed"], "estimate", voter.images[row], look)
        return Image(row, look, noise, int(self.rule.design.sizes[look]) // self.piece)

    def _vote(self, batch: list[Image]) -> None:
        """A vote of each place: the images of a batch, one for each of its pieces."""
        voter, piece = self.voter, self.piece
        shape = (piece, *voter.x.shape[1:])
        self.passes += 1
        first = batch[0]
        ordinal = int(self.rule.design.looks[first.look]) // piece - first.pieces - 1  # where it is alone
        with voter._own_draws(first.row, "estimate", ordinal):
            parts = [voter.noise.sample(shape, image.noise).add_(voter.x[image.row]) for image in batch]
            try:
                logits = voter.form(parts[0] if len(parts) == 1 else torch.cat(parts))
            except torch.OutOfMemoryError as error:
                told = f"memory ran out in batches of {voter.form.batch}; lower sampling.batch"
                raise UserError(f"{told} (which is another inference form)") from error
        rows = torch.tensor([image.row for image in batch], device=voter.device)
        broken = (~logits.isfinite().all(1)).view(-1, piece).sum(1)
        voter._broken.index_add_(0, rows, broken)
        places = rows.repeat_interleave(piece) * voter.classes + logits.argmax(1)
        self.counts.view(-1).scatter_add_(0, places, torch.ones_like(places))
        for i, beta in enumerate(voter.betas):
            scores = (beta * logits).softmax(1).double().view(-1, piece, voter.classes)
            for image, own in zip(batch, scores, strict=True):  # in the image's order, for the same sums
                self.sums[image.row, i] += own.sum(0)
                self.squares[image.row, i] += own.square().sum(0)

    def _going_on(self, judged: list[Image]) -> list[bool]:
        """Waits for the device, where an image has come to a look."""
        if not judged:
            return []
        rows = [image.row for image in judged]
        hits = self.counts[rows, self.top[rows].tolist()].tolist()
        looks = self.rule.design.looks
        votes = [int(looks[image.look]) for image in judged]
        return [
            bool(self.rule.going_on(np.array([n - hit]), n)[0]) for n, hit in zip(votes, hits, strict=True)
        ]
