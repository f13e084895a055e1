"""Architectures beside other implementations of them, and checkpoints that others released."""

from __future__ import annotations

import math

import pytest
import torch
from built_models import build, statistics
from torch import nn
from torch.nn import functional as F

from rs.networks import checkpoints, state_dicts
from rs.networks import imported as entries

pytestmark = pytest.mark.slow


def he_et_al(state: dict[str, torch.Tensor], x: torch.Tensor, blocks: int, function) -> torch.Tensor:
    """The network for CIFAR-10 written out: logits from a state dict, every tensor of which it takes out."""
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}

    def conv_norm(x, conv: str, norm: str, stride: int = 1):
        weight = state.pop(f"{conv}.weight")
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, var, scale, bias = (
            state.pop(f"{norm}.{k}") for k in ("running_mean", "running_var", "weight", "bias")
        )
        column = (-1, 1, 1)
        x = (x - mean.view(column)) / (var.view(column) + 1e-5).sqrt()
        return x * scale.view(column) + bias.view(column)

    x = function(conv_norm(x, "conv1", "bn1"))
    for stage in (1, 2, 3):
        for i in range(blocks):
            at, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            h = function(conv_norm(x, f"{at}.conv1", f"{at}.bn1", stride))
            h = conv_norm(h, f"{at}.conv2", f"{at}.bn2")
            if stride == 2:
                x = conv_norm(x, f"{at}.downsample.0", f"{at}.downsample.1", stride)
            x = function(h + x)
    logits = x.mean((2, 3)) @ state.pop("fc.weight").T + state.pop("fc.bias")
    assert not state
    return logits


@pytest.mark.parametrize(("activation", "function"), [("relu", F.relu), ("elu", F.elu)])
@pytest.mark.parametrize(("name", "blocks"), [("resnet20", 3), ("resnet56", 9), ("resnet110", 18)])
def test_resnets_are_the_network_of_he_et_al(name, blocks, activation, function):
    torch.manual_seed(0)
    model = statistics(build(name, activation=activation), (3, 32, 32))
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    expected = he_et_al(entries.net_of(model).state_dict(), (x - 0.25) / 0.5, blocks, function)
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("size", [32, 64])
def test_resnet18_is_torchvisions_with_another_stem(size):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model = statistics(build("resnet18", (3, size, size)), (3, 32, 32))
    theirs = resnet18(weights=None, num_classes=10).double().eval()
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False).double(), nn.Identity()
    theirs.load_state_dict(entries.net_of(model).state_dict())
    x = torch.rand(1, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(model(x), theirs((x - 0.25) / 0.5))


def test_vgg16_is_torchvisions_without_its_dense_layers():
    from torchvision.models import vgg16_bn

    with torch.device("meta"):
        theirs, ours = vgg16_bn().features, build("vgg16", normalization="none")

    def kinds(model):
        kept = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
        return [
            (type(m), *getattr(m, "weight", torch.empty(0)).shape)
            for m in model.modules()
            if isinstance(m, kept)
        ]

    assert kinds(ours) == kinds(theirs)


def test_stn_pools_as_keras_pads():
    """`same` pooling of 3x3 at stride 2 halves an even size: it pads at the right and at the bottom only."""
    pool = next(m for m in build("stn_cifar") if isinstance(m, nn.MaxPool2d))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(pool(x), F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2))


def test_weights_start_as_he_et_al_propose():
    torch.manual_seed(0)
    for name, fan in [("resnet18", lambda w: w[:, 0].numel()), ("vgg16", lambda w: w[:, 0].numel())]:
        weights = [p for p in build(name).parameters() if p.ndim == 4 and p.numel() > 10_000]
        for w in weights:
            assert w.var().item() == pytest.approx(2 / fan(w), rel=0.05)
    for conv in (m for m in build("stn_cifar") if isinstance(m, nn.Conv2d) and m.weight.numel() > 7000):
        assert conv.weight.var().item() == pytest.approx(2 / conv.weight[0].numel(), rel=0.1)
        assert not conv.bias.any()


# --- checkpoints of others ---


@pytest.mark.parametrize("name", ["resnet20", "resnet110"])
def test_released_checkpoints_load(name, tmp_path):
    """Of Cohen et al. and Salman et al., whose names and shapes `he_et_al` reads."""
    own = {f"1.{k}": torch.rand(v.shape) for k, v in entries.net_of(build(name)).state_dict().items()}
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 90, "arch": f"cifar_{name}", "state_dict": own, "optimizer": {}}, path)
    data = {"shape": [3, 32, 32], "classes": 10, "mean": [0.49, 0.48, 0.45], "std": [0.2, 0.2, 0.2]}
    net = entries.net_of(entries.build({"architecture": {"name": name}, "normalization": None}, data))
    found = state_dicts.read(path)
    checkpoints.load_state(net, state_dicts.from_cohen(path, found.state), path, name)
    assert found.arch == f"cifar_{name}"
    assert torch.equal(
        net.state_dict()["layer3.0.downsample.0.weight"], own["1.layer3.0.downsample.0.weight"]
    )


def test_released_imagenet_checkpoints_are_torchvisions():
    from torchvision.models import resnet50

    with torch.device("meta"):
        theirs = resnet50(weights=None).state_dict()
        for activation in ("relu", "elu"):
            ours = entries.net_of(build("resnet50", classes=1000, activation=activation)).state_dict()
            assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
