"""One training run in several processes, each of which computes its share of every batch.

The network is distributed, not the objective. Every process holds the whole batch, draws the same
augmentation and noise from the same generators and calls the objective on all of it. `Replica` sends this
process's share of the rows through the network, under DistributedDataParallel, and returns all processes'
logits; gradients with respect to images come back whole too. So for any objective, however it draws and
whatever it averages over, the result is that of one process up to the order of float additions. The price is
that every process repeats element-wise work on images (noise, augmentation, the steps of an ascent): little
beside the network's work on the few GPUs of one machine, more on dozens. Only a network that draws itself
(dropout) draws otherwise in several processes than in one.

Batch norm is synchronised: on GPUs by torch's class, which has no CPU kernels, on CPUs by ours.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rs.networks.images import Batch, Resident, Streamed


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Joins the other processes, if torchrun started this one, and leaves them if the block succeeds."""
    if not dist.is_torchelastic_launched():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    yield
    dist.destroy_process_group()  # not after an error: it could wait for others for ever


def processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes files and reports progress."""
    return rank() == 0


def bounds(rows: int) -> list[int]:
    """Where the shares of `rows` rows begin, and the end: process i has rows bounds[i] to bounds[i + 1]."""
    return [rows * i // processes() for i in range(processes() + 1)]


def share(rows: Tensor) -> Tensor:
    """This process's rows."""
    edges, i = bounds(len(rows)), rank()
    return rows[edges[i] : edges[i + 1]]


@torch.no_grad()
def gather(own: Tensor, rows: int) -> Tensor:
    """All `rows` rows in order, from the shares of all processes."""
    edges, largest = bounds(rows), -(-rows // processes())
    sent = own.new_zeros((largest, *own.shape[1:]))
    sent[: len(own)] = own
    received = [torch.empty_like(sent) for _ in range(processes())]
    dist.all_gather(received, sent)
    return torch.cat([p[: edges[i + 1] - edges[i]] for i, p in enumerate(received)])


class _Share(torch.autograd.Function):
    """Forward: all rows -> this process's rows. Backward: gathers the gradients of all rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        return share(rows).clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gather(gradients[0], ctx.rows)


class _Gather(torch.autograd.Function):
    """Forward: this process's rows -> all rows. Backward: every process has the same gradient and keeps its
    share.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, rows: int) -> Tensor:
        return gather(own, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return share(gradients[0]), None


class _Sum(torch.autograd.Function):
    """The sum of every process's tensor, in all processes; backward likewise."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])


class Replica(nn.Module):
    """A network [B, C, H, W] -> [B, K] of which this process computes its share; inputs and logits are the
    same in all processes.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # newer versions of torch renamed it; the oldest supported one lacks the new name
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            self.model = DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = _Gather.apply(self.model(_Share.apply(x)), len(x))
        return logits


def backward(loss: Tensor) -> None:
    """Backward pass of a loss that all processes computed, into the parameters of all of them."""
    loss.backward(torch.full_like(loss, processes()))  # DistributedDataParallel averages; the shares add up


class SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the rows of all processes, each of which may have a different number, or none."""

    def _check_input_dim(self, x: Tensor) -> None:
        """Takes [N, C] and [N, C, ...]."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training and self.running_mean is not None:
            return super().forward(x)
        y = x.float()
        others, shape = [0, *range(2, y.dim())], (-1, *[1] * (y.dim() - 2))
        total = _Sum.apply(torch.cat([y.sum(others), y.new_tensor([y.numel() / y.shape[1]])]))
        n = total[-1].detach()
        mean = total[:-1] / n
        centred = y - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(others)) / n
        if (
            self.running_mean is not None
            and self.running_var is not None
            and self.num_batches_tracked is not None
        ):
            self.num_batches_tracked.add_(1)
            # without a momentum, the mean of all batches so far
            weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.detach(), weight)
            self.running_var.lerp_(variance.detach() * n / (n - 1), weight)
        scale = torch.rsqrt(variance + self.eps)
        if not self.affine:
            plain: Tensor = centred * scale.view(shape)
            return plain.to(x.dtype)
        scaled = (self.weight * scale).view(shape)
        return torch.addcmul(self.bias.view(shape), centred, scaled).to(x.dtype)


def synchronise_batch_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """The network with every batch norm synchronised; its state has the same names."""
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = SynchronisedBatchNorm  # settings and state stay
    return network


def batches(images: Resident | Streamed, order: Tensor, batch_size: int) -> Iterator[Batch]:
    """`images.batches`: whole batches in every process; each decodes its share of streamed images."""
    if processes() == 1 or isinstance(images, Resident):
        yield from images.batches(order, batch_size)
        return
    whole = len(order) // batch_size * batch_size  # up to here shares have one size
    for part in (order[:whole], order[whole:]):
        if 0 < len(part) < processes():
            yield from images.batches(part, batch_size)
        if len(part) < processes():
            continue
        pieces = part.split(batch_size)
        own = [share(piece) for piece in pieces]
        for piece, (x, _) in zip(pieces, images.batches(torch.cat(own), len(own[0])), strict=True):
            yield gather(x, len(piece)), images.labels[piece.to(images.labels.device, non_blocking=True)]
