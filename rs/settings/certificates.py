"""Settings of certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

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
