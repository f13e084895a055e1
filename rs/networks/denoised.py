"""Denoised smoothing (Salman, Sun, Yang, Kapoor & Kolter, NeurIPS 2020): a denoiser before any classifier.

The smoothed base classifier is f(D(x)): D removes the noise, and f, which may never have seen noise,
classifies the result. Certificates hold as for any other base classifier. Both are networks of other runs, or
imported; their weights are copied (rs.stages.join), and nothing is trained. A diffusion model denoises in one
step (rs.networks.one_shot).

This module is not among the architectures, since it is built from any existing networks. Departures: none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.networks import checkpoints
from rs.networks.one_shot import OneShot
from rs.settings.references import NetworkOf


@dataclass(frozen=True)
class Denoised:
    """The network of the run `denoiser` before that of the run `classifier`, each by its label."""

    name: ClassVar[str] = "denoised"
    source: ClassVar[str] = "Salman, Sun, Yang, Kapoor & Kolter, NeurIPS 2020"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ()
    networks: ClassVar[dict[str, str]] = {"denoiser": "image", "classifier": "logits"}

    denoiser: NetworkOf
    classifier: NetworkOf

    def build(
        self, shape: tuple[int, int, int], classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> nn.Module:
        """`Sequential(denoiser, classifier)` with fresh weights: [B, C, H, W] -> logits [B, classes].

        Raises UserError if the labels were not replaced by networks, as a plan does.
        """
        data = {"shape": list(shape), "classes": classes, "mean": list(mean), "std": list(std)}
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for key in self.networks:
            part: Any = getattr(self, key)
            if not isinstance(part, dict):
                raise UserError(f"model {self.name}: {key} {part!r} is the label of a run, which a study has")
            parts[key] = checkpoints.build_model(part["model"], data)
            if "sigma" in part:
                parts[key] = OneShot(list(parts[key].children()), part["sigma"])
        return nn.Sequential(parts)


def check_images(denoiser: nn.Module, name: str, shape: Sequence[int]) -> None:
    """One pass: images [C, H, W] = `shape` in and out. Raises UserError where it fails or gives anything
    else.
    """
    size = "x".join(map(str, shape))
    try:
        with torch.no_grad():
            found = denoiser(torch.zeros(2, *shape))
    except Exception as error:  # a user's network may raise anything
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: fails on images of {size}: {reason}") from error
    if not isinstance(found, Tensor) or tuple(found.shape) != (2, *shape):
        output = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{name}: gives {output} for 2 images of {size}, not images of that size")
