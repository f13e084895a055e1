"""Figures as SVG: in the page, linked, and legible on a dark page."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
import study_tables

from rs.report import figure_layout, figures, svg
from rs.report.page import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with page, tables and figures."""
    folder = tmp_path_factory.mktemp("study")
    frames = study_tables.frames()
    kept = {name: frames[name] for name in ("runs", "certified_accuracy", "examples")}
    tables = study_tables.write(folder / "tables", kept)
    paths = figures.draw(tables, folder / "figures")
    write_report("demo", tables, paths, folder / "report.html", {})
    return folder


def test_a_figure_is_in_the_page_and_its_files_are_a_click_away(study: Path) -> None:
    page = (study / "report.html").read_text()
    for kind in ("png", "pdf", "svg"):
        assert f'<a href="figures/certified-accuracy.{kind}">{kind.upper()}</a>' in page
    inside = base64.b64encode((study / "figures" / "certified-accuracy.svg").read_bytes()).decode()
    assert inside in page


def test_every_colour_of_a_figure_is_known_to_be_legible_in_light_and_dark(study: Path) -> None:
    """A colour that is given another value in one place only would stay dark on dark."""
    text = "".join(path.read_text() for path in (study / "figures").glob("*.svg")).lower()
    bodies = re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    drawn = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", bodies))
    changed = {colour.lower() for colour in svg.ON_DARK}
    assert changed <= drawn
    assert drawn <= changed | {colour.lower() for colour in figure_layout.COLOURS}
