"""Networks for 8x8 digits as others write them: what folding and channels_last would change, and what breaks
an assumption of certification. Weights do not matter; batch norms get statistics of their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, weight_norm

SHAPE = (1, 8, 8)


class Convolutional(nn.Module):
    """A stem, a convolution with two batch norms, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 4 * 4, 10)

    def features(self, h: Tensor) -> Tensor:
        return torch.relu(self.first(self.conv(h)))

    def forward(self, x: Tensor) -> Tensor:
        h = self.features(torch.relu(self.stem(x)))
        return self.head(F.max_pool2d(h, 2).flatten(1))


class Shared(Convolutional):
    """The convolution is applied twice, each time with a norm of its own."""

    def features(self, h: Tensor) -> Tensor:
        return torch.relu(self.second(self.conv(super().features(h))))


class Alone(Convolutional):
    """The convolution is used a second time without its norm."""

    def features(self, h: Tensor) -> Tensor:
        return torch.relu(self.conv(super().features(h)))


class WeightRead(Convolutional):
    """The convolution's weight is read elsewhere."""

    def features(self, h: Tensor) -> Tensor:
        return super().features(h) * (1 + self.conv.weight.square().mean())


def hooked() -> nn.Module:
    """A hook between the convolution and its norm changes what goes through."""
    network = Convolutional()
    network.conv.register_forward_hook(lambda module, inputs, out: out.clamp(-0.2, 0.2))
    return network


def hooked_itself() -> nn.Module:
    """A hook on the network, which a trace of it leaves out."""
    network = Convolutional()
    network.register_forward_hook(lambda module, inputs, out: out.roll(1, 1))
    return network


class BranchOnValues(Convolutional):
    """Control flow on a tensor: it cannot be traced."""

    def features(self, h: Tensor) -> Tensor:
        return super().features(h if h.isfinite().all() else h.nan_to_num())


class ViewAfterConvolution(nn.Module):
    """`view` needs contiguous memory; channels_last is not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 8, 3), nn.Linear(8 * 6 * 6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.conv(x)).view(-1, 8 * 6 * 6))


class ReadsMemory(ViewAfterConvolution):
    """Reads its activations in the order in which they lie in memory."""

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.conv(x))
        return self.out(h.as_strided((len(h), 288), (288, 1)))


class Standardised(nn.Conv2d):
    """Convolves with other weights than it holds."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, padding=self.padding)


def standardised() -> nn.Module:
    return _sequence(Standardised(1, 8, 3, padding=1))


def hooked_first() -> nn.Module:
    """A hook on the first convolution of a sequence."""
    first = nn.Conv2d(1, 8, 3, padding=1)
    first.register_forward_hook(lambda module, inputs, out: out.square())
    return _sequence(first)


def _sequence(first: nn.Module) -> nn.Module:
    rest = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    return nn.Sequential(first, nn.ReLU(), *rest)


class Base(nn.Module):
    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.hidden, self.norm, self.out = nn.Linear(64, 32), norm or nn.Identity(), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.norm(self.hidden(x.flatten(1)))))


def batch_statistics() -> nn.Module:
    return Base(nn.BatchNorm1d(32, track_running_stats=False))


class ActiveDropout(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, 0.5))


class SharedDraw(Base):
    """One random shift for all images of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.3 * torch.randn(x.shape[1:], dtype=x.dtype, device=x.device))


class DropoutAndBatchStatistics(ActiveDropout):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(32, track_running_stats=False))


class AlwaysTraining(Base):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(32))

    def train(self, mode: bool = True) -> nn.Module:
        return super().train(True)


class ChangesByItself(Base):
    """Adds more to the first logit at every call."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) + self.calls * F.one_hot(torch.tensor(0, device=x.device), 10)


class RemembersImages(Base):
    """Adds the mean of the last batch; the same batch twice gives the same answer the third time."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(64))

    def forward(self, x: Tensor) -> Tensor:
        key, before = x.flatten(1).mean(0), self.seen
        self.seen = key
        return super().forward(x) + (before.sum() if not torch.equal(before.to(key), key) else 0.0)


class ByPlace(Base):
    """The first image of a batch is treated differently."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + (torch.arange(len(x), device=x.device) == 0))[:, None]


class ByBatchSize(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if len(x) == 1 else 1)


class Squeezes(Base):
    """Loses the batch where it holds one image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze()


class ByGradient(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if torch.is_grad_enabled() else 1)


class NotANumber(Base):
    """Some noisy images give NaN."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return torch.where((x.flatten(1)[:, 20] > 0.55)[:, None], y / 0.0 - y / 0.0, y)


class Float32Inside(Base):
    """Computes in float32 whatever it is given, and says so to nobody."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.linear(x.flatten(1).float(), self.hidden.weight.float(), self.hidden.bias.float())
        return self.out(F.relu(hidden).to(x.dtype))


class Float32Only(Base):
    """A constant that is no buffer: `double()` does not reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = torch.eye(10).roll(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) @ self.mixing


class IntegerWeights(Base):
    """Weights as whole numbers with a scale, as quantised networks store them."""

    def __init__(self) -> None:
        super().__init__()
        scale = self.hidden.weight.abs().max() / 127
        self.register_buffer("whole", (self.hidden.weight / scale).to(torch.int8))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.whole.to(x.dtype) / 127
        return self.out(F.relu(F.linear(x.flatten(1), weight)))


class ChangesItsInput(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5))


class CannotBeCopied(Base):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("holds an open file")


def tied() -> nn.Module:
    """Two layers share one parameter."""
    network = Convolutional()
    network.first.weight = network.second.weight = nn.Parameter(torch.rand(8) + 0.5)
    return network


def scripted() -> nn.Module:
    with warnings.catch_warnings(action="ignore"):  # deprecated, and in use
        return torch.jit.script(with_statistics(Convolutional()).eval())


def parametrised() -> nn.Module:
    network = Convolutional()
    parametrizations.weight_norm(network.conv)
    return network


def old_weight_norm() -> nn.Module:
    network = Convolutional()
    with warnings.catch_warnings(action="ignore"):
        weight_norm(network.conv)
    return network


def with_statistics(network: nn.Module) -> nn.Module:
    """Batch norms with statistics and weights far from the identity."""
    draws = torch.Generator().manual_seed(4)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.copy_(torch.randn(module.num_features, generator=draws))
            module.running_var.copy_(torch.rand(module.num_features, generator=draws) + 0.1)
    return network


def made(build: Callable[[], nn.Module]) -> nn.Module:
    """The network as a job has it: in evaluation mode, without gradients."""
    torch.manual_seed(0)
    network = build()
    if not isinstance(network, torch.jit.ScriptModule):
        with_statistics(network)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()
