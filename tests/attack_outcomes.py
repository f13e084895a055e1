"""Outcomes of attacks on 200 images, as the attack stage would store them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rs.tables.attack_checks import Attacked

N = 200
MADE = {"norm": 2.0, "access": "white-box", "judge": 1000, "classes": 10, "samples": 16, "shares": "none"}
MADE |= {"spec": {"attack": {}}}


def frame(correct: dict[float, int], variant: str = "", images: int = N, first: int = 0) -> pd.DataFrame:
    """`correct[radius]` of the images (from `first` on, cyclically) keep their label 1."""
    rows = []
    for radius, number in correct.items():
        right = {(first + i) % images for i in range(number)}
        for image in range(images):
            success = image not in right
            votes = ([0, 300, 700] if success else [0, 900, 100]) + [0] * 7
            rows.append(
                {"image": image, "label": 1, "radius": radius, "prediction": 2 if success else 1}
                | {"distortion": radius, "success": success, "steps": 20, "votes": votes, "variant": variant}
            )
    return pd.DataFrame(rows)


def attacked(
    rows: pd.DataFrame, name: str = "pgd_l2", certificate: str | None = None, **provenance
) -> Attacked:
    return Attacked(name, rows, {**MADE, **provenance}, certificate)


def only(rows, check):
    (row,) = [r for r in rows if r["check"] == check]
    return row


def certified(radius: float, prediction: int = 1, certificate: str = "cohen", norm: float = 2.0):
    rows = {"certificate": certificate, "norm": norm, "alpha": 0.001, "image": np.arange(N)}
    return pd.DataFrame({**rows, "prediction": prediction, "radius": radius})
