"""Where the smoothed classifier's decision changes: the verdicts of the minimal attacks, and their last step.

An attack that keeps the nearest misclassified iterate (DDN) judges each by a few noise samples. Near the
boundary such a verdict is a coin toss, and the nearest of many points that once came up wrong is a lucky one,
which the judge, with other noise, would call right again. So an iterate counts as misclassified where another
class leads the label clearly. What any minimal attack has found is then moved along its ray from the clean
image to the nearest place where many fresh votes say so clearly. Of n votes a lead of k sqrt(n) is k standard
deviations of a tie: 2 for an iterate, 3 for the end, which is therefore a little too far. How many votes a
place gets depends on it: 400, then four times as many as long as neither side leads clearly, up to `votes`
(a place that is then undecided counts as right). With 10,000, where two classes share all votes, another has
0.515 at the end: 0.04 sigma beyond the boundary under Gaussian noise, instead of the 0.19 of 400 votes.
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
    """bool [B]: of votes [B, K], another class has so many standard deviations of a tie more than class y."""
    label = votes.gather(1, y[:, None]).squeeze(1)
    lead = votes.scatter(1, y[:, None], -1).amax(1) - label
    total = votes.sum(1)
    return lead >= torch.minimum(deviations * total.sqrt(), total)


def _clearly_right(votes: Tensor, y: Tensor, deviations: float) -> Tensor:
    """bool [B]: class y has so many standard deviations of a tie more than any other."""
    label = votes.gather(1, y[:, None]).squeeze(1)
    lead = label - votes.scatter(1, y[:, None], -1).amax(1)
    return lead >= deviations * votes.sum(1).sqrt()


def wrong_votes(logits: Tensor, y: Tensor) -> Tensor:
    """bool [B]: whether the S noisy copies of an image, logits [B*S, K], are clearly misclassified."""
    votes = F.one_hot(logits.argmax(1), logits.shape[1]).unflatten(0, (len(y), -1)).sum(1)
    return clearly_wrong(votes, y, 2)


@torch.no_grad()
def settle(smoothed: Smoothed, x: Tensor, y: Tensor, found: Tensor, votes: int) -> Tensor:
    """The point of each ray from x [B, C, H, W] through `found` described above; x where there is none.

    `votes` is the most that a place gets. Looks out to 4.5 times the distance, within [0, 1]; scales are
    halved between the last right and the first wrong one. Each image goes alone, on fresh noise from its own
    generator (the same at every scale, or the luckiest of many looks would win): none depends on its
    neighbours.
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
