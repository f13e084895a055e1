"""A tiny study of ensembles: three seeds of a run, another method for the same noise, and their means."""

from __future__ import annotations

from typing import Any

NOISE = {"name": "gaussian", "sigma": 0.25}
OPTIMIZER = {"name": "adam", "learning_rate": 0.005}
STUDY: dict[str, Any] = {
    "name": "ensembles",
    "data": {"name": "digits"},
    "train": {"max": 512},
    "test": {"max": 6},
    "noise": NOISE,
    "model": {"name": "digits_cnn"},
    "training": {"epochs": 1, "batch_size": 64, "optimizer": OPTIMIZER, "device": "cpu"},
    "sampling": {"n0": 16, "n": 64, "block": 32, "images_per_shard": 6, "batch": 32, "device": "cpu"},
    "certificates": [{"name": "cohen", "alpha": 0.001}],
    "attacks": [
        {"name": "pgd_l2", "radii": [0.5], "steps": 2, "samples": 2, "images": {"max": 3}, "judge": {"n": 32}}
    ],
    "runs": {
        "gaussian": {"objective": {"name": "gaussian"}, "seeds": [0, 1, 2]},
        "other": {"objective": {"name": "consistency"}},
        "mean": {"model": {"name": "ensemble", "members": ["gaussian"]}},
        "early": {"model": {"name": "ensemble", "members": ["gaussian", "other"], "consensus": 2}},
    },
    "report": {"radii": [0.0, 0.25]},
}
