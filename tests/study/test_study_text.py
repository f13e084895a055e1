"""What YAML reads otherwise than it looks, and names that are no file names, are refused with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_study import write_study

from rs.cli.main import main
from rs.errors import UserError
from rs.study.study import Study
from rs.study.yaml_file import read_yaml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: no\n", "line 1, column 7: YAML reads no as false: write false, or 'no' in quotes"),
        ("runs:\n  on: {}\n", "line 2, column 3: YAML reads on as true: write true, or 'on' in quotes"),
        ("seeds: [1, 010]\n", "line 1, column 12: YAML reads 010 as 8: write 8, or '010' in quotes"),
        ("seeds: [1_0]\n", "YAML reads 1_0 as 10"),
        ("seeds: [0x10]\n", "YAML reads 0x10 as 16"),
        ("seeds: [0b11]\n", "YAML reads 0b11 as 3"),
        ("hours: 1:30\n", "YAML reads 1:30 as 90"),
        ("sigma: 1_0.5\n", "YAML reads 1_0.5 as 10.5"),
        ("name: 2020-01-01\n", "YAML reads 2020-01-01 as a date: write '2020-01-01' in quotes"),
        ("name: 2020-13-45\n", "'2020-13-45' is no date that can be read"),
        ("runs:\n  1.50: {}\n", "line 2, column 3: YAML reads the key 1.50 as 1.5: quote it"),
        ("runs:\n  1e5: {}\n", "YAML reads the key 1e5 as 100000.0: quote it"),
        ("runs: {true: {}}\n", "YAML reads the key true as true: quote it"),
        ("runs: {~: {}}\n", "YAML reads the key ~ as nothing: quote it"),
        ("runs: {1: {}, '1': {}}\n", "key '1' is given twice"),
        ("n: " + 5000 * "9", "line 1, column 4: a number of 5000 characters; at most 100"),
        ("n: !!int ''\n", "'' is no whole number that can be read"),
    ],
)
def test_what_reads_otherwise_than_it_looks_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_yaml(write_study(tmp_path / "s.yaml", text))
    assert says in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert len(str(caught.value)) < len(str(tmp_path)) + 150


def test_what_is_written_plainly_is_read_as_it_looks(tmp_path: Path) -> None:
    text = "'on': 'no'\n1: True\n1.5: [0, -3, +4, -0.5, .5, 1e-3, 2., ~, null, y, '010']\n"
    read = read_yaml(write_study(tmp_path / "s.yaml", "\ufeff" + text))
    assert read == {
        "on": "no",
        "1": True,
        "1.5": [0, -3, 4, -0.5, 0.5, 0.001, 2, None, None, "y", "010"],
    }


def test_a_study_with_such_a_label_is_one_line_of_the_command(tmp_path, tiny, capsys) -> None:
    tiny["runs"] = {"LABEL": tiny["runs"]["gaussian"]}
    file = write_study(tmp_path / "s.yaml", tiny)
    file.write_text(file.read_text().replace("LABEL:", "on:"))
    assert main(["train", "--study", str(file)]) == 1
    errors = capsys.readouterr().err
    assert "YAML reads on as true" in errors
    assert errors.count("\n") == 1
    file.write_text(file.read_text().replace("on:", "'on':"))
    assert main(["train", "--study", str(file), "--run", "nobody"]) == 1
    assert "runs: on\n" in capsys.readouterr().err


def test_a_study_is_named_as_a_folder_can_be(tiny, refusal) -> None:
    tiny["name"] = "a" * 300
    message = refusal(tiny)
    assert ": name: " in message
    assert "300 characters; at most 200" in message
    assert len(message) < 300


def test_a_label_of_two_lines_is_named_on_one(tiny, refusal) -> None:
    tiny["runs"] = {"two\nlines": {"objective": {"name": "gaussian", "x\ny": 1}}}
    assert "runs.two lines: must be text without line breaks" in refusal(tiny)


def test_long_labels_make_no_long_paths(tiny, plan_of) -> None:
    """An attack's label is a part of its path; the digest behind it tells apart."""
    label, other = "an attack whose label says all " * 20, "an attack whose label says all " * 20 + "more"
    first = tiny["attacks"][0]
    tiny["attacks"] = [first | {"label": label}, first | {"label": other, "seed": 1}]
    plan = plan_of(tiny)
    paths = [path for job in plan.jobs["attack"].values() for path in job.outputs.values()]
    assert len(set(paths)) == 4
    assert max(len(part) for path in paths for part in path.parts) < 200


def test_numbers_that_snakemake_read_as_text_are_numbers(tmp_path: Path, tiny: dict[str, Any]) -> None:
    """Its reader takes `1e-3` for text; of a study in a file it is a number."""
    file = write_study(tmp_path / "study.yaml", tiny)
    over = {"training": {"optimizer": {"learning_rate": "1e-3", "weight_decay": "5E-4"}}, "seeds": (1,)}
    (run, _) = Study([file], over).runs
    assert run.sections["training"]["optimizer"]["learning_rate"] == 0.001
    assert run.sections["training"]["optimizer"]["weight_decay"] == 0.0005
    assert run.seed == 1
    with pytest.raises(UserError, match=r"^--config: training\.epochs"):
        Study([file], {"training": {"epochs": "e5"}})


def test_a_study_without_a_file_is_called_by_its_name(tiny: dict[str, Any]) -> None:
    assert len(Study([], tiny, "module lab: config").runs) == 2
    for wrong in ({}, None):
        with pytest.raises(UserError, match=r"^module lab: config: name: lacks this key"):
            Study([], wrong, "module lab: config")
