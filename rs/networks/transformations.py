"""Transformations that make a network fast. Each is shown to be the same function, or left out.

Function and rounding are separate questions. Folded batch norm and another memory format must not change the
function: they are compared with the original network in float64, where equal means equal up to the last
digits. torch.fx's `fuse` alone cannot be trusted: it changes a network whose convolution is applied twice, is
also used without its norm, has a hook, or whose weight is read elsewhere. Float32, bfloat16 and compiled code
round differently; they are judged by the votes that this changes.

A network that cannot be computed in float64 cannot be shown to be equal, and stays as it is.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from rs.errors import UserError
from rs.machine.memory import ran_out

# Relative to the largest logit. Float64 rounds at 1e-16, and float32, in which the network votes, at 6e-8.
EQUAL = 1e-9
EXACT = 4  # images of a comparison in float64; rounding is judged on all given images
# The largest share of votes that rounding may change. Trained networks lose 0.1 % of them to bfloat16.
DIFFERING = {torch.float32: 0.01, torch.bfloat16: 0.05}
SPEED_ALONE = "; this can cost speed, and changes no result"  # ends warnings that a network stays as it is


@dataclass(frozen=True)
class Transformed:
    """A network on its device and its transformations. `compared` has the largest difference from the plain
    network's logits, as a share of the largest, or why there is none. `exact`: whether it runs in float64.
    """

    network: nn.Module
    folded: bool
    layout: torch.memory_format
    compared: dict[str, Any]
    exact: bool = False


def transformed(plain: nn.Module, images: Tensor, run: str, fold: bool = True) -> Transformed:
    """The plain float32 network on the device of the images [N, C, H, W], folded and in channels_last where
    it stays the same function on them, with a warning where it does not. The given network is not changed.
    """
    try:
        network, images = copied(plain, run).double(), images[:EXACT].double()
        with torch.no_grad():
            truth = network(images.clone())
    except Exception as error:  # a user's network may raise anything
        if ran_out(error) or isinstance(error, UserError):
            raise
        why = f"does not compute in float64 ({one_line(error)})"
        stays = f"neither folded nor in channels_last: it {why}, where that would be shown equal"
        warn(run, f"{stays}{SPEED_ALONE}")
        return Transformed(copied(plain, run), False, torch.contiguous_format, {"folded": why, "layout": why})
    compared: dict[str, Any] = {}
    folded = False
    if fold and norms(network):
        candidate, compared["folded"] = folding(copied(network, run))
        if candidate is not None:
            compared["folded"] = distance(candidate, images, truth)
            folded = equal(compared["folded"])
            if not folded:
                stays = f"batch norm is not folded: the folded network {deviation(compared['folded'])}"
                warn(run, f"{stays}{SPEED_ALONE}")
            network = candidate if folded else network
    layout, candidate = torch.channels_last, copied(network, run).to(memory_format=torch.channels_last)
    compared["layout"] = distance(candidate, images.contiguous(memory_format=layout), truth)
    if equal(compared["layout"]):
        return Transformed(candidate, folded, layout, compared, True)
    stays = f"computes in contiguous memory: in channels_last it {deviation(compared['layout'])}"
    warn(run, f"{stays}{SPEED_ALONE}")
    return Transformed(network, folded, torch.contiguous_format, compared, True)


def equal(found: float | str) -> bool:
    return isinstance(found, float) and found <= EQUAL


def training_layout(network: nn.Module, image: Sequence[int], device: torch.device) -> torch.memory_format:
    """channels_last if the network, on images [C, H, W] = `image`, stays the same function in it and can be
    trained in it; else contiguous, with a warning. The given network is not changed.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus), torch.enable_grad():  # dropout draws from the process's generators
        x = torch.rand(EXACT, *image, generator=torch.Generator().manual_seed(0)).to(device)
        shown = transformed(copied(network).to(device), x, "training", fold=False)
        if shown.layout == torch.channels_last:
            try:
                trained = copied(network).to(device).train().requires_grad_()
                trained = trained.to(memory_format=torch.channels_last)
                trained(x.contiguous(memory_format=torch.channels_last)).sum().backward()
            except Exception as error:
                if ran_out(error):
                    raise
                fails = f"in channels_last it fails ({one_line(error)})"
                warn("training", f"computes in contiguous memory: {fails}{SPEED_ALONE}")
                return torch.contiguous_format
    return shown.layout


def distance(network: Callable[[Tensor], Tensor], images: Tensor, truth: Tensor) -> float | str:
    """Largest difference of logits from the true ones, as a share of the largest of those, or why there are
    none.
    """
    try:
        with torch.no_grad():
            logits = network(images.clone())  # a network may change its input
    except Exception as error:
        if ran_out(error):
            raise
        return one_line(error)
    return apart(logits, truth)


def apart(found: Tensor, truth: Tensor) -> float:
    """Largest difference as a share of the largest finite entry of `truth`; infinite where shapes differ or
    where only one of the two is finite.
    """
    if found.shape != truth.shape:
        return float("inf")
    # entries that are the same infinity, or NaN in both, do not differ
    same = (found == truth) | (found.isnan() & truth.isnan())
    difference = torch.where(same, torch.zeros_like(truth), (found - truth).abs())
    scale = torch.where(truth.isfinite(), truth.abs(), torch.zeros_like(truth)).max()
    share = (difference / scale.clamp_min(torch.finfo(truth.dtype).tiny)).max()
    return float("inf") if bool(share.isnan()) else float(share)


def deviation(compared: float | str) -> str:
    """How a changed network compares with the plain one: its largest difference, or why it fails."""
    if isinstance(compared, str):
        return f"fails ({compared})"
    return f"is another function (differences of {compared:.2g} of the largest logit)"


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def folding(network: nn.Module) -> tuple[nn.Module | None, str]:
    """The network with batch norms folded into the layers before them, not yet shown to be equal; or why
    not.
    """
    try:
        traced = fx.symbolic_trace(network)  # without unused parts
        folded = fuse(traced, no_trace=True)
    except Exception as error:  # control flow on tensors, a scripted network, a parametrised weight, ...
        return None, f"cannot be folded ({one_line(error)})"
    if norms(folded) == norms(traced):
        return None, "no batch norm follows a convolution"
    return folded, ""


def differing(network: Callable[[Tensor], Tensor], images: Tensor, votes: Tensor, batch: int) -> float:
    """Share of the images whose class is not the one in `votes` int64 [N], in batches of at most `batch`."""
    with torch.no_grad():
        found = torch.cat([network(part.clone()).argmax(1) for part in images.split(batch)])
    return float((found != votes).double().mean())


def copied(network: nn.Module, run: str = "the model") -> nn.Module:
    """A copy in evaluation mode whose parameters take no gradients. UserError where it cannot be copied."""
    for module in network.modules():
        for name, value in list(vars(module).items()):
            # a weight computed by an older weight_norm, which computes it anew at every call
            if isinstance(value, Tensor) and value.grad_fn is not None:
                setattr(module, name, value.detach())
    try:
        with torch.no_grad():  # else the weights of a scripted network's copy are results of the originals
            twin = copy.deepcopy(network)
    except Exception as error:  # a user's network may hold anything
        reason = one_line(error)
        raise UserError(
            f"{run}: the network cannot be copied ({reason}); copy.deepcopy of it must work"
        ) from error
    for parameter in twin.parameters():  # scripted networks have no requires_grad_
        parameter.requires_grad_(False)
    return twin.eval()


def warn(run: str, message: str) -> None:
    warnings.warn(f"{run}: {message}", RuntimeWarning, 3)


def one_line(error: BaseException) -> str:
    """`RuntimeError: first line`, cut to 200 characters."""
    text = str(error).strip() or "no message"
    return f"{type(error).__name__}: {text.splitlines()[0]}"[:200]
