"""Carlini and Wagner's l2 attack (S&P 2017) with gradients averaged over noise, as STN (section 6.2) uses it.
It looks for the smallest distortion that changes the smoothed prediction, which gives a whole curve of
accuracy against distortion.

Minimises ||x' - x||^2 + c f(x') over w, where x' = (tanh w + 1)/2 stays in [0,1]. f is the mean over fresh
noise z of max(Z_y - max_{i != y} Z_i, -kappa) at x' + z (Z logits, kappa = `confidence`). A binary search
over c, per image, looks for the least c that succeeds. STN states neither steps nor samples. Departures:
- The original keeps the nearest misclassified iterate. Under noise that is the winner of many coin tosses,
  too near to the image, and often no boundary lies behind it. Here each c gives one point, the mean of w over
  the later half of its iterations, settled at the boundary (rs.methods.attacks.boundary). The nearest of
  these points is settled again.
- 5 search steps of 100 iterations at learning rate 0.1 from c = 1; the original makes 9 of 1,000 at 0.01 from
  c = 0.001. On smoothed classifiers an iteration costs `samples` times as much. No early abort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from rs.methods.attacks.boundary import settle
from rs.methods.interfaces import Proposed
from rs.settings.limits import NonNegative, Positive, Samples, Steps, Votes
from rs.settings.passes import Passes
from rs.smoothing.ascent import l2_norm
from rs.smoothing.smoothed import evaluation_mode, noisy_logits

if TYPE_CHECKING:
    from torch import Tensor

    from rs.smoothing.smoothed import Smoothed

_ROUNDING = 1e-5
_COARSE = 400  # votes for comparing the points of several c
_INSIDE = 1 - 1e-6  # tanh reaches the faces of the box only at infinity


@dataclass(frozen=True)
class CarliniWagnerL2:
    """`search_steps` values of c, each with `steps` iterations of Adam; `votes` settle the end point."""

    source: ClassVar[str] = "Carlini & Wagner, S&P 2017; with averaged gradients STN, Li et al., NeurIPS 2019"
    norm: ClassVar[float] = 2.0
    access: ClassVar[str] = "white-box"
    passes: ClassVar[Passes] = {"ascent": (("search_steps", "steps"), "samples"), "forward": (5, "votes")}

    search_steps: Steps = 5
    steps: Steps = 100
    samples: Samples = 16
    learning_rate: Positive = 0.1
    initial_c: Positive = 1.0
    confidence: NonNegative = 0.0
    votes: Votes = 10_000

    def minimal(self, smoothed: Smoothed, x: Tensor, y: Tensor) -> Proposed:
        smoothed.restart()
        c = torch.full((len(x),), self.initial_c, device=x.device)
        failed, succeeded = torch.zeros_like(c), torch.full_like(c, torch.inf)
        best, smallest = x.clone(), torch.full_like(c, torch.inf)
        for _ in range(self.search_steps):
            found = self._minimise(smoothed, x, y, c)
            settled = settle(smoothed, x, y, found, min(self.votes, _COARSE))
            distance = l2_norm(settled - x)
            distance = torch.where(distance > 0, distance, torch.inf)
            closer = distance < smallest
            best = torch.where(closer.reshape(-1, *[1] * (x.dim() - 1)), settled, best)
            smallest = torch.where(closer, distance, smallest)
            success = distance <= l2_norm(found - x) * (1 + _ROUNDING)  # `found` itself is wrong
            succeeded = torch.where(success, torch.minimum(c, succeeded), succeeded)
            failed = torch.where(success, failed, torch.maximum(c, failed))
            c = torch.where(succeeded.isfinite(), (failed + succeeded) / 2, 10 * c)
        steps = torch.full((len(x),), self.search_steps * self.steps, device=x.device)
        # again with other noise: the nearest of several is a lucky one
        return Proposed(settle(smoothed, x, y, best, self.votes), steps)

    def _minimise(self, smoothed: Smoothed, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
        """The mean of w over the later half of Adam's steps for c [B], as an image [B, C, H, W]."""
        w = torch.atanh((2 * x - 1) * _INSIDE).requires_grad_()
        adam = torch.optim.Adam([w], self.learning_rate)
        total, later = torch.zeros_like(w), range(self.steps // 2, self.steps)
        for step in range(self.steps):
            with torch.enable_grad():
                at = (torch.tanh(w) + 1) / 2
                distance = (at - x).flatten(1).square().sum(1)
                (w.grad,) = torch.autograd.grad((distance + c * self._margin(smoothed, at, y)).sum(), w)
            adam.step()
            if step in later:
                total += w.detach()
        return (torch.tanh(total / len(later)) + 1) / 2

    def _margin(self, smoothed: Smoothed, at: Tensor, y: Tensor) -> Tensor:
        """f of the module's docstring, [B]."""
        z = smoothed.noise_like(at, self.samples)
        with evaluation_mode(smoothed.model):
            logits = noisy_logits(smoothed.model, at, z)
        label = y.repeat_interleave(z.shape[1])[:, None]
        lead = logits.gather(1, label).squeeze(1) - logits.scatter(1, label, -torch.inf).amax(1)
        return lead.clamp_min(-self.confidence).unflatten(0, (len(y), -1)).mean(1)  # type: ignore[no-any-return]
