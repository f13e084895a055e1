"""Places that the system does not let a verb look at, read or write, and empty arguments: one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import refused

from rs.cli.main import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "{}"],
        ["import-log", "{}"],
        ["compare", "{}", "{}"],
        ["clean", "--study", "{}"],
        ["slice", "{}", "--minutes", "1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_place_at_which_the_system_lets_nobody_look_is_one_line(arguments, tmp_path, capsys):
    place = tmp_path / (300 * "x")
    line = refused([argument.format(place) for argument in arguments], capsys)
    assert line.startswith(f"rs: {place}: cannot be read")
    assert line.endswith(": File name too long\n")


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "a/b"), OSError(28, "No space left", b"a/b")]
)
def test_what_the_system_refuses_while_a_verb_runs_is_one_line(error, monkeypatch, capsys):
    def refuse(_args):
        raise error

    monkeypatch.setattr("rs.cli.listing.list_methods", refuse)
    assert refused(["list"], capsys) == f"rs: a/b: cannot be read or written: {error.strerror}\n"


def test_a_file_that_only_the_code_misses_is_no_bad_input(monkeypatch):
    monkeypatch.setattr("rs.cli.listing.list_methods", lambda _: Path("not there").read_text())
    with pytest.raises(FileNotFoundError):
        main(["list"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "--study", "s.yaml", "--run", ""], "--run"),  # all runs, if it were left out
        (["train", "--study", "s.yaml", "--run="], "--run"),
        (["price", "--study", "s.yaml", ""], "--study"),
        (["papers", "--out", ""], "--out"),  # pages in the working directory
        (["verdicts", "--paper", ""], "--paper"),
        (["why", ""], "why"),
        ([""], "rs"),
    ],
)
def test_an_empty_argument_as_of_an_unset_variable_is_refused(arguments, named, capsys, monkeypatch):
    monkeypatch.setattr("rs.cli.main.act", lambda _: pytest.fail("has begun"))
    line = refused(arguments, capsys)
    assert line == f"rs: {named}: an empty argument; give it a value, or leave it out\n"


def test_the_workflow_s_job_has_an_empty_folder_of_data_where_none_is_stated(capsys):
    """As workflow/rules/data.smk calls it."""
    assert "--job needs spec" in refused(["data", "--data-dir=", "--job", "{}"], capsys)


@pytest.mark.parametrize("joined", ["{}+overlay.yaml", "{}:gaussian", "{}+overlay.yaml:gaussian"])
def test_a_study_named_as_for_a_comparison_is_told_apart_from_one_that_is_missing(joined, tmp_path, capsys):
    study = tmp_path / "s.yaml"
    study.touch()
    for verb in ("price", "status", "train"):
        line = refused([verb, "--study", joined.format(study)], capsys)
        assert line.endswith(": no such file; here files of a study are separate words, without a label\n")
