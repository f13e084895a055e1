"""Architectures: parameter counts and shapes against the literature, normalisation first, trainable
everywhere.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rs.data.digits import Digits
from rs.models.digits_cnn import DigitsCnn
from rs.models.layers import Normalize
from rs.models.lenet import LeNet
from rs.models.nal_cnn import NalCnn

ALL = (DigitsCnn, LeNet, NalCnn)
MEAN, STD = (0.25,), (0.5,)


def multiply_adds(model: nn.Module, x: torch.Tensor) -> int:
    """Counted from the shapes that pass through convolutions and dense layers."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel()

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [m.register_forward_hook(count) for m in layers]
    model(x)
    for hook in hooks:
        hook.remove()
    return total


# LeNet: 520 + 25,050 + 400,500 + 5,010 (Caffe's LeNet). NAL's: 4,160 + 295,040 + 409,728 + 1,290.
@pytest.mark.parametrize(
    ("cls", "parameters", "millions"),
    [(DigitsCnn, 38_330, 0.34), (LeNet, 431_080, 2.29), (NalCnn, 710_218, None)],
)
def test_parameter_counts_and_work(cls, parameters, millions):
    shape = cls.shapes[0]
    model = cls().build(shape, 10, MEAN, STD).eval()
    assert sum(p.numel() for p in model.parameters()) == parameters
    if millions is not None:
        assert multiply_adds(model, torch.zeros(1, *shape)) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("normalization", ["none", "center", "standardize"])
def test_logits_and_gradients(cls, activation, normalization):
    torch.manual_seed(0)
    model = cls(activation, normalization).build(cls.shapes[0], 7, MEAN, STD)
    kinds = {"relu": nn.ReLU, "elu": nn.ELU}
    assert {type(m) for m in model.modules()} & set(kinds.values()) == {kinds[activation]}
    x = torch.rand(4, *cls.shapes[0]).requires_grad_()
    logits = model(x)
    assert logits.shape == (4, 7)
    assert logits.dtype == torch.float32
    F.cross_entropy(logits, torch.arange(4)).backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert sum(p.grad.abs().sum() > 0 for p in model.parameters()) == len(list(model.parameters()))


@pytest.mark.parametrize("cls", ALL)
def test_other_shapes_are_refused(cls):
    with pytest.raises(ValueError, match="takes images of 1x"):
        cls().build((3, 32, 32), 10, MEAN * 3, STD * 3)


def test_normalisation_is_the_first_layer_and_per_channel():
    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    x = torch.rand(2, 3, 4, 4)
    out = Normalize(mean, std)(x)
    for c in range(3):
        torch.testing.assert_close(out[:, c], (x[:, c] - mean[c]) / std[c])
    shape = LeNet.shapes[0]
    plain = LeNet().build(shape, 10, MEAN, STD)
    x = torch.rand(3, *shape)
    for kind, expected in [("center", x - 0.25), ("standardize", (x - 0.25) / 0.5)]:
        other = LeNet(normalization=kind).build(shape, 10, MEAN, STD)
        other.load_state_dict(plain.state_dict(), strict=False)
        torch.testing.assert_close(other(x), plain(expected))


def test_pooling_before_the_activation_is_lenet():
    shape = LeNet.shapes[0]
    for activation, function in [("relu", F.relu), ("elu", F.elu)]:
        model = LeNet(activation).build(shape, 10, MEAN, STD)
        conv1, conv2 = [m for m in model if isinstance(m, nn.Conv2d)]
        fc1, fc2 = [m for m in model if isinstance(m, nn.Linear)]
        x = torch.rand(2, *shape)
        h = F.max_pool2d(function(conv1(x)), 2)
        h = F.max_pool2d(function(conv2(h)), 2)
        torch.testing.assert_close(model(x), fc2(function(fc1(h.flatten(1)))))


def test_the_demo_network_learns_digits_in_seconds():
    torch.manual_seed(0)
    splits = Digits().load(None)
    x, y = torch.from_numpy(splits["train"].images), torch.from_numpy(splits["train"].labels)
    model = DigitsCnn().build(Digits.shape, 10, Digits.mean, Digits.std)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(8):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    model.eval()
    test = splits["test"]
    with torch.no_grad():
        right = model(torch.from_numpy(test.images)).argmax(1).numpy() == test.labels
    assert right.mean() > 0.95
