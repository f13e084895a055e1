"""Tables are shown, built on and counted as a study's only where its files would make them now."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from observed_runs import observe
from tiny_study import TINY, with_run, write_study

from rs.cli import study_stages
from rs.cli.main import main
from rs.cli.verdicts import everything
from rs.plan.plan import Plan
from rs.provenance.files import read_provenance, read_table, write_table
from rs.study.study import Study

PAIR = {"better": "other", "than": "gaussian", "metric": "acr", "about": "networks"}
CLAIM = {"id": "c", "paper": "P", "place": "section 1", "claim": "It helps.", "conditions": [PAIR]}
ADDRESS = "tiny/claims/c"


@pytest.fixture
def study(tmp_path, monkeypatch) -> dict[str, Any]:
    """Two runs of observed radii, whose tables are made: `other` certifies more."""
    monkeypatch.chdir(tmp_path)
    runs = {"gaussian": {"objective": {"name": "gaussian"}}}
    study = {**copy.deepcopy(TINY), "runs": runs, "claims": [CLAIM], "papers": {"P": {"images": 6}}}
    study = with_run(study, "other", objective={"name": "gaussian"}, training={"epochs": 2})
    plan = Plan(Study([write_study(Path("study.yaml"), study)]))
    observe(plan, radii)
    study_stages.aggregate(plan)
    return study


def radii(run) -> list[float]:
    return [0.3 + 0.1 * (run.label == "other") + 0.01 * i for i in range(6)]


def without_gaussian(study: dict[str, Any]) -> None:
    study["runs"].pop("gaussian")
    study["claims"] = []


def turned(study: dict[str, Any]) -> None:
    study["claims"] = [{**CLAIM, "conditions": [{**PAIR, "better": "gaussian", "than": "other"}]}]


OTHER: dict[str, Callable[[dict[str, Any]], Any]] = {
    "certified of gaussian seed 0, certified of other seed 0": (
        lambda study: study.update(certificates=[{"name": "cohen", "alpha": 0.01}])
    ),
    "claims, run gaussian seed 0": without_gaussian,
    "claims": turned,
    "report.radii": lambda study: study.update(report={"radii": [0.0]}),
    "run other seed 0": lambda study: study["runs"]["other"].update(training={"epochs": 3}),
}


@pytest.mark.parametrize("names", OTHER)
def test_tables_of_other_settings_are_no_study_s(study, capsys, names) -> None:
    OTHER[names](study)
    write_study(Path("study.yaml"), study)
    line = f"results/tiny/tables: of other settings than study.yaml has now ({names}); run "
    for verb in (["show"], ["report"], ["track"]):
        assert main([*verb, "--study", "study.yaml"]) == 1
        out, err = capsys.readouterr()
        assert err.splitlines()[-1].startswith(f"rs: {line}"), verb
        assert "certified accuracy on" not in out
    assert main(["why", ADDRESS]) == 1
    assert capsys.readouterr().err.startswith(f"rs: {line}")
    assert list(everything()) == []
    assert capsys.readouterr().err.startswith(f"rs: not counted: {line}")
    assert not Path("results/tiny/report.html").exists()


def test_tables_made_again_are_of_the_study(study, capsys) -> None:
    turned(study)
    write_study(Path("study.yaml"), study)
    assert main(["show", "--study", "study.yaml"]) == 1
    assert capsys.readouterr().err.endswith("; run rs aggregate --study study.yaml\n"), "nothing is missing"
    assert main(["aggregate", "--study", "study.yaml"]) == 0
    assert main(["show", "--study", "study.yaml"]) == main(["why", ADDRESS]) == 0
    (results,) = everything()
    assert results.source == "results"
    assert capsys.readouterr().err == ""


def test_a_study_that_gained_runs_shows_what_is_there_and_decides_nothing_by_it(study, capsys) -> None:
    study = with_run(study, "third", objective={"name": "gaussian"}, training={"epochs": 3})
    study["attacks"].append({**study["attacks"][0], "label": "another"})
    write_study(Path("study.yaml"), study)
    line = (
        "results/tiny/tables: without attacks of gaussian seed 0, attacks of other seed 0, run third seed 0"
    )
    for verb in (["show", "--study", "study.yaml"], ["why", ADDRESS]):
        assert main(verb) == 0
        out, err = capsys.readouterr()
        assert err.startswith(f"rs: {line}, which study.yaml has now; run snakemake --cores N --configfile ")
        assert "other" in out
    assert main(["report", "--study", "study.yaml"]) == 1
    assert line in capsys.readouterr().err
    assert list(everything()) == []


def test_tables_older_than_their_files_are_shown_and_not_built_on(study, capsys) -> None:
    plan = Plan(Study([Path("study.yaml")]))
    observe(plan, lambda run: [0.0] * 6)
    assert main(["show", "--study", "study.yaml"]) == 0
    line = "tables: older than the files that they are made from; run rs aggregate --study study.yaml"
    assert line in capsys.readouterr().err
    assert main(["report", "--study", "study.yaml"]) == 1
    assert line in capsys.readouterr().err
    assert list(everything()) == []


def test_tables_alone_are_all_that_a_copy_needs(study, capsys) -> None:
    """Or a study of which Snakemake makes files again: their settings are those of the study."""
    Path("results/runs").rename("elsewhere")
    for verb in ("show", "report"):
        assert main([verb, "--study", "study.yaml"]) == 0
        assert "perhaps not what would be made now: 8 files behind them not here" in capsys.readouterr().err
    (results,) = everything()
    assert results.source == "results"


def test_values_from_the_command_line_are_those_of_the_tables(study, capsys) -> None:
    plan = Plan(Study([Path("study.yaml")], {"certificates": [{"name": "cohen", "alpha": 0.02}]}))
    observe(plan, radii)
    study_stages.aggregate(plan)
    capsys.readouterr()
    assert main(["show", "--study", "study.yaml"]) == 0
    out, err = capsys.readouterr()
    assert "alpha = 0.02" in out
    assert err == (
        'rs: results/tiny/tables: made with --config certificates=[{"name": "cohen", "alpha": 0.02}]\n'
    )
    write_study(Path("another.yaml"), study)
    assert main(["show", "--study", "another.yaml"]) == 1, "of the same name"
    assert "of other settings than another.yaml has now (certified of" in capsys.readouterr().err


def test_a_version_that_recorded_no_settings_is_refused_where_inputs_differ(study, capsys) -> None:
    path = Path("results/tiny/tables/provenance.parquet")
    made = read_provenance(path)
    made.pop("settings")
    write_table(path, read_table(path)[0], made)
    assert main(["show", "--study", "study.yaml"]) == 0
    turned(study)
    write_study(Path("study.yaml"), study)
    assert main(["show", "--study", "study.yaml"]) == 1
    assert "(made by a version that did not record them)" in capsys.readouterr().err
