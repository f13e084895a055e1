"""Gradient ascent on images: steps, projections and the inner loops that objectives and attacks share.

A loss here maps images [B, C, H, W] to one number per image [B]. It is summed before differentiation, so one
image's path never depends on its neighbours. Only gradients with respect to the images are taken; parameters'
`.grad` stays as it is. The caller chooses the mode of batch norm (`rs.smoothing.evaluation_mode`). Images are
clipped only if asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

Loss = Callable[[Tensor], Tensor]


def input_gradient(loss: Loss, x: Tensor) -> Tensor:
    """Gradient of the per-image loss at x [B, C, H, W]; same shape, detached."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x).sum(), x)
    return gradient


def _per_image(values: Tensor | float, like: Tensor) -> Tensor:
    """A number, or one per image [B], as [B or 1, 1, 1, 1]."""
    if not isinstance(values, Tensor):  # filled on the device; a copy from the host would wait for it
        values = torch.full((1,), values, dtype=like.dtype, device=like.device)
    return values.to(like).reshape(-1, *[1] * (like.dim() - 1))


def l2_norm(delta: Tensor) -> Tensor:
    """l2 norm per image: [B]; scaled by the largest entry, so that squares neither overflow nor vanish."""
    flat = delta.flatten(1)
    largest = flat.abs().amax(1, keepdim=True).clamp_min(torch.finfo(delta.dtype).tiny)
    return (flat / largest).norm(dim=1) * largest.squeeze(1)  # type: ignore[no-any-return]


def unit_l2(gradient: Tensor) -> Tensor:
    """The gradient of each image scaled to l2 norm 1; a zero gradient stays zero."""
    tiny = torch.finfo(gradient.dtype).tiny
    # Divide by the largest entry first: the cross-entropy of a near-certain class has gradients whose squares
    # vanish in float32.
    largest = _per_image(gradient.flatten(1).abs().amax(1).clamp_min(tiny), gradient)
    scaled = gradient / largest
    return scaled / _per_image(scaled.flatten(1).norm(dim=1).clamp_min(tiny), gradient)


def project_l2(delta: Tensor, radius: Tensor | float) -> Tensor:
    """Nearest point of the l2 ball per image; `radius` is a number or one per image [B]. Points inside
    stay.
    """
    norm = _per_image(l2_norm(delta), delta)
    limit = _per_image(radius, delta)
    return torch.where(norm > limit, delta / norm.clamp_min(torch.finfo(delta.dtype).tiny) * limit, delta)


def project_linf(delta: Tensor, radius: Tensor | float) -> Tensor:
    """Nearest point of the l-infinity ball per image; `radius` is a number or one per image [B]."""
    limit = _per_image(radius, delta)
    return delta.clamp(-limit, limit)


def random_perturbations(x: Tensor, radius: float, norm: float, generator: Generator) -> Tensor:
    """For every image of x an independent point, uniform in the l2 or l-infinity ball of `radius`; shape of
    x.
    """
    if norm != 2:
        return radius * (2 * torch.rand(x.shape, generator=generator, device=generator.device) - 1)
    direction = torch.randn(x.shape, generator=generator, device=generator.device)
    share = torch.rand(len(x), generator=generator, device=generator.device) ** (1 / x[0].numel())
    return unit_l2(direction) * _per_image(radius * share, direction)


def pgd(
    loss: Loss,
    x0: Tensor,
    radius: Tensor | float,
    steps: int,
    step_size: Tensor | float,
    norm: float = 2.0,
    box: tuple[float, float] | None = (0.0, 1.0),
    start: Tensor | None = None,
) -> Tensor:
    """Projected gradient ascent of `loss` in the ball of `radius` around x0 and in `box`; returns images like
    x0.

    l2 steps have norm `step_size` (0 where the gradient is 0); l-infinity steps move every coordinate by it.
    `radius` and `step_size` are numbers or one per image [B]. x0 must lie in the box. `start` is the initial
    perturbation.
    """
    x0 = x0.detach()
    step = _per_image(step_size, x0)
    project, direction = (project_l2, unit_l2) if norm == 2 else (project_linf, torch.sign)

    def feasible(x: Tensor) -> Tensor:
        # Box, then ball: shrinking towards x0 cannot leave the box.
        return x0 + project((x if box is None else x.clamp(*box)) - x0, radius)

    x = x0 if start is None else feasible(x0 + start)
    for _ in range(steps):
        x = feasible(x + step * direction(input_gradient(loss, x)))
    return x


def ddn(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    x0: Tensor,
    steps: int,
    radius: Tensor | float | None = None,
    initial_norm: Tensor | float = 1.0,
    gamma: float = 0.05,
    box: tuple[float, float] | None = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Smallest l2 perturbation by decoupled direction and norm (Rony et al., CVPR 2019, Algorithm 1).

    `evaluate(x)` returns per image the loss [B] to ascend, differentiable in x, and whether x is adversarial
    (bool [B]). It is called `steps` times, first at x0. Unit gradient steps, annealed from 1 to 0.01, turn
    the direction. The norm starts at `initial_norm`; it shrinks by 1 - gamma where the last point was
    adversarial and grows by 1 + gamma elsewhere, up to the farthest corner of the box. Returns the closest
    adversarial point seen, x0 itself where there was none, and bool [B] whether there was one.

    `radius` (a number or one per image) projects the result onto its ball, as adversarial training does; the
    projection may no longer be adversarial. A zero gradient does not turn the direction.
    """
    x0 = x0.detach()
    norm = _per_image(initial_norm, x0).flatten().expand(len(x0))
    farthest = l2_norm(torch.maximum(x0 - box[0], box[1] - x0)) if box else torch.full_like(norm, torch.inf)
    best, smallest = torch.zeros_like(x0), torch.full_like(norm, torch.inf)
    delta = torch.zeros_like(x0)
    for i in range(steps):
        verdicts: list[Tensor] = []

        def loss(x: Tensor, verdicts: list[Tensor] = verdicts) -> Tensor:
            values, adversarial = evaluate(x)
            verdicts.append(adversarial)
            return values

        gradient = input_gradient(loss, x0 + delta)
        size = l2_norm(delta)
        closer = verdicts[0] & (size < smallest)
        best = torch.where(_per_image(closer, delta).bool(), delta, best)
        smallest = torch.where(closer, size, smallest)
        norm = torch.minimum(norm * torch.where(verdicts[0], 1 - gamma, 1 + gamma), farthest)
        step = 0.01 + 0.99 * (1 + math.cos(math.pi * i / steps)) / 2
        x = x0 + unit_l2(delta + step * unit_l2(gradient)) * _per_image(norm, delta)
        delta = (x if box is None else x.clamp(*box)) - x0
    return x0 + (best if radius is None else project_l2(best, radius)), smallest.isfinite()


def lagrangian_ascent(
    loss: Callable[[Tensor, Tensor], Tensor],
    draw: Callable[[], Tensor],
    x0: Tensor,
    gamma: float,
    steps: int,
    step_size: float | None = None,
    noise_in_cost: bool = True,
) -> Tensor:
    """Ascends mean_j [loss(x + z_j) - gamma * ||x + z_j - x0||_2^2] from x0; returns x_K, like x0 and not
    clipped.

    `draw()` returns the fresh noise z [B, S, C, H, W] of one step; `loss(x, z)` is the mean over z per image
    [B]. With `noise_in_cost` false the cost is ||x - x0||_2^2. `step_size` is 0.5/gamma by default; then one
    step lands at x0 - mean_j z_j + gradient/(2 gamma), whatever x was before (without mean_j z_j if the cost
    has no noise).
    """
    x0 = x0.detach()
    eta = 0.5 / gamma if step_size is None else step_size

    def step(x: Tensor) -> Tensor:
        z = draw()
        gradient = input_gradient(lambda at: loss(at, z), x)
        offset = x - x0 + z.mean(1) if noise_in_cost else x - x0
        return x + eta * (gradient - 2 * gamma * offset)

    x = x0
    for _ in range(steps):
        x = step(x)
    return x
