"""No reading of a calibration that cannot be is taken, by a table or by a training."""

from __future__ import annotations

import json
import math

import pytest

from rs.errors import UserError
from rs.plan.calibrated import calibrated_epsilon, read_calibration

OTHERS = {"rho_with_noise": 9.0, "epsilon_with_noise": 3.0, "rho_without_noise": 1.0}
OTHERS |= {"epsilon_without_noise": 1.0, "provenance": {"run": "nal", "spec_digest": "settings"}}


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (
            {"rho_reused_noise": 4.0, "epsilon_reused_noise": 4.0},
            "epsilon_reused_noise 4 is not the root",
        ),
        ({"rho_reused_noise": 4.0}, "lacks epsilon_reused_noise: not a calibration"),
        ({"epsilon_reused_noise": 2.0}, "lacks rho_reused_noise: not a calibration"),
        ({"rho_reused_noise": math.nan, "epsilon_reused_noise": math.nan}, "rho_reused_noise is nan"),
        ({"rho_reused_noise": "4", "epsilon_reused_noise": 2.0}, "rho_reused_noise is 4; allowed"),
    ],
)
def test_the_reading_with_reused_noise_is_looked_at_too(found, problem, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(OTHERS | found))
    with pytest.raises(UserError, match=f"c.json: {problem}"):
        read_calibration(path)


def test_a_calibration_of_older_code_serves_only_the_readings_that_it_has(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(OTHERS))
    assert read_calibration(path)["epsilon_with_noise"] == 3
    assert calibrated_epsilon(path, "nal/settings", "with_noise", 64) == 3
    with pytest.raises(UserError, match=r"c.json: lacks epsilon_reused_noise: calibrated by older code"):
        calibrated_epsilon(path, "nal/settings", "reused_noise", 64)
    path.write_text(json.dumps(OTHERS | {"rho_reused_noise": 4.0, "epsilon_reused_noise": 2.0}))
    assert calibrated_epsilon(path, "nal/settings", "reused_noise", 64) == 2


def test_noise_is_reused_only_by_an_ascent_that_pays_for_it(tiny, plan_of, refusal):
    """Otherwise the epsilon, of a training or beside a paper's, is that of fresh noise under another name."""
    epsilon = {"calibrated": "nal", "cost": "reused_noise"}
    trained = {**tiny["runs"], "smoothadv": {"objective": {"name": "smoothadv", "epsilon": epsilon}}}
    entry = {"paper": "NAL", "table": "Table 1", "run": "nal", "epsilon": 0.34, "cost": "reused_noise"}
    for place, part in (
        ("runs.smoothadv.objective.epsilon.cost", {"runs": trained}),
        ("published[0].cost", {"published": [entry]}),
    ):
        study = {**tiny, **part}
        study["runs"]["nal"]["calibration"] = {}
        problem = f"{place}: reused_noise: needs calibration.noise_in_cost: true of run 'nal'"
        assert problem in refusal(study)
        study["runs"]["nal"]["calibration"] = {"noise_in_cost": True}
        plan_of(study)
