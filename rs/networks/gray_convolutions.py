"""The weight gradient of a convolution of gray images, for training in bfloat16 on a GPU.

cuDNN computes it with a general kernel where there is one input channel: for LeNet's first layer (1 to 20
channels, 1,024 noisy copies of 28 x 28) 815 of the 2,017 us of a MACER step on an H200. With channels that
are multiples of 8 it takes a kernel for tensor cores: 103 us (docs/evidence/gpu.md). So images and gradients
are given channels of zeros here, and their rows and columns of the result are left out. They add nothing to
the other rows: the gradient is the same up to the order of its sums. Forward passes and the gradients of
images stay the library's; padding them as well cost more than it gained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

ALIGNED = 8  # channels


def align_gray_convolutions(network: nn.Module) -> None:
    """Makes the network's convolutions of one channel compute their weight gradients with aligned channels.
    Parameters and their names stay.
    """
    for module in network.modules():
        plain = type(module) is nn.Conv2d and module.padding_mode == "zeros"
        if plain and module.in_channels == 1 and not isinstance(module.padding, str):
            module.__class__ = AlignedConvolution


class AlignedConvolution(nn.Conv2d):
    """A convolution of images [N, 1, H, W] whose weight gradient is computed with aligned channels."""

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        given = [images, weight] if bias is None else [images, weight, bias]
        device = images.device.type
        if torch.is_autocast_enabled(device):  # what autocast does for the library's convolution
            given = [tensor.to(torch.get_autocast_dtype(device)) for tensor in given]
        convolved: Tensor = _Convolution.apply(self.stride, self.padding, self.dilation, *given)
        return convolved


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.steps = stride, padding, dilation
        return nn.functional.conv2d(images, weight, bias, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        of_images, of_bias = needed[0], len(needed) == 3 and needed[2]
        by_images = by_weight = by_bias = None
        if of_images or of_bias:
            wanted = (of_images, False, of_bias)
            by_images, _, by_bias = _gradients(gradient, images, weight, ctx.steps, wanted)
        if needed[1]:
            outputs, inputs = weight.shape[:2]
            padded = weight.new_empty(_aligned(outputs), _aligned(inputs), *weight.shape[2:])
            aligned = with_zero_channels(gradient), with_zero_channels(images), padded
            _, by_weight, _ = _gradients(*aligned, ctx.steps, (False, True, False))
            by_weight = by_weight[:outputs, :inputs]
        return (None, None, None, by_images, by_weight, by_bias)[: 3 + len(needed)]


def _gradients(
    gradient: Tensor, images: Tensor, weight: Tensor, steps: tuple[Any, ...], wanted: tuple[bool, bool, bool]
) -> tuple[Any, Any, Any]:
    """The wanted ones of the gradients of images, weight and bias."""
    sizes, untransposed, groups = [weight.shape[0]], (False, [0, 0]), 1
    found = torch.ops.aten.convolution_backward(
        gradient, images, weight, sizes, *steps, *untransposed, groups, wanted
    )
    return found[0], found[1], found[2]


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
