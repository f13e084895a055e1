"""What pages and figures call norms and noises."""

from __future__ import annotations

import math
from typing import Any


def norm_name(norm: Any) -> str:
    norm = float(norm)
    return "ℓ∞" if math.isinf(norm) else f"ℓ{norm:g}".translate(str.maketrans("012", "₀₁₂"))


def smoothing_name(smoothing: str) -> str:
    return smoothing.replace("sigma=", "σ = ")
