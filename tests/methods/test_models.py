"""Architectures: sizes against the literature, shapes, normalisation first, foldable batch norm, learning."""

from __future__ import annotations

import math

import pytest
import torch
from built_models import ALL, build, statistics
from torch import nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional as F

from rs.errors import UserError
from rs.methods.data.digits import Digits
from rs.methods.models.digits_cnn import DigitsCnn
from rs.methods.models.layers import Normalize
from rs.methods.models.lenet import LeNet

# Smaller than 224x224 keeps the tests short: ImageNet's network averages whatever size is left.
SMALL = {name: min(cls.shapes[0], (3, 32, 32)) for name, cls in ALL.items()}
WITHOUT_NORM = {"lenet", "nal_cnn", "stn_cifar", "stn_mnist"}


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


# --- sizes ---

# By hand: LeNet (Caffe's) 520 + 25,050 + 400,500 + 5,010; NAL's 4,160 + 295,040 + 409,728 + 1,290; STN's for
# MNIST 1,664 + 102,464 + 3,276,928 + 1,290, for CIFAR-10 7,296 + 9,312 + 460,992 + 37,056 + 442,624 + 65,792
# + 2,570.
EXACT = {
    **{"digits_cnn": 38_330, "lenet": 431_080, "nal_cnn": 710_218},
    **{"stn_mnist": 3_382_346, "stn_cifar": 1_025_642, "resnet50": 25_557_032},
    **{"resnet20": 272_474, "resnet56": 855_770, "resnet110": 1_730_714},
    **{"resnet18": 11_173_962, "vgg16": 14_724_042},
}
# Millions of parameters as the literature rounds them: He et al. tables 6 and 1 (CIFAR-10 and ImageNet), and
# what networks for CIFAR-10 with one dense layer have.
MILLIONS = {
    **{"resnet20": 0.27, "resnet56": 0.85, "resnet110": 1.7},
    **{"resnet18": 11.17, "vgg16": 14.7, "resnet50": 25.557},
}
# Millions of multiply-adds: He et al. give 3.8 billion for ResNet-50 with the stride in the 1x1 convolution;
# torchvision's has it in the 3x3 and 4.09.
WORK = {
    **{"digits_cnn": 0.338, "lenet": 2.29, "nal_cnn": 8.59, "stn_mnist": 45.2, "stn_cifar": 177},
    **{"resnet20": 40.8, "resnet56": 126, "resnet110": 253, "resnet18": 555, "vgg16": 313, "resnet50": 4089},
}


@pytest.mark.parametrize("name", ALL)
def test_parameter_counts_and_work(name):
    shape = ALL[name].shapes[0]
    with torch.device("meta"):
        model = build(name, classes=1000 if name == "resnet50" else 10).eval()
        work = multiply_adds(model, torch.empty(1, *shape)) / 1e6
    count = sum(p.numel() for p in model.parameters())
    assert count == EXACT[name]
    assert f"{count:,} parameters" in ALL[name].__doc__
    if name in MILLIONS:
        digits = len(str(MILLIONS[name]).partition(".")[2])
        assert abs(count / 1e6 - MILLIONS[name]) < 10**-digits
    assert work == pytest.approx(WORK[name], rel=0.005)


def test_option_b_costs_2752_parameters_more_than_the_paper():
    """He et al. pad shortcuts with zeros: 0.27 M for ResNet-20 is 269,722 in full."""
    convolutions = 16 * 27 + 9 * (6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2)
    norms, dense = 2 * (16 * 7 + 32 * 6 + 64 * 6), 64 * 10 + 10
    assert convolutions + norms + dense == 269_722
    assert EXACT["resnet20"] - 269_722 == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


# --- what every architecture does ---


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_logits_and_gradients(name, activation):
    torch.manual_seed(0)
    model = build(name, classes=7, activation=activation, normalization="standardize")
    kinds = {"relu": nn.ReLU, "elu": nn.ELU}
    assert {type(m) for m in model.modules()} & set(kinds.values()) == {kinds[activation]}
    x = torch.rand(4, *SMALL[name]).requires_grad_()
    logits = model(x)
    assert logits.shape == (4, 7)
    assert logits.dtype == torch.float32
    F.cross_entropy(logits, torch.arange(4)).backward()
    assert x.grad.abs().sum() > 0
    for parameter, values in model.named_parameters():
        assert values.grad is not None, parameter
        assert values.grad.isfinite().all(), parameter
        assert values.grad.abs().sum() > 0, parameter


@pytest.mark.parametrize("name", ALL)
def test_other_shapes_are_refused_in_one_line(name):
    takes = " or ".join("x".join(map(str, s)) for s in ALL[name].shapes)
    with pytest.raises((UserError, ValueError)) as caught:
        build(name, (2, 30, 31))
    assert str(caught.value).endswith(f"{name} takes images of {takes}, not 2x30x31")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("normalization", ["none", "center", "standardize"])
def test_normalisation_is_the_first_layer(name, normalization):
    with torch.device("meta"):
        first = build(name, normalization=normalization)[0]
    assert isinstance(first, nn.Identity if normalization == "none" else Normalize)
    default = ALL[name]().normalization
    assert default == ("none" if name in {*WITHOUT_NORM, "digits_cnn"} else "standardize")


def test_normalisation_is_per_channel_and_in_image_units():
    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    x = torch.rand(2, 3, 4, 4)
    out = Normalize(mean, std)(x)
    for c in range(3):
        torch.testing.assert_close(out[:, c], (x[:, c] - mean[c]) / std[c])
    plain = build("lenet")
    x = torch.rand(3, *LeNet.shapes[0])
    for kind, expected in [("center", x - 0.25), ("standardize", (x - 0.25) / 0.5)]:
        other = build("lenet", normalization=kind)
        other.load_state_dict(plain.state_dict(), strict=False)
        torch.testing.assert_close(other(x), plain(expected))


# --- the inference form ---


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_batch_norm_folds_into_the_convolution_before_it(name):
    torch.manual_seed(0)
    shape = SMALL[name]
    model = statistics(build(name, normalization="standardize"), shape)
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == (name not in WITHOUT_NORM)
    folded = fuse(model)  # traces it with torch.fx
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    x = torch.rand(2, *shape, dtype=torch.float64)
    torch.testing.assert_close(folded(x), model(x))


@pytest.mark.parametrize("name", ["lenet", "stn_cifar", "vgg16"])
@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_pooling_before_the_activation_is_pooling_after_it(name, activation):
    torch.manual_seed(0)
    shape = ALL[name].shapes[0]
    model = statistics(build(name, activation=activation), shape)
    layers = list(model)
    pools = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    assert pools
    for i in pools:
        layers[i], layers[i + 1] = layers[i + 1], layers[i]
    x = torch.rand(2, *shape, dtype=torch.float64)
    torch.testing.assert_close(nn.Sequential(*layers)(x), model(x))


# --- learning ---


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20", "stn_cifar", "stn_mnist"])
def test_a_few_images_are_learnt(name):
    torch.manual_seed(0)
    channels, size, _ = ALL[name].shapes[0]
    model = build(name, normalization="center")
    x, y = F.interpolate(torch.rand(10, channels, 4, 4), size), torch.arange(10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.75 * math.log(10)  # that of a guess is log(10)


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
