"""What tables say of the study that made them is enough to plan it again, and to run it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from observed_runs import observe
from tiny_study import TINY, write_study

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.study.rerun import command, study_of
from rs.study.study import Study
from rs.tables.aggregate import aggregate


@pytest.mark.parametrize("overrides", [{}, {"training": {"epochs": 7}, "sampling": {"seed": 3}}])
def test_tables_name_the_files_and_what_was_given_on_the_command_line(
    tmp_path, monkeypatch, overrides
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = {"gaussian": TINY["runs"]["gaussian"]}
    file = write_study(Path("study.yaml"), {**TINY, "runs": runs, "attacks": []})
    plan = Plan(Study([file], overrides))
    observe(plan, lambda run: [0.1 * i for i in range(6)])
    aggregate(plan, Path("tables"), "")
    table = Path("tables/published.parquet")
    again = study_of(table, read_table(table)[1])
    assert Plan(again).summary == plan.summary
    assert again.files == plan.study.files
    line = command(again.files, again.overrides)
    assert line.startswith("snakemake --cores N --configfile study.yaml")
    keys = shlex.split(line.partition(" --config ")[2])
    assert keys == (['training={"epochs": 7}', 'sampling={"seed": 3}'] if overrides else [])


def test_targets_stand_before_the_files_and_names_are_quoted() -> None:
    line = command(["a b.yaml", "--config"], {"seeds": [1, 2]}, "target", "--force", cores="all")
    assert line == "snakemake target --force --cores all --configfile 'a b.yaml' --config 'seeds=[1, 2]'"
    assert command(["--config"], {"name": "x"}) == "snakemake --cores N --config 'name=\"x\"'"


def test_tables_that_do_not_say_what_was_given_name_no_study(tmp_path) -> None:
    for provenance in ({}, {"files": []}, {"files": ["study.yaml", "--config"]}):
        with pytest.raises(UserError, match=r"t.parquet: does not name its study; run the study again"):
            study_of(tmp_path / "t.parquet", provenance)
