"""The documents say what is so: examples and the notebook run, the data dictionary has every column."""

from __future__ import annotations

import dataclasses
import doctest
import json
import re
import warnings
from pathlib import Path
from typing import Any

import data_dictionary
import matplotlib
import pytest

from rs.cli.verbs import VERBS
from rs.provenance import run_files
from rs.settings.attacks import AttackUse, Judge
from rs.settings.calibration import Calibration
from rs.settings.certificates import CertificateUse
from rs.settings.claims import Claim, Condition, Side
from rs.settings.distributional import Distributional
from rs.settings.images import Subset
from rs.settings.published import Agreement, PaperSettings, Published
from rs.settings.sampling import Sampling, Stop
from rs.settings.study import (
    AxesOfTheirOwn,
    Comparison,
    ImportedSections,
    Log,
    Report,
    RunSections,
    StudySections,
    Sweep,
    Tracking,
)
from rs.settings.training import Calibrated, Optimizer, Schedule, Training
from rs.stages import attack, distributional
from rs.tables import columns
from rs.tables.aggregate import TABLES

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.slow
def test_the_examples_of_the_python_page_run():
    text = (DOCS / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest("".join(blocks), {}, "python.md", "docs/python.md", 0)
    assert len(example.examples) > 25
    output: list[str] = []
    found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a function is not computed in float64
        result = found.run(example, out=output.append)
    assert result.failed == 0, "".join(output)


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch, tmp_path):
    notebook = json.loads((DOCS / "certify.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells, start=1):
        exec(compile(cell, f"certify.ipynb, code cell {number}", "exec"), names)
    assert not list(tmp_path.iterdir())  # it leaves nothing behind


def test_the_data_dictionary_has_every_table_and_column_and_no_other():
    declared = columns.dictionary()
    assert {*declared} == {columns.COMMON, *TABLES}
    for name, table in TABLES.items():
        assert columns.typed(table, []).column_names == list(table.columns)  # each of them is declared
        gone = [c for c in declared[name] if "*" not in c and c not in table.columns]
        assert not gone, f"columns.toml: {name} has no {gone}"
    assert {*declared[columns.COMMON]} <= {column for table in TABLES.values() for column in table.columns}


def test_the_page_of_columns_shows_them():
    text = data_dictionary.PAGE.read_text("utf-8")
    assert data_dictionary.page(text) == text, "python tests/data_dictionary.py writes it anew"
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert {data_dictionary.TITLES.get(title, title) for title in titles} >= {*columns.dictionary()}


def test_the_page_of_columns_shows_those_of_the_files_of_a_run():
    _, _, files = data_dictionary.PAGE.read_text("utf-8").partition("\n## Files of a run\n")
    parts = re.split(r"^`(\w+)/.+: one row per .+$", files, flags=re.MULTILINE)
    rows = {
        part: re.findall(r"^\| (`.+?) \|", text, re.M)
        for part, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    shown = {
        part: {name for row in names for name in re.findall(r"`([^`]+)`", row)}
        for part, names in rows.items()
    }
    assert shown["attacks"] == {*attack.SCHEMA}
    assert shown["distributional"] == {*distributional.SCHEMA}
    read = {*run_files.CERTIFIED, *run_files.VOTES}
    assert shown["certified"] == read | {"certificate", "largest_radius", "decided", "source_n"}
    assert shown["draws"] == {"image", "label", "counts", "sum@<beta>", "square@<beta>", "answers"} | {
        *("first", "beside", "both")
    }


def test_the_sign_of_a_number_stands_at_the_number():
    """So that a difference in a table reads the same on every page: +0.098, not + 0.098."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    signs = re.compile(r"(?:\[|\| |: )[+−] \d.*")
    assert len(pages) > 20
    assert {page.name: found for page in pages if (found := signs.findall(page.read_text("utf-8")))} == {}


def test_numbers_of_the_documents_have_the_minus_of_print():
    found = []
    for path in [*DOCS.glob("**/*.md"), DOCS.parent / "README.md"]:
        code = r"(?ms)^```.*?^```|^    .*?$|`[^`\n]*`"
        lines = re.sub(code, "", path.read_text()).splitlines()
        found += [f"{path.name}: {line}" for line in lines if re.search(r"(?<![\w.])-\d+\.\d", line)]
    assert found == []


def of_code(pages: list[str]) -> str:
    """What the pages set as code: between back-quotes, fenced or indented."""
    code = r"(?ms)^```.*?^```|^    .*?$|`[^`\n]+`"
    return "\n".join(found for page in pages for found in re.findall(code, page))


def for_users() -> list[str]:
    pages = [DOCS.parent / "README.md", DOCS.parent / "config" / "README.md", *sorted(DOCS.glob("*.md"))]
    return [page.read_text("utf-8") for page in pages]


SAID: tuple[type, ...] = (StudySections, RunSections, ImportedSections, Report, AxesOfTheirOwn, Log)
SAID += (Comparison, Tracking, Sweep, Training, Optimizer, Schedule, Calibrated, Sampling, Stop, AttackUse)
SAID += (Judge, CertificateUse, Calibration, Distributional, Published, PaperSettings, Agreement, Claim)
SAID += (Condition, Side, Subset)


@pytest.mark.parametrize("settings", SAID, ids=lambda settings: settings.__name__)
def test_every_key_of_a_study_is_on_a_page(settings):
    named = set(re.findall(r"\w+", of_code(for_users())))
    assert [field.name for field in dataclasses.fields(settings) if field.name not in named] == []


def test_every_verb_for_people_is_on_a_page():
    named = set(re.findall(r"\brs ([a-z][a-z-]*)", of_code(for_users())))
    assert len(VERBS) > 20
    assert {verb.name for verb in VERBS} - named == set()
