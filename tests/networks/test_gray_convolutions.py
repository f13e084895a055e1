"""Weight gradients with aligned channels are those of the library, whatever the convolution's shape."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from rs.methods import catalog
from rs.networks import gray_convolutions
from rs.networks.gray_convolutions import (
    AlignedConvolution,
    _WeightGradient,
    align_gray_convolutions,
    with_zero_channels,
)
from rs.stages.train import Autocast

SHAPES = [
    {"out_channels": 20, "kernel_size": 5},
    {"out_channels": 3, "kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    {"out_channels": 16, "kernel_size": 3, "dilation": 2, "padding": 2, "bias": False},
]


@pytest.fixture(autouse=True)
def six_images_are_many(monkeypatch):
    monkeypatch.setattr(gray_convolutions, "MANY", 2)


def pair(shape, dtype=torch.float64):
    torch.manual_seed(0)
    plain = nn.Conv2d(1, **shape).to(dtype)
    aligned = copy.deepcopy(plain)
    align_gray_convolutions(aligned)
    assert type(aligned) is AlignedConvolution
    assert type(plain) is nn.Conv2d
    return plain, aligned, torch.rand(6, 1, 11, 9, dtype=dtype, requires_grad=True)


def gradients(network, x, weighted):
    found = network(x)
    inputs = [x, *network.parameters()]
    return [found.detach(), *torch.autograd.grad((found * weighted).sum(), inputs)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_the_librarys(shape, layout):
    plain, aligned, x = pair(shape)
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    weighted = torch.randn_like(plain(x))
    for ours, theirs in zip(gradients(aligned, x, weighted), gradients(plain, x, weighted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_true(shape):
    _, aligned, x = pair(shape)
    given = [x[:2, :, :7, :7].detach().requires_grad_(), *aligned.parameters()]
    names = [name for name, _ in aligned.named_parameters()]

    def convolved(images, *weights):
        return torch.func.functional_call(aligned, dict(zip(names, weights, strict=True)), images)

    assert torch.autograd.gradcheck(convolved, given)


def test_the_weight_gradient_refuses_a_gradient_of_its_own():
    _, aligned, x = pair(SHAPES[0])
    (gradient,) = torch.autograd.grad(aligned(x).square().sum(), aligned.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_an_ascent_computes_no_weight_gradient(monkeypatch):
    """Where the images' gradient alone is asked for, as in the steps of an attack."""
    computed = []
    own = _WeightGradient.backward
    monkeypatch.setattr(
        _WeightGradient, "backward", staticmethod(lambda *given: computed.append(1) or own(*given))
    )
    plain, aligned, x = pair(SHAPES[0])
    losses = [network(x).square().sum() for network in (plain, aligned)]
    theirs, ours = (torch.autograd.grad(loss, x, retain_graph=True)[0] for loss in losses)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert not computed
    losses[1].backward()
    assert computed == [1]


def test_few_images_keep_the_librarys_gradient(monkeypatch):
    monkeypatch.setattr(gray_convolutions, "MANY", 7)
    monkeypatch.delattr(_WeightGradient, "backward")
    plain, aligned, x = pair(SHAPES[0])
    weighted = torch.randn_like(plain(x))
    for ours, theirs in zip(gradients(aligned, x, weighted), gradients(plain, x, weighted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_under_autocast_it_computes_in_bfloat16_and_keeps_float32_weights():
    plain, aligned, x = pair(SHAPES[0], torch.float32)
    for network in (plain, aligned):
        with torch.autocast("cpu", torch.bfloat16):
            found = network(x)
        assert found.dtype == torch.bfloat16
        found.float().square().mean().backward()
        assert network.weight.grad.dtype == torch.float32
    torch.testing.assert_close(aligned.weight.grad, plain.weight.grad, rtol=2e-2, atol=1e-4)
    torch.testing.assert_close(aligned.bias.grad, plain.bias.grad, rtol=2e-2, atol=1e-4)


def test_only_gradients_that_are_needed_are_computed():
    plain, aligned, x = pair(SHAPES[0])
    for network in (plain, aligned):
        network(x.detach()).square().sum().backward()
    assert x.grad is None
    for ours, theirs in zip(aligned.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)
    aligned.requires_grad_(False)
    aligned.zero_grad()
    aligned(x).sum().backward()
    assert x.grad is not None
    assert aligned.weight.grad is None


def test_other_convolutions_and_names_stay():
    network = catalog.build("models", {"name": "lenet"}).build([1, 28, 28], 10, [0.5], [0.5])
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    grouped = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.Conv2d(1, 4, 3, padding_mode="circular"), nn.Conv2d(1, 4, 3, padding="same")
    )
    align_gray_convolutions(network)
    align_gray_convolutions(grouped)
    kinds = [type(module) for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert kinds == [AlignedConvolution, nn.Conv2d]
    assert {type(module) for module in grouped} == {nn.Conv2d}
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(after[name].equal(weight) for name, weight in before.items())


def test_on_a_processor_training_keeps_the_librarys_convolution():
    assert type(Autocast(nn.Conv2d(1, 4, 3), "bfloat16").network) is nn.Conv2d


def test_zero_channels():
    x = torch.rand(2, 3, 4, 5, dtype=torch.bfloat16)
    padded = with_zero_channels(x)
    assert padded.shape == (2, 8, 4, 5)
    assert padded.is_contiguous(memory_format=torch.channels_last)
    assert padded[:, :3].equal(x)
    assert not padded[:, 3:].any()
    assert with_zero_channels(torch.rand(1, 8, 2, 2)).shape[1] == 8
