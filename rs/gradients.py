"""A trained network as attacks see it: differentiable in the image, and no slower than it has to be.

The judge is the inference form; what is differentiated here only proposes images to it, so it may round in
its own way. It has the form's precision, folded batch norm and memory format, without the compiler and the
fixed batch. Parameters take no gradients.

Gradients are averaged over S noisy copies of an image. Before a first convolution lie only maps that are
affine in every pixel, so the copies' gradients can be summed after it instead of before: the most awkward of
all backward convolutions (to one or three channels, in full resolution) is done once per image, not S times.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.grad import conv2d_input

from rs.forms import one_line, out_of_memory
from rs.inference import fold_batch_norm
from rs.interfaces import UserError
from rs.models.layers import Normalize
from rs.smoothing import OfCopies, add_noise


class _SummedFirst(torch.autograd.Function):
    """A convolution whose input gradient is the sum over each image's copies, all given to the first copy."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, convolution: nn.Conv2d, copies: int) -> Tensor:
        ctx.shape, ctx.convolution, ctx.copies = images.shape, convolution, copies
        return convolution(images)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        c, shape, copies = ctx.convolution, ctx.shape, ctx.copies  # type: ignore[attr-defined]
        summed = gradients[0].unflatten(0, (-1, copies)).sum(1)
        alone = (len(summed), *shape[1:])
        settings = (c.stride, c.padding, c.dilation, c.groups)
        found = conv2d_input(alone, c.weight, summed, *settings)
        spread = found.new_zeros(len(summed), copies, *shape[1:])
        spread[:, 0] = found
        return spread.flatten(0, 1), None, None


class _FirstConvolution(nn.Module):
    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution, self.copies = convolution, 1

    def forward(self, images: Tensor) -> Tensor:
        if self.copies == 1:
            found: Tensor = self.convolution(images)
            return found
        summed: Tensor = _SummedFirst.apply(images, self.convolution, self.copies)
        return summed


def _first_convolution(network: nn.Module) -> str | None:
    """Name of the convolution that follows the normalisation in (nested) Sequentials, as in our models."""
    if not isinstance(network, nn.Sequential):
        return None
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential):
            below = _first_convolution(child)
            return None if below is None else f"{name}.{below}"
        if isinstance(child, nn.Conv2d) and child.padding_mode == "zeros":
            return None if isinstance(child.padding, str) else name
        if not isinstance(child, Normalize | nn.Identity):
            return None
    return None


class Differentiable(OfCopies):
    """float32 images [B, C, H, W] in any layout to float32 logits, through a network of another precision."""

    def __init__(self, network: nn.Module, form: dict[str, Any], device: torch.device) -> None:
        """`form` has `precision`. The given network is left as it is."""
        super().__init__()
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[form["precision"]]
        name = _first_convolution(network)
        folded, _ = fold_batch_norm(copy.deepcopy(network).eval().requires_grad_(False))
        self.network = folded.to(device, self.dtype).to(memory_format=torch.channels_last)
        self.first: _FirstConvolution | None = None
        if name is not None:
            convolution = self.network.get_submodule(name)
            assert isinstance(convolution, nn.Conv2d)
            self.first = _FirstConvolution(convolution)
            self.network.set_submodule(name, self.first)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.to(self.dtype, memory_format=torch.channels_last))
        return logits.float()

    def of_copies(self, x: Tensor, z: Tensor) -> Tensor:
        if self.first is None:
            return self(add_noise(x, z))
        self.first.copies = z.shape[1]
        try:
            return self(add_noise(x, z))
        finally:
            self.first.copies = 1


INSTEAD = "; attack it with square_linf, or by transfer from a run that has them"


def require_gradients(
    network: nn.Module, image: Tensor, manifest: Path, needed_by: str, instead: str = INSTEAD
) -> None:
    """UserError where the logits of `image` [C, H, W] cannot be differentiated with respect to it: they do
    not depend on it, or the network fails where gradients are taken, as one that goes through numpy does.
    """
    why = ""
    with torch.enable_grad():
        leaf = image[None].detach().requires_grad_()
        try:
            # of a copy, as noisy images are: a network may change what it is given
            logits = network(leaf.clone())
            if logits.requires_grad:
                torch.autograd.grad(logits.sum(), leaf)
                return
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            why = f" ({one_line(error)})"
    try:
        with torch.no_grad():
            network(image[None])
    except RuntimeError as error:
        raise UserError(
            f"{manifest}: the model fails on images {list(image.shape)}: {one_line(error)}"
        ) from error
    lacks = f"the model has no gradients with respect to its images{why}"
    raise UserError(f"{manifest}: {lacks}; {needed_by} needs them{instead}")
