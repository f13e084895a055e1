"""The tools of tables in a real browser: sorting, filters, what is copied, of studies' and papers' pages."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import study_tables

from rs.report.page import write_report
from rs.report.papers import write_papers
from rs.tables.noise import smoothed_with
from rs.tables.published import COLUMNS

pytestmark = pytest.mark.slow

NOISE = smoothed_with({"name": "gaussian", "sigma": 0.25})
COPIED = (
    "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async t => { window.copied = t; }}})"
)
OBJECTIVES = ("gaussian", "stability", "macer", "nal", "smoothadv")
LABELS = ('plain, with "quotes"', "50%_of & {all}", "γ|pipe", "=1+1", "fifth", "sixth")


def published(label: str, status: str, reproduced: float | None, **more: Any) -> dict[str, Any]:
    number: dict[str, Any] = dict.fromkeys(COLUMNS)
    number |= {"paper": "A paper", "table": "Table 1", "label": label, **NOISE, "status": status}
    number |= {"metric": "certified_accuracy", "radius": 0.25, "published": 0.61, "printed": "0.61"}
    return number | {"reproduced": reproduced, "settings": "", "address": f"study/{label}"} | more


def write(folder: Path) -> Path:
    rows = [
        published(LABELS[0], "not run", None),
        published(LABELS[1], "other settings", 0.5, low=0.41, high=0.6),
        published(LABELS[2], "other settings", 0.1, low=0.0, high=math.inf),
        published(LABELS[3], "zero by construction", 0.0, low=0.0, high=0.001),
        published(LABELS[4], "not run", None),
        published(LABELS[5], "other settings", 0.7, low=0.61, high=0.76, lower_bound=True),
    ]
    certified = study_tables.frames()["certified_accuracy"]
    over = {"label": "nal", **NOISE, "certificate": "cohen", "radius": 0.5, "mean": 0.5, "std": 0.0123}
    tables = {
        "published": pd.DataFrame(rows),
        "certified_accuracy": certified[certified["radius"].isin([0.0, 0.5])],
        "average_certified_radius": study_tables.frames()["average_certified_radius"],
        "certified_accuracy_over_seeds": pd.DataFrame([over | {"seeds": 3, "lower_bound": False}]),
    }
    study_tables.write(folder / "tables", tables)
    write_report("copied", folder / "tables", [], folder / "report.html", {})
    return folder / "report.html"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("page")).as_uri()


@pytest.fixture
def opened(visit: Callable[..., Any], address: str) -> Any:
    return visit(address, COPIED)


def copied(page: Any, kind: str, section: str = "#published") -> str:
    page.locator(section).get_by_role("button", name=kind, exact=True).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("window.copied")
    text: str = page.evaluate("() => { const text = window.copied; window.copied = ''; return text; }")
    return text


def test_csv_has_numbers_for_computers_and_every_label_whole(opened: Any) -> None:
    heads, *rows = csv.reader(io.StringIO(copied(opened, "CSV")))
    assert [row[heads.index("label")] for row in rows] == [*LABELS[:3], "'=1+1", *LABELS[4:]]
    at = heads.index("reproduced")
    assert heads[at : at + 3] == ["reproduced", "reproduced low", "reproduced high"]
    assert [row[at : at + 3] for row in rows][:3] == [
        ["", "", ""],
        ["0.500", "0.410", "0.600"],
        ["0.100", "0.000", "inf"],
    ]
    assert {len(row) for row in rows} == {len(heads)}


def test_csv_of_the_certified_table_is_what_pandas_reads_back(opened: Any) -> None:
    frame = pd.read_csv(io.StringIO(copied(opened, "CSV", "#certified")))
    expected = study_tables.frames()["certified_accuracy"].query("radius == 0.5")
    assert frame["r = 0.5"].to_numpy() == pytest.approx(expected["certified_accuracy"].to_numpy(), abs=1e-3)
    assert (frame["r = 0.5 low"] <= expected["low"].to_numpy()).all()
    assert set(frame["certificate"]) == {"cohen", "stn (estimate)"}


def test_latex_escapes_and_its_errors_cover_the_interval(opened: Any) -> None:
    text = copied(opened, "LaTeX")
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert body[:2] == [r"\begin{tabular}{llrrlrll}", r"\toprule"]
    assert body[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert r"50\%\_of \& \{all\}" in text
    assert r"$\gamma$$|$pipe" in text
    assert r"$0.500 \pm 0.100$" in text  # 0.410 to 0.600: the wider side
    assert r"$\geq 0.700 \pm 0.090$" in text
    assert r"$0.100$ [0.000, $\infty$]" in text
    assert all(ord(c) < 128 for line in body for c in line)
    assert r"$0.500 \pm 0.013$" in copied_table(opened, "LaTeX", "Over seeds")  # a spread as it is


def copied_table(page: Any, kind: str, title: str) -> str:
    page.get_by_role("group", name=title).get_by_role("button", name=kind).click()
    page.wait_for_function("window.copied")
    text: str = page.evaluate("window.copied")
    return text


def test_markdown_keeps_cells_apart(opened: Any) -> None:
    heads, rule, *rows = copied(opened, "Markdown").splitlines()
    assert r"| γ\|pipe |" in rows[2]
    assert rule.count("---:") == 3
    assert "0.500 (0.410 to 0.600)" in rows[1]
    assert {line.replace(r"\|", "").count("|") for line in (heads, rule, *rows)} == {9}


def test_what_is_filtered_out_is_not_copied_and_both_are_told(opened: Any) -> None:
    section = opened.locator("#published")
    section.get_by_role("combobox").select_option("other settings")
    assert section.get_by_role("status").inner_text() == "3 of 6 rows"
    section.get_by_role("searchbox").fill("PIPE 0.61")
    assert section.get_by_role("status").inner_text() == "1 of 6 rows"
    assert len(copied(opened, "CSV").splitlines()) == 2
    assert section.get_by_role("status").inner_text() == "1 row copied as CSV"
    section.get_by_role("searchbox").fill("")
    section.get_by_role("combobox").select_option("")
    assert section.locator("tbody tr:visible").count() == 6


def test_the_minus_of_a_keyboard_finds_the_minus_of_print(opened: Any) -> None:
    section = opened.locator("#published")
    section.locator("tbody tr").nth(1).evaluate("row => row.cells[6].append('−0.05')")
    section.get_by_role("searchbox").fill("-0.05")
    assert section.get_by_role("status").inner_text() == "1 of 6 rows"


def test_latex_writes_powers_of_ten_of_numbers_and_spreads(opened: Any) -> None:
    cell = dict.fromkeys(("low", "high", "ours", "sign", "status", "note"), "")
    row = [cell | {"text": "−1.2e−05", "spread": "1e−06"}]
    grid = {"columns": [{"name": "loss", "number": True}], "rows": [row]}
    text = opened.evaluate("grid => formats.LaTeX(grid)", grid)
    assert r"$-1.2 \cdot 10^{-5} \pm 1 \cdot 10^{-6}$" in text


def test_a_heading_sorts_turns_the_order_and_takes_it_back(opened: Any) -> None:
    section = opened.locator("#published")
    reproduced = section.get_by_role("columnheader", name="reproduced")
    orders = []
    for _ in range(3):
        reproduced.get_by_role("button").click()
        labels = section.locator("tbody td:first-child").all_inner_texts()
        orders.append((reproduced.get_attribute("aria-sort"), [LABELS.index(label) for label in labels]))
    assert orders == [
        ("descending", [5, 1, 2, 3, 0, 4]),
        ("ascending", [3, 2, 1, 5, 0, 4]),
        (None, [0, 1, 2, 3, 4, 5]),
    ]


def test_where_a_page_may_not_copy_the_text_is_there_to_be_copied(browser: Any, address: str) -> None:
    context = browser.new_context()
    context.add_init_script("delete Navigator.prototype.clipboard; document.execCommand = () => false")
    page = context.new_page()
    page.goto(address)
    section = page.locator("#published")
    section.get_by_role("button", name="CSV").click()
    assert section.locator("textarea").input_value().startswith("label,metric,published,")
    assert "selected" in section.get_by_role("status").inner_text()
    context.close()


def test_without_scripts_a_table_has_no_dead_tools(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("#published tbody tr").count() == 6
    assert page.locator("thead button, .of-table").count() == 0
    context.close()


def test_the_table_of_a_paper_is_copied_with_both_numbers_and_the_verdict(
    browser: Any, tmp_path: Path
) -> None:
    numbers = [
        published("one", "agrees", 0.6, low=0.5, high=0.7, study="a"),
        published("two", "not run", None, study="a", table="Table 1, two"),
    ]
    write_papers(tmp_path, numbers, [], [], {"a": "snakemake"}, {}, {}, {})
    context = browser.new_context()
    context.add_init_script(COPIED)
    page = context.new_page()
    page.goto((tmp_path / "a-paper.html").as_uri())
    heads, *rows = csv.reader(io.StringIO(copied(page, "CSV", "main > section >> nth=0")))
    assert heads == ["", "r = 0.25", "r = 0.25 ours", "r = 0.25 status"]
    assert rows == [["one", "0.61", "0.600", "agrees"], ["two", "0.61", "", "not run"]]
    assert r"$0.61$ / 0.600 $\checkmark$" in copied(page, "LaTeX", "main > section >> nth=0")
    context.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+cmd|' /C'!A0", "'+cmd|' /C'!A0"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("−0.050", "-0.050"),
        ("-1,000", "-1000"),
        ("+0.1e-3", "+0.1e-3"),
        ("−∞", "-inf"),
        ("−1.2e−05", "-1.2e-05"),
        ("a=b", "a=b"),
    ],
)
def test_csv_keeps_words_from_being_formulas_and_numbers_numbers(
    opened: Any, text: str, expected: str
) -> None:
    cell = dict.fromkeys(("text", "low", "high", "spread", "ours", "sign", "status", "note"), "")
    grid = {"columns": [{"name": text, "number": False}], "rows": [[cell | {"text": text, "note": text}]]}
    heads, row = csv.reader(io.StringIO(opened.evaluate("grid => formats.CSV(grid)", grid)))
    assert row == [expected, expected]
    assert heads[0] == (text if text[0] not in "=+-@" else f"'{text}")


def test_on_a_phone_a_first_column_keeps_words_whole_and_leaves_room(phone: Any, address: str) -> None:
    page = phone(address)
    table = page.locator("#certified .wrap table").last
    sizes = table.evaluate("""table => ["smoothadv", "x".repeat(60)].map(word => {
        for (const row of table.tBodies[0].rows) row.cells[0].textContent = word;
        const cell = table.tBodies[0].rows[0].cells[0], range = document.createRange();
        range.selectNodeContents(cell);
        return [range.getClientRects().length, cell.getBoundingClientRect().width];
    })""")
    (lines, wide), (of_long, longest) = sizes
    assert lines == 1
    assert of_long > 1
    assert 80 < wide <= longest < 140


def test_headings_of_several_words_take_lines_before_a_table_scrolls(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    metrics = ["learning_rate", "cross_entropy", "classification", "stability", "robustness", "correct"]
    metrics += ["squared_distance", "regularization_term", "distance", "seconds"]
    rows = [
        {"run": name, "label": name, "epoch": 20}
        | {m: 0.02 if j % 5 == i else math.nan for j, m in enumerate(metrics)}
        for i, name in enumerate(OBJECTIVES)
    ]
    study_tables.write(tmp_path, {"training": pd.DataFrame(rows)})
    write_report("wide", tmp_path, [], tmp_path / "report.html", {})
    page = visit((tmp_path / "report.html").as_uri(), viewport={"width": 1280, "height": 900})
    box = page.locator("#training .wrap")
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_on_a_phone_averages_are_seen_without_scrolling(phone: Any, address: str) -> None:
    page = phone(address)
    table = page.locator("#radius .wrap table").first
    heads = table.locator("thead th").all_inner_texts()
    at = next(i for i, head in enumerate(heads) if head.strip().startswith("ACR"))
    for cell in table.locator(f"tbody tr td:nth-child({at + 1})").all():
        box = cell.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_what_is_folded_on_the_screen_is_there_in_print(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    styles = page.locator("style").first.inner_html()
    page.set_content(f"<style>{styles}</style><details><summary>all hold</summary><p>each</p></details>")
    assert not page.get_by_text("each").is_visible()
    page.emulate_media(media="print")
    assert page.get_by_text("each").is_visible()
    context.close()
