"""The images of a certification log as rows of a table."""

from __future__ import annotations

import numpy as np

from rs.study.certification_log import Log


def images(log: Log) -> dict[str, np.ndarray]:
    """One entry per image, [N], under the column names of certified files."""
    return {"image": log.idx, "label": log.label, "prediction": log.predict, "radius": log.radius}
