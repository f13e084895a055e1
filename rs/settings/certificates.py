"""Settings of certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from rs.settings.limits import MOST_METHODS, Share


@dataclass(frozen=True)
class CertificateUse:
    """Settings of every certificate, beside its own parameters.

    `noises` names the smoothing noise families that it is for, where a run has several; by default, all of
    them.
    """

    label: str | None = None
    alpha: Share = 0.001
    noises: Annotated[tuple[str, ...], Field(max_length=MOST_METHODS)] | None = None


def is_for(certificate: Mapping[str, Any], family: str) -> bool:
    """Whether a run's certificate is asked for under its smoothing noise of this family."""
    return certificate.get("noises") is None or family in certificate["noises"]
