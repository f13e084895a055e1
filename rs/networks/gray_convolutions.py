"""The weight gradient of a convolution of gray images, for training in bfloat16 on a GPU.

cuDNN computes it with a general kernel where there is one input channel: for LeNet's first layer (1 to 20
channels, 1,024 noisy copies of 28 x 28) 815 of the 2,017 us of a MACER step on an H200. With channels that
are multiples of 8 it takes a kernel for tensor cores: 103 us (docs/evidence/gpu.md). So images and gradients
are given channels of zeros here, and their rows and columns of the result are left out. They add nothing to
the other rows: the gradient is the same up to the order of its sums. Forward passes and the gradients of
images stay the library's; padding them as well cost more than it gained.

The weight gradient is a node of its own, added to the convolution as zeros: autograd runs a node only if
it leads to a wanted gradient, but asks a node of our own for all of its gradients. Ascents want those of the
images alone; in one node with these the weight gradient made a step of SmoothAdv a quarter slower.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ALIGNED = 8  # channels
MANY = 256  # images; a step with 64 lost 0.09 ms by the padding, one with 256 gained as much


def align_gray_convolutions(network: nn.Module) -> None:
    """Makes the network's convolutions of one channel compute their weight gradients with aligned channels.
    Parameters and their names stay.
    """
    for module in network.modules():
        plain = type(module) is nn.Conv2d and module.padding_mode == "zeros"
        if plain and module.in_channels == 1 and not isinstance(module.padding, str):
            module.__class__ = AlignedConvolution


class AlignedConvolution(nn.Conv2d):
    """A convolution of images [N, 1, H, W] whose weight gradient is computed with aligned channels where
    there are `MANY`. That gradient has no gradient of its own (RuntimeError).
    """

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        many = len(images) >= MANY
        convolved: Tensor = super()._conv_forward(images, weight.detach() if many else weight, bias)
        if not many:
            return convolved
        steps = self.stride, self.padding, self.dilation
        zeros: Tensor = _WeightGradient.apply(weight, images.detach(), convolved.detach(), steps)
        return convolved + zeros


class _WeightGradient(torch.autograd.Function):
    """Zeros, with the gradient of the convolution with respect to its weight."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, images: Tensor, convolved: Tensor, steps: tuple[Any, ...]
    ) -> Tensor:
        ctx.save_for_backward(images)
        ctx.weight, ctx.steps = (weight.shape, weight.dtype), steps
        return convolved.new_zeros(()).expand(convolved.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (images,), ((outputs, inputs, *window), dtype) = ctx.saved_tensors, ctx.weight
        padded = gradient.new_empty(_aligned(outputs), _aligned(inputs), *window)
        aligned = with_zero_channels(gradient), with_zero_channels(images.to(gradient.dtype)), padded
        untransposed, groups, gradients = (False, [0, 0]), 1, (False, True, False)
        found: tuple[Any, Tensor, Any] = torch.ops.aten.convolution_backward(
            *aligned, [len(padded)], *ctx.steps, *untransposed, groups, gradients
        )
        return found[1][:outputs, :inputs].to(dtype), None, None, None


def with_zero_channels(images: Tensor) -> Tensor:
    """Images [N, C, H, W] and channels of zeros up to a multiple of `ALIGNED`, in channels_last."""
    n, channels, height, width = images.shape
    shape = (n, _aligned(channels), height, width)
    place, layout = images.device, torch.channels_last
    padded: Tensor = torch.empty(shape, dtype=images.dtype, device=place, memory_format=layout).zero_()
    padded[:, :channels] = images
    return padded


def _aligned(channels: int) -> int:
    return -(-channels // ALIGNED) * ALIGNED
