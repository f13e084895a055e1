"""The outcomes of an attack on one batch of images: proposed, projected, clipped and judged at every radius.

Radius 0 is the clean image. If a study or a method keeps broken images, images broken at a smaller radius are
not attacked again: the larger ball holds the same point. A minimal attack is asked once; its point counts at
the radii that reach it, and at smaller ones the clean image counts, as it does at all if it is already wrong.
The point lies so near the boundary that the judge, with fewer votes, may call it right. The image is then
judged again farther out on the ray, up to `OUTWARDS` times its distance, and the first point that the judge
calls wrong counts. `variants` are stronger versions of the attack on a few images, for comparison with it
(rs.tables.attack_checks).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rs.machine.chance import kept_chance, seeded
from rs.methods.interfaces import AttackAtRadii, MinimalAttack
from rs.smoothing.smoothed import Smoothed
from rs.stages.judge import Judge, project, size
from rs.statistics.seeding import derive_seed

OUTWARDS = (1.0, 1.02, 1.05, 1.1, 1.2, 1.4)
SLACK = 1e-6  # relative: float32 images on the sphere may round to just outside


@dataclass(frozen=True)
class Target:
    """A batch: the classifier that the attack sees, images [B, C, H, W], labels, positions in the split, the
    judge.
    """

    smoothed: Smoothed
    x: Tensor
    y: Tensor
    positions: list[int]
    judge: Judge

    def part(self, rows: Sequence[int]) -> Target:
        """The target of only these rows."""
        chosen = [self.positions[i] for i in rows]
        generators = [self.smoothed.generators[i] for i in rows]
        smoothed = dataclasses.replace(self.smoothed, generators=generators)
        return Target(smoothed, self.x[list(rows)], self.y[list(rows)], chosen, self.judge)


@dataclass(frozen=True)
class Outcome:
    """The outcome at one radius: attacked images [B, C, H, W], the steps spent on each, and the judge's
    votes.
    """

    radius: float
    images: Tensor
    steps: Tensor  # int64 [B]
    votes: Tensor  # int64 [B, classes], on the CPU
    variant: str = ""

    def broken(self, y: Tensor) -> Tensor:
        """bool [B] on the CPU: the judge gives another class than y."""
        return self.votes.argmax(1) != y.cpu()

    def part(self, rows: Sequence[int]) -> Outcome:
        """The outcome of only these rows."""
        chosen = list(rows)
        return dataclasses.replace(
            self, images=self.images[chosen], steps=self.steps[chosen], votes=self.votes[chosen]
        )

    def rows(self, target: Target, norm: float) -> Iterator[dict[str, Any]]:
        """One row per image, without pixels."""
        distortion = size(self.images - target.x, norm).tolist()
        predictions, labels, steps = self.votes.argmax(1).tolist(), target.y.tolist(), self.steps.tolist()
        for i, position in enumerate(target.positions):
            yield {
                "image": position,
                "label": labels[i],
                "radius": self.radius,
                "prediction": predictions[i],
                "distortion": distortion[i],
                "success": predictions[i] != labels[i],
                "steps": steps[i],
                "votes": self.votes[i].tolist(),
                "variant": self.variant,
            }


def outcomes(
    method: AttackAtRadii | MinimalAttack,
    target: Target,
    radii: Sequence[float],
    keep: bool,
    clean: Outcome | None = None,
) -> list[Outcome]:
    """The attack at every radius (ascending, from 0). `clean` is the outcome at 0, if known.

    A network that draws itself is seeded by the first image: the batch has one outcome.
    """
    with kept_chance():
        seeded(derive_seed(target.smoothed.generators[0].initial_seed(), "network", target.positions[0]))
        return _outcomes(method, target, radii, keep, clean)


def _outcomes(
    method: AttackAtRadii | MinimalAttack,
    target: Target,
    radii: Sequence[float],
    keep: bool,
    clean: Outcome | None,
) -> list[Outcome]:
    if clean is None:
        none = torch.zeros(len(target.x), dtype=torch.int64)
        clean = Outcome(0.0, target.x, none, target.judge.votes(target.x, target.positions))
    positive = [r for r in radii if r > 0]
    if isinstance(method, MinimalAttack):
        return [clean, *_reached(method, target, clean, positive)]
    if keep:
        return _kept(method, target, clean, positive)
    found = [clean]
    if positive:
        target.smoothed.restart()
        proposed = method.at_radii(target.smoothed, target.x, target.y, positive)
        for radius, images, steps in zip(positive, proposed.images, proposed.steps, strict=True):
            found.append(_judged(method, target, radius, images, steps))
    return found


def _judged(
    method: AttackAtRadii | MinimalAttack, target: Target, radius: float, images: Tensor, steps: Tensor
) -> Outcome:
    inside = project(target.x, images, radius, method.norm)
    return Outcome(radius, inside, steps.cpu(), target.judge.votes(inside, target.positions))


def _kept(method: AttackAtRadii, target: Target, clean: Outcome, radii: Sequence[float]) -> list[Outcome]:
    """Attacks at each radius only the images that no smaller radius broke."""
    found = [clean]
    for radius in radii:
        before = found[-1]
        alive = torch.nonzero(~before.broken(target.y)).flatten().tolist()
        images, votes = before.images.clone(), before.votes.clone()
        steps = torch.zeros_like(before.steps)
        if alive:
            part = target.part(alive)
            part.smoothed.restart()
            proposed = method.at_radii(part.smoothed, part.x, part.y, [radius])
            new = _judged(method, part, radius, proposed.images[0], proposed.steps[0])
            images[alive], votes[alive], steps[alive] = new.images, new.votes, new.steps
        found.append(Outcome(radius, images, steps, votes))
    return found


def _reached(
    method: MinimalAttack, target: Target, clean: Outcome, radii: Sequence[float]
) -> Iterator[Outcome]:
    target.smoothed.restart()
    proposed = method.minimal(target.smoothed, target.x, target.y)
    nearest = _outwards(method, target, _judged(method, target, math.inf, proposed.images, proposed.steps))
    distance = size(nearest.images - target.x, method.norm).cpu()
    right = ~clean.broken(target.y)  # a wrong image is its own nearest point, whatever the attack found
    for radius in radii:
        within = right & (distance <= radius * (1 + SLACK))
        chosen = within.reshape(-1, *[1] * (target.x.dim() - 1)).to(target.x.device)
        images = torch.where(chosen, nearest.images, target.x)
        votes = torch.where(within[:, None], nearest.votes, clean.votes)
        yield Outcome(radius, images, nearest.steps, votes)


def _outwards(method: MinimalAttack, target: Target, found: Outcome) -> Outcome:
    """The proposed points, moved out where the judge calls them right; unchanged where no tried point is
    wrong.
    """
    images, votes = found.images.clone(), found.votes.clone()
    moved = size(found.images - target.x, method.norm).cpu() > 0
    left = torch.nonzero(moved & ~found.broken(target.y)).flatten().tolist()
    for scale in OUTWARDS[1:]:
        if not left:
            break
        part = target.part(left)
        tried = (part.x + scale * (found.images[left] - part.x)).clamp(0, 1)
        judged = part.judge.votes(tried, part.positions)
        wrong = (judged.argmax(1) != part.y.cpu()).tolist()
        for i, image, counts, done in zip(left, tried, judged, wrong, strict=True):
            if done:
                images[i], votes[i] = image, counts
        left = [i for i, done in zip(left, wrong, strict=True) if not done]
    return Outcome(found.radius, images, found.steps, votes)


def variants(
    method: AttackAtRadii | MinimalAttack,
    target: Target,
    radii: Sequence[float],
    keep: bool,
    clean: Outcome | None = None,
) -> Iterator[Outcome]:
    """The attack at the middle radius with twice the steps and with twice the samples, and in a ball that
    holds the box.

    With `keep`, images broken at smaller radii stay broken, as in the rows to compare with. `clean` is the
    outcome at 0, if known.
    """
    positive = [r for r in radii if r > 0]
    if not positive or not target.positions or method.access != "white-box":
        return
    fields = {f.name for f in dataclasses.fields(method)}  # type: ignore[arg-type]
    middle = positive[len(positive) // 2]
    for name, field in (("more steps", "steps"), ("more samples", "samples")):
        if field in fields and not (field == "samples" and target.smoothed.constant):
            stronger = dataclasses.replace(method, **{field: 2 * getattr(method, field)})  # type: ignore[type-var]
            before = [r for r in positive if r < middle] if keep else []
            outcome = outcomes(stronger, target, [0.0, *before, middle], keep, clean)[-1]
            yield dataclasses.replace(outcome, variant=name)
    if getattr(method, "bounded", True):
        whole = 1.0 if math.isinf(method.norm) else math.sqrt(target.x[0].numel())
        outcome = outcomes(method, target, [0.0, whole], False, clean)[-1]
        yield dataclasses.replace(outcome, variant="unbounded")
