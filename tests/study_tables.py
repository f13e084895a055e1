"""Tables of a made-up study in the form that the aggregation writes: five objectives at two noise levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import special
from sklearn.datasets import load_digits

from rs.provenance.files import write_table
from rs.statistics.intervals import t_interval, wilson_interval
from rs.tables.noise import smoothed_with, trained_with

OBJECTIVES: dict[str, dict[str, float | str]] = {
    "gaussian": {},
    "stability": {"lambda": 2.0},
    "macer": {"lambda": 12.0, "beta": 16.0, "gamma": 8.0, "samples": 16},
    "nal": {"gamma": 1.5, "steps": 4, "cost": "with_noise"},
    "smoothadv": {"epsilon": 0.5, "steps": 2, "samples": 2},
}
SIGMAS = (0.25, 0.5)
NAMES = ("runs", "certified_accuracy", "average_certified_radius", "empirical_accuracy", "calibration")
NAMES += ("training", "examples", "distributional", "worst_cases")
RADII = np.round(np.arange(0, 2.01, 0.05), 2)
IMAGES, EPOCHS = 300, 30


def frames() -> dict[str, pd.DataFrame]:
    draw = np.random.default_rng(7)
    tables: dict[str, list[dict[str, object]]] = {name: [] for name in NAMES}
    digits = load_digits()
    for i, (objective, parameters) in enumerate(OBJECTIVES.items()):
        for sigma in SIGMAS:
            label, run = (
                f"{objective}-{sigma}",
                f"digits-{objective}-{int(100 * sigma)}-{draw.bytes(4).hex()}",
            )
            noise = {"name": "gaussian", "sigma": sigma}
            base = {"run": run, "label": label, **smoothed_with(noise)}
            tables["runs"].append(
                {
                    "run": run,
                    "label": label,
                    "dataset": "digits",
                    "model": "small_cnn",
                    "objective": objective,
                }
                | {**trained_with(noise), "seed": 0, "epochs": EPOCHS, "device": "cpu"}
                | {"train_seconds": 12.0 + 9 * i, "precision": "bf16", "train_accuracy": 0.97 - 0.1 * sigma}
                | {f"objective.{k}": v for k, v in parameters.items()}
                | {"training.batch_size": 64, "training.learning_rate": 0.01, "training.optimizer": "sgd"}
            )
            margin = draw.normal(1.35 + 0.12 * i - 0.6 * sigma, 1.0, IMAGES)
            radius = np.where(
                margin > 0, sigma * np.minimum(special.ndtri(special.ndtr(1.6 * margin)), 3.2), 0.0
            )
            n = {"images": IMAGES, "alpha": 0.001, "n": 10000, "stopping": None, "lower_bound": False}
            kinds = [("cohen", 1.0, True)] + ([("stn", 1.12, False)] if objective == "stability" else [])
            for certificate, factor, rigorous in kinds:
                kind = base | {"certificate": certificate, "norm": 2.0}
                for r in RADII:
                    hits = int(((radius * factor >= r) & (margin > 0)).sum())
                    low, high = wilson_interval(hits, IMAGES)
                    tables["certified_accuracy"].append(
                        kind
                        | {
                            "radius": r,
                            "certified_accuracy": hits / IMAGES,
                            "low": float(low),
                            "high": float(high),
                        }
                        | n
                        | {"rigorous": rigorous, "precision": "bf16"}
                    )
                acr, low_, high_ = t_interval(radius * factor)
                tables["average_certified_radius"].append(
                    kind | {"acr": acr, "low": low_, "high": high_} | n | {"rigorous": rigorous}
                )
            for r in (0.0, 0.25, 0.5, 0.75, 1.0):
                hits = int((margin > 0.9 * r / sigma**0.5).sum())
                low, high = wilson_interval(hits, IMAGES)
                tables["empirical_accuracy"].append(
                    base
                    | {
                        "attack": "pgd_l2",
                        "norm": 2.0,
                        "radius": r,
                        "accuracy": hits / IMAGES,
                        "low": float(low),
                    }
                    | {"high": float(high), "images": IMAGES, "judge": "1000", "access": "white-box"}
                    | {"samples": 1, "steps": 10.0, "shares": "none", "excess": None, "panel": "pgd_l2"}
                )
            if objective == "nal":
                tables["calibration"].append(
                    {
                        "run": run,
                        "label": label,
                        "gamma": 1.5,
                        **trained_with(noise),
                        "rho_with_noise": 0.21 + 64 * sigma**2,
                    }
                    | {"rho_without_noise": 0.21, "epsilon_with_noise": (0.21 + 64 * sigma**2) ** 0.5}
                    | {
                        "epsilon_without_noise": 0.21**0.5,
                        "rho_with_noise_se": 0.004,
                        "rho_without_noise_se": 0.002,
                    }
                    | {"epsilon_with_noise_se": 0.003, "epsilon_without_noise_se": 0.0021}
                    | {"rho_reused_noise": 0.25, "rho_reused_noise_se": 0.001}
                    | {"epsilon_reused_noise": 0.5, "epsilon_reused_noise_se": 0.001}
                )
            if objective == "nal":
                for rho in np.linspace(0, 0.5, 6):
                    loss = {"loss": 0.3 + rho, "low": 0.25 + rho, "high": 0.35 + rho, "images": IMAGES}
                    bound = {"certificate": "nal", "rho": rho, "rho_with_noise": rho + 64 * sigma**2}
                    bound |= {"gamma": 1.0, "rigorous": False, "concave": False, "alpha": None}
                    bound |= dict.fromkeys(("loss_bound", "gamma_concave", "gamma_corollary_1"), np.inf)
                    bound |= {"measured": "cross_entropy"}
                    tables["distributional"].append(base | bound | loss)
                    point = {"adversary": "smoothed", "gamma": 1.0, "measured": "cross_entropy"}
                    point |= {"rho": rho, "rho_low": rho - 0.01, "rho_high": rho + 0.01}
                    tables["worst_cases"].append(base | point | loss)
            for epoch in range(EPOCHS):
                loss = 0.2 + 0.3 * sigma + 2.1 * np.exp(-epoch / (5 + i)) + draw.normal(0, 0.02)
                tables["training"].append(
                    {
                        "run": run,
                        "label": label,
                        "epoch": epoch,
                        "loss": loss,
                        "train_accuracy": 1 - 0.35 * loss,
                        "seconds": 0.4 + i / 10,
                    }
                    | {"learning_rate": 0.01 if epoch < 20 else 0.001}
                    | ({"robustness_loss": 0.6 * loss} if objective == "macer" else {})
                )
            for image in range(3):
                x = (digits.images[image] / 16).astype(np.float32).ravel()
                noise = draw.normal(0, sigma, 64).astype(np.float32)
                push = draw.normal(0, 1, 64).astype(np.float32)
                for r in (0.0, 0.5, 1.0):
                    y = int(digits.target[image])
                    fooled = r >= 0.5 * (1 + i % 2) and (image + i) % 3 == 0
                    tables["examples"].append(
                        base
                        | {
                            "attack": "pgd_l2",
                            "image": image,
                            "true": y,
                            "radius": r,
                            "prediction": 8 if fooled else y,
                        }
                        | {"shape": [1, 8, 8], "clean": x, "noisy": x + noise}
                        | {"attacked": np.clip(x + r * push / np.linalg.norm(push), 0, 1)}
                    )
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def write(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    for name, frame in tables.items():
        write_table(
            folder / f"{name}.parquet", pa.Table.from_pandas(frame, preserve_index=False), {"spec": {}}
        )
    return folder
