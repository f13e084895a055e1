"""Contestants with radii that a test makes up."""

from __future__ import annotations

import numpy as np

from rs.tables.contestants import Contestant, Outcomes


def contestant(name, radii, seeds=(0,), labels=None, images=None, **more):
    values = np.atleast_2d(np.array(radii, np.float64))
    images = np.arange(values.shape[1]) if images is None else np.array(images)
    labels = np.zeros(len(images), int) if labels is None else np.array(labels)
    return Contestant(name, seeds, Outcomes(images, labels, values), **more)


def rows_of(rows, metric, about="networks"):
    return [r for r in rows if (r["metric"], r["about"]) == (metric, about)]
