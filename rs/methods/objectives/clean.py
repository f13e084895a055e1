"""Plain training: cross-entropy of the images as they are ("undefended" in Figure 1 of NAL).

It sees no noise, so a run has noise `none`; `smoothing` names the noise under which the network is observed.
Departures: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch.nn import functional as F

from rs.settings.passes import Passes

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class Clean:
    """Cross-entropy without noise."""

    source: ClassVar[str] = "cross-entropy without noise or attack"
    noises: ClassVar[frozenset[str]] = frozenset({"none"})
    passes: ClassVar[Passes] = {"update": (1, 1)}

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss = F.cross_entropy(model(x), y)
        return loss, {"cross_entropy": loss.detach()}
