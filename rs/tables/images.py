"""The tables `images`, with the claim of every certificate about every test image, and `thumbnails`, with
small pictures of the images of interest: where runs differ, or where one of them does not certify.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rs.provenance.prepared import load_arrays
from rs.tables.certified import CLAIMED, VOTED, claims
from rs.tables.reading import rows_of
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

MOST = 300  # pictures of a study
LONGEST = 64  # pixels of a picture's side; of a larger image every second, third, … pixel is taken

_CLAIM = (*CLAIMED, "rigorous", "largest_radius")


def rows(stored: Stored) -> Iterator[Row]:
    for claim in stored.once(claims):
        named = {column: claim.columns[column] for column in _CLAIM} | {"factor": claim.factor}
        for outcome in rows_of(claim.outcomes.rename(columns={"label": "true"})):
            yield {**named, **outcome}


def asked_about(outcomes: Iterable[Mapping[str, Any]]) -> list[int]:
    """At most MOST images: in turn those with the largest differences between claims, and those with the
    smallest radius of any claim.
    """
    frame = pd.DataFrame(list(outcomes))
    if frame.empty:
        return []
    right = frame["prediction"] == frame["true"]
    each = frame.assign(radius=frame["radius"].where(right, -1.0)).groupby("image")["radius"]
    apart = (each.max() - each.min()).rank(ascending=False, method="first")
    least = each.min().rank(method="first")
    first = pd.concat([apart, least], axis=1).min(axis=1).sort_values(kind="stable")
    return sorted(int(image) for image in first.index[:MOST])


def thumbnails(stored: Stored, outcomes: list[Row]) -> Iterator[Row]:
    """The pictures. Empty without the prepared data set, or where large images stay in their files."""
    manifest = Path(stored.plan.data_manifest)
    arrays = load_arrays(manifest, "test") if manifest.is_file() else {}
    if "images" not in arrays:
        return
    images, labels = arrays["images"], arrays["labels"]
    for image in asked_about(row for row in outcomes if row["image"] < len(images)):
        every = -(-max(images.shape[2:]) // LONGEST)
        small = np.ascontiguousarray(images[image, :, ::every, ::every])
        values = small if small.dtype == np.uint8 else np.round(small * 255).astype(np.uint8)
        picture = {"image": image, "true": int(labels[image]), "shape": list(values.shape)}
        yield picture | {"pixels": values.tobytes()}


IMAGES = Table("images", (*_CLAIM, "factor", "image", "true", "prediction", "radius", *VOTED), rows)
THUMBNAILS = Table("thumbnails", ("image", "true", "shape", "pixels"), thumbnails, of=("images",))
