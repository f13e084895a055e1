"""Where the smoothed classifier's decision changes: the verdicts and the last step of the minimal attacks.

A minimal attack such as DDN judges its iterates by a few noise samples and keeps the nearest misclassified
one. Near the boundary such a verdict is a coin toss: the nearest of many iterates that came up wrong is a
lucky one, and the judge, with other noise, would call it right. Therefore:
- An iterate counts as misclassified only where another class leads the label clearly.
- The result of a minimal attack is moved along its ray from the clean image to the nearest point where many
  fresh votes show a clear lead (`settle`).

A lead of k sqrt(n) among n votes is k standard deviations of a tie; k is 2 for an iterate and 3 for the end
point, which therefore lies slightly beyond the boundary. A point gets 400 votes, then four times as many
until one side leads clearly, at most `votes`; a point still undecided counts as right. With 10,000 votes
between two classes, the wrong class has 0.515 of them at the end point: 0.04 sigma beyond the boundary under
Gaussian noise, instead of 0.19 sigma with 400 votes.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from rs.smoothing.smoothed import Smoothed

_OUTWARDS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.5)
_HALVINGS = 8
_FIRST = 400  # votes
_BATCH = 1024


def clearly_wrong(votes: Tensor, y: Tensor, deviations: float) -> Tensor:
    """bool [B]: in votes [B, K], another class leads class y by at least `deviations` standard deviations of
    a tie, or has all votes where these are too few for that.
    """
    label = votes.gather(1, y[:, None]).squeeze(1)
    lead = votes.scatter(1, y[:, None], -1).amax(1) - label
    total = votes.sum(1)
    return lead >= torch.minimum(deviations * total.sqrt(), total)


def _clearly_right(votes: Tensor, y: Tensor, deviations: float) -> Tensor:
    """bool [B]: class y leads every other class by at least `deviations` standard deviations of a tie."""
    label = votes.gather(1, y[:, None]).squeeze(1)
    lead = label - votes.scatter(1, y[:, None], -1).amax(1)
    return lead >= deviations * votes.sum(1).sqrt()


def wrong_votes(logits: Tensor, y: Tensor) -> Tensor:
    """bool [B]: whether the S noisy copies of an image, logits [B*S, K], are clearly misclassified."""
    votes = F.one_hot(logits.argmax(1), logits.shape[1]).unflatten(0, (len(y), -1)).sum(1)
    return clearly_wrong(votes, y, 2)


@torch.no_grad()
def settle(smoothed: Smoothed, x: Tensor, y: Tensor, found: Tensor, votes: int) -> Tensor:
    """The boundary point (see above) on each ray from x [B, C, H, W] through `found`; x where there is none.

    `votes` is the most that one point gets. The search goes out to 4.5 times the distance, within [0, 1],
    then bisects between the last right and the first wrong scale. Each image is treated alone, with fresh
    noise from its own generator, so it does not depend on its neighbours. The noise is the same at every
    scale; otherwise the luckiest of many looks would win.
    """
    settled = x.clone()
    for i, generator in enumerate(smoothed.generators):
        alone = dataclasses.replace(smoothed, generators=[generator])
        ray = found[i] - x[i]
        scale = _first_wrong(alone, x[i], y[i : i + 1], ray, votes)
        if scale is not None:
            settled[i] = (x[i] + scale * ray).clamp(0, 1)
    return settled


def _first_wrong(alone: Smoothed, x: Tensor, y: Tensor, ray: Tensor, votes: int) -> float | None:
    (generator,) = alone.generators
    state = generator.get_state()

    def wrong_at(scale: float) -> bool:
        generator.set_state(state)
        at = (x + scale * ray).clamp(0, 1)[None]
        counts = alone.votes(at, min(_FIRST, votes), _BATCH)
        while True:
            drawn = int(counts.sum())
            if bool(clearly_wrong(counts, y, 3)):
                return True
            if drawn >= votes or bool(_clearly_right(counts, y, 3)):
                return False
            counts = counts + alone.votes(at, min(3 * drawn, votes - drawn), _BATCH)

    wrong = next((s for s in _OUTWARDS if wrong_at(s)), None) if bool(ray.any()) else None
    if wrong is None:
        return None
    right = max((s for s in _OUTWARDS if s < wrong), default=0.0)
    for _ in range(_HALVINGS):
        middle = (right + wrong) / 2
        right, wrong = (right, middle) if wrong_at(middle) else (middle, wrong)
    return wrong
