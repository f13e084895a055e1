"""Label smoothing (Szegedy et al., CVPR 2016, section 7) under noise. Departures: the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from torch.nn import functional

from rs.settings.passes import Passes

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class SmoothedLabels:
    """Cross-entropy at x + z with the share `smoothing` of every label spread over all classes."""

    source: ClassVar[str] = "Szegedy et al., CVPR 2016"
    passes: ClassVar[Passes] = {"update": (1, 1)}

    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(x + noise.sample(x.shape, generator))
        loss = functional.cross_entropy(logits, y, label_smoothing=self.smoothing)
        return loss, {"cross_entropy": loss.detach()}
