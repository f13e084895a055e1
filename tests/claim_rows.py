"""Rows of certified accuracy as a claim reads them."""

from __future__ import annotations

from typing import Any


def accuracy(label: str, *shares: float, radius: float = 0.25, half: float = 0.01, **more: Any) -> Any:
    """Rows of certified accuracy, one per seed, on as many images as give the interval `half` its width."""
    images = round(1.96**2 * shares[0] * (1 - shares[0]) / half**2)
    row = {"label": label, "certificate": "cohen", "smoothing": "gaussian", "radius": radius}
    row |= {"images": images}
    return [{**row, "run": f"{label}{i}", "certified_accuracy": s, **more} for i, s in enumerate(shares)]


def steady(label: str, share: float, **more: Any) -> Any:
    return accuracy(label, share, share + 0.001, share - 0.001, **more)
