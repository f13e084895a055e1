"""Rows of tables as claims and printed numbers read them."""

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


PRINTED = {  # an entry of `published`
    "paper": "P",
    "table": "T",
    "run": "gaussian",
    "radii": [0.0, 0.5],
    "certified_accuracy": [0.99, 0.94],
}


def beside_printed(label: str = "gaussian", sigma: float = 0.25, **more: Any) -> dict[str, list[Any]]:
    """What was measured in the place of PRINTED; `more` columns of certified accuracy."""
    head = {"label": label, "certificate": "cohen", "smoothing": "gaussian", "smoothing_level": sigma}
    at = {"certified_accuracy": 0.95, "low": 0.93, "high": 0.97, **more}
    return {
        "certified_accuracy": [{**head, "radius": radius, **at} for radius in (0.0, 0.5)],
        "average_certified_radius": [{**head, "acr": 1.4, "low": 1.35, "high": 1.452}],
    }
