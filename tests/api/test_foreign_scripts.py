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


def test_an_attack_that_gradients_of_zero_leave_where_it_was_is_told() -> None:
    def rounded(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :3].round() * 0 + torch.tensor([0.0, 1.0, 0.0])

    smoothed = rs.smooth(rounded, sigma=0.25, batch=32)
    requested = {"radii": [0.5], "steps": 2, "samples": 2, "judge": 20, "progress": False}
    line = r"pgd_l2 on model: did not move 4 of 4 images at radius 0.5: gradients that are 0, .*square_linf"
    with pytest.warns(RuntimeWarning, match=line):
        rs.attack(smoothed, X, [1] * 4, "pgd_l2", **requested)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = rs.attack(rs.smooth(nn.Flatten(), sigma=0.25, batch=32), X, [1] * 4, "pgd_l2", **requested)
    assert (found.distortion[1] > 0).all()
