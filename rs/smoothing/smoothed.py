"""Base model + noise = smoothed classifier: soft mean, hard votes, losses differentiable in the image.

Images x are [B, C, H, W] in [0, 1], noise z is [B, S, C, H, W] (S samples per image), noisy copies are
[B*S, C, H, W] with all samples of the first image first. Noisy images are never clipped. Probabilities stay
in log space, so that a class whose probability is 0 or 1 in float32 still has a finite loss and gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from rs.smoothing.noise import Noise


def draw_noise(x: Tensor, noise: Noise, samples: int, generator: Generator) -> Tensor:
    """Noise [B, samples, C, H, W] for a batch of images, from one generator."""
    # one row per draw: families with dependent coordinates take d from the shape of a row
    return noise.sample((len(x) * samples, *x.shape[1:]), generator).unflatten(0, (len(x), samples))  # type: ignore[no-any-return]


def add_noise(x: Tensor, z: Tensor) -> Tensor:
    """Noisy copies [B*S, C, H, W] of x [B, C, H, W] under z [B, S, C, H, W], image by image."""
    return (x.unsqueeze(1) + z).flatten(0, 1)


class OfCopies(nn.Module):
    """A network that computes faster if it knows which images are noisy copies of the same image."""

    def of_copies(self, x: Tensor, z: Tensor) -> Tensor:
        """Logits [B*S, K] of `add_noise(x, z)`, with correct gradients for x [B, C, H, W] and none for z."""
        raise NotImplementedError


def noisy_logits(model: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    """Logits [B*S, K] of the noisy copies of x [B, C, H, W] under constants z [B, S, C, H, W]."""
    logits: Tensor = model.of_copies(x, z) if isinstance(model, OfCopies) else model(add_noise(x, z))
    return logits


def noisy_copies(x: Tensor, noise: Noise, samples: int, generator: Generator) -> Tensor:
    """`samples` noisy copies of every image: [B*samples, C, H, W], image by image."""
    return add_noise(x, draw_noise(x, noise, samples, generator))


def soft_mean(logits: Tensor, samples: int, beta: float = 1.0) -> Tensor:
    """Log of the mean of softmax(beta * logits) over each image's samples: [B*samples, K] -> [B, K]."""
    log_probabilities = F.log_softmax(logits * beta, dim=1).unflatten(0, (-1, samples))
    return torch.logsumexp(log_probabilities, dim=1) - math.log(samples)


def soft_loss(model: nn.Module, x: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """-log of the mean probability of class y over the noise z, per image: [B]. The loss of the soft smoothed
    classifier.
    """
    return F.nll_loss(soft_mean(noisy_logits(model, x, z), z.shape[1]), y, reduction="none")


def mean_cross_entropy(model: nn.Module, x: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Mean over the noise z of the base classifier's cross-entropy, per image: [B]. An upper bound of
    `soft_loss`.
    """
    samples = z.shape[1]
    losses = F.cross_entropy(noisy_logits(model, x, z), y.repeat_interleave(samples), reduction="none")
    return losses.unflatten(0, (-1, samples)).mean(1)  # type: ignore[no-any-return]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Puts every module (batch norm above all) in evaluation mode inside and restores each module's flag
    after.
    """
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


@dataclass(frozen=True)
class Smoothed:
    """A smoothed classifier on one batch of images.

    `generators` holds one generator per image, on the images' device, so that an image's noise never depends
    on the other images of its batch. The model runs in evaluation mode.
    """

    model: nn.Module
    noise: Noise
    generators: Sequence[Generator]

    def restart(self) -> None:
        """Resets every generator to its initial seed, so that the same noise is drawn again."""
        for generator in self.generators:
            generator.manual_seed(generator.initial_seed())

    @property
    def constant(self) -> bool:
        """Whether every draw of the noise is the same, so that one draw suffices."""
        return getattr(self.noise, "constant", False)

    def noise_like(self, x: Tensor, samples: int) -> Tensor:
        """Fresh noise [B, samples, C, H, W], per image from its own generator; [B, 1, ...] if constant."""
        shape = (1 if self.constant else samples, *x.shape[1:])
        return torch.stack([self.noise.sample(shape, g) for _, g in zip(x, self.generators, strict=True)])

    def log_soft(self, x: Tensor, samples: int, beta: float = 1.0) -> Tensor:
        """Log of the mean softmax(beta * logits) under fresh noise: [B, K], differentiable in x."""
        z = self.noise_like(x, samples)
        with evaluation_mode(self.model):
            return soft_mean(noisy_logits(self.model, x, z), z.shape[1], beta)

    def soft_loss(self, x: Tensor, y: Tensor, samples: int) -> Tensor:
        """-log mean softmax of class y under fresh noise, per image: [B], differentiable in x."""
        return F.nll_loss(self.log_soft(x, samples), y, reduction="none")

    def mean_loss(self, x: Tensor, y: Tensor, samples: int) -> Tensor:
        """Mean cross-entropy under fresh noise, per image: [B], differentiable in x."""
        with evaluation_mode(self.model):
            return mean_cross_entropy(self.model, x, self.noise_like(x, samples), y)

    @torch.no_grad()
    def votes(self, x: Tensor, samples: int, batch: int) -> Tensor:
        """Hard votes under fresh noise: int64 [B, K], each row summing to `samples`.

        One forward pass takes at most `batch` noisy copies, all of one image. This bounds the memory and
        keeps an image's votes independent of its neighbours. The noise depends on `batch`, so it belongs to
        the inference form.
        """
        rows = []
        with evaluation_mode(self.model):
            for image, generator in zip(x, self.generators, strict=True):
                counts = torch.zeros((), dtype=torch.int64, device=x.device)
                drawn = 1 if self.constant else samples
                for done in range(0, drawn, batch):
                    size = (min(batch, drawn - done), *image.shape)
                    logits = self.model(image + self.noise.sample(size, generator))
                    counts = counts + torch.bincount(logits.argmax(1), minlength=logits.shape[1])
                rows.append(counts * (samples // drawn))
        return torch.stack(rows)
