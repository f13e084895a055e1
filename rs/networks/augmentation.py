"""Augmentation of training images on their device, a batch at a time, with separate draws for each image.

`crop_flip` is He et al.'s for CIFAR-10 (2016, Section 4.2): 4 zero pixels on each side, a random crop of the
old size, a horizontal flip with probability 1/2. `resized_crop_flip` is Szegedy et al.'s for ImageNet (2015,
Section 6) with the limits that torchvision uses: a box of 8 to 100 % of the area and of aspect ratio 3/4 to
4/3, resized bilinearly, and the flip. Departures: boxes have real coordinates, not whole pixels. A streamed
image is the centre square of its decoded form (`rs.networks.images`), and boxes lie within it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
TRIES = 10  # attempts at a box that fits


def augment(name: str, x: Tensor, draws: Generator, size: Sequence[int]) -> Tensor:
    """[B, C, *size] from images [B, C, H, W] of at least that size; `name` as in `training.augmentation`.

    `draws` lives on the images' device. Larger images are first cut to their centre, except for
    `resized_crop_flip`, which takes its boxes from the whole image.
    """
    return AUGMENTATIONS[name](x, draws, size)


def centre(x: Tensor, size: Sequence[int]) -> Tensor:
    """The central part of images; the images themselves if they have that size."""
    top, left = ((whole - part) // 2 for whole, part in zip(x.shape[-2:], size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]


def none(x: Tensor, draws: Generator, size: Sequence[int]) -> Tensor:
    return centre(x, size)


def crop_flip(x: Tensor, draws: Generator, size: Sequence[int], padding: int = 4) -> Tensor:
    x = centre(x, size)
    b, _, h, w = x.shape
    offset = torch.randint(0, 2 * padding + 1, (2, b), generator=draws, device=x.device)
    flip = torch.rand(b, generator=draws, device=x.device) < 0.5
    rows = offset[0][:, None] + torch.arange(h, device=x.device)
    columns = torch.arange(w, device=x.device).expand(b, w)
    columns = offset[1][:, None] + torch.where(flip[:, None], w - 1 - columns, columns)
    padded = functional.pad(x, (padding,) * 4)
    image = torch.arange(b, device=x.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resized_crop_flip(x: Tensor, draws: Generator, size: Sequence[int]) -> Tensor:
    left, top, width, height = boxes(len(x), x.shape[-2:], draws)
    flip = torch.rand(len(x), generator=draws, device=x.device) < 0.5
    # grid_sample's coordinates run from -1 to 1 over the image
    zero, h, w = torch.zeros_like(left), x.shape[-2], x.shape[-1]
    across = torch.stack([torch.where(flip, -width, width) / w, zero, (2 * left + width) / w - 1], 1)
    down = torch.stack([zero, height / h, (2 * top + height) / h - 1], 1)
    grid = functional.affine_grid(
        torch.stack([across, down], 1), [len(x), x.shape[1], *size], align_corners=False
    )
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def boxes(n: int, size: Sequence[int], draws: Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Left, top, width and height [n] of random boxes inside images of `size` (H, W), in pixels.

    Area and ratio are redrawn until the box fits; after TRIES it is the largest central one.
    """
    device, (h, w) = draws.device, size
    area, ratio = torch.rand((2, TRIES, n), generator=draws, device=device)
    area = h * w * (SCALE[0] + (SCALE[1] - SCALE[0]) * area)
    low, high = map(math.log, RATIO)
    ratio = torch.exp(low + (high - low) * ratio)
    widths, heights = torch.sqrt(area * ratio), torch.sqrt(area / ratio)
    fits = (widths <= w) & (heights <= h)
    first = fits.int().argmax(0, keepdim=True)
    found = fits.any(0)
    width = torch.where(found, widths.gather(0, first)[0], min(w, h * RATIO[1]))
    height = torch.where(found, heights.gather(0, first)[0], min(h, w / RATIO[0]))
    place = torch.rand((2, n), generator=draws, device=device)
    place = torch.where(found, place, 0.5)
    return place[0] * (w - width), place[1] * (h - height), width, height


AUGMENTATIONS: dict[str, Callable[[Tensor, Generator, Sequence[int]], Tensor]] = {
    "none": none,
    "crop_flip": crop_flip,
    "resized_crop_flip": resized_crop_flip,
}
