"""Refuses a reading of a calibration that its ascent was not made for. No torch."""

from __future__ import annotations

from typing import Any

from rs.study.study import Run, Study


def check_reading(study: Study, place: tuple[Any, ...], run: Run, cost: str) -> None:
    """Raises UserError where `cost` reads the noise of the last step, and the ascent did not pay for it: the
    epsilon would be that of `with_noise`, noise and all.
    """
    if cost == "reused_noise" and not run.sections["calibration"]["noise_in_cost"]:
        study.fail((*place, "cost"), f"{cost}: needs calibration.noise_in_cost: true of run {run.label!r}")
