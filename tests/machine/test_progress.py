"""Lines of progress where nobody watches a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rs.machine import progress

HOUR = 3600.0


@pytest.mark.parametrize("report", [progress.follow, progress.inside])
@pytest.mark.parametrize(
    ("seconds", "left"), [(10.0, "00:30"), (0.5 * HOUR, "1:30:00"), (10 * HOUR, "30:00:00")]
)
def test_what_is_left_of_days_is_said_in_hours(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    report: Callable[..., Iterator[Any]],
    seconds: float,
    left: str,
) -> None:
    """After one of four items that takes `seconds`."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "SECONDS_INSIDE", 5.0)
    items = report(range(4), 4, "a run", "epochs")
    next(items)
    now[0] = seconds
    next(items)
    assert capsys.readouterr().err.endswith(f" {left} left\n")
