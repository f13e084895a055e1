"""A trained network as attacks see it: differentiable in the image, and no slower than necessary.

The judge is the inference form; this form only proposes images to it, so it may round differently. It has the
inference form's precision, folded batch norm and memory format, without the compiler and the fixed batch.
Parameters take no gradients.

Gradients are averaged over S noisy copies of an image. All maps before a first convolution are affine in
every pixel, so the copies' gradients can be summed behind the convolution's backward pass or before it. Here
they are summed before it: the slowest of all backward convolutions (to one or three channels, in full
resolution) runs once per image, not S times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.grad import conv2d_input

from rs.errors import UserError
from rs.machine.float32 import full_float32
from rs.machine.memory import ran_out
from rs.methods.models.layers import Normalize
from rs.networks.audit import Audited
from rs.networks.inference import PLAIN_BATCH, PRECISIONS
from rs.networks.transformations import (
    DIFFERING,
    EQUAL,
    EXACT,
    Transformed,
    apart,
    copied,
    differing,
    one_line,
    transformed,
    warn,
)
from rs.smoothing.smoothed import OfCopies, add_noise


class _SummedFirst(torch.autograd.Function):
    """A convolution whose input gradient is the sum over each image's copies, all assigned to the first
    copy.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, convolution: nn.Conv2d, copies: int) -> Tensor:
        ctx.shape, ctx.convolution, ctx.copies = images.shape, convolution, copies
        return convolution(images)  # type: ignore[no-any-return]

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


class FirstConvolution(nn.Module):
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
        # a user's own class may do anything with its weight, and folding does not keep it
        if type(child) is nn.Conv2d and child.padding_mode == "zeros":
            return None if isinstance(child.padding, str) else name
        if not isinstance(child, Normalize | nn.Identity):
            return None
    return None


def _gradient(logits_of: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """Gradient of a sum of differently weighted logits at x; None where there is none."""
    leaf = x.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            logits = logits_of(leaf)
            weights = torch.linspace(1, 2, logits.shape[1], dtype=logits.dtype, device=logits.device)
            return torch.autograd.grad((logits * weights).sum(), leaf)[0]
    except RuntimeError as error:
        if ran_out(error):
            raise
        return None


class Differentiable(OfCopies):
    """float32 images [B, C, H, W] in any layout to float32 logits, through a network of another precision."""

    def __init__(self, audited: Audited, form: dict[str, Any], device: torch.device) -> None:
        """`form` has `precision`. On its probes, logits and gradients are compared with the network's in
        float64, votes in the form's precision; differing transformations are left out with a warning. A
        network that draws at random is not compared and stays plain. The given network is not changed.
        """
        super().__init__()
        run, probes, precision = audited.run, audited.probes.to(device), PRECISIONS[form["precision"]]
        plain = Transformed(copied(audited.network, run).to(device), False, torch.contiguous_format, {})
        self.compared: dict[str, Any] = {}
        if audited.chance:
            self._take(plain, None, torch.float32)
            return
        with full_float32(device):
            self._choose(plain, precision, audited, probes)

    def _choose(self, plain: Transformed, precision: torch.dtype, audited: Audited, probes: Tensor) -> None:
        with torch.no_grad():
            votes = torch.cat([plain.network(part.clone()).argmax(1) for part in probes.split(PLAIN_BATCH)])
        run = audited.run
        shown, name = transformed(plain.network, probes, run), None
        if shown.exact:
            name = _first_convolution(audited.network)
            self._take(shown, name, torch.float64)
            gradients = self._apart(copied(plain.network, run).double(), probes[: 2 * EXACT].double())
            if gradients > EQUAL:
                faster = f"the gradients of its faster form differ by {gradients:.2g} of the largest"
                warn(run, f"is attacked as it is: {faster}")
                shown, name = plain, None
            self.compared = {**shown.compared, "gradients": gradients}
        # the requested form, then plainer ones; the last one is the network itself
        for using, first, dtype in (
            (shown, name, precision),
            (shown, name, torch.float32),
            (plain, None, None),
        ):
            self._take(using, first, dtype or torch.float32)
            found = self._differing(probes, votes)
            self.compared["differing_votes"] = found
            if dtype is None or (isinstance(found, float) and found <= DIFFERING[self.dtype]):
                return
            why = found if isinstance(found, str) else f"{found:.1%} of its votes are not the network's"
            warn(run, f"is attacked in a plainer form than {self.dtype} in {self.layout}: {why}")

    def _apart(self, plain: nn.Module, probes: Tensor) -> float:
        """The largest difference of gradients from those of the plain network, as a share of the largest:
        both in float64, for two images with three copies each. 0 for a network without gradients.
        """
        x = probes[:2]
        z = probes[2:].unflatten(0, (2, -1)) - x.unsqueeze(1)
        truth = _gradient(lambda at: plain(add_noise(at, z)), x)
        found = _gradient(lambda at: self.of_copies(at, z), x)
        return 0.0 if truth is None else math.inf if found is None else apart(found, truth)

    def _differing(self, probes: Tensor, votes: Tensor) -> float | str:
        try:
            return differing(self, probes, votes, PLAIN_BATCH)
        except Exception as error:  # a user's network may raise anything in this form
            if ran_out(error):
                raise
            return one_line(error)

    def _take(self, using: Transformed, name: str | None, dtype: torch.dtype) -> None:
        """`name` is the first convolution's; None if every copy's gradient goes through it separately."""
        self.dtype, self.layout = dtype, using.layout
        self.network = copied(using.network).to(dtype)
        self.first: FirstConvolution | None = None
        if name is not None:
            convolution = self.network.get_submodule(name)
            assert isinstance(convolution, nn.Conv2d)
            self.first = FirstConvolution(convolution)
            self.network.set_submodule(name, self.first)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        with full_float32(images.device):  # the caller's own lasts until the gradients are taken
            logits: Tensor = self.network(images.to(self.dtype, memory_format=self.layout))
        return logits.to(images.dtype)

    def of_copies(self, x: Tensor, z: Tensor) -> Tensor:
        if self.first is None:
            return self(add_noise(x, z))  # type: ignore[no-any-return]
        self.first.copies = z.shape[1]
        try:
            return self(add_noise(x, z))  # type: ignore[no-any-return]
        finally:
            self.first.copies = 1


INSTEAD = "; attack it with square_linf, or by transfer from a run that has them"


def require_gradients(
    network: nn.Module, image: Tensor, manifest: Path | str, needed_by: str, instead: str = INSTEAD
) -> None:
    """Raises UserError where the logits of `image` [C, H, W] have no gradient with respect to it: they do not
    depend on it, or the network fails when gradients are taken (as one that goes through numpy).
    """
    why = ""
    with torch.enable_grad():
        leaf = image[None].detach().requires_grad_()
        try:
            # a copy, as noisy images are: a network may change its input
            logits = network(leaf.clone())
            if logits.requires_grad:
                torch.autograd.grad(logits.sum(), leaf)
                return
        except RuntimeError as error:
            if ran_out(error):
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
