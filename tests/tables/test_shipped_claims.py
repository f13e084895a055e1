"""The claims of the shipped studies, held against the settings that the same studies state."""

from __future__ import annotations

from pathlib import Path

import pytest

from rs.study.study import Study
from rs.tables.claims import other_settings

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.parametrize(
    "file", [CONFIG / "nal.yaml", *sorted(CONFIG.glob("papers/*.yaml"))], ids=lambda p: p.stem
)
def test_no_run_that_a_claim_reads_is_other_than_the_paper_says(file: Path) -> None:
    """What a baseline cannot be, as another objective, would leave a claim about it undecided for ever."""
    study = Study([file])
    assert {claim["id"]: found for claim in study.claims if (found := other_settings(study, claim))} == {}
