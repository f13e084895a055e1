"""Tells of imported models that predict no better than guesses: mostly a slip of the import, such as another
order of classes than the data set's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import binom

from rs.report.names import read

LEAST = 100  # images; with fewer, a network that works may look like guesses
LEVEL = 0.01  # of the one-sided exact test that more images are right than by guesses
SLIPS = (
    "the order of the classes, the normalisation, the scale of the pixels, the order of the channels, and "
    "whether it was trained for this noise"
)


def no_better_than_guesses(right: int, images: int, classes: int) -> str | None:
    """A sentence where `right` of `images` predictions do not exceed what guesses among `classes` give; None
    where they do, and for few images. Abstentions are not right.
    """
    if images < LEAST or binom.sf(right - 1, images, 1 / classes) < LEVEL:
        return None
    finding = f"{right:,} of {images:,} images are right, no more than by guessing one of {classes:,} classes"
    return f"{finding}; check {SLIPS}"


def slip_of_labels(predictions: np.ndarray, labels: np.ndarray, classes: int) -> str | None:
    """A sentence where `predictions` [N] are right no more often than guesses: about labels that seem shifted
    by one if most predictions are their neighbours, else that of `no_better_than_guesses`. Else None.
    """
    right = int((predictions == labels).sum())
    finding = no_better_than_guesses(right, len(labels), classes)
    for step, word in ((1, "above"), (-1, "below")) if finding else ():
        beside = int((predictions == (labels + step) % classes).sum())
        if 2 * beside > len(labels):
            shifted = f"{beside:,} of {len(labels):,} predictions are the class {word} the label"
            return f"{shifted}, and {right:,} the label: labels seem shifted by one"
    return finding


def of_imports(tables: Path, classes: int) -> Iterator[str]:
    """A sentence for each imported model of a study and noise under which it is no better than guesses, by
    its certified accuracy at radius 0; none where the study does not report this accuracy.
    """
    runs, accuracy = read(tables, "runs"), read(tables, "certified_accuracy")
    if not len(runs) or not len(accuracy):
        return
    imported = runs.loc[runs["objective"] == "imported", "run"]
    rows = accuracy[accuracy["run"].isin(imported) & (accuracy["radius"] == 0) & ~accuracy["lower_bound"]]
    for (_, label, smoothing), same in rows.groupby(["run", "label", "smoothing"], sort=False):
        right = (same["certified_accuracy"] * same["images"] / same["factor"]).max()
        if finding := no_better_than_guesses(round(right), int(same["images"].iloc[0]), classes):
            yield f"{label} under {smoothing}: {finding}"
