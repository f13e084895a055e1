"""Others' certification logs stand beside runs and alone; what says nothing is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from foreign_study import LINES, LOG, OWN, execute, plan_of, refused
from foreign_study import place as place  # fixture

from rs.cli.main import main
from rs.study.certification_log import read_log
from rs.tables import aggregate as tables

pytestmark = pytest.mark.slow


def test_logs_stand_beside_runs_and_alone(place):
    plan = plan_of(logs={"published": LOG}, report={"radii": [0.0, 0.5]})
    tables.aggregate(plan, plan.tables, "code")
    accuracy = pd.read_parquet(plan.tables / "certified_accuracy.parquet")
    assert accuracy["certified_accuracy"].tolist() == [0.5, 0.25]  # right with radius >= 0, >= 0.5
    assert set(accuracy["run"]) == {plan.logs[0].id}
    assert accuracy[["label", "certificate", "smoothing_level", "alpha", "n"]].iloc[0].tolist() == [
        *("published", "cohen", 0.5, 0.001, 1000)
    ]
    acr = pd.read_parquet(plan.tables / "average_certified_radius.parquet")
    assert acr["acr"].tolist() == [0.25]
    assert pd.read_parquet(plan.tables / "radius_accuracy.parquet")["certified_accuracy"].iloc[0] == 0.5
    assert Path("log.tsv") in plan.aggregated_files()
    before = plan.logs[0].id
    Path("log.tsv").write_text("\n".join(LINES[:4]) + "\n")
    assert plan_of(logs={"published": LOG}).logs[0].id != before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file": "no.tsv"}, "no.tsv: no such file, here or in"),
        (
            {"certificate": "laplace_l1"},
            "logs.published.certificate: laplace_l1 has no theorem for noise gaussian",
        ),
        ({"alpha": 1}, "logs.published.alpha"),
        ({"n": 0}, "logs.published.n"),
        ({"sigma": 1}, "logs.published.sigma: unknown key"),
        ({"certificate": "choen"}, "did you mean cohen"),
    ],
)
def test_logs_that_say_nothing_are_refused_before_anything_runs(place, change, says):
    assert says in refused(logs={"published": LOG | change})


def test_a_malformed_line_is_named_when_the_study_is_read(place):
    Path("log.tsv").write_text("\n".join([*LINES, "4\t1"]) + "\n")
    assert "log.tsv:6: 2 fields instead of 6" in refused(logs={"published": LOG})


def test_export_log_writes_what_was_certified(place, capsys):
    plan = plan_of(imported={"theirs": OWN}, certificates=[{"name": "cohen"}, {"name": "tcertify"}])
    command = ["export-log", "--study", "study.yaml", "--run", "theirs", "--out", "out.tsv"]
    assert main(command) == 1
    assert "not there yet" in capsys.readouterr().err
    execute(plan, "data", "import", "sample", "certify")
    assert main(command) == 1
    assert "give one with --certificate; it has cohen, tcertify" in capsys.readouterr().err
    study = Path("study.yaml").read_text()
    assert main([*command[:-1], "study.yaml"]) == 1
    assert "--out study.yaml: is one of the files to read" in capsys.readouterr().err
    assert Path("study.yaml").read_text() == study
    assert main([*command, "--certificate", "cohen"]) == 0
    frame = pd.read_parquet(plan.runs[0].observations[0].certified).query("certificate == 'cohen'")
    log = read_log(Path("out.tsv"))
    assert np.array_equal(log.radius, frame["radius"])
    assert np.array_equal(log.predict, frame["prediction"])
    assert main([*command[:4], "nobody", *command[5:]]) == 1
    assert "no active run is labelled 'nobody'; runs: theirs" in capsys.readouterr().err
