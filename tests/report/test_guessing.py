"""Imported models that are no better than guesses are told, and those that are better are not."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import study_tables

from rs.report.guessing import no_better_than_guesses, of_imports
from rs.tables.noise import smoothed_with


def tail(right: int, images: int, share: float) -> float:
    """P(Binomial(images, share) >= right), summed plainly."""
    each = (math.comb(images, k) * share**k * (1 - share) ** (images - k) for k in range(right, images + 1))
    return math.fsum(each)


@pytest.mark.parametrize(("images", "classes"), [(100, 10), (180, 10), (500, 2), (1000, 1000)])
def test_what_exceeds_guesses_by_the_exact_test_is_not_told(images: int, classes: int) -> None:
    enough = next(k for k in range(images) if tail(k, images, 1 / classes) < 0.01)
    assert no_better_than_guesses(enough, images, classes) is None
    line = no_better_than_guesses(enough - 1, images, classes)
    assert line is not None
    assert line.startswith(f"{enough - 1:,} of {images:,} images are right, no more than by guessing one of")
    assert (
        "the order of the classes, the normalisation, the scale of the pixels, the order of the chann" in line
    )
    assert no_better_than_guesses(0, images, classes) is not None
    assert no_better_than_guesses(0, 99, classes) is None


def test_the_imported_models_of_a_study_are_told_and_no_others(tmp_path: Path) -> None:
    noise = smoothed_with({"name": "gaussian", "sigma": 0.25})
    runs, rows = [], []
    for label, objective, share in (
        ("theirs", "imported", 0.1),
        ("good", "imported", 0.5),
        ("trained", "gaussian", 0.1),
        ("stopped", "imported", 0.1),
    ):
        runs.append({"run": f"r-{label}", "label": label, "objective": objective})
        shared = {"run": f"r-{label}", "label": label, **noise, "images": 200, "factor": 1.0}
        shared["lower_bound"] = label == "stopped"
        rows += [{**shared, "certificate": c, "radius": 0.0, "certified_accuracy": share} for c in "ab"]
        rows += [{**shared, "certificate": "a", "radius": 0.5, "certified_accuracy": 0.0}]
    tables = {"runs": pd.DataFrame(runs), "certified_accuracy": pd.DataFrame(rows)}
    (line,) = of_imports(study_tables.write(tmp_path, tables), 10)
    assert line.startswith("theirs under gaussian σ = 0.25: 20 of 200 images are right, no more than")
    assert list(of_imports(tmp_path / "none", 10)) == []
