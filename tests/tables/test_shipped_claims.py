"""The claims of the shipped studies, held against the settings that the same studies state."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rs.study.claims import sides_of
from rs.study.study import Study
from rs.tables.claims import other_settings

NOT_STATED = ("stn-table1-cifar10", "stn-table1-mnist")  # accuracies without attack
CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.parametrize(
    "file", [CONFIG / "nal.yaml", *sorted(CONFIG.glob("papers/*.yaml"))], ids=lambda p: p.stem
)
def test_no_run_that_a_claim_reads_is_other_than_the_paper_says(file: Path) -> None:
    """What a baseline cannot be, as another objective, would leave a claim about it undecided for ever."""
    study = Study([file])
    assert {claim["id"]: found for claim in study.claims if (found := other_settings(study, claim))} == {}


@pytest.mark.parametrize(
    "file", [CONFIG / "nal.yaml", *sorted(CONFIG.glob("papers/*.yaml"))], ids=lambda p: p.stem
)
def test_a_study_states_the_settings_of_what_it_decides(file: Path) -> None:
    """Else its claims were decided by runs of whatever data set and network an overlay makes of them."""
    study = Study([file])
    observed = [c["paper"] for c in study.claims if any(sides_of(condition) for condition in c["conditions"])]
    for paper in {*observed, *(entry["paper"] for entry in study.published)}:
        settings = study.papers[paper]
        assert settings["data"] == {"name": study.data["name"]}
        attacked = any(
            c["metric"] == "empirical_accuracy" for claim in study.claims for c in claim["conditions"]
        )
        assert settings["attack"] is not None or not attacked or file.stem in NOT_STATED


def test_a_baseline_is_another_method_and_still_at_the_paper_s_noise_and_steps(tmp_path: Path) -> None:
    """WRM has no noise and another objective; stability training at another sigma is at other settings."""
    overlay = tmp_path / "overlay.yaml"
    other = {"stability": {"noise": {"sigma": 0.5}}, "nal-elu": {"objective": {"steps": 1}}}
    overlay.write_text(yaml.safe_dump({"runs": other | {"nal": {"noise": {"name": "none"}}}}))
    study = Study([CONFIG / "nal.yaml", overlay])
    found = {claim["id"]: other_settings(study, claim) for claim in study.claims}
    assert "stability: noise.sigma 0.5, not 0.05" in found["above-stability"]
    swept = [[f"{run}[gamma={gamma}]" for gamma in (0.25, 1.5, 3)] for run in ("nal-elu", "nal")]
    elu, nal = (", ".join(labels) for labels in swept)
    assert found["above-wrm"] == [f"{elu}: objective.steps 1, not 4"]
    assert f"{nal}: noise none, not gaussian" in found["epsilon-falls"]
