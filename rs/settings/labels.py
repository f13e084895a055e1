"""The names of certificates and attacks in tables."""

from __future__ import annotations

from typing import Any

ATTACK_ONLY = ("keep_broken", "certificate", "checks")


def label_of(method: dict[str, Any]) -> str:
    """The name of a certificate or an attack in tables: its label, or its name and given parameters."""
    if method.get("label"):
        return str(method["label"])
    use = ("name", "label", "alpha", "noises", "radii", "images", "judge", "seed", *ATTACK_ONLY)
    parameters = [f"{k}={v}" for k, v in sorted(method.items()) if k not in use]
    return " ".join([method["name"], *parameters])
