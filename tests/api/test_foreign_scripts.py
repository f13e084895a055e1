"""What a foreign script hands over: arrays that torch does not take, a network without slopes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import rs

X = np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)


def votes(images: np.ndarray) -> np.ndarray:
    smoothed = rs.smooth(nn.Flatten(), sigma=0.25, batch=32)
    return smoothed.certify(images, n=20, progress=False).counts.estimation


@pytest.mark.parametrize(
    "same",
    [
        np.flip(np.flip(X, 3).copy(), 3),
        X.astype(">f4"),
        X.astype(np.longdouble),
        X[..., ::-1].copy()[..., ::-1],
    ],
)
def test_arrays_that_torch_does_not_take_are_the_images_that_they_hold(same: np.ndarray) -> None:
    assert np.array_equal(votes(same), votes(X))


@pytest.mark.parametrize(
    ("attack", "line"),
    [
        ({"attack": "pgd_l2"}, r"gradients are 0, .*, at 4 of 4 images that it did not break at radius 0.5"),
        ({"attack": "pgd_l2", "random_start": True}, r"gradients are 0, .*, at 4 of 4 images"),
        ({"attack": "pgd_linf"}, r"gradients are 0, .*, at 4 of 4 images"),
        ({"attack": "ddn"}, r"found nothing wrong at any distance from 4 of 4 images: gradients that are 0"),
    ],
)
def test_an_attack_that_gradients_of_zero_lead_nowhere_is_told(attack: dict, line: str) -> None:
    """Also after a random start, which moves every image."""

    def rounded(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :3].round() * 0 + torch.tensor([0.0, 1.0, 0.0])

    requested = {**attack, "radii": [0.5], "steps": 2, "samples": 2, "judge": 20, "progress": False}
    with pytest.warns(RuntimeWarning, match=rf"{attack['attack']} on model: {line}.*square_linf") as caught:
        rs.attack(rs.smooth(rounded, sigma=0.25, batch=32), X, [1] * 4, **requested)
    assert {warning.filename for warning in caught} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        right = X.reshape(4, -1).argmax(1)  # images that are wrong without attack are not moved
        smoothed = rs.smooth(nn.Flatten(), sigma=0.01, batch=32)
        found = rs.attack(smoothed, X, right, **requested | {"steps": 20})
    assert (found.distortion[1] > 0).any()
