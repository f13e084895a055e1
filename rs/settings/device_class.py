"""How a study names a class of devices."""

from __future__ import annotations

PATTERN = r"^(cpu [a-z0-9_-]+|cuda \d+\.\d+)$"
