"""The images of `--data`, wherever they come from (rs.foreign.image_sources).

Images are read one at a time, when they are needed. An image's position is its place in the whole list and
seeds its noise. A digest of its prepared pixels tells which image lies there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, ImageOps

from rs.methods.data.images import decode

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Pictures:
    """`names` [N] are the names of the images; `content(i)` are the bytes of one. `labels` [N] are positions
    in `groups`, or the model's classes where there are no groups; None without labels.

    `upright`: images are turned by their EXIF orientation. The `datasets` library does this, torchvision's
    and timm's folder loaders do not; a network gets images as in its training.
    """

    place: str
    names: Sequence[str]
    content: Callable[[int], bytes]
    labels: Sequence[int] | None = None
    groups: tuple[str, ...] = ()
    upright: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> Image:
        """The decoded image. Raises UserError that names a damaged one."""
        image = decode(self.content(i), self.where(i))
        return ImageOps.exif_transpose(image) if self.upright and is_turned(image) else image

    def where(self, i: int) -> str:
        return f"{self.place}: {self.names[i]}"


def is_turned(image: Image) -> bool:
    """Whether its EXIF orientation differs from that of its pixels."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # metadata may be damaged in any way while pixels are whole
        return False


def digest_of(pixels: np.ndarray) -> str:
    """Digest of a prepared image uint8 [C, H, W]; another decoder or resize changes it."""
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()[:32]


def spread(total: int, number: int | None) -> list[int]:
    """`number` of `total` positions, evenly spaced; all of them where there are no more."""
    if number is None or number >= total:
        return list(range(total))
    return [i * total // number for i in range(number)]
