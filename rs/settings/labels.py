"""The names of certificates and attacks in tables, and of noises and norms in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rs.settings.attacks import AttackUse
from rs.settings.certificates import CertificateUse


def certificate_label(certificate: Mapping[str, Any]) -> str:
    """The name of a certificate in tables and certified files: its label, or its name and given parameters.
    Randomised bounds are always marked.
    """
    mark = " (randomised)" if certificate.get("randomised") and certificate.get("label") else ""
    return _label(certificate, CertificateUse) + mark


def attack_label(attack: Mapping[str, Any]) -> str:
    """The name of an attack in tables: its label, or its name and given parameters."""
    return _label(attack, AttackUse)


def label_of(kind: str, method: Mapping[str, Any]) -> str:
    """The name in tables of a method of `kind`, "certificates" or "attacks"."""
    return certificate_label(method) if kind == "certificates" else attack_label(method)


def is_called(certificate: Mapping[str, Any], name: str) -> bool:
    """Whether an attack that names its certificate `name` means this one."""
    return name in (certificate["name"], certificate.get("label"), certificate_label(certificate))


def describe(noise: Mapping[str, Any]) -> str:
    """The noise, or another method, as text, such as `gaussian sigma=0.25`."""
    return " ".join([noise["name"], *(f"{k}={v}" for k, v in sorted(noise.items()) if k != "name")])


def norm_text(norm: float) -> str:
    """`l2`, `l-infinity`."""
    return f"l{norm:g}".replace("inf", "-infinity")


def _label(method: Mapping[str, Any], use: type) -> str:
    """A method's label; else its name and its own parameters, without the settings of its `use`."""
    if method.get("label"):
        return str(method["label"])
    outside = {"name", *(field.name for field in fields(use))}
    parameters = [f"{key}={value}" for key, value in sorted(method.items()) if key not in outside]
    return " ".join([method["name"], *parameters])
