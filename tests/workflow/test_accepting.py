"""Results that older code made: stale until they are accepted, then extended as if today's had made them."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from workspace import MACER, SMOOTHADV, TABLES, Workspace

pytestmark = pytest.mark.workflow


def test_accepted_results_are_current_and_extended(work: Workspace) -> None:
    work.change_code("rs/methods/objectives/macer.py")
    work.edit("rs/stages/sample.py", "    drawn = ", "    other = 1\n    drawn = ")
    stale = MACER + SMOOTHADV - Counter({("train", "smoothadv-gaussian-0p25"): 1}) + TABLES
    assert work.planned() == stale
    output = work.rs("accept", "--study", "study.yaml")
    assert "macer seed 0: train: 1 file made by code" in output
    assert "smoothadv seed 0: sample: 3 files made by code" in output
    assert work.planned() == stale
    work.rs("accept", "--study", "study.yaml", "--yes")
    assert work.planned() == TABLES
    work.study(lambda s: s["sampling"].update(n=300))
    more = Counter(
        {
            (rule, run): 1
            for rule in ("sample", "certify")
            for run in ("macer-gaussian-0p25", "smoothadv-gaussian-0p25")
        }
    )
    assert work.planned() == more + TABLES
    work.snakemake()
    assert work.planned() == Counter()
    accuracy = pd.read_parquet(work.one("tiny/tables/certified_accuracy.parquet"))
    assert set(accuracy["n"]) == {300}
    work.edit("rs/stages/sample.py", "    other = 1\n", "    other = 2\n")
    assert work.planned()[("sample", "macer-gaussian-0p25")] == 4
