"""Which studies `rs verdicts` and `rs papers` count, and with which values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from two_studies import ENTRY, make_two_studies

from rs.cli.main import main
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


@pytest.mark.parametrize("place", ["results", "config"])
def test_an_invalid_study_stops_nobody_else_s_verdicts(folder, capsys, monkeypatch, place):
    """Nor `rs why`; and a line says so before minutes of deriving."""
    name = {"results": "one", "config": "two"}[place]
    file, other = Path(f"config/{name}.yaml"), {"one": "two", "two": "one"}[name]
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "noise": {"sigma": -0.25}}))
    assert main(["verdicts", "--paper", "P"]) == 0
    out, err = capsys.readouterr()
    assert "It helps." in out
    assert f"config/{name}.yaml: noise" in err.splitlines()[0]
    assert [results.files for results in everything()] == [[Path(f"config/{other}.yaml")]]
    assert main(["why", f"{other}/claims/helps"]) == 0
    lines: list[str] = []
    monkeypatch.setattr("rs.cli.verdicts.kept", lambda: lines.append(capsys.readouterr().err) or [])
    list(everything())
    assert f"config/{name}.yaml: noise" in lines[0]


def test_tables_of_a_former_name_or_of_a_file_that_is_gone_have_no_vote(folder, capsys):
    """The claim may have been turned round meanwhile, and would contradict itself."""
    file = Path("config/one.yaml")
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "name": "three"}))
    assert {results.source for results in everything()} == {"none"}
    line = "results/one/tables: of a former name: config/one.yaml is now the study three; `rs clean` lists"
    assert f"rs: not counted: {line}" in capsys.readouterr().err
    assert main(["why", "one/claims/helps"]) == 1
    assert line in capsys.readouterr().err
    file.unlink()
    assert {results.source for results in everything()} == {"none"}
    assert "rs: not counted: results/one/tables: config/one.yaml: cannot be read" in capsys.readouterr().err
