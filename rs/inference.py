"""The inference form: the one shape in which a network votes, is judged and predicts.

Precision, memory format, batch shape and whether it is compiled are fixed before an image's first vote and
stored with the draws: a bfloat16 network, or another batch shape, rounds differently and is its own base
classifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rs.interfaces import UserError

FORM = ("precision", "batch", "compiled")


class InferenceForm:
    """Calls a network on batches of exactly `batch` images: float32 images in, float32 logits out."""

    def __init__(self, network: nn.Module, form: dict[str, Any], device: torch.device, classes: int) -> None:
        """`form` has `precision`, `batch` and `compiled`, as a study's `sampling` gives them."""
        self.form = {key: form[key] for key in FORM}
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[form["precision"]]
        network = network.eval().requires_grad_(False).to(device, self.dtype)
        network = network.to(memory_format=torch.channels_last)
        self.network = torch.compile(network, options={"freezing": True}) if form["compiled"] else network
        self.batch, self.device, self.classes = int(form["batch"]), device, classes

    @property
    def description(self) -> dict[str, Any]:
        """What is stored with every draw; draws of different descriptions are never merged."""
        return {**self.form, "device": self.device.type}

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of B <= batch images [B, C, H, W]; short batches are padded to the shape."""
        missing = self.batch - len(images)
        full = torch.cat([images, images.new_zeros(missing, *images.shape[1:])]) if missing else images
        full = full.to(self.dtype).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(full).float()
        if logits.shape != (self.batch, self.classes):
            expected = [self.batch, self.classes]
            raise UserError(f"the model's output is {list(logits.shape)}; expected {expected}")
        return logits[: len(images)]

    def vote(
        self, image: Tensor, votes: int, noise: Callable[[int], Tensor], betas: tuple[float, ...] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Counts int64 [classes] of `votes` predictions of `image` [C, H, W] + noise(rows) [rows, C, H, W].

        Also the sums and sums of squares of softmax(beta * logits), float64 [len(betas), classes]. All stay
        on the device, and memory does not grow with `votes`.
        """
        counts = torch.zeros(self.classes, dtype=torch.int64, device=self.device)
        sums = torch.zeros(len(betas), self.classes, dtype=torch.float64, device=self.device)
        squares = torch.zeros_like(sums)
        finite = torch.ones((), dtype=torch.bool, device=self.device)
        for start in range(0, votes, self.batch):
            rows = min(self.batch, votes - start)
            logits = self(noise(rows).add_(image))
            finite &= logits.isfinite().all()
            counts += torch.bincount(logits.argmax(1), minlength=self.classes)
            for i, beta in enumerate(betas):
                scores = (beta * logits).softmax(1).double()
                sums[i] += scores.sum(0)
                squares[i] += scores.square().sum(0)
        if not bool(finite):
            raise UserError("the model's logits are not finite: it did not train, or its range is too small")
        return counts, sums, squares
