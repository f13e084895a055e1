"""Images and noise that are not what sigma and the certificate speak of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lab import forget
from lab import lab as lab  # fixture
from plug_ins import describe

import rs
from rs.methods.interfaces import Split
from rs.stages.data import check_images

X = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8)).astype(np.float32) / 255

CLIPPED = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Clipped:
    '''Gaussian noise around mid-grey that keeps the sum inside the box.'''
    source: ClassVar[str] = "here"
    family: ClassVar[str] = "clipped_gaussian"
    sigma: float = 0.25

    def sample(self, shape, generator):
        import torch
        noise = self.sigma * torch.randn(shape, generator=generator, device=generator.device)
        return (0.5 + noise).clamp(0, 1) - 0.5

    def log_ratio(self, z, delta):
        return ((z - delta) ** 2 - z ** 2).sum(-1) / (-2 * self.sigma ** 2)
"""


class Shape:
    shape = (1, 8, 8)


def logits(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1)[:, :3]


def certify(images, **settings):
    smoothed = rs.smooth(logits, sigma=0.25, batch=32, device="cpu", exact=settings.pop("exact", False))
    return smoothed.certify(images, n=20, progress=False, **settings)


def test_normalised_before_the_noise(mistake):
    assert len(certify(X).radius) == 4
    mistake.refused(lambda: certify((X - 0.13) / 0.31))
    labels = np.zeros(4, np.int64)
    check_images("data", Shape, Split(X, labels))
    with pytest.raises(rs.UserError, match=r"pixels between .* allowed 0 to 1"):
        check_images("data", Shape, Split((X - 0.13) / 0.31, labels))


def test_pixels_to_255(mistake):
    mistake.refused(lambda: certify((X * 255).astype(np.uint8)))
    with pytest.raises(rs.UserError, match=r"allowed \[0, 1\]"):
        certify(X * 255)


def test_clipped_after_the_noise(mistake, lab, tiny, refusal, plan_of):
    """What a network does to x + z is its own affair; a noise that depends on x is no Gaussian one."""
    (lab / "clipped.py").write_text(CLIPPED)
    describe(lab, "clipped", "1.0", {"rs.noises": {"clipped_gaussian": "clipped:Clipped"}})
    del tiny["runs"]["nal"]
    plan_of(tiny)
    tiny["smoothing"] = [{"name": "clipped_gaussian", "sigma": 0.25}]
    mistake.flagged(refusal(tiny))
    describe(lab, "renamed", "1.0", {"rs.noises": {"gaussian": "clipped:Clipped"}})
    forget()
    assert "a method of rs has this name" in refusal(tiny)


def test_off_the_grid(mistake):
    certify(X, exact=True)
    mistake.refused(lambda: certify(X * 0.999, exact=True))


def test_image_twice(mistake):
    certify(X, positions=[5, 3, 1, 2])
    mistake.refused(lambda: certify(X, positions=[0, 1, 1, 2]))
