"""The pages of papers in a real browser: at any width words stay whole and nothing but tables scrolls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rs.report.papers import write_papers

pytestmark = pytest.mark.slow

CUT = """() => {
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT), cut = [];
    for (let node; (node = walker.nextNode());)
        for (const word of node.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            const tops = [...range.getClientRects()].filter(box => box.width).map(box => Math.round(box.top));
            if (new Set(tops).size > 1) cut.push(`${word[0]} in ${node.data}`);
        }
    return cut;
}"""
LABEL = "macer-150-epochs[sigma=0.25,lambda=0.05,regularized_until=150]"


@pytest.fixture
def address(tmp_path: Path) -> str:
    number = {"paper": "P", "label": LABEL, "metric": "certified_accuracy", "printed": "0.61", "study": "one"}
    number |= {"published": 0.61, "status": "not run", "table": "Table 7, MACER"}
    radii = [number | {"radius": r, "address": f"one/{r}"} for r in (0.0, 0.25, 0.5, 1.0, 1.5)]
    test = "tests/methods/test_macer_theory.py::test_bernsteins_bound_is_tighter_than_hoeffdings_for_small"
    claim = {"id": "a", "paper": "P", "place": "Theorem 1", "claim": "It holds.", "verdict": "holds"}
    claim |= {"evidence": test, "address": "a-study-of-the-paper/claims/its-bound-is-tighter", "study": "one"}
    write_papers(tmp_path, [*radii, *(n | {"label": "macer"} for n in radii)], [claim], ["P"], {}, {}, {}, {})
    return (tmp_path / "p.html").as_uri()


@pytest.mark.parametrize("width", [1280, 420, 390])
def test_words_stay_whole_and_only_tables_scroll(visit: Callable[..., Any], address: str, width: int) -> None:
    page = visit(address, viewport={"width": width, "height": 900})
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_long_label_leaves_room_for_two_radii_and_takes_one_line_on_a_wide_screen(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address, viewport={"width": 390, "height": 900})
    name, second = (page.locator(f"table.printed tbody tr td:nth-child({n})").first for n in (1, 3))
    assert "Table 7" in page.locator("main h2").first.inner_text()
    box = second.bounding_box()
    assert box["x"] + box["width"] <= 390
    lines = "cell => { const r = document.createRange(); r.selectNodeContents(cell); "
    lines += "return new Set([...r.getClientRects()].map(b => Math.round(b.top))).size; }"
    assert name.evaluate(lines) > 3
    page.set_viewport_size({"width": 1280, "height": 900})
    assert name.evaluate(lines) == 1
    assert name.text_content() == f"MACER, {LABEL}"
