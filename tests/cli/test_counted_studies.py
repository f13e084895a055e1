"""Which studies `rs verdicts` and `rs papers` count, and with which values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from two_studies import ENTRY, make_two_studies

from rs.cli.papers import _left
from rs.cli.verdicts import everything
from rs.provenance.files import read_table, write_table
from rs.tables.aggregate import TABLES


@pytest.fixture
def folder(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_two_studies(tiny)
    return tmp_path


def test_the_demo_is_no_paper(folder, capsys):
    """Neither where it has run, here or with an overlay, nor where it has not."""
    Path("config/two.yaml").rename("config/config.yaml")
    for files in (["config/config.yaml"], ["/elsewhere/config/config.yaml", "config/scales/quick.yaml"]):
        for name in TABLES:
            path = Path("results/one/tables") / f"{name}.parquet"
            write_table(Path("results/demo/tables") / path.name, read_table(path)[0], {"files": files})
        results = list(everything())
        assert [one.files for one in results] == [[Path("config/one.yaml")]]


def test_values_from_the_command_line_are_part_of_a_study(folder):
    """The paper's own numbers are those of the study that ran, and its data set too."""
    path = Path("results/one/tables/published.parquet")
    table, made = read_table(path)
    given = {"files": ["config/one.yaml", "--config"], "overrides": {"seeds": [5]}}
    write_table(path, table, {"spec": made["spec"], **given})
    one = next(results for results in everything() if results.source == "results")
    assert (one.overrides, one.data) == ({"seeds": [5]}, "digits")
    assert replace(one, overrides={"data": {"name": "mnist"}}).data == "mnist"
    study, better = yaml.safe_load(one.files[0].read_text()), {**ENTRY, "run": "nal"}
    one.files[0].write_text(yaml.safe_dump({**study, "published": [ENTRY, better]}))
    assert one.own_numbers().keys() == {"P/helps"}
    left = _left(one.files, one.overrides)
    assert left.command.startswith("snakemake --cores 2 --configfile config/one.yaml --config 'seeds=[5]'")
    assert left.name == "one"
