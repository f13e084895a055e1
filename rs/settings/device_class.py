"""The names of device classes in a study."""

from __future__ import annotations

PATTERN = r"^(cpu [a-z0-9_-]+|cuda \d+\.\d+)$"
