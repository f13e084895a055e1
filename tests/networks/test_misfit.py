"""A network that fails on its images is tried on others, and the line that refuses it says what it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import rs
from rs.api.inputs import network_of
from rs.errors import UserError
from rs.networks.misfit import misfit
from rs.stages.import_weights import check_logits

X = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Begun(nn.Module):
    """A network that does something to the images first."""

    def __init__(self, begin, network):
        super().__init__()
        self.begin, self.network = begin, network

    def forward(self, x):
        return self.network(self.begin(x))


def convolution(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))


def only_in_range(x):
    if x.min() < 0 or x.max() > 1:
        raise ValueError("allowed [0, 1]")
    return x


def last(x):
    return x.permute(0, 3, 1, 2)


FIXED = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


@pytest.mark.parametrize(
    ("network", "kind", "channels", "text"),
    [
        (convolution(3), "channels", 3, "images of 3 channels"),
        (convolution(4), "channels", 4, "images of 4 channels"),
        (Begun(last, convolution(1)), "layout", 1, "images of 1 channel that come last, [B, H, W, 1]"),
        (Begun(last, convolution(3)), "layout", 3, "images of 3 channels that come last, [B, H, W, 3]"),
        (nn.Linear(64, 10), "rows", 1, "rows of 64 numbers, [B, 64]: begin it with x.flatten(1)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), "channels", 3, "images of 3 channels"),
        (Begun(only_in_range, convolution(1)), "range", 1, "values in [0, 1] alone, which noise leaves"),
        (FIXED, "size", 1, "images of other sizes: 1x28x28"),
        (
            Begun(lambda x: x, nn.Sequential(nn.Conv2d(3, 4, 30), nn.Flatten())),
            "size",
            3,
            "3x32x32, 3x64x64, ",
        ),
    ],
)
def test_what_it_takes_is_found(network, kind, channels, text):
    found = misfit(network, X)
    assert (found.kind, found.channels) == (kind, channels)
    assert text in found.text


@pytest.mark.parametrize("network", [convolution(1), nn.ModuleList([convolution(1)])])
def test_what_takes_these_images_or_none_is_no_misfit(network):
    assert misfit(network, X) is None


def test_certify_from_python_says_it():
    images = np.full((2, 1, 8, 8), 0.5, np.float32)
    with pytest.raises(UserError) as caught:
        rs.smooth(convolution(3), sigma=0.25).certify(images, n=20)
    assert "to have 3 channels, but got 1 channels instead; it takes images of 3 channels; repeat" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda x: x[:, :1], "one logit z of two classes is torch.stack([0 * z, z], 1) of z.flatten()"),
        (lambda x: x[:, 0], "one logit z of two classes is torch.stack([0 * z, z], 1) of z.flatten()"),
        (lambda x: x[..., None, None], "end it with flatten(1)"),
    ],
)
def test_logits_of_another_shape_have_a_remedy(change, advice):
    logits = Begun(convolution(1), nn.Identity())
    images = np.full((2, 1, 8, 8), 0.5, np.float32)
    with pytest.raises(UserError, match="it must be logits") as caught:
        rs.smooth(lambda x: change(logits(x)), sigma=0.25).certify(images, n=20)
    assert str(caught.value).endswith(advice)


def test_an_import_says_it_too():
    with pytest.raises(
        UserError, match=r"to have 3 channels.*; it takes images of 3 channels; repeat the grey one"
    ):
        check_logits(convolution(3).eval(), "mine:net", (1, 8, 8), 10)
    with pytest.raises(UserError, match="weights in float16: return it in float32"):
        check_logits(convolution(1).half().eval(), "mine:net", (1, 8, 8), 10)


def test_a_network_of_torchscript_is_certified_as_the_one_that_it_was_made_of():
    torch.manual_seed(0)
    plain = convolution(1)
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    counts = [
        rs.smooth(network, sigma=0.25, batch=32).certify(images, n=64, progress=False).counts.estimation
        for network in (plain, torch.jit.script(plain))
    ]
    assert np.array_equal(*counts)
    assert all(weight.requires_grad for weight in plain.parameters())


def test_a_network_without_values_is_one_line():
    with torch.device("meta"):
        network = convolution(1)
    with pytest.raises(UserError, match=r"smooth: model: 0.weight has a shape and no values \(device meta\)"):
        network_of(network, "smooth")
