"""A study's page: one HTML file with its tables and figures inside, which opens without a network connection.
Figures that would make it larger than MOST are shown from their files beside it.

The page is a function of the tables, the figures and `context`: same input, same bytes.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from rs.provenance.files import write_text
from rs.report.attacks import attacks_section, checks_section
from rs.report.certified import certified_section, radius_section
from rs.report.claims import claims_section
from rs.report.comparisons import comparisons_section
from rs.report.curves import curves
from rs.report.distributional import calibration_section, distributional_section
from rs.report.figure_layout import shortened
from rs.report.frame import render
from rs.report.html_table import Section, constants
from rs.report.names import read
from rs.report.provenance import explained
from rs.report.published import published_section
from rs.report.summary import summary
from rs.report.training import runs_section, training_section

_UNDER_ATTACK = (
    "Accuracy under attack against radius, with the same bands. The legend explains colours and lines."
)
_CAPTIONS = {
    "certified-accuracy": (
        "certified",
        "Certified accuracy against radius. Bands: 95 % Wilson intervals, or one standard deviation where a "
        "label has several seeds. Dashed: estimates without a proof.",
    ),
    "empirical-accuracy": ("attacks", _UNDER_ATTACK),
    "distributional": (
        "distributional",
        "Bounds of the mean loss against the distance that test images may move, and the worst cases found. "
        "Dashed and dotted: estimates; solid: proven. Bands and bars: 95 % intervals over the images.",
    ),
    "training": ("training", "Training curves, averaged over seeds."),
    "examples": (
        "examples",
        "Test images: clean, with one draw of the noise, and attacked at a radius. Below "
        "each, the smoothed classifier's prediction; wrong ones and abstentions in red. Values outside "
        "[0, 1] are cut for display.",
    ),
}

MOST = 8_000_000  # bytes of a page with figures
MOST_DRAWN = 500_000  # bytes of a figure's SVG
_TOO_MANY = (
    "This study has too many runs and images for an interactive figure; images.parquet has every image."
)
_CUT = "Long labels are cut in figures; the tables have them whole."
_OF_RUNS = {"dataset": "data", "model": "model", "objective": "objectives", "noise": "noise of training"}
_LABELLED = ("runs", "average_certified_radius", "empirical_accuracy")


def _facts(runs: pd.DataFrame, tables: Path) -> list[tuple[str, str]]:
    certified = read(tables, "average_certified_radius")
    facts = []
    if not runs.empty:
        facts.append(("networks", f"{runs.get('network', runs['run']).nunique():,}"))
        for column, words in _OF_RUNS.items():
            facts.append((words, ", ".join(dict.fromkeys(runs[column].dropna().astype(str)))))
    if not certified.empty:
        facts.append(("certificates", ", ".join(dict.fromkeys(certified["certificate"]))))
        brief = {"images": "{} test images", "n": "n\u00a0=\u00a0{}", "alpha": "α\u00a0=\u00a0{}"}
        note, varying = constants(certified, brief)
        same = note.split(" · ") if note else []
        facts.append(("certified on", ", ".join([*same, *(f"several {v}" for v in varying)])))
    return facts


class Context(TypedDict, total=False):
    """Content of a page beyond the tables; all of it is optional."""

    description: str
    commit: str | None
    versions: Mapping[str, str]
    files: Sequence[str]  # of the study
    overrides: Mapping[str, Any]  # its values from the command line
    radii: Sequence[float]  # at which certified accuracy is shown
    report: Mapping[str, Any]  # the study's, for the layout of figures
    last_line: str  # of the file


def write_report(study: str, tables: Path, figures: Sequence[Path], out: Path, context: Context) -> None:
    """Writes the page `out` of `study` from ``<tables>/*.parquet`` (with the columns that this version
    writes, rs.tables.aggregate.check_tables) and `figures`, whose SVG it shows.
    """
    page = _page(study, tables, figures, out, context)
    write_text(out, f"{page}\n{context.get('last_line', '')}\n")


def _page(study: str, tables: Path, figures: Sequence[Path], out: Path, context: Context) -> str:
    runs = read(tables, "runs")
    seeds = _seeds(runs)
    live = curves(tables, context.get("radii"), seeds, context.get("report"))
    sections = _sections(tables, runs, seeds, context.get("radii"), bool(live))
    named = {section.id: section for section in sections}
    marked = _add_figures(named, figures, tables, out.parent)
    shown = [section for section in sections if section.tables or section.figures]
    if not live and not read(tables, "images").empty:
        named["certified"].lead += f" {_TOO_MANY}"
    files = [str(f) for f in context.get("files") or ()]
    page = render(
        "report.html",
        styles=["vendor/uPlot.min.css"] * bool(live),
        scripts=["vendor/uPlot.iife.min.js", "marks.js", "curves.js"] * bool(live),
        study=study,
        description=context.get("description") or "",
        facts=_facts(runs, tables),
        commit=context.get("commit") or "",
        versions=dict(context.get("versions") or {}),
        files=files,
        hows=explained(sections, tables, files, context.get("overrides")),
        sections=shown,
        absent=list(dict.fromkeys(s.empty for s in sections if s.empty and s not in shown)),
        curves=live,
        answers=summary(tables),
    )
    return _with_images(page, marked, out.parent)


def _seeds(runs: pd.DataFrame) -> dict[str, Any]:
    """The seed of each run by its id, where they are not all the same; otherwise no table has a column of
    seeds.
    """
    seeds = {str(row["run"]): row.get("seed") for row in runs.to_dict("records")}
    return seeds if len(set(seeds.values())) > 1 else {}


def _sections(
    tables: Path, runs: pd.DataFrame, seeds: Mapping[str, Any], radii: Sequence[float] | None, live: bool
) -> list[Section]:
    return [
        certified_section(tables, radii, seeds, live),
        radius_section(tables, seeds),
        published_section(tables),
        claims_section(tables),
        comparisons_section(tables),
        attacks_section(tables, seeds),
        checks_section(tables, seeds),
        calibration_section(tables),
        distributional_section(tables, seeds),
        training_section(tables, seeds),
        Section("examples", "Examples", empty="No attacked images were kept in this study."),
        runs_section(runs),
    ]


def _with_images(page: str, marked: Mapping[str, Path], folder: Path) -> str:
    """The page with each figure in place of its mark: inside the page while that has room for it."""
    room = MOST - len(page.encode())
    for mark, figure in marked.items():
        image, beside = _inside(figure)
        if len(image) > room:
            image = _address(beside, folder)
        room -= len(image)
        page = page.replace(f'src="{mark}"', f'src="{escape(image)}"')
    return page


def _inside(figure: Path) -> tuple[str, Path]:
    """An SVG as a data URI, or its PNG where the SVG is large (600 lines make megabytes); and the file."""
    pixels = figure.with_suffix(".png")
    small = figure.stat().st_size <= MOST_DRAWN or not pixels.is_file()
    file, kind = (figure, "svg+xml") if small else (pixels, "png")
    return f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}", file


def _address(file: Path, folder: Path) -> str:
    return os.path.relpath(file, folder).replace(os.sep, "/")


def _add_figures(
    sections: Mapping[str, Section], figures: Sequence[Path], tables: Path, folder: Path
) -> dict[str, Path]:
    """Adds a mark of each figure to its section, with links to its files; the figures by their marks."""
    labels = [str(label) for name in _LABELLED for label in read(tables, name).get("label", ())]
    cut = any(shown != label for label, shown in shortened(labels).items())
    marked: dict[str, Path] = {}
    for path in figures:
        stem = next((s for s in _CAPTIONS if path.stem.startswith(s)), None)
        if path.suffix == ".svg" and stem is not None:
            where, caption = _CAPTIONS[stem]
            same = [other for other in figures if other.stem == path.stem]
            files = {p.suffix[1:].upper(): _address(p, folder) for p in same}
            mark = f"figure:{len(marked)}"
            marked[mark] = path
            sections[where].figures.append((mark, f"{caption} {_CUT}" if cut else caption, files))
    return marked
