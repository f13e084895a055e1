"""The network that attacks differentiate, with both passes compiled for one number of noisy copies.

Each pass is compiled by `torch.compile` with its weights frozen as constants (rs.networks.halves), which it
does not do for a network that takes gradients. Convolutions then take their activations and sums with them,
and what is masked or added between two convolutions becomes one pass over memory. The backward half ends
behind the first convolution, where `Differentiable` sums the copies' gradients; the rest runs per image.

Compiled passes round otherwise, so logits and gradients are compared with the exact ones, in float64, and may
be no further from them than twice what the uncompiled form is. A form that is, or that a compiler does not
take, is left out with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.grad import conv2d_input

from rs.machine.float32 import full_float32
from rs.machine.memory import ran_out
from rs.networks.audit import Audited
from rs.networks.differentiable import Differentiable, FirstConvolution
from rs.networks.halves import Pass, compiled, halves
from rs.networks.transformations import copied, one_line, warn
from rs.smoothing.smoothed import add_noise

# Times the uncompiled form's error, and a share of the norm in addition: rounding turns activations off.
TOLERATED, SLACK = 2.0, 0.01
EXACT, SPREAD = 2, 0.25  # images of the comparison; standard deviation of their noise


class _Tapped(nn.Module):
    """A convolution whose input and output are kept, or whose output is replaced."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.entering: Tensor | None = None
        self.leaving: Tensor | None = None
        self.instead: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        if self.instead is not None:
            return self.instead.clone()  # the network may change it
        self.entering, self.leaving = images, self.convolution(images)
        return self.leaving


class _Passes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, passes: CompiledPasses, copies: int) -> Tensor:
        logits, *saved = passes.forward(images.detach())
        ctx.save_for_backward(*saved)
        ctx.passes, ctx.copies = passes, copies
        return logits  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        passes, copies = ctx.passes, ctx.copies  # type: ignore[attr-defined]
        (found,) = passes.backward(gradients[0].contiguous(), *ctx.saved_tensors)  # type: ignore[attr-defined]
        return passes.at_images(found, copies), None, None


class CompiledPasses:
    """Both passes of `seen` for images like `images` [rows, C, H, W], compiled at their first use.

    `forward` maps images to logits [rows, K] and what `backward` needs; `backward` maps the gradient of the
    logits and that to the gradient at the first convolution's output, or at the images if there is none.
    """

    def __init__(self, seen: Differentiable, images: Tensor) -> None:
        network, tapped = copied(seen.network), None
        for name, module in network.named_modules():
            if isinstance(module, FirstConvolution):
                tapped = _Tapped(module.convolution)
                network.set_submodule(name, tapped)
                break
        self.shape, self.first = images.shape, tapped and tapped.convolution

        def logits_of(at: Tensor) -> Tensor:
            found: Tensor = network(at.to(seen.dtype, memory_format=seen.layout)).to(at.dtype)
            return found

        self.scale = None if tapped is None else _scale(logits_of, tapped, images[:1])
        forward, backward = halves(_joint(logits_of, tapped), images, logits_of(images))
        self.forward, self.backward = compiled(forward), compiled(backward)

    def at_images(self, found: Tensor, copies: int) -> Tensor:
        """The gradient at the images; where it is summed over copies, all assigned to the first copy."""
        if self.scale is None:
            return found
        c: Any = self.first
        summed = found.unflatten(0, (-1, copies)).sum(1)
        settings = (c.stride, c.padding, c.dilation, c.groups)
        alone = conv2d_input((len(summed), *self.shape[1:]), c.weight, summed, *settings)
        spread = alone.new_zeros(len(summed), copies, *self.shape[1:], dtype=torch.float32)
        spread[:, 0] = alone * self.scale
        flat: Tensor = spread.flatten(0, 1)
        return flat

    def __call__(self, images: Tensor, copies: int) -> Tensor:
        logits: Tensor = _Passes.apply(images, self, copies)
        return logits


def _scale(logits_of: Pass, tapped: _Tapped, image: Tensor) -> Tensor:
    """Gradient of the first convolution's input with respect to the image [1, C, H, W]: what comes before is
    affine in every pixel.
    """
    with torch.enable_grad():
        leaf = image.detach().clone().requires_grad_()
        logits_of(leaf)
        assert tapped.entering is not None
        return torch.autograd.grad(tapped.entering.sum(), leaf)[0]


def _joint(logits_of: Pass, tapped: _Tapped | None) -> Pass:
    """Maps images and the gradient of their logits to logits and the gradient that `backward` returns."""
    vjp: Pass = torch.func.vjp

    def joint(images: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        if tapped is None:
            logits, back = vjp(logits_of, images)
            return logits, back(above)[0]
        tapped.instead = None
        logits_of(images)
        assert tapped.leaving is not None

        def rest(at: Tensor) -> Tensor:
            tapped.instead = at
            found: Tensor = logits_of(images)
            return found

        logits, back = vjp(rest, tapped.leaving)
        return logits, back(above)[0]

    return joint


class CompiledGradients(Differentiable):
    """`Differentiable` whose passes of exactly images x copies rows are compiled; others run as they did."""

    passes: CompiledPasses | None = None

    def __init__(
        self, audited: Audited, form: dict[str, Any], device: torch.device, images: int, copies: int
    ) -> None:
        """An attack's gradient takes `images` images with `copies` noisy copies each. Not compiled, with a
        warning: on a GPU, a network that draws at random, and what the compiler or the comparison refuses.
        """
        super().__init__(audited, form, device)
        if device.type != "cpu":
            why = f"only on processors, and this is {device.type}"
        elif audited.chance:
            why = "the network draws at random"
        else:
            with full_float32(device):
                why = self._compile(audited.probes.to(device), images, copies)
        self.compared["compiled"] = why or True
        if why:
            self.passes = None
            warn(audited.run, f"is attacked without compiled gradients: {why}")

    def _compile(self, probes: Tensor, images: int, copies: int) -> str:
        """Takes compiled passes; returns why not to use them."""
        x = probes.repeat(-(-images // len(probes)), 1, 1, 1)[:images]
        draws = torch.Generator(probes.device).manual_seed(0)
        noise = torch.randn(images, copies, *x.shape[1:], generator=draws, device=probes.device)
        z = SPREAD * noise
        try:
            exact: Any = copied(self)
            exact.network.double()
            exact.dtype = torch.float64
            truth = _both(exact, x[:EXACT].double(), z[:EXACT].double())
            before = _errors(_both(self, x[:EXACT], z[:EXACT]), truth)
            self.passes = CompiledPasses(self, add_noise(x, z))
            after = _errors(_both(self, x, z), truth)
        except Exception as error:  # of a compiler, or of a network that torch.fx cannot write down
            if ran_out(error):
                raise
            return one_line(error)
        for name, least, found in zip(("logits", "gradients"), before, after, strict=True):
            self.compared[f"compiled {name}"] = found
            if not found <= TOLERATED * least + SLACK:
                return f"its {name} are {found:.2g} of their norm from the exact ones, {least:.2g} uncompiled"
        return ""

    def forward(self, images: Tensor) -> Tensor:
        if self.passes is None or (images.shape, images.dtype) != (self.passes.shape, torch.float32):
            return super().forward(images)
        with full_float32(images.device):
            return self.passes(images, 1 if self.first is None else self.first.copies)


def _both(seen: Differentiable, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of a sum of differently weighted ones."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        logits = seen.of_copies(leaf, z)
        weights = torch.linspace(1, 2, logits.shape[1], dtype=logits.dtype, device=logits.device)
        return logits.detach(), torch.autograd.grad((logits * weights).sum(), leaf)[0]


def _errors(found: Sequence[Tensor], truth: Sequence[Tensor]) -> list[float]:
    """Euclidean distances of the first rows from `truth`, as shares of its norm."""
    return [
        float((a[: len(b)].double() - b).norm() / b.norm().clamp_min(torch.finfo(b.dtype).tiny))
        for a, b in zip(found, truth, strict=True)
    ]
