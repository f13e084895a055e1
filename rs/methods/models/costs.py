"""The cost of a network, by default on torch's meta device, where nothing is computed. Not a model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

CLASSES = 10  # the last layer's share is small; studies are priced by the others


def counted(network: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Counts of a network, on the meta device or another, for one image of `shape`: multiply-adds of a
    forward pass; numbers in its layers' outputs (kept for a backward pass); weights, including buffers.
    """
    outputs = 0

    def add(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal outputs
        outputs += output.numel()

    network.eval()
    leaves = [m for m in network.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(add) for m in leaves]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape, device=next(network.parameters()).device))
    for hook in hooks:
        hook.remove()
    weights = sum(value.numel() for value in network.state_dict().values())
    return {"multiply_adds": counter.get_total_flops() // 2, "outputs": outputs, "weights": weights}


def costs(model: Any) -> dict[str, dict[str, int]]:
    """`counted` of an architecture, keyed by each shape that it takes, such as "3x32x32"."""
    found = {}
    for shape in model.shapes:
        with torch.device("meta"):
            network = model.build(shape, CLASSES, [0.5] * shape[0], [0.5] * shape[0])
        found["x".join(map(str, shape))] = counted(network, shape)
    return found
