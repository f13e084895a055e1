"""The inference form: the one shape in which a network votes, is judged and predicts.

Precision, memory format, batch shape, folded batch norm and whether it is compiled are fixed before an
image's first vote (rs.forms) and stored with the draws: a bfloat16 network, or another batch shape, rounds
differently and is its own base classifier.

Batch norm is folded into the convolution before it, in float32, before any rounding to bfloat16. Compiled
forms go through `torch.compile` with frozen weights, with CUDA graphs on a GPU; generated code is kept
on disk, tracing is paid by every process. Batches are padded to one shape: another one would be
compiled anew and round differently.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._dynamo import config as dynamo
from torch._inductor import config as inductor
from torch.fx.experimental.optimization import fuse

from rs.devices import warn_if_slow
from rs.interfaces import UserError
from rs.spec import FORM


class InferenceForm:
    """Calls a network on batches of exactly `batch` images: float32 images in, float32 logits out."""

    def __init__(self, network: nn.Module, form: dict[str, Any], device: torch.device, classes: int) -> None:
        """`form` has `precision`, `batch` and `compiled`. The given network is left as it is."""
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32
        torch.backends.cuda.matmul.allow_tf32 = False
        warn_if_slow(form["precision"], device)
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[form["precision"]]
        network, folded = fold_batch_norm(copy.deepcopy(network).eval().requires_grad_(False))
        network = network.to(device, self.dtype).to(memory_format=torch.channels_last)
        self.network = compiled(network, device) if form["compiled"] else network
        self.batch, self.device, self.classes = int(form["batch"]), device, classes
        self.description = {**{key: form[key] for key in FORM}, "folded": folded, "device": device.type}
        self._input: Tensor | None = None
        self._finite = torch.ones((), dtype=torch.bool, device=device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of B <= batch images [B, C, H, W], good until the next call."""
        shape = (self.batch, *images.shape[1:])
        if self._input is None or self._input.shape != shape:
            self._input = torch.zeros(shape, dtype=self.dtype, device=self.device)
            self._input = self._input.contiguous(memory_format=torch.channels_last)
        self._input[: len(images)].copy_(images)  # rounds and reorders in one pass
        self._input[len(images) :].zero_()
        logits: Tensor = self.network(self._input).float()
        if logits.shape != (self.batch, self.classes):
            expected = [self.batch, self.classes]
            raise UserError(
                f"the model's output is {list(logits.shape)}; expected {expected} (batch, classes)"
            )
        return logits[: len(images)]

    def classify(self, images: Tensor) -> Tensor:
        """Classes int64 [B] of B <= batch images [B, C, H, W]. `check` comes after."""
        logits = self(images)
        self._finite &= logits.isfinite().all()
        return logits.argmax(1)

    def vote(
        self, image: Tensor, votes: int, noise: Callable[[int], Tensor], betas: Sequence[float] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Counts int64 [classes] of `votes` predictions of `image` [C, H, W] + noise(rows) [rows, C, H, W].

        Also the sums and sums of squares of softmax(beta * logits), float64 [len(betas), classes]. All stay
        on the device, nothing waits for it, and memory does not grow with `votes`. `check` comes after.
        """
        counts = torch.zeros(self.classes, dtype=torch.int64, device=self.device)
        sums = torch.zeros(len(betas), self.classes, dtype=torch.float64, device=self.device)
        squares = torch.zeros_like(sums)
        one = torch.ones((), dtype=torch.int64, device=self.device)
        for start in range(0, votes, self.batch):
            rows = min(self.batch, votes - start)
            logits = self(noise(rows).add_(image))
            self._finite &= logits.isfinite().all()
            # bincount would make a GPU wait for the host
            counts.scatter_add_(0, logits.argmax(1), one.expand(rows))
            for i, beta in enumerate(betas):
                scores = (beta * logits).softmax(1).double()
                sums[i] += scores.sum(0)
                squares[i] += scores.square().sum(0)
        return counts, sums, squares

    def check(self) -> None:
        """Raises UserError where a logit of any vote so far was infinite or NaN. Waits for the device."""
        if not bool(self._finite):
            raise UserError("the model's logits are not finite: it did not train, or its range is too small")


def compiled(network: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network compiled for one shape, with its weights frozen as constants; RuntimeError where it would
    quietly run another form.
    """
    options: dict[str, str | int | bool | Callable[..., Any]] = {"triton.cudagraphs": device.type == "cuda"}
    run = torch.compile(network, dynamic=False, fullgraph=True, options=options)
    # asked of the configuration while a network is traced, which is at its first call: the option of
    # torch.compile comes too late. Past its limit of networks the tracer would run them uncompiled.
    settings = inductor.patch(freezing=True), dynamo.patch(fail_on_recompile_limit_hit=True)

    def call(images: Tensor) -> Tensor:
        with settings[0], settings[1]:
            logits: Tensor = run(images)
        return logits

    return call


def fold_batch_norm(network: nn.Module) -> tuple[nn.Module, bool]:
    """The network with every batch norm that follows a convolution folded into it, and whether that went."""
    if not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules()):
        return network, False
    try:
        return fuse(network), True
    except (fx.proxy.TraceError, TypeError, AttributeError, RuntimeError):  # control flow on tensors
        return network, False
