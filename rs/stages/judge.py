"""The outcome of an attack: projected into ball and box, and judged by the smoothed classifier.

A judged image counts as the majority class of `judge.n` fresh votes in the inference form of the run's draws,
or as the base classifier's class without noise (`judge: base`). Votes that cannot change the majority are not
drawn (rs.statistics.majority). The judge's noise is seeded per image: it is the same for every attack and
radius.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from rs.errors import UserError
from rs.machine.devices import generator
from rs.networks.inference import NOT_FINITE, InferenceForm
from rs.settings.attacks import AttackUse
from rs.smoothing.ascent import l2_norm, project_l2, project_linf
from rs.smoothing.noise import Noise
from rs.statistics.majority import looks, sure


def project(clean: Tensor, images: Tensor, radius: float, norm: float) -> Tensor:
    """Projects onto [0, 1], then onto the ball around the clean images, which cannot leave the box again."""
    shift = images.clamp(0, 1) - clean
    return clean + (project_l2 if norm == 2 else project_linf)(shift, radius)


def size(delta: Tensor, norm: float) -> Tensor:
    """l2 or l-infinity norm of each image of a batch, float64 [B]."""
    return l2_norm(delta.double()) if norm == 2 else delta.double().flatten(1).abs().amax(1)


@dataclass(frozen=True)
class Judge:
    """Decides on each image by itself, with noise of its own; several images share a batch of the inference
    form.

    In compiled forms, an image's place in a batch may change the last digit of its logits.
    """

    form: InferenceForm
    noise: Noise
    use: AttackUse

    def votes(self, images: Tensor, positions: Sequence[int]) -> Tensor:
        """Votes int64 [B, classes], on the CPU, for images [B, C, H, W] at `positions` in the split: as many
        of n as decide each image, or one if the base classifier judges. Raises UserError where a logit is
        infinite or NaN.
        """
        n = 1 if self.use.judge == "base" else self.use.judge.n
        alone = getattr(self.noise, "constant", False)  # under constant noise every vote is the same
        counts = torch.zeros(len(images), self.form.classes, dtype=torch.int64, device=self.form.device)
        draws = [generator(self.form.device, self.use.seed, "judge", position) for position in positions]
        left, drawn = list(range(len(images))), 0
        for look in [1] if alone else looks(n):
            self._add(counts, images, draws, left, look - drawn, positions)
            drawn = look
            undecided = ~sure(counts[left].cpu().numpy(), n)
            left = [i for i, more in zip(left, undecided, strict=True) if more]
            if not left:
                break
        return counts.cpu() * (n if alone else 1)

    def _add(
        self,
        counts: Tensor,
        images: Tensor,
        draws: Sequence[Generator],
        of: Sequence[int],
        votes: int,
        positions: Sequence[int],
    ) -> None:
        """Adds `votes` votes to the counts of each image listed in `of`."""
        broken = torch.zeros(len(images), dtype=torch.int64, device=self.form.device)
        one = torch.ones((), dtype=torch.int64, device=self.form.device)
        for rows, owners in self._batches(images, draws, of, votes):
            whose = torch.tensor(owners, device=self.form.device)
            logits = self.form(rows)
            broken.index_put_((whose,), (~logits.isfinite().all(1)).long(), accumulate=True)
            counts.index_put_((whose, logits.argmax(1)), one, accumulate=True)
        if bool(broken.any()):
            worst = int(broken.argmax())
            drawn = int(counts[worst].sum())
            share = f"{int(broken[worst])} of {drawn} votes ({int(broken[worst]) / drawn:.2%})"
            raise UserError(f"{self.form.run}: image {positions[worst]}: {share}: {NOT_FINITE}")

    def _batches(
        self, images: Tensor, draws: Sequence[Generator], of: Sequence[int], votes: int
    ) -> Iterator[tuple[Tensor, list[int]]]:
        """Noisy images [rows, C, H, W], as many as fit into a batch, and the index of each row's image."""
        batch = self.form.batch
        rows: list[Tensor] = []  # pieces smaller than a batch
        owners: list[int] = []
        for i in of:
            for start in range(0, votes, batch):
                noisy = self._noisy(images[i], min(batch, votes - start), draws[i])
                if len(noisy) == batch:
                    yield noisy, [i] * batch
                    continue
                if len(owners) + len(noisy) > batch:
                    yield torch.cat(rows), owners
                    rows, owners = [], []
                rows.append(noisy)
                owners += [i] * len(noisy)
        if rows:
            yield torch.cat(rows), owners

    def _noisy(self, image: Tensor, rows: int, draws: Generator) -> Tensor:
        if self.use.judge == "base":
            return image[None]
        return self.noise.sample((rows, *image.shape), draws).add_(image)
