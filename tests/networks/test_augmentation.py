"""Augmentation: what each draw does to an image, boxes within limits, the same from the same generator."""

from __future__ import annotations

import math
from typing import get_args, get_type_hints

import pytest
import torch
from torchvision.transforms import functional as vision

from rs.networks import augmentation
from rs.networks.augmentation import AUGMENTATIONS, RATIO, SCALE, augment, boxes
from rs.settings.training import Training


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, size: tuple[int, int], seed: int = 1) -> torch.Tensor:
    return torch.rand(n, 3, *size, generator=draws(seed))


def test_a_study_can_name_each_of_them():
    assert set(get_args(get_type_hints(Training)["augmentation"])) == set(AUGMENTATIONS)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("size", [(32, 32), (28, 20)])
def test_sizes_values_and_randomness(name, size):
    x = images(50, (36, 32))
    before, state = x.clone(), torch.get_rng_state()
    first, again, other = (augment(name, x, draws(seed), size) for seed in (3, 3, 4))
    assert first.shape == (50, 3, *size)
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert name == "none" or not torch.equal(first, other)
    assert torch.equal(x, before)
    assert torch.equal(state, torch.get_rng_state())


def test_none_is_the_image_or_its_centre():
    x = images(2, (10, 12))
    assert torch.equal(augment("none", x, draws(), (10, 12)), x)
    assert torch.equal(augment("none", x, draws(), (6, 8)), vision.center_crop(x, [6, 8]))


def test_crop_flip_is_a_shifted_and_mirrored_copy_in_the_generators_stream():
    x = images(200, (6, 5))
    found = augment("crop_flip", x, draws(7), (6, 5))
    stream = draws(7)
    offset = torch.randint(0, 9, (2, 200), generator=stream)
    flip = torch.rand(200, generator=stream) < 0.5
    for i in range(200):
        padded = torch.nn.functional.pad(x[i], (4, 4, 4, 4))
        cropped = vision.crop(padded, int(offset[0, i]), int(offset[1, i]), 6, 5)
        assert torch.equal(found[i], cropped.flip(-1) if flip[i] else cropped)
    assert 60 < int(flip.sum()) < 140
    assert offset.unique().tolist() == list(range(9))


def at(left: float, top: float, width: float, height: float):
    return lambda n, size, draws: tuple(torch.full((n,), float(v)) for v in (left, top, width, height))


def test_resized_crop_of_the_whole_image_is_the_image_or_its_mirror(monkeypatch):
    x = images(20, (9, 9))
    monkeypatch.setattr(augmentation, "boxes", at(0, 0, 9, 9))
    found = augment("resized_crop_flip", x, draws(), (9, 9))
    same = [torch.allclose(f, image, atol=1e-5) for f, image in zip(found, x, strict=True)]
    mirrored = [torch.allclose(f, image.flip(-1), atol=1e-5) for f, image in zip(found, x, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 0 < sum(same) < 20


def test_resized_crop_is_torchvisions_inside_the_box(monkeypatch):
    x = images(1, (40, 50))
    monkeypatch.setattr(augmentation, "boxes", at(12, 5, 20, 16))
    want = vision.resized_crop(x, 5, 12, 16, 20, [24, 30], antialias=False)
    found = [augment("resized_crop_flip", x, draws(seed), (24, 30)) for seed in range(8)]
    distances = [
        min(float((f - w)[..., 2:-2, 2:-2].abs().max()) for w in (want, want.flip(-1))) for f in found
    ]
    assert max(distances) < 1e-5


def test_boxes_keep_area_and_ratio_and_lie_inside():
    left, top, width, height = boxes(20_000, (256, 256), draws())
    area, ratio = width * height / 256**2, width / height
    assert area.min() >= SCALE[0] - 1e-6
    assert area.max() <= 1
    assert ratio.min() >= RATIO[0] - 1e-5
    assert ratio.max() <= RATIO[1] + 1e-5
    assert min(left.min(), top.min()) >= 0
    assert (left + width).max() <= 256 + 1e-3
    assert (top + height).max() <= 256 + 1e-3
    small = area < 0.5  # nearly every one of these fits at once: uniform area and log-ratio
    assert float(area[small].mean()) == pytest.approx((SCALE[0] + 0.5) / 2, abs=0.005)
    assert float(ratio[small].log().mean()) == pytest.approx(0, abs=0.01)
    assert float(ratio[small].log().std()) == pytest.approx(math.log(RATIO[1]) / math.sqrt(3), rel=0.02)


def test_where_no_box_fits_it_is_the_largest_central_one():
    for size, expected in (((8, 800), (8 * 4 / 3, 8)), ((800, 6), (6, 8))):
        left, top, width, height = (float(v[0]) for v in boxes(1, size, draws()))
        assert (width, height) == pytest.approx(expected)
        assert (left, top) == pytest.approx(((size[1] - width) / 2, (size[0] - height) / 2))
