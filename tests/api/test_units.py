"""What is possible and hardly meant is a warning: images in other units, labels of other classes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import rs
from rs.api import units

N = 150


@pytest.fixture
def few(digits):
    x, y = digits
    return x[:N], y[:N]


def warned(call) -> list[str]:
    """The warnings of slips; each is at a line of this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    own = [w for w in caught if str(w.message).startswith(("certify: ", "predict: ", "attack: "))]
    assert all(w.filename == __file__ and w.category is RuntimeWarning for w in own)
    return [str(w.message) for w in own]


def certify(network, x, y=None, sigma=0.25, **settings):
    smoothed = rs.smooth(network, sigma=sigma, batch=256, device="cpu")
    return warned(lambda: smoothed.certify(x, y, **{"n": 64, "n0": 32, "progress": False, **settings}))


def test_ordinary_use_is_not_warned_of(nearest_mean, few):
    x, y = few
    assert certify(nearest_mean, x, y) == []
    assert certify(nearest_mean, x, y, n=12, alpha=0.001) == []  # abstains often, and its classes are right
    assert certify(nearest_mean, 0.3 * x[:5]) == []  # few dark images
    assert certify(nearest_mean, np.zeros((2, 1, 8, 8), np.float32), [0, 0]) == []
    assert certify(nearest_mean, x[:20], y[:20], sigma=2.0) == []
    smoothed = rs.smooth(nearest_mean, sigma=0.25, batch=256, device="cpu")
    attacked = {"steps": 1, "judge": 20, "progress": False}
    assert warned(lambda: rs.attack(smoothed, x[:2], y[:2], radii=[0.0, 4.0], **attacked)) == []
    assert warned(lambda: rs.attack(smoothed, x[:2], y[:2], "pgd_linf", radii=[0.5], **attacked)) == []


def test_images_that_were_divided_twice_or_have_other_levels(nearest_mean, few):
    x, _ = few
    (line,) = certify(nearest_mean, x[:3] / 255)
    assert line == (
        "certify: images: 3 images between 0 and 0.00392, and 1 is white; they look divided by 255 twice"
    )
    (line,) = certify(nearest_mean, x[:20] * 16 / 255)
    assert line.endswith("20 images between 0 and 0.0627, and 1 is white; if 0.0627 is, divide them by it")
    (line,) = certify(nearest_mean, 0.5 + 0.1 * x[:20])
    assert line.endswith("20 images between 0.5 and 0.6, and 1 is white")
    smoothed = rs.smooth(nearest_mean, sigma=0.25, batch=256, device="cpu")
    (line,) = warned(lambda: smoothed.predict(x[:3] / 255, n=20, progress=False))
    assert line.startswith("predict: images: 3 images")


def test_noise_and_radii_in_levels_of_255(few):
    x, y = few
    sure = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.zeros_(sure[1].weight)
    sure[1].bias.data = torch.tensor([1.0, 0.0])
    noise, radii = certify(sure, x[:3], sigma=255)
    assert noise == (
        "certify: gaussian noise of level 255 drowns images between 0 and 1; "
        "if it is in levels of 255, give 255 / 255"
    )
    assert radii.startswith("certify: radii: 3 of 3 up to l2 ")
    assert radii.endswith("no two images in [0, 1] are farther apart than 8; check the units of the noise")
    smoothed = rs.smooth(nn.Flatten(), sigma=0.25, batch=256, device="cpu")
    settings = {"radii": [0.5, 8], "steps": 1, "judge": 20, "progress": False}
    (line,) = warned(lambda: rs.attack(smoothed, x[:2], y[:2], "pgd_linf", **settings))
    assert line == (
        "attack: radii: at l-infinity 8 every image in [0, 1] is within reach, as from 1 on; "
        "if it is in levels of 255, give 8 / 255"
    )
    assert list(units.of_radii([7.99], 64, 2.0)) == []
    assert len(list(units.of_radii([8.0], 64, 2.0))) == 1


@pytest.mark.parametrize(("step", "word"), [(1, "below"), (-1, "above")])
def test_shifted_labels(nearest_mean, few, step, word):
    x, y = few
    (line,) = certify(nearest_mean, x, (y + step) % 10)
    assert f"predictions are the class {word} the label, and " in line
    assert line.endswith("labels seem shifted by one")
    assert certify(nearest_mean, x[:50], (y[:50] + step) % 10) == []  # too few to tell


def test_labels_at_chance(nearest_mean, few):
    x, y = few
    (line,) = certify(nearest_mean, x, np.random.default_rng(1).permutation(y))
    assert "images are right, no more than by guessing one of 10 classes; check the order" in line


def test_labels_of_attacked_images(nearest_mean, few):
    x, y = few
    smoothed = rs.smooth(nearest_mean, sigma=0.25, batch=256, device="cpu")
    settings = {"radii": [0.0], "judge": 20, "progress": False}
    (line,) = warned(lambda: rs.attack(smoothed, x, (y + 1) % 10, **settings))
    assert line.startswith("attack: labels: ")
    assert line.endswith("labels seem shifted by one")
    assert warned(lambda: rs.attack(smoothed, x, y, **settings)) == []


def test_copies_among_the_images(nearest_mean, few):
    x, y = few
    line = "certify: images: 10 of 20 are copies of others; intervals of averages and accuracies take images"
    again = np.concatenate([x[:10], x[:10]]), np.concatenate([y[:10], y[:10]])
    (copied,) = certify(nearest_mean, *again)
    assert copied.startswith(line)
    one = np.concatenate([x[:20], x[:1]])
    assert certify(nearest_mean, one, np.append(y[:20], y[0])) == []  # as published test sets have some
    smoothed = rs.smooth(nearest_mean, sigma=0.25, batch=256, device="cpu")
    (attacked,) = warned(lambda: rs.attack(smoothed, *again, radii=[0.0], judge=20, progress=False))
    assert attacked.startswith("attack" + line.removeprefix("certify"))
