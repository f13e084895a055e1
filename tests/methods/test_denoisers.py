"""DnCNN and the objectives of denoisers: the formulas written out, sizes, and what is frozen."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from built_methods import build
from objective_checks import BATCH, Tiny, check
from torch import nn

from rs.methods.models.dncnn import DnCnn
from rs.methods.objectives.denoiser_mse import DenoiserMse
from rs.methods.objectives.denoiser_stability import DenoiserStability


class Scaled(nn.Module):
    """A denoiser of one number per coordinate, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.2, 0.9, 8, dtype=torch.float64).reshape(2, 2, 2))

    def forward(self, x):
        return x * self.scale


def test_the_squared_error_is_a_mean_over_coordinates_and_draws():
    def formula(model, x, y, draw):
        z, total = draw(3), 0.0
        for i in range(BATCH):
            for j in range(3):
                total = total + ((x[i] + z[i, j]) * model.scale - x[i]).square().sum() / 8
        return total / (3 * BATCH)

    check(DenoiserMse(samples=3), formula, Scaled())


def test_stability_follows_the_class_of_the_clean_image_and_not_the_label():
    classifier = Tiny(30.0).eval().requires_grad_(False)

    def formula(model, x, y, draw):
        z, total = draw(2), 0.0
        clean = classifier(x)
        assert any(int(clean[i].argmax()) != int(y[i]) for i in range(BATCH))
        for i in range(BATCH):
            for j in range(2):
                logits = classifier((x[i : i + 1] + z[i : i + 1, j]) * model.scale)[0]
                total = total - (logits[clean[i].argmax()] - logits.logsumexp(0))
        return total / (2 * BATCH)

    check(DenoiserStability(classifier, samples=2), formula, Scaled())


def test_a_label_in_the_place_of_the_classifier_is_no_network():
    with pytest.raises(TypeError, match="classifier still refers to run 'another', which has no network yet"):
        check(build("objectives", "denoiser_stability"), None, Scaled())


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 11)])
def test_dncnn_takes_the_noise_that_it_predicts_away(shape):
    torch.manual_seed(0)
    network = DnCnn(depth=4, width=6).build(shape, 10, [0.5] * shape[0], [0.5] * shape[0]).eval()
    x = torch.rand(3, *shape)
    noise = x - network(x)
    assert noise.shape == x.shape
    torch.testing.assert_close(noise, network[1].noise(x))
    assert noise.abs().max() > 0
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


def test_the_published_dncnn_has_556_097_weights():
    """Table: 64 filters of 3x3x1, 15 times of 3x3x64 with batch norm, one of 3x3x64; biases at both ends."""
    network = DnCnn().build((1, 28, 28), 10, [0.5], [0.5])
    by_hand = (9 * 64 + 64) + 15 * (9 * 64 * 64 + 2 * 64) + (9 * 64 + 1)
    assert sum(p.numel() for p in network.parameters()) == by_hand == 556_097
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == DnCnn().depth == 17
    assert dataclasses.asdict(DnCnn()) == {"depth": 17, "width": 64}
