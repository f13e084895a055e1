"""What the tests of the objectives share: a tiny network in float64 and how a formula is held against it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rs.methods.noise.gaussian import Gaussian

SIGMA = 0.4
NOISE = Gaussian(SIGMA)
BATCH = 6
SHAPE = (2, 2, 2)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


class Tiny(nn.Module):
    """Smooth, three classes, float64; `scale` multiplies its logits."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Linear(8, 6).double(), nn.Linear(6, 3).double()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.last(torch.tanh(self.first(x.flatten(1))))


class FromTable(nn.Module):
    """Logits straight from a parameter, whatever the images: what an objective sees can be set exactly."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


class Draw:
    """`draw(S)` gives the next noise [B, S, ...] of the objective's own generator."""

    def __init__(self) -> None:
        self.generator = generator()

    def __call__(self, samples: int) -> Tensor:
        return NOISE.sample((BATCH, samples, *SHAPE), self.generator).double()


def images() -> tuple[Tensor, Tensor]:
    x = torch.rand(BATCH, *SHAPE, generator=torch.Generator().manual_seed(2)).double()
    return x, torch.arange(BATCH) % 3


def probabilities(model: nn.Module, x: Tensor, beta: float = 1.0) -> Tensor:
    scores = (beta * model(x)).exp()
    return scores / scores.sum(1, keepdim=True)


def run(objective, model=None, noise=NOISE, progress=0.5):
    """Loss, gradients of all parameters, and recorded scalars."""
    model = model or Tiny()
    x, y = images()
    loss, scalars = objective.loss(model, x, y, noise, generator(), progress)
    return loss, torch.autograd.grad(loss, list(model.parameters())), scalars


def check(objective, expected, model=None, **kwargs) -> None:
    """Value and gradient against the paper's formula, `expected(model, x, y, draw)`."""
    model = model or Tiny()
    loss, gradients, scalars = run(objective, model, **kwargs)
    value = expected(model, *images(), Draw())
    torch.testing.assert_close(loss, value)
    for mine, theirs in zip(gradients, torch.autograd.grad(value, list(model.parameters())), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert all(not s.requires_grad and s.isfinite() and s.dim() == 0 for s in scalars.values())


def same(a, b, model=None, **kwargs) -> None:
    """Two objectives have one value and one gradient."""
    (loss, gradients, _), (other, others, _) = run(a, model, **kwargs), run(b, model, **kwargs)
    torch.testing.assert_close(loss, other)
    for mine, theirs in zip(gradients, others, strict=True):
        torch.testing.assert_close(mine, theirs)


def norms(delta: Tensor) -> Tensor:
    """l2 norm of every image [B, 1, 1, 1]."""
    return delta.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)


def climb(value, x0: Tensor, epsilon: float, steps: int, step: float, norm: str = "l2", start=0.0) -> Tensor:
    """PGD as papers write it: `value(x)` is a scalar, the sum over images."""

    def nearest(x: Tensor) -> Tensor:
        delta = x.clamp(0, 1) - x0
        if norm == "linf":
            return x0 + delta.clamp(-epsilon, epsilon)
        return x0 + delta * (epsilon / norms(delta).clamp_min(1e-30)).clamp(max=1)

    x = nearest(x0 + start)
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(value(x), x)
        x = nearest(x.detach() + step * (g.sign() if norm == "linf" else g / norms(g)))
    return x.detach()
