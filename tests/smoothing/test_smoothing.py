"""The smoothed classifier: noisy copies, soft mean, votes, and noise that belongs to an image."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import batch, generators, tiny
from torch import nn
from torch.nn import functional as F

from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.smoothing import smoothed as smoothing


def test_noisy_copies_are_image_by_image():
    x, _ = batch()
    copies = smoothing.noisy_copies(x, NoNoise(), 3, generators(0)[0])
    assert torch.equal(copies, x.repeat_interleave(3, 0))
    z = smoothing.draw_noise(x, Gaussian(2.0), 3, generators(0)[0])
    copies = smoothing.noisy_copies(x, Gaussian(2.0), 3, generators(0)[0])
    torch.testing.assert_close(copies.unflatten(0, (4, 3))[2, 1], x[2] + z[2, 1])
    assert copies.max() > 1  # never clipped


def test_soft_mean_is_the_log_of_the_mean_softmax_and_finite_at_the_ends():
    logits = torch.randn(6, 4, generator=generators(0)[0], dtype=torch.float64)
    expected = torch.softmax(3 * logits, 1).reshape(2, 3, 4).mean(1).log()
    torch.testing.assert_close(smoothing.soft_mean(logits, 3, beta=3.0), expected)
    sure = torch.tensor([[1e4, -1e4], [1e4, -1e4]], requires_grad=True)
    out = smoothing.soft_mean(sure, 2)
    assert out[0, 1].item() == pytest.approx(-2e4)
    out.sum().backward()
    assert sure.grad.isfinite().all()


def test_evaluation_mode_restores_every_flag():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2)))
    model.train()
    model[1][1].eval()
    before = [m.training for m in model.modules()]
    statistics = model[0].running_mean.clone()
    with smoothing.evaluation_mode(model):
        assert not any(m.training for m in model.modules())
        model(torch.rand(3, 2, 2, 2))
    assert [m.training for m in model.modules()] == before
    assert torch.equal(model[0].running_mean, statistics)
    with pytest.raises(RuntimeError, match="inside"), smoothing.evaluation_mode(model):
        raise RuntimeError("inside")
    assert [m.training for m in model.modules()] == before


def test_an_image_meets_the_same_noise_whoever_shares_its_batch():
    model, (x, _) = tiny(), batch()
    whole = smoothing.Smoothed(model, Gaussian(0.5), generators(10, 11, 12, 13))
    part = smoothing.Smoothed(model, Gaussian(0.5), generators(12, 10))
    z, other = whole.noise_like(x, 5), part.noise_like(x[[2, 0]], 5)
    assert torch.equal(z[[2, 0]], other)
    fresh = whole.noise_like(x, 5)
    assert not torch.equal(fresh, z)
    whole.restart()
    assert torch.equal(whole.noise_like(x, 5), z)
    whole.restart()
    part.restart()
    assert torch.equal(whole.votes(x, 100, 32)[[2, 0]], part.votes(x[[2, 0]], 100, 32))
    with pytest.raises(ValueError, match="argument"):
        whole.noise_like(x[:2], 5)


def test_every_image_needs_a_generator_of_its_own():
    model, (x, _) = tiny(), batch()
    few = smoothing.Smoothed(model, Gaussian(0.5), generators(0, 1, 2))
    with pytest.raises(ValueError, match="shorter"):
        few.votes(x, 8, 4)
    with pytest.raises(ValueError, match="shorter"):
        few.log_soft(x, 8)


def test_votes_and_soft_mean_agree_with_the_base_classifier():
    model, (x, y) = tiny(), batch()
    smoothed = smoothing.Smoothed(model, Gaussian(0.5), generators(0, 1, 2, 3))
    votes = smoothed.votes(x, 70, 32)
    assert votes.dtype == torch.int64
    assert votes.shape == (4, 3)
    assert votes.sum(1).tolist() == [70] * 4
    smoothed.restart()
    z = torch.cat([smoothed.noise.sample((n, 2, 2, 2), smoothed.generators[0]) for n in (32, 32, 6)])
    assert votes[0].tolist() == torch.bincount(model(x[0] + z).argmax(1), minlength=3).tolist()
    base = smoothing.Smoothed(model, NoNoise(), generators(0, 1, 2, 3))
    torch.testing.assert_close(base.log_soft(x, 4), F.log_softmax(model(x), 1))
    torch.testing.assert_close(base.soft_loss(x, y, 4), F.cross_entropy(model(x), y, reduction="none"))
    torch.testing.assert_close(base.mean_loss(x, y, 4), F.cross_entropy(model(x), y, reduction="none"))
    assert (base.votes(x, 9, 4).amax(1) == 9).all()
