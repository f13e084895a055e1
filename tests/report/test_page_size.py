"""A page of 60 runs stays one that a browser opens at once: its size, and no script that fails or is slow."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from benchmark_modules import load_benchmark
from browsers import BROWSER

from rs.report import curves, page, summary
from rs.tables.noise import smoothed_with

pytestmark = pytest.mark.slow
MB = 1e6


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    benchmark = load_benchmark("page")
    return benchmark, benchmark.build(
        tmp_path_factory.mktemp("sixty"), benchmark.study(60, 1000), drawn=False
    )


def test_a_page_of_sixty_runs_has_at_most_eight_megabytes(sixty: tuple[Any, Path]) -> None:
    page = sixty[1]
    text = page.read_text()
    assert text.count("<tr>") > 60 * 4  # it is all there: rows, buttons, pictures
    assert text.count('class="made-of"') == 60
    assert text.count("data:image/png;base64,") == 300
    assert page.stat().st_size < 8 * MB - 2 * MB  # its figures, not drawn here, come to less than 2


def test_its_scripts_take_little_of_the_time(sixty: tuple[Any, Path]) -> None:
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    benchmark, page = sixty
    (found,) = benchmark.opened(page, 1)  # raises where a script fails
    assert found["Script"] < 1  # processor time: 0.1 on an EPYC


# --- studies of hundreds of runs ---


@pytest.fixture
def few(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The tables of six runs on 20 images."""
    benchmark = load_benchmark("page")
    tables = benchmark.study(6, 20)
    benchmark.store(tmp_path, tables)
    return tmp_path / "tables", tables


def written(tables: Path, drawn: Sequence[Path] = ()) -> str:
    out = tables.parent / "report.html"
    page.write_report("few", tables, drawn, out, {"radii": [0.0, 0.25]})
    return out.read_text()


def test_more_radii_than_a_page_holds_are_left_to_the_table(few, monkeypatch):
    text = written(few[0])
    assert "data-opens=" in text
    assert page._TOO_MANY not in text
    monkeypatch.setattr(curves, "MOST_RADII", 6 * 20 - 1)
    text = written(few[0])
    assert page._TOO_MANY in text
    assert "data-opens=" not in text
    assert 'id="curves-data"' not in text
    assert text.count('class="made-of"') == 6


def test_votes_are_the_first_that_a_page_leaves_out(few, monkeypatch):
    whole = json.loads(curves.curves(few[0], [0.0], {}))
    monkeypatch.setattr(curves, "MOST_WITH_VOTES", 6 * 20 - 1)
    without = json.loads(curves.curves(few[0], [0.0], {}))
    assert [len(panel["votes"]) for panel in whole["panels"]] == [2, 2, 2]
    assert [panel.pop("votes") for panel in without["panels"]] == [{}, {}, {}]
    assert without["panels"] == [{k: v for k, v in p.items() if k != "votes"} for p in whole["panels"]]


def test_a_figure_of_many_lines_is_there_in_pixels(few, monkeypatch):
    drawn = [few[0] / "certified-accuracy.svg", few[0] / "certified-accuracy.png"]
    drawn[0].write_text("<svg/>")
    drawn[1].write_bytes(b"pixels")
    assert "data:image/svg+xml;base64" in written(few[0], drawn)
    monkeypatch.setattr(page, "MOST_DRAWN", 5)
    assert "data:image/svg+xml;base64" not in written(few[0], drawn)
    assert f"data:image/png;base64,{base64.b64encode(b'pixels').decode()}" in written(few[0], drawn)


def test_figures_that_a_page_has_no_room_for_are_shown_from_their_files(few, monkeypatch):
    drawn = [few[0] / f"{name}.svg" for name in ("certified-accuracy-a", "certified-accuracy-b", "training")]
    for figure, times in zip(drawn, (1000, 1000, 1), strict=True):
        figure.write_text("<svg/>" * times)
    inside = written(few[0], drawn)
    assert inside.count("data:image/svg+xml;base64") == 3
    monkeypatch.setattr(page, "MOST", len(inside.encode()) - 1000)  # room for one of two, and the small one
    text = written(few[0], drawn)
    assert len(text.encode()) <= page.MOST
    assert text.count("data:image/svg+xml;base64") == 2
    assert f'src="{few[0].name}/certified-accuracy-b.svg"' in text
    assert "figure:" not in text


def test_the_best_of_many_runs_is_found_in_one_look_at_their_comparisons(tmp_path):
    benchmark = load_benchmark("page")
    noise = {**smoothed_with({"name": "gaussian", "sigma": 0.25}), "certificate": "cohen"}
    better = {**noise, "about": "networks", "metric": "acr"}
    better |= {"radius": math.nan, "verdict": "better", "difference": 0.2, "low": 0.1, "high": 0.3}
    rows = [{**better, "a": "first", "b": f"other {i}"} for i in range(3000)]
    averages = [{**noise, "label": row["b"]} for row in rows]
    averages += [{**averages[0], "label": "first"}]
    tables = {"comparisons": pd.DataFrame(rows), "average_certified_radius": pd.DataFrame(averages)}
    benchmark.store(tmp_path, tables)
    began = time.process_time()
    (found,) = summary.best(tmp_path / "tables", "acr")
    assert time.process_time() - began < 10  # 0.1; minutes where each run looks through all of them
    assert (found.label, found.difference) == ("first", 0.2)
    tables["comparisons"].loc[7, "verdict"] = "undecided"
    benchmark.store(tmp_path, tables)
    assert summary.best(tmp_path / "tables", "acr") == []
