"""Tells of imported models that predict no better than guesses: mostly a slip of the import, such as another
order of classes than the data set's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
