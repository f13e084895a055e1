"""Which certificates a study asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from rs.settings.limits import MOST_METHODS, Share


@dataclass(frozen=True)
class CertificateUse:
    """What every certificate of a study can be given beside its own parameters.

    `noises` names the smoothing families that it is for, where a run has several: all of them without it.
    """

    label: str | None = None
    alpha: Share = 0.001
    noises: Annotated[tuple[str, ...], Field(max_length=MOST_METHODS)] | None = None
