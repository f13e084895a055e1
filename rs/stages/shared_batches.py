"""Batches that the votes of several images share, for every way of sampling.

A network votes in batches of one shape (rs.networks.inference), which an image's votes seldom fill: 100 that
select take a fifth of 512. Here they go into batches one after another, and those of the next image fill up
what is left. An image's noise is drawn as it is drawn alone, by the same calls of the same generator,
whatever batch it then lies in. Nor do the logits depend on that: rows of a batch are tried out once for each
form, on images that are the same in all jobs, for being the same bits in any place and beside any others. A
network whose are not, or which draws at random, has batches for each image. So counts, and sums of scores,
which are added up piece by piece as they are alone, depend on no other image, shard or order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from rs.networks.inference import InferenceForm, moments
from rs.stages.voter import Totals, Voter
from rs.statistics.seeding import Purpose

TRIALS = 5  # passes of `independent`
RANGES = -10, 2  # of its images: the least and the greatest factor, as powers of two
_found: WeakKeyDictionary[InferenceForm, bool] = WeakKeyDictionary()


class Ballot(NamedTuple):
    """`votes` of the row-th image of a voter, with the noise of one block."""

    row: int
    purpose: Purpose
    block: int
    votes: int


def cast(voter: Voter, ballots: Sequence[Ballot]) -> Iterator[Totals]:
    """The totals of each ballot, in this order, in batches that they share where that makes fewer."""
    if not _fewer(voter, ballots) or not shares(voter):
        yield from (voter.vote(*ballot) for ballot in ballots)
        return
    shared, told = SharedBatches(voter, [ballot.row for ballot in ballots]), 0
    for at, ballot in enumerate(ballots):
        with voter.within_memory():
            for noisy in voter.noisy(*ballot):
                shared.put(at, noisy)
                del noisy  # before the next piece is drawn: its memory serves again
            if at == len(ballots) - 1:
                shared.vote()
        for whole in range(told, end := shared.first_waiting(at + 1)):
            yield tuple(total[whole] for total in shared.totals)  # type: ignore[misc]
        told = end


def _fewer(voter: Voter, ballots: Sequence[Ballot]) -> bool:
    """Whether sharing saves more batches than it costs to try out whether they can be shared."""
    batch = voter.form.batch
    alone = sum(-(-ballot.votes // batch) for ballot in ballots)
    together = -(-sum(ballot.votes for ballot in ballots) // batch)
    return alone - together > (0 if voter.form in _found else TRIALS)


def shares(voter: Voter) -> bool:
    """Whether images may share batches: not where logits depend on the rest of the batch, or on chance."""
    if voter.chance:
        return False
    if voter.form not in _found:
        with voter.within_memory():
            _found[voter.form] = independent(voter.form, tuple(voter.x.shape[1:]))
    return _found[voter.form]


def independent(form: InferenceForm, shape: tuple[int, ...]) -> bool:
    """Whether logits are those of the image alone: the same in the next place of the batch (and so in any),
    far away, beside others, of another range too, and in a batch that is not full. These are no votes: the
    form's passes do not count them.
    """
    passes, few = form.passes, max(form.batch // 3, 1)
    source = torch.Generator().manual_seed(0)
    images = torch.rand((form.batch, *shape), generator=source)
    images += torch.randn(images.shape, generator=source)
    # of every range up to that of noise of 4: what the largest number of a batch moves in all of its rows
    # shows in the few, whose largest is small
    images *= torch.logspace(*RANGES, form.batch, base=2).view(-1, *(1 for _ in shape))
    images = images[images.flatten(1).abs().amax(1).argsort()].to(form.device)
    there = form(images).clone()
    found = all(torch.equal(form(images.roll(p, 0)), there.roll(p, 0)) for p in (1, form.batch // 2))
    found = found and torch.equal(form(images.flip(0)), there.flip(0))
    found = found and torch.equal(form(images[:few]), there[:few])
    form.passes = passes
    # of an ensemble, those who are asked about few images: none of these may have come to them
    return found and all(independent(part, shape) for part in getattr(form, "parts", ()))


class Part(NamedTuple):
    """How many rows of a batch are for the at-th totals, and whether a piece ends with them."""

    at: int
    size: int
    ends: bool


class SharedBatches:
    """Votes on what is put into them, a batch at a time. `totals`, stacked, are of the images `rows`."""

    def __init__(self, voter: Voter, rows: Sequence[int]) -> None:
        self.voter, self.rows = voter, torch.tensor(rows)
        self.passes = 0
        form = voter.form
        with voter.within_memory():
            self.totals = voter.zeros(len(rows))
            # rounded and reordered here, so that no piece has to be kept until its batch is full
            batch = torch.empty((form.batch, *voter.x.shape[1:]), dtype=form.dtype, device=form.device)
            self._batch = batch.contiguous(memory_format=form.layout)
        self._parts: list[Part] = []  # of the batch to come
        self._filled = 0
        self._begun: list[Tensor] = []  # logits of a piece that the batch before has cut

    def put(self, at: int, noisy: Tensor) -> None:
        """A piece of the votes for the at-th totals: noisy copies [K, C, H, W], K at most a batch, whose
        scores are summed up together. Votes as soon as a batch is full.
        """
        start, batch = 0, self.voter.form.batch
        while start < len(noisy):
            size = min(len(noisy) - start, batch - self._filled)
            self._batch[self._filled : self._filled + size].copy_(noisy[start : start + size])
            start += size
            self._filled += size
            self._parts.append(Part(at, size, start == len(noisy)))
            if self._filled == batch:
                self.vote()

    def first_waiting(self, put: int) -> int:
        """How many of the first totals are whole, once the pieces of `put` of them have come."""
        return self._parts[0].at if self._parts else put

    def vote(self) -> None:
        """Votes on what waits, though the batch be not full."""
        if not self._parts:
            return
        voter, parts = self.voter, self._parts
        logits = voter.form(self._batch[: self._filled])
        self._parts, self._filled = [], 0
        self.passes += 1
        at = torch.tensor([part.at for part in parts])
        places = at.repeat_interleave(torch.tensor([part.size for part in parts]))
        voter.seen(self.rows[places].to(voter.device), logits)
        flat = places.to(voter.device) * voter.classes + logits.argmax(1)
        self.totals[0].view(-1).scatter_add_(0, flat, torch.ones_like(flat))
        if voter.betas:
            self._add_scores(parts, logits)

    def _add_scores(self, parts: list[Part], logits: Tensor) -> None:
        """Sums of whole pieces, so that they are the same wherever a batch has cut one."""
        _, sums, squares = self.totals
        for part, own in zip(parts, logits.split([part.size for part in parts]), strict=True):
            self._begun.append(own if part.ends else own.clone())  # logits are good until the next call
            if part.ends:
                piece, self._begun = torch.cat(self._begun), []
                for i, beta in enumerate(self.voter.betas):
                    for total, of in zip((sums, squares), moments(piece, beta), strict=True):
                        total[part.at, i] += of
