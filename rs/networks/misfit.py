"""What a network takes that fails on the images it was given: found by trying, for the line that refuses it.

A library's own words ("expected input[2, 3, 8, 8] to have 1 channels") name no option and no remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Kind = Literal["range", "layout", "channels", "rows", "size"]
CHANNELS = (1, 3, 4, 2)
SIDES = (8, 16, 28, 32, 64, 96, 128, 160, 224, 256, 299, 384)
FEW = 3  # sizes that a line names


class Misfit(NamedTuple):
    """What the network takes instead, as data and as words. `channels` are those of the images it takes."""

    kind: Kind
    channels: int
    text: str


def misfit(network: Callable[[Tensor], object], images: Tensor) -> Misfit | None:
    """How images [N, C, H, W] must differ for the network in evaluation mode to take them. None where it
    takes them as they are, and where it takes nothing that is tried.
    """
    if _takes(network, images):
        return None
    return next((other for other, changed in _others(images) if _takes(network, changed)), None) or _sizes(
        network, images
    )


def hint(network: Callable[[Tensor], object], images: Tensor) -> str:
    """The end of a line that says that the network fails on these images; empty where nothing is known."""
    found = misfit(network, images)
    if found is None:
        return ""
    repeat = "; repeat the grey one: begin it with x.expand(-1, 3, -1, -1)" if found.channels == 3 else ""
    return f"; it takes {found.text}{repeat * (images.shape[1] == 1)}"


def narrow(network: nn.Module) -> str:
    """The end of a line about a network with weights that are not float32; empty for others."""
    kinds = {p.dtype for p in network.parameters() if p.is_floating_point()} - {torch.float32}
    names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    return f"; it has weights in {names}: return it in float32, network.float()" if kinds else ""


def _takes(network: Callable[[Tensor], object], images: Tensor) -> bool:
    try:
        with torch.no_grad():
            network(images.clone())
    except Exception:  # a user's network may raise anything
        return False
    return True


def _others(images: Tensor) -> Iterator[tuple[Misfit, Tensor]]:
    """Images that are like these but for one fact, or for two; likeliest first."""
    channels = images.shape[1]
    alone = "values in [0, 1] alone, which noise leaves: begin it with x.clamp(0, 1)"
    yield Misfit("range", channels, alone), images.clamp(0, 1)
    for number in (channels, *(c for c in CHANNELS if c != channels)):
        x = images[:, :1].expand(-1, number, -1, -1)
        of = f"images of {number} channel{'s' * (number > 1)}"
        if number != channels:
            yield Misfit("channels", number, of), x
        last = f"{of} that come last, [B, H, W, {number}]: begin it with x.permute(0, 2, 3, 1)"
        yield Misfit("layout", number, last), x.permute(0, 2, 3, 1).contiguous()
        rows = x.flatten(1)
        text = f"rows of {rows.shape[1]} numbers, [B, {rows.shape[1]}]: begin it with x.flatten(1)"
        yield Misfit("rows", number, text), rows


def _sizes(network: Callable[[Tensor], object], images: Tensor) -> Misfit | None:
    channels = images.shape[1]
    for number in dict.fromkeys((channels, 1, 3)):
        sides = [s for s in SIDES if _takes(network, torch.zeros(len(images), number, s, s).to(images))]
        if sides:
            sizes = ", ".join(f"{number}x{side}x{side}" for side in sides[:FEW])
            more = ", ..." if len(sides) > FEW else ""
            return Misfit("size", number, f"images of other sizes: {sizes}{more}")
    return None
