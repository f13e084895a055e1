"""Figures stay readable whatever the labels are: long, many, with dollars; panels are what the study asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import study_tables
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rs.report import figures
from rs.report.figure_layout import COLOURS, LINES, LONGEST, PANELS, chunks, shortened, style, styles
from rs.report.page import write_report
from rs.report.panel_parts import FigureSettings
from rs.report.panels import certified_panels

pytestmark = pytest.mark.slow

EIGHTY = "a label of eighty characters, which is what people write when they are clear "


def certified(labels: list[str], certificates: tuple[str, ...] = ("cohen",), **more: Any) -> pd.DataFrame:
    """A line per label, certificate and noise, none above another's whole length."""
    noises = more.get("noises", ("gaussian σ = 0.5",))
    rows = []
    for i, label in enumerate(labels):
        for j, certificate in enumerate(certificates):
            for noise in noises:
                kind = {"run": f"r{i}", "label": label, "smoothing": noise, "certificate": certificate}
                for radius in np.linspace(0, 1, 5):
                    value = 0.9 - 0.01 * i - 0.01 * j - 0.4 * radius
                    point = {"radius": radius, "certified_accuracy": value, "low": value, "high": value}
                    rows.append(kind | point | {"norm": 2.0, "rigorous": not certificate.startswith("e")})
    return pd.DataFrame(rows)


def drawn(frame: pd.DataFrame, split: tuple[str, ...] = ("noise",)) -> list[Figure]:
    with figures.mpl.rc_context(figures._STYLE):
        panels = certified_panels(frame, pd.DataFrame(), FigureSettings(panels=split))
        found = figures._accuracy(panels, "certified_accuracy", "certified accuracy")
        for figure in found:
            figure.draw_without_rendering()
    return found


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def assert_readable(figure: Figure) -> None:
    """The legend lies below every panel and inside the figure; panels keep their height."""
    box, renderer = figure.legends[0].get_window_extent(), figure.canvas.get_renderer()  # type: ignore[attr-defined]
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1
    for axes in figure.axes:
        assert axes.get_tightbbox(renderer).y0 >= box.y1 - 1
        assert axes.get_window_extent().height > 1.6 * figure.dpi
        assert len(axes.lines) <= LINES
        assert axes.title.get_window_extent(renderer).x1 <= figure.bbox.x1


# --- labels ---


def test_labels_are_cut_in_the_middle_and_stay_apart() -> None:
    sweep = [f"{EIGHTY}[sigma={s}]" for s in (0.25, 0.5)]
    assert [shortened(sweep)[label] for label in sweep] == [
        "a label of eighty c…e clear [sigma=0.25]",
        "a label of eighty c…re clear [sigma=0.5]",
    ]
    middle = [f"{EIGHTY}{i} {EIGHTY}" for i in range(14)]
    cut = shortened(middle)
    assert [cut[label].split("…")[1].split()[1] for label in middle] == [str(i) for i in range(14)]
    far = [EIGHTY + "x" * 60 + str(i) + "y" * 60 + "z" * i for i in range(3)]
    assert len(set(shortened(far).values())) == 3
    assert shortened(["short", "two\nlines", ""]) == {"short": "short", "two\nlines": "two lines", "": "–"}


@given(st.lists(st.text(st.sampled_from("ab \n"), max_size=90), max_size=30, unique=True))
def test_no_two_labels_are_shown_alike(labels: list[str]) -> None:
    plain = [" ".join(label.split()) for label in labels]
    cut = shortened(
        label for label, line in zip(labels, plain, strict=True) if plain.count(line) == 1 and line
    )
    assert len(set(cut.values())) == len(cut)
    assert all(len(text) <= LONGEST and "\n" not in text for text in cut.values())


def test_styles_of_many_runs_that_differ_in_noise_only_use_the_colours_too() -> None:
    labels = [f"gaussian[sigma={i}]" for i in range(50)]
    drawn = styles(pd.DataFrame([{"run": x, "label": x, "objective": "gaussian"} for x in labels]), labels)
    assert len({tuple(sorted(look.items())) for look in drawn.values()}) == 50
    assert len({look["color"] for look in drawn.values()}) == len(COLOURS)
    assert len({look["color"] for look in styles(pd.DataFrame(), labels[:3]).values()}) == 3


def test_styles_of_a_hundred_labels_differ() -> None:
    frame = styles(pd.DataFrame(), [f"log {i}" for i in range(150)])
    assert len({tuple(sorted(drawn.items())) for drawn in frame.values()}) == 150
    assert style(0, 0)["marker"] == ""


@pytest.mark.parametrize(("items", "most"), [(0, 5), (1, 5), (14, 12), (50, 12), (24, 24), (25, 24)])
def test_chunks_hold_everything_in_order(items: int, most: int) -> None:
    parts = list(chunks(range(items), most))
    assert [i for part in parts for i in part] == list(range(items))
    assert all(0 < len(part) <= most for part in parts)
    assert len(parts) == -(-items // most)


# --- figures ---


@pytest.mark.parametrize(
    ("frame", "panels"),
    [
        (certified([f"{EIGHTY}{i}" for i in range(14)]), 2),
        (certified([f"log-{i}" for i in range(50)]), 5),
        (certified([f"run {i}" for i in range(11)], ("cohen", "bilateral")), 2),
        (certified(["one"], tuple(f"certificate {i}" for i in range(22))), 2),
        (certified([f"run {i}" for i in range(5)], tuple(f"c{i}" for i in range(8))), 8),
    ],
)
def test_many_and_long_labels_leave_the_panels_their_room(frame: pd.DataFrame, panels: int) -> None:
    (figure,) = drawn(frame)
    assert len(figure.axes) == panels
    assert sum(len(axes.lines) for axes in figure.axes) == len(frame.groupby(["label", "certificate"]))
    assert_readable(figure)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert len(set(legend(figure))) == len(legend(figure))


def test_labels_are_drawn_as_they_are_written() -> None:
    labels = ["costs $5 and $6", r"cost $\frac{1 vs $2", "a/b <c> 100% {braces} ü", "_hidden"]
    (figure,) = drawn(certified(labels))
    assert legend(figure) == labels
    assert_readable(figure)
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize(
    ("split", "titles"),
    [
        (("noise",), ["gaussian σ = 0.25", "gaussian σ = 0.5"]),
        (("run",), ["a", "b"]),
        (("label",), ["a[sigma=1]", "a[sigma=2]", "b"]),
        (("certificate",), ["bilateral", "cohen"]),
        (
            ("noise", "certificate"),
            [f"gaussian σ = {s}, {c}" for s in (0.25, 0.5) for c in ("bilateral", "cohen")],
        ),
    ],
)
def test_panels_are_what_the_study_asks(split: tuple[str, ...], titles: list[str]) -> None:
    noises = ("gaussian σ = 0.25", "gaussian σ = 0.5")
    frame = certified(["a[sigma=1]", "a[sigma=2]", "b"], ("cohen", "bilateral"), noises=noises)
    (figure,) = drawn(frame, split)
    assert [axes.get_title(loc="left") for axes in figure.axes] == titles
    assert sum(len(axes.lines) for axes in figure.axes) == 12
    assert any("σ" in text for text in legend(figure)) == ("noise" not in split)


def test_hundreds_of_panels_are_several_figures() -> None:
    frame = certified([f"run {i}" for i in range(PANELS + 1)])
    assert [len(figure.axes) for figure in drawn(frame, ("label",))] == [12, 13]


def test_a_whole_page_with_such_labels(tmp_path: Path) -> None:
    """Every label and an attack's are long and hold dollars: drawn as they are, whole in tables."""
    frames = {
        n: f[f["label"].isin(["nal-0.5", "nal-0.25"])]
        for n, f in study_tables.frames().items()
        if "label" in f
    }
    rename = {label: f"{EIGHTY}$\\frac{{1 {label}" for label in frames["runs"]["label"]}
    frames = {n: f.assign(label=f["label"].map(rename)) if "label" in f else f for n, f in frames.items()}
    for name in ("empirical_accuracy", "examples"):
        frames[name] = frames[name].assign(attack=EIGHTY + "$x")
    study_tables.write(tmp_path / "t", frames)
    paths = figures.draw(tmp_path / "t", tmp_path / "f")
    assert [p.stem for p in paths[::3]] == list(figures.STEMS)
    write_report("demo", tmp_path / "t", paths, tmp_path / "r.html", {})
    page = (tmp_path / "r.html").read_text()
    assert all(label in page for label in rename.values())
    assert page.count("Long labels are cut in figures; the tables have them whole.") == 2 * len(
        figures.STEMS
    )  # and as alt


@pytest.mark.parametrize(
    ("values", "share"), [([0.2573891, 0.25738913], 0.09), ([0.1, 0.9], 0.8), ([0.0, 0.0], 0.0)]
)
def test_a_quantity_that_training_keeps_is_drawn_level(values: list[float], share: float) -> None:
    """The range of the axis is `share` of its largest value at least, and holds the curve."""
    rows = pd.DataFrame({"run": "r", "label": "a", "epoch": [1, 2], "distance": values})
    (figure,) = figures._training(rows, styles(pd.DataFrame(), ["a"]))
    low, high = figure.axes[0].get_ylim()
    assert low <= min(values) <= max(values) <= high
    assert high - low >= share * max(map(abs, (low, high)))
    assert high - low <= max(2 * share * max(values), 0.12)
