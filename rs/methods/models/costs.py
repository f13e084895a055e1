"""The cost of a network, by default on torch's meta device, where nothing is computed. Not a model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

CLASSES = 10  # the last layer's share is small; studies are priced by the others


class _Operations(TorchDispatchMode):
    """Counts operations that compute: views of memory launch no kernel on a GPU."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not operation.is_view
        return operation(*args, **(kwargs or {}))


def counted(network: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Counts of a network, on the meta device or another, for one image of `shape`: multiply-adds of a
    forward pass; numbers in its layers' outputs (kept for a backward pass); weights, including buffers;
    operations of a forward pass, each of which a GPU launches.
    """
    outputs = 0

    def add(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal outputs
        outputs += output.numel()

    network.eval()
    leaves = [m for m in network.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(add) for m in leaves]
    image = torch.zeros(1, *shape, device=next(network.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    with _Operations() as operations, torch.no_grad():
        network(image)
    weights = sum(value.numel() for value in network.state_dict().values())
    found = {"multiply_adds": counter.get_total_flops() // 2, "outputs": outputs, "weights": weights}
    return found | {"operations": operations.count}


def costs(model: Any) -> dict[str, dict[str, int]]:
    """`counted` of an architecture, keyed by each shape that it takes, such as "3x32x32"."""
    found = {}
    for shape in model.shapes:
        with torch.device("meta"):
            network = model.build(shape, CLASSES, [0.5] * shape[0], [0.5] * shape[0])
        found["x".join(map(str, shape))] = counted(network, shape)
    return found
