"""Tables as pages and figures read them, and the names of norms, noises and numbers there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from rs.tables import reading

MEASURES = {"acr": "ACR", "epsilon": "ε", "train_hours": "hours"}  # numbers without a radius


def norm_name(norm: Any) -> str:
    norm = float(norm)
    return "ℓ∞" if math.isinf(norm) else f"ℓ{norm:g}".translate(str.maketrans("012", "₀₁₂"))


def noise_name(family: str, parameters: str) -> str:
    """`gaussian σ = 0.25`, from a noise's family and its parameters as JSON."""
    words = [f"{'σ' if key == 'sigma' else key} = {value}" for key, value in json.loads(parameters).items()]
    return " ".join(filter(None, [family, ", ".join(words)]))


def read(tables: Path, name: str) -> pd.DataFrame:
    """A study's table, empty where it has none, with `noise` and `smoothing` as text for people."""
    frame = reading.read(tables, name)
    for column, family in (("noise", "noise"), ("smoothing", "smoothing_name")):
        if column in frame:
            noises = zip(frame[family], frame[f"{column}_parameters"], strict=True)
            frame[column] = [noise_name(*noise) for noise in noises]
    return frame
