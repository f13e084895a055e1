"""A trained network as attacks see it: differentiable in the image, and no slower than it has to be.

The judge is the inference form; what is differentiated here only proposes images to it, so it may round in
its own way. It has the form's precision, folded batch norm and memory format, without the compiler and the
fixed batch. Parameters take no gradients.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rs.inference import fold_batch_norm
from rs.interfaces import UserError


class Differentiable(nn.Module):
    """float32 images [B, C, H, W] in any layout to float32 logits, through a network of another precision."""

    def __init__(self, network: nn.Module, form: dict[str, Any], device: torch.device) -> None:
        """`form` has `precision`. The given network is left as it is."""
        super().__init__()
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[form["precision"]]
        folded, _ = fold_batch_norm(copy.deepcopy(network).eval().requires_grad_(False))
        self.network = folded.to(device, self.dtype).to(memory_format=torch.channels_last)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.to(self.dtype, memory_format=torch.channels_last))
        return logits.float()


INSTEAD = "; attack it with square_linf, or by transfer from a run that has them"


def require_gradients(
    network: nn.Module, image: Tensor, manifest: Path, needed_by: str, instead: str = INSTEAD
) -> None:
    """UserError where the logits of `image` [C, H, W] cannot be differentiated with respect to it."""
    with torch.enable_grad():
        logits = network(image[None].detach().requires_grad_())
    if not logits.requires_grad:
        message = f"the model has no gradients with respect to its images; {needed_by} needs them"
        raise UserError(f"{manifest}: {message}{instead}")
