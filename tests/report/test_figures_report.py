from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import study_tables
from matplotlib.image import imread

from rs.report import example_figure as strips
from rs.report import figure_layout, figures
from rs.report.figures import draw
from rs.report.page import write_report
from rs.report.panels import certified_panels
from rs.tables.noise import smoothed_with, trained_with

pytestmark = pytest.mark.slow

CONTEXT: dict[str, Any] = {
    "description": "Digits & <noise>",
    "commit": "3f2a91c",
    "versions": {"torch": "2.15"},
}


class Page(HTMLParser):
    """Tables of a page by section id (heads, rows of texts), its images and everything it would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.images: dict[str, int] = {}
        self.loads: list[str] = []
        self.section = ""
        self.inside = False
        self.text = path.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in ("script", "link", "iframe") and ("src" in attributes or "href" in attributes):
            self.loads.append(str(attributes))
        if tag == "img":
            self.images[self.section] = self.images.get(self.section, 0) + 1
            if not str(attributes["src"]).startswith("data:image/svg+xml;base64,"):
                self.loads.append(str(attributes["src"])[:80])
        if tag == "section":
            self.section = str(attributes["id"])
        if tag == "table":
            self.tables.setdefault(self.section, []).append([])
        if tag == "tr":
            self.tables[self.section][-1].append([])
        if tag in ("td", "th"):
            self.tables[self.section][-1][-1].append("")
            self.inside = True
        if tag in ("small", "span") and self.inside:
            self.tables[self.section][-1][-1][-1] += " "

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.tables[self.section][-1][-1][-1] += data


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("study")
    tables = study_tables.write(folder / "tables", study_tables.frames())
    return tables, draw(tables, folder / "figures")


def page(tables: Path, drawn: list[Path], out: Path, **context: Any) -> Page:
    write_report("demo", tables, drawn, out, CONTEXT | context)
    return Page(out)


def test_draws_every_figure_twice_the_same(drawn: tuple[Path, list[Path]], tmp_path: Path) -> None:
    tables, first = drawn
    assert [p.name for p in first] == [
        f"{stem}.{kind}" for stem in figures.STEMS for kind in ("png", "pdf", "svg")
    ]
    (tmp_path / "certified-accuracy-2.png").write_bytes(b"of an older version")
    second = draw(tables, tmp_path)
    assert [p.read_bytes() for p in second] == [p.read_bytes() for p in first]
    assert sorted(tmp_path.iterdir()) == sorted(second)  # what is no longer drawn is gone
    for path in first:
        if path.suffix == ".pdf":
            assert b"/FontFile2" in path.read_bytes()  # fonts inside
            assert b"/CreationDate" not in path.read_bytes()
        elif path.suffix == ".svg":
            drawing = path.read_text()
            assert "<dc:date>" not in drawing
            assert "prefers-color-scheme: dark" in drawing
            ElementTree.fromstring(drawing)
        else:
            assert imread(path).std() > 0.02


def test_bands_are_the_intervals_or_the_spread_over_seeds() -> None:
    from matplotlib.figure import Figure

    one = pd.DataFrame({"radius": [0.0, 1.0], "y": [0.8, 0.4], "low": [0.7, 0.3], "high": [0.9, 0.5]})
    two = pd.concat([one, one.assign(y=[0.6, 0.4])])
    for rows, mean, low in ((one, [0.8, 0.4], 0.7), (two, [0.7, 0.4], 0.7 - np.std([0.8, 0.6], ddof=1))):
        axes = Figure().add_subplot()
        figures._line(axes, rows, "radius", "y", color="k")
        np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), float), mean)
        assert axes.collections[0].get_paths()[0].vertices[:, 1].min() <= low + 1e-9


def test_estimates_are_dashed_and_wrong_predictions_red() -> None:
    certified = study_tables.frames()["certified_accuracy"]
    panels = certified_panels(certified, pd.DataFrame())
    (figure,) = figures._accuracy(panels, "certified_accuracy", "certified accuracy")
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"cohen", "stn (estimate, not a proof)"} <= names
    assert {line.get_linestyle() for line in figure.axes[0].lines} == {"-", "--"}
    assert strips.caption(pd.Series({"prediction": 3, "true": 3})) == ("3", strips.INK)
    assert strips.caption(pd.Series({"prediction": 4, "true": 3})) == ("4", strips.WRONG)
    assert strips.caption(pd.Series({"prediction": -1, "true": 3})) == ("abstains", strips.WRONG)


def test_labels_that_differ_in_sigma_only_share_a_colour() -> None:
    runs = study_tables.frames()["runs"]
    styles = figure_layout.styles(runs, list(runs.label))
    assert styles["macer-0.25"]["color"] == styles["macer-0.5"]["color"] != styles["nal-0.25"]["color"]
    assert len({(s["color"], s["marker"]) for s in styles.values()}) == len(runs)


def test_colour_images_are_shown_in_colour() -> None:
    assert strips.picture(np.linspace(-1, 2, 3 * 4 * 5), [3, 4, 5]).shape == (4, 5, 3)
    assert strips.picture(np.zeros(64), np.array([1, 8, 8])).shape == (8, 8)


def test_the_page_stands_alone_and_states_what_was_measured(
    drawn: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    tables, paths = drawn
    found = page(tables, paths, tmp_path / "report.html", radii=[0, 0.25, 0.5, 1])
    assert found.loads == []
    assert "Digits &amp; &lt;noise&gt;" in found.text
    shown = ("certified", "attacks", "distributional", "training", "examples")
    assert found.images == dict.fromkeys(shown, 1)
    assert "300 test images · n = 10,000 noisy samples per image · α = 0.001 · bf16" in found.text
    assert "published" not in found.tables  # no published numbers in this study
    heads, *rows = found.tables["certified"][0]
    assert heads == [
        "label",
        "smoothing noise",
        "certificate",
        "ACR",
        "r = 0",
        "r = 0.25",
        "r = 0.5",
        "r = 1",
    ]
    assert len(rows) == 12
    assert [r[2] for r in rows if r[0] == "stability-0.5"] == ["cohen", "stn estimate"]
    frames = study_tables.frames()
    expected = frames["certified_accuracy"].query("label == 'nal-0.5' and radius == 0.5").iloc[0]
    shown = next(r for r in rows if r[0] == "nal-0.5")[heads.index("r = 0.5")]
    value, low, high = (float(x) for x in re.split("[ –]", shown))
    assert 0 <= expected.certified_accuracy - value < 1e-3
    assert low <= expected.low < low + 1e-3
    assert high - 1e-3 < expected.high <= high
    runs = found.tables["runs"][0]
    assert "lambda = 12, beta = 16, gamma = 8, samples = 16" in next(r for r in runs if r[0] == "macer-0.5")
    assert "dataset digits" in found.text
    assert "dataset" not in runs[0]  # the same for every run: said once
    again = tmp_path / "again.html"
    page(tables, paths, again, radii=[0, 0.25, 0.5, 1])
    assert again.read_bytes() == (tmp_path / "report.html").read_bytes()


def test_accuracies_round_down_and_intervals_outwards() -> None:
    from rs.report.html_table import down, interval, up

    assert (down(0.6999), down(0.612), down(2 / 3)) == ("0.699", "0.612", "0.666")
    assert (down(0.4999999995), up(0.5000000005), down(-0.0001)) == ("0.499", "0.501", "−0.001")
    assert down(0.9999999999, 0) == "0"
    for thousandths in range(1001):  # however the float64 lies beside them
        value = thousandths / 1000
        assert down(value) == up(np.float64(value)) == f"{value:.3f}"
    assert interval(0.1239, 0.4561) == "0.123–0.457"


AGREES = "agrees: +0.009 [−0.010, +0.020], within 0.025"


def test_published_numbers_stand_beside_reproduced_ones(tmp_path: Path) -> None:
    row = {
        "paper": "A paper",
        "table": "6",
        "label": "gaussian-0.5",
        "smoothing_level": 0.5,
        "seeds": 3,
        "counted": "images and seeds",
        "direction": None,
        "margin": 0.025,
        "low": 0.47,
        "high": 0.53,
    }
    frame = pd.DataFrame(
        [
            row
            | {
                "metric": "acr",
                "radius": np.nan,
                "printed": "0.491",
                "published": 0.491,
                "reproduced": 0.5,
                "difference": 0.009,
                "difference_low": -0.01,
                "difference_high": 0.02,
                "status": "agrees",
            },
            row
            | {"metric": "certified_accuracy", "radius": 0.75, "printed": "0.60"}
            | {"published": 0.6, "reproduced": 0.5, "status": "other settings"}
            | {"settings": "training.epochs 1, not 440", "difference": -0.1},
        ]
    )
    found = page(study_tables.write(tmp_path, {"published": frame}), [], tmp_path / "r.html")
    _, first, second = found.tables["published"][0]
    assert first == ["gaussian-0.5", "ACR", "0.491", "0.500 0.470–0.530", AGREES, "0.5", "A paper", "6"]
    assert second[1] == "certified accuracy at r = 0.75"
    assert second[2] == "0.60"  # with the digits that are printed
    assert second[4] == "other settings: training.epochs 1, not 440"
    assert 'class="text verdict agrees long"' in found.text  # wraps


def test_several_seeds_have_a_column_and_a_table_of_their_spread(tmp_path: Path) -> None:
    frames = study_tables.frames()
    frames = {k: f[f.label.str.startswith("gaussian")] for k, f in frames.items() if "label" in f}
    frames["runs"] = frames["runs"].assign(label="gaussian", seed=[0, 1])
    frames["certified_accuracy"] = frames["certified_accuracy"].assign(label="gaussian")
    noise = smoothed_with({"name": "gaussian", "sigma": 0.25})
    kind = {"label": "gaussian", **noise, "certificate": "cohen", "seeds": 2}
    over = [kind | {"radius": r, "mean": 0.8 - r, "std": 0.011} for r in (0.0, 0.5)]
    frames["certified_accuracy_over_seeds"] = pd.DataFrame(over)
    found = page(study_tables.write(tmp_path, frames), [], tmp_path / "r.html", radii=[0, 0.5])
    each, spread = found.tables["certified"]
    assert [row[each[0].index("seed")] for row in each] == ["seed", "0", "1"]
    assert spread[1] == ["gaussian", "gaussian σ = 0.25", "cohen", "2", "–", "0.800 ± 0.011", "0.300 ± 0.011"]


@pytest.mark.parametrize("kept", [(), ("runs",), ("runs", "training"), ("certified_accuracy",)])
@pytest.mark.parametrize("empty", [True, False])
def test_absent_and_empty_tables_are_a_sentence(kept: tuple[str, ...], empty: bool, tmp_path: Path) -> None:
    frames = study_tables.frames()
    study_tables.write(
        tmp_path / "t", {k: f if k in kept else f[:0] for k, f in frames.items() if empty or k in kept}
    )
    paths = draw(tmp_path / "t", tmp_path / "f")
    found = page(tmp_path / "t", paths, tmp_path / "r.html")
    assert "No attack was run in this study." in found.text
    assert ("certified" in found.tables) == ("certified_accuracy" in kept)
    assert ('href="#certified"' in found.text) == ("certified_accuracy" in kept)
    assert 'href="#attacks"' not in found.text
    assert ("training" in found.tables) == ("training" in kept)


def test_an_unsmoothed_model_without_noise_is_shown(tmp_path: Path) -> None:
    frames = {k: f[f.label == "gaussian-0.25"] for k, f in study_tables.frames().items() if "label" in f}
    frames["runs"] = frames["runs"].assign(**trained_with({"name": "none"}))
    frames["empirical_accuracy"] = frames["empirical_accuracy"].assign(
        **smoothed_with({"name": "none"}), judge="base", norm=np.inf
    )
    study_tables.write(tmp_path / "t", {k: frames[k] for k in ("runs", "empirical_accuracy")})
    found = page(tmp_path / "t", draw(tmp_path / "t", tmp_path / "f"), tmp_path / "r.html")
    assert "judged by the base classifier without noise" in found.text
    assert "ℓ∞ radius, no smoothing noise, pgd_l2" in found.text
    assert found.tables["attacks"][0][0][:2] == ["label", "r = 0"]


def test_importing_the_page_needs_no_torch() -> None:
    code = "import sys, rs.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
