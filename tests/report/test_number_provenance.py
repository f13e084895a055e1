"""How a number was made: the buttons of a page's rows, and what they open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import study_tables

from rs.report.html_table import Cell, How, Section, Table, text_cell
from rs.report.page import write_report
from rs.report.provenance import explained
from rs.tables.provenance import COLUMNS

LABEL = "nal-0.5"


def step(stage: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {
        "run": "run-1",
        "label": LABEL,
        "stage": stage,
        "what": "nal",
    }
    return row | {"file": f"results/runs/run-1/{stage}", "files": 1, "commit": "3f2a91c"} | more


ROWS = [
    step("train", seconds=12.25, device="AMD EPYC"),
    step("sample", smoothing="gaussian sigma=0.5", files=4, seconds=None),
    step("certify", smoothing="gaussian sigma=0.5", seconds=0.5),
    step("train", run="run-2", seconds=9.0, file="results/runs/run-2/train"),
    step("log", label="others", commit=None, file="their.tsv"),
]
FILES = ["config/a study.yaml", "config/scales/quick.yaml"]


def tables(folder: Path) -> Path:
    return study_tables.write(folder / "tables", study_tables.frames() | {"provenance": pd.DataFrame(ROWS)})


def test_a_label_opens_its_runs_with_seconds_commit_and_the_command_that_makes_each_file(
    tmp_path: Path,
) -> None:
    rows = [[text_cell(LABEL)], [text_cell("others")], [text_cell("unknown")]]
    section = Section("x", "X", tables=[Table([("label", "text")], rows)])
    mine, others = explained([section], tables(tmp_path), FILES)
    assert [row[0].how for row in rows] == [mine, others, None]
    assert mine.title == LABEL
    again = "--cores all --configfile 'config/a study.yaml' config/scales/quick.yaml"
    assert mine.lines == (
        ("run", "run-1"),
        ("train, nal: 12.2 s on AMD EPYC, commit 3f2a91c", ""),
        ("made again by", f"snakemake results/runs/run-1/train --force {again}"),
        ("sample, nal under gaussian sigma=0.5: seconds not kept, commit 3f2a91c, 4 files", ""),
        ("in", "results/runs/run-1/sample"),
        ("made again by", f"snakemake results/runs/run-1/certify --forcerun sample {again}"),
        ("certify, nal under gaussian sigma=0.5: 0.5 s, commit 3f2a91c", ""),
        ("made again by", f"snakemake results/runs/run-1/certify --force {again}"),
        ("run", "run-2"),
        ("train, nal: 9 s, commit 3f2a91c", ""),
        ("made again by", f"snakemake results/runs/run-2/train --force {again}"),
    )
    assert others.lines == (("run", "run-1"), ("log of others, nal", ""), ("in", "their.tsv"))


def test_the_command_has_the_values_that_were_given_on_the_command_line(tmp_path: Path) -> None:
    section = Section("x", "X", tables=[Table([("label", "text")], [[text_cell(LABEL)]])])
    files, given = ["config/config.yaml", "--config"], {"seeds": [3], "training": {"epochs": 2}}
    (mine,) = explained([section], tables(tmp_path), files, given)
    command = "snakemake results/runs/run-1/train --force --cores all --configfile config/config.yaml"
    assert mine.lines[2] == ("made again by", f"{command} --config 'seeds=[3]' 'training={{\"epochs\": 2}}'")
    write_report("x", tables(tmp_path), [], tmp_path / "x.html", {"files": files, "overrides": given})
    assert "--config &#39;seeds=[3]&#39;" in (tmp_path / "x.html").read_text()


def test_what_a_cell_brings_itself_is_opened_too_and_a_study_without_the_table_has_no_more(
    tmp_path: Path,
) -> None:
    own = How("how-own", "own", (("from", "acr[0]"),))
    section = Section("x", "X", tables=[Table([("label", "text")], [[Cell("a", how=own)]])])
    assert explained([section], tmp_path, []) == [own]


@pytest.mark.slow
@pytest.mark.parametrize("scripts", [True, False])
def test_a_row_tells_how_it_was_made_by_keyboard_and_without_scripts(
    browser: Any, tmp_path: Path, scripts: bool
) -> None:
    write_report("made", tables(tmp_path), [], tmp_path / "report.html", {"files": FILES})
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    row = page.locator("#certified tbody tr", has_text=LABEL)
    details = page.locator(".made-of", has_text="run-1").first
    assert not details.is_visible()
    row.get_by_role("button", name=f"how it was made: {LABEL}").focus()
    page.keyboard.press("Enter")
    assert details.is_visible()
    assert "12.2 s on AMD EPYC" in details.inner_text()
    page.keyboard.press("Escape")
    assert not details.is_visible()
    page.emulate_media(media="print")
    assert details.is_visible()  # paper has no buttons
    context.close()
