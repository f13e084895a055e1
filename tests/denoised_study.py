"""A tiny study of denoised smoothing: a clean classifier, two denoisers, what they are joined to, a peer."""

from __future__ import annotations

from typing import Any

NOISE = {"name": "gaussian", "sigma": 0.25}
DNCNN = {"name": "dncnn", "depth": 3, "width": 4}
STUDY: dict[str, Any] = {
    "name": "denoised",
    "data": {"name": "digits"},
    "train": {"max": 512},
    "test": {"max": 6},
    "noise": NOISE,
    "model": {"name": "digits_cnn"},
    "training": {"epochs": 1, "batch_size": 64, "optimizer": {"learning_rate": 0.02}, "device": "cpu"},
    "sampling": {"n0": 16, "n": 64, "block": 32, "images_per_shard": 6, "batch": 32, "device": "cpu"},
    "certificates": [{"name": "cohen", "alpha": 0.001}],
    "attacks": [
        {"name": "pgd_l2", "radii": [0.5], "steps": 2, "samples": 2, "images": {"max": 3}, "judge": {"n": 32}}
    ],
    "runs": {
        "clean": {"objective": {"name": "clean"}, "noise": {"name": "none"}, "smoothing": [NOISE]},
        "mse": {"model": DNCNN, "objective": {"name": "denoiser_mse"}},
        "stability": {"model": DNCNN, "objective": {"name": "denoiser_stability", "classifier": "clean"}},
        "by-mse": {"model": {"name": "denoised", "denoiser": "mse", "classifier": "clean"}},
        "by-stability": {"model": {"name": "denoised", "denoiser": "stability", "classifier": "clean"}},
    },
    "report": {"radii": [0.0, 0.25]},
}
