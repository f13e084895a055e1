"""Batches shared by the votes of several images, for every way of sampling.

A network votes in batches of one shape (rs.networks.inference), and an image's votes seldom fill them: 100
selection votes take a fifth of 512. Here votes go into batches one after another, and those of the next image
fill the rest. An image's noise does not depend on this: the same calls of the same generator draw it. Nor do
the logits. Each form is tried once, on images that are the same in all jobs: a row must give the same bits in
any place of a batch and beside any other rows. A network that fails this, or draws at random, votes in
separate batches for each image. So counts depend on no other image, shard or order. Neither do sums of
scores, which are added up piece by piece as without sharing.
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
RANGES = -10, 2  # the smallest and the largest scale of its images, as powers of two
_found: WeakKeyDictionary[InferenceForm, bool] = WeakKeyDictionary()


class Ballot(NamedTuple):
    """`votes` votes of the row-th image of a voter, with the noise of one block."""

    row: int
    purpose: Purpose
    block: int
    votes: int


def cast(voter: Voter, ballots: Sequence[Ballot]) -> Iterator[Totals]:
    """The totals of each ballot, in this order; ballots share batches where that makes fewer."""
    if not _fewer(voter, ballots) or not shares(voter):
        yield from (voter.vote(*ballot) for ballot in ballots)
        return
    shared, first = SharedBatches(voter, [ballot.row for ballot in ballots]), 0
    for at, ballot in enumerate(ballots):
        with voter.within_memory():
            for noisy in voter.noisy(*ballot):
                shared.put(at, noisy)
                del noisy  # frees its memory before the next piece is drawn
            if at == len(ballots) - 1:
                shared.vote()
        for whole in range(first, end := shared.first_waiting(at + 1)):
            yield tuple(total[whole] for total in shared.totals)  # type: ignore[misc]
        first = end


def _fewer(voter: Voter, ballots: Sequence[Ballot]) -> bool:
    """Whether sharing saves more batches than its trial costs."""
    batch = voter.form.batch
    alone = sum(-(-ballot.votes // batch) for ballot in ballots)
    together = -(-sum(ballot.votes for ballot in ballots) // batch)
    return alone - together > (0 if voter.form in _found else TRIALS)


def shares(voter: Voter) -> bool:
    """Whether images may share batches: not if logits depend on the rest of the batch, or on chance."""
    if voter.chance:
        return False
    if voter.form not in _found:
        with voter.within_memory():
            _found[voter.form] = independent(voter.form, tuple(voter.x.shape[1:]))
    return _found[voter.form]


def independent(form: InferenceForm, shape: tuple[int, ...]) -> bool:
    """Whether an image's logits depend on the image alone. They must be equal in the next place of the batch
    (and so in any), far away, beside other images, also of another scale, and in a batch that is not full.
    The form's count of passes leaves these out: they are not votes.
    """
    passes, few = form.passes, max(form.batch // 3, 1)
    source = torch.Generator().manual_seed(0)
    images = torch.rand((form.batch, *shape), generator=source)
    images += torch.randn(images.shape, generator=source)
    # Scales up to that of noise of 4: if the largest number of a batch affects all rows, it shows in the
    # `few` rows alone, whose largest number is small.
    images *= torch.logspace(*RANGES, form.batch, base=2).view(-1, *(1 for _ in shape))
    images = images[images.flatten(1).abs().amax(1).argsort()].to(form.device)
    there = form(images).clone()
    found = all(torch.equal(form(images.roll(p, 0)), there.roll(p, 0)) for p in (1, form.batch // 2))
    found = found and torch.equal(form(images.flip(0)), there.flip(0))
    found = found and torch.equal(form(images[:few]), there[:few])
    form.passes = passes
    # An ensemble asks its later members only about some images, perhaps none of these: try each member.
    return found and all(independent(part, shape) for part in getattr(form, "parts", ()))


class Part(NamedTuple):
    """How many rows of a batch belong to the at-th totals, and whether a piece ends with them."""

    at: int
    size: int
    ends: bool


class SharedBatches:
    """Votes on the pieces put into it, a batch at a time. `totals`, stacked, belong to the images `rows`."""

    def __init__(self, voter: Voter, rows: Sequence[int]) -> None:
        self.voter, self.rows = voter, torch.tensor(rows)
        self.passes = 0
        form = voter.form
        with voter.within_memory():
            self.totals = voter.zeros(len(rows))
            # pieces are rounded and reordered here, so that none is kept until its batch is full
            batch = torch.empty((form.batch, *voter.x.shape[1:]), dtype=form.dtype, device=form.device)
            self._batch = batch.contiguous(memory_format=form.layout)
        self._parts: list[Part] = []  # of the next batch
        self._filled = 0
        self._begun: list[Tensor] = []  # logits of a piece that a batch border has cut

    def put(self, at: int, noisy: Tensor) -> None:
        """Adds a piece of the votes for the at-th totals: noisy copies [K, C, H, W], K at most a batch, whose
        scores are summed together. Votes as soon as a batch is full.
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
        """How many of the first totals are complete, after all pieces of the first `put` totals were
        added.
        """
        return self._parts[0].at if self._parts else put

    def vote(self) -> None:
        """Votes on the waiting pieces, even if they do not fill a batch."""
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
        """Adds sums over whole pieces, so that they do not depend on where a batch border cuts a piece."""
        _, sums, squares = self.totals
        for part, own in zip(parts, logits.split([part.size for part in parts]), strict=True):
            self._begun.append(own if part.ends else own.clone())  # the next call overwrites logits
            if part.ends:
                piece, self._begun = torch.cat(self._begun), []
                for i, beta in enumerate(self.voter.betas):
                    for total, of in zip((sums, squares), moments(piece, beta), strict=True):
                        total[part.at, i] += of
