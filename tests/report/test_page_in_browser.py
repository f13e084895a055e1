"""The live figure of a study's page in a real browser: Chromium, driven by playwright."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import study_tables

from rs.report.curves import block
from rs.report.page import write_report
from rs.tables.noise import smoothed_with
from rs.tables.published import COLUMNS

pytestmark = pytest.mark.slow

NOISE = smoothed_with({"name": "gaussian", "sigma": 0.25})
RADII = (0.0, 0.25, 0.5)
# ten images each: a radius, or None for one that is taken for another class
FIRST = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, None, None]
SECOND = [0.0, 0.1, 0.2, 0.2, 0.2, 0.55, 0.6, 0.6, 0.6, None]


def images(label: str, radii: list[float | None]) -> list[dict[str, Any]]:
    head = {"run": f"run-{label}", "label": label, **NOISE, "certificate": "cohen"}
    head |= {"norm": 2.0, "rigorous": True, "factor": 1.0, "largest_radius": 0.6}
    voted = dict.fromkeys(
        ("n", "voted", "votes", "runner_up", "runner_up_votes")
    )  # nobody kept those of second
    if label == "first":
        voted |= {"n": 2000, "voted": 1, "votes": 1500, "runner_up": 7, "runner_up_votes": 480}
    outcomes = [
        {"radius": r, "prediction": 7} if r is not None else {"radius": 0.0, "prediction": 1} for r in radii
    ]
    return [{**head, **voted, "image": 100 + i, "true": 7, **one} for i, one in enumerate(outcomes)]


def write(folder: Path, stopped: bool = False) -> Path:
    pixels = np.arange(64, dtype=np.uint8).tobytes()
    kept = [{"image": 100 + i, "true": 7, "shape": [1, 8, 8], "pixels": pixels} for i in range(5)]
    number: dict[str, Any] = dict.fromkeys(COLUMNS)
    number |= {"paper": "A paper", "table": "Table 1", "label": "first", "evidence": "certified_accuracy[40]"}
    number |= {"reproduced": 0.6, "low": 0.3, "high": 0.8, "status": "agrees"}
    number |= {"metric": "certified_accuracy", "radius": 0.25, "published": 0.61, "printed": "0.61"}
    tables = {
        "images": pd.DataFrame(images("first", FIRST) + images("second", SECOND)),
        "thumbnails": pd.DataFrame(kept),
        "published": pd.DataFrame([number]),
    }
    certified = study_tables.frames()["certified_accuracy"].head(41)
    certified.loc[40, ["run", *NOISE]] = ["run-first", *NOISE.values()]
    if stopped:
        row = certified.loc[[40]].assign(run="run-second", radius=0.25, stopping="sequential")
        certified = pd.concat([certified, row, row.assign(radius=0.5, lower_bound=True)])
    study_tables.write(folder / "tables", {**tables, "certified_accuracy": certified})
    write_report("live", folder / "tables", [], folder / "report.html", {"radii": RADII})
    return folder / "report.html"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("page")).as_uri()


@pytest.fixture
def opened(visit: Callable[..., Any], address: str, request: pytest.FixtureRequest) -> Any:
    """The page at the given address."""
    page = visit(address + getattr(request, "param", ""), viewport={"width": 1280, "height": 900})
    page.wait_for_selector("table.at tbody tr")
    return page


def rows(page: Any) -> list[list[str]]:
    found = page.locator("table.at tbody tr").all()
    return [[text.strip() for text in row.inner_text().split("\t")] for row in found]


def move_slider(page: Any, radius: float) -> None:
    page.locator("input[type=range]").evaluate(
        "(slider, r) => { slider.value = r; slider.dispatchEvent(new Event('input')); }", radius
    )


def test_the_table_beside_the_chart_counts_images_at_the_chosen_radius(opened: Any) -> None:
    assert opened.locator("table.at caption").inner_text() == "at radius 0.25"
    first, second = rows(opened)
    assert first[1] == "first"
    assert first[2].startswith("0.600")
    assert second[2].startswith("0.400")
    assert second[3].startswith("−0.200 ◐")  # three images gained, one lost
    assert " to +0." in second[3]
    move_slider(opened, 0.6)
    first, second = rows(opened)
    assert [first[2][:5], second[2][:5]] == ["0.300", "0.300"]  # a radius of exactly 0.6 is certified at 0.6
    move_slider(opened, 0.6001)
    assert [row[2][:5] for row in rows(opened)] == ["0.000", "0.000"]
    assert "more than the votes can certify" in opened.locator("table.at caption").inner_text()


def test_published_numbers_stand_at_their_radius(opened: Any) -> None:
    assert rows(opened)[0][4].replace("\n", "").startswith("0.610")
    assert "agrees" in rows(opened)[0][4]
    move_slider(opened, 0.3)
    assert rows(opened)[0][4] == ""


def test_a_lower_bound_is_marked_and_not_compared(visit: Callable[..., Any], tmp_path: Path) -> None:
    """The votes of `second` were stopped when they had decided radius 0.25."""
    page = visit(write(tmp_path, stopped=True).as_uri(), viewport={"width": 1280, "height": 900})
    page.wait_for_selector("table.at tbody tr")
    assert rows(page)[1][2].startswith("0.400")
    move_slider(page, 0.56)
    assert [row[2][:7] for row in rows(page)] == ["0.300\n0", "≥ 0.300"]
    assert rows(page)[1][3].startswith("+0.000 ◐")


def test_the_pointer_chooses_the_radius(opened: Any) -> None:
    box = opened.locator(".u-over").bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    opened.wait_for_function("document.querySelector('table.at caption').textContent !== 'at radius 0.25'")
    shown = float(opened.locator("table.at caption").inner_text().split()[-1])
    assert shown == pytest.approx(0.612 / 2, abs=0.004)


def test_a_number_opens_its_images_and_has_an_address(opened: Any) -> None:
    opened.get_by_label("show").select_option(label="difference to second")
    opened.get_by_role("button", name="first", exact=True).click()
    summaries = opened.locator(".images summary").all_inner_texts()
    assert summaries == [
        *("lost: certified by second only: 1", "gained: not certified by second: 3"),
        *("correct, radius below 0.25: 2", "wrong: 2", "certified: 6"),
    ]
    tiles = opened.locator(".images details[open] figcaption").all_inner_texts()
    assert tiles == ["#108: 7 taken for 1\nvotes for 1: 1,500 of 2,000, for 7: 480"]
    opened.locator(".images summary", has_text="gained").click()
    opened.wait_for_selector(".images details:nth-of-type(2) img")
    assert opened.evaluate("location.hash") == "#panel=0&run=first&r=0.25"


def test_the_live_axis_has_the_minus_of_the_tables(opened: Any) -> None:
    opened.evaluate("""() => {
        const fill = CanvasRenderingContext2D.prototype.fillText;
        window.drawn = [];
        CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
            window.drawn.push(text);
            return fill.call(this, text, ...at);
        };
    }""")
    opened.get_by_label("show").select_option(label="difference to first")
    opened.wait_for_function("window.drawn.some(text => text.startsWith('−0.'))")
    drawn = opened.evaluate("window.drawn")
    assert not [text for text in drawn if text.startswith("-")]


@pytest.mark.parametrize("opened", ["#panel=0&run=second&r=0.5"], indirect=True)
def test_an_address_opens_its_images(opened: Any) -> None:
    assert opened.locator(".images h4").inner_text() == "second at radius 0.5: 0.400 certified"
    assert opened.locator("table.at caption").inner_text() == "at radius 0.5"
    assert opened.locator(".images figcaption small").count() == 0  # a run without votes


def test_lines_are_switched_off_and_on_without_leaving_the_table(opened: Any) -> None:
    box = opened.get_by_label("draw second")
    box.uncheck()
    assert len(rows(opened)) == 2
    opened.get_by_label("log scale").check()
    opened.get_by_label("intervals").uncheck()
    box.check()
    assert opened.locator(".u-over").count() == 1


def test_on_a_phone_nothing_but_tables_is_wider_than_the_screen(phone: Any, address: str) -> None:
    page = phone(address)
    page.wait_for_selector("table.at tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    right = page.locator("table.at tbody tr td:nth-child(3)").first.bounding_box()
    assert right["x"] + right["width"] <= 390  # the number is seen without scrolling


def test_on_a_phone_the_navigation_stands_apart_from_the_answers(phone: Any, address: str) -> None:
    answers, first = (phone(address).locator(at).first.bounding_box() for at in (".answers", "nav a"))
    assert first["y"] - (answers["y"] + answers["height"]) >= 20


def test_without_scripts_the_tables_and_the_static_figure_stay(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("#certified table").count() >= 1
    assert page.locator("#curves").inner_text() == ""
    context.close()


def test_in_print_the_static_figure_takes_the_live_ones_place(opened: Any) -> None:
    opened.emulate_media(media="print")
    assert not opened.locator(".panel").first.is_visible()


def test_what_tells_lines_apart_stands_beside_their_names(opened: Any) -> None:
    samples = opened.locator("table.at .sample")
    assert samples.count() == 2
    drawn = [samples.nth(i).locator("line").get_attribute("stroke") for i in range(2)]
    assert len(set(drawn)) == 2
    assert samples.first.locator("line").get_attribute("stroke-dasharray") == "none"  # proven


@pytest.mark.parametrize("label", ["</script><b>", "<!--<script>", "<!-- ", "a < b \\u003c & \u2028"])
def test_no_label_ends_or_swallows_the_data_of_a_page(browser: Any, label: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    data = block([{"title": label}], [], {})
    page.set_content(f'<script type="application/json" id="data">{data}</script><p id="after">seen</p>')
    assert page.evaluate("JSON.parse(document.getElementById('data').textContent).panels[0].title") == label
    assert page.locator("#after").inner_text() == "seen"
    context.close()
