"""Splits a model's preprocessing into the part before the noise and the part inside the network.

Noise is added to images in [0, 1], so sigma and radii are in those units. Resizing, cropping and the division
by 255 come first, and the certificate does not cover them. All that moves values away from [0, 1]
(normalisation, [-1, 1], [0, 255]) is one affine map per channel, (x - mean) / std, and becomes the network's
first layer. Noise added behind that map would have sigma * std in the units of the certificate.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.methods.data.images import LOSSLESS, refusal
from rs.methods.models.layers import Normalization, first_layer
from rs.settings.limits import LARGEST, LEVELS, is_level

if TYPE_CHECKING:
    from PIL.Image import Image

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
# Mean difference, in [0, 1], from the prepared image of the model's own library: rounding in resizes of
# tensors gives 0.3 levels of 255, another interpolation 0.7 and more.
APART = 0.5 / 255
Size = tuple[int, int]


@dataclass(frozen=True)
class Preprocessing:
    """How an image is prepared. `size` (H, W) is the network's input, cut from the centre; None leaves images
    as they are. `resize`, before the crop, is the shorter side or (H, W). `mean` and `std` per channel are in
    units of [0, 1]. `source` says who states this; `scale_known` is False where nothing states the scale of
    values.
    """

    source: str
    size: Size | None = None
    resize: int | Size | None = None
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale_known: bool = True

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            allowed = ", ".join(INTERPOLATIONS)
            raise UserError(f"certify: interpolation {self.interpolation}: none; allowed: {allowed}")
        if len(self.mean) != len(self.std) or self.channels not in LOSSLESS:
            problem = f"mean and std: {len(self.mean)} and {len(self.std)} numbers"
            raise UserError(f"certify: {problem}; must be one of each per channel, for 1 or 3 channels")
        if not all(abs(m) <= LARGEST for m in self.mean) or not all(map(is_level, self.std)):
            problem = f"mean must be at most {LARGEST}, std {LEVELS}"
            raise UserError(f"certify: {problem}")

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def plain(self) -> bool:
        """Whether the network takes images in [0, 1]."""
        return not any(self.mean) and set(self.std) == {1.0}

    def pixels(self, image: Image, place: str) -> np.ndarray:
        """uint8 [C, H, W]: all steps before the noise except the division by 255."""
        from torchvision.transforms import InterpolationMode, functional

        if problem := refusal(image, self.channels):
            if self.channels == 1:
                problem += (
                    " (its description, --channels, or one number in --mean or --std say that the model"
                )
                problem += " takes 1); convert the pictures to grey, or give --channels 3 for a colour model"
            raise UserError(f"{place}: {problem}")
        picture = image.convert("L" if self.channels == 1 else "RGB")
        if self.resize is not None:
            side = [self.resize] if isinstance(self.resize, int) else list(self.resize)
            picture = functional.resize(picture, side, InterpolationMode(self.interpolation))
        if self.size is not None:
            picture = functional.center_crop(picture, list(self.size))
        array = np.asarray(picture)
        return array.reshape(*array.shape[:2], self.channels).transpose(2, 0, 1).copy()

    def network(self, net: nn.Module) -> nn.Module:
        """`net`, which takes images in its own units, as a network that takes them in [0, 1]."""
        kind: Normalization = "none" if self.plain else "standardize"
        # names that messages about a part of `net` can show
        parts = {"normalization": first_layer(kind, self.mean, self.std), "model": net}
        return nn.Sequential(OrderedDict(parts))

    def facts(self, sigma: float | None) -> dict[str, str]:
        """Both sides of the noise as text, and `sigma` in the model's units."""
        before = []
        if self.resize is not None:
            side = self.resize
            to = f"the shorter side to {side}" if isinstance(side, int) else "x".join(map(str, side))
            before.append(f"resize {to} ({self.interpolation})")
        if self.size is not None:
            before.append(f"crop the centre {'x'.join(map(str, self.size))}")
        low, high = (self.in_units(np.full(self.channels, v)) for v in (0.0, 1.0))
        facts = {"before the noise": ", ".join([*before, "scale to [0, 1]"])}
        if sigma is not None:
            per = " ".join(dict.fromkeys(f"{sigma / s:.4g}" for s in self.std))
            facts["noise"] = f"sigma = {sigma:g} in [0, 1], {per} in the model's units"
        mean, std = (" ".join(f"{v:.4g}" for v in values) for values in (self.mean, self.std))
        units = f"(x - [{mean}]) / [{std}], from {min(low):.3g} to {max(high):.3g}"
        facts["in the network"] = "nothing: it takes [0, 1]" if self.plain else units
        return {**facts, "as stated by": self.source}

    def in_units(self, values: np.ndarray) -> list[float]:
        """Values [C] in [0, 1], in the units of the network's input."""
        return [float((v - m) / s) for v, m, s in zip(values, self.mean, self.std, strict=True)]


@dataclass(frozen=True)
class Stated:
    """The user's statements about the input; they replace the model's own description. `value_range` is the
    network's input for a black and a white image, before `mean` and `std` are applied.
    """

    size: Size | None = None
    resize: int | None = None
    interpolation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    value_range: tuple[float, float] | None = None
    channels: int | None = None

    @property
    def units(self) -> bool:
        """Whether it states the scale of values."""
        return (self.mean, self.std, self.value_range) != (None, None, None)

    def over(self, described: Preprocessing) -> Preprocessing:
        """`described` with these statements. A size without a resize resizes to it; a square by its side."""
        changes: dict[str, Any] = {}
        if self.size is not None:
            height, width = self.size
            changes |= {"size": self.size, "resize": height if height == width else self.size}
        if self.resize is not None:
            changes["resize"] = self.resize
        if self.interpolation is not None:
            changes["interpolation"] = self.interpolation
        changes |= self._units(described)
        if not changes:
            return described
        source = described.source.removesuffix(", and options") + ", and options"
        result = replace(described, **changes, source=source, scale_known=True)
        if isinstance(result.resize, int) and result.size is not None and result.resize < max(result.size):
            problem = f"must be at least {max(result.size)}, the longer side of the crop"
            raise UserError(f"certify: --resize {result.resize}: {problem}, which black borders would fill")
        return result

    def _units(self, described: Preprocessing) -> dict[str, Any]:
        if not self.units:
            number = self.channels or described.channels
            if number == described.channels:
                return {}
            if not described.plain:
                problem = f"the model's description has mean and std for {described.channels}"
                raise UserError(
                    f"certify: --channels {number}: {problem}; give --mean and --std of {number} too"
                )
            return {"mean": (0.0,) * number, "std": (1.0,) * number}
        low, high = self.value_range or (0.0, 1.0)
        if not low < high:
            raise UserError(f"certify: --range {low:g},{high:g}: must be LOW,HIGH, as --range=-1,1")
        if self.value_range is None and self.mean and min(self.mean) > 1:
            problem = (
                "above 1, where the network's input is 0 to 1; one that takes 0 to 255: add --range=0,255"
            )
            raise UserError(f"certify: --mean {','.join(f'{m:g}' for m in self.mean)}: {problem}")
        number = self.channels or len(self.mean or self.std or described.mean)
        mean, std = self.mean or (0.0,) * number, self.std or (1.0,) * number
        # x in [0, 1] becomes ((high - low) x + low - mean) / std
        return {
            "mean": tuple((m - low) / (high - low) for m in mean),
            "std": tuple(s / (high - low) for s in std),
        }


def compare(
    preprocessing: Preprocessing, image: Image, place: str, theirs: Callable[[Image], Tensor]
) -> None:
    """Raises UserError where the model's own library prepares an image differently from `preprocessing`."""
    own = torch.from_numpy(preprocessing.pixels(image, place)).double() / 255
    other = theirs(image.convert("L" if preprocessing.channels == 1 else "RGB")).double()
    mean, std = (
        torch.tensor(v, dtype=torch.float64).reshape(-1, 1, 1)
        for v in (preprocessing.mean, preprocessing.std)
    )
    back = other * std + mean
    if back.shape == own.shape and float((back - own).abs().mean()) <= APART:
        return
    gap = f"{shape(back)} instead of {shape(own)}" if back.shape != own.shape else "other pixels"
    advice = "state --size, --resize, --interpolation, --mean and --std"
    raise UserError(f"certify: {preprocessing.source} makes {gap} of {place}; {advice}")


def shape(image: Tensor | np.ndarray | Sequence[int]) -> str:
    return "x".join(map(str, getattr(image, "shape", image)))
