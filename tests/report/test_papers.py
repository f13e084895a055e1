"""The pages of the papers: printed tables in their own shape, statuses counted, not run numbers too."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from rs.report.numerals import order
from rs.report.papers import STATUSES, papers, write_papers


def number(table: str, radius: float | None, status: str = "not run", **more: Any) -> dict[str, Any]:
    metric = "acr" if radius is None else "certified_accuracy"
    row = {"paper": "MACER", "table": table, "label": "cohen", "metric": metric, "radius": radius}
    row |= {"printed": "0.50", "published": 0.5, "reproduced": None, "low": None, "status": status}
    return {**row, "direction": None, "address": f"MACER/{table}/{radius}", "study": "macer", **more}


NUMBERS = [
    number("Table 10, k = 1", 0.25),
    number("Table 2, Cohen-0.25", 0.5, "differs", direction="below", reproduced=0.4499, low=0.41, high=0.489),
    number("Table 2, Cohen-0.25", None, "agrees", reproduced=0.51, low=0.49, high=0.53),
    number("Table 2, Cohen-0.50", 0.5, "differs", direction="above", reproduced=0.6, low=0.55, high=0.65),
    number("Table 2, Cohen-0.50", 0.0, "zero by construction"),
]
CLAIM = {
    "address": "macer/claims/macer-acr",
    "id": "macer-acr",
    "paper": "MACER",
    "place": "Section 5",
    "claim": "It has the largest <ACR>.",
}
CLAIM |= {"verdict": "holds", "evidence": "+0.1", "study": "macer"}


def test_a_table_has_its_printed_rows_and_columns() -> None:
    nal, macer = papers(NUMBERS, [CLAIM], ["NAL"])
    assert (nal.name, nal.tables, nal.counts) == ("NAL", [], {})
    assert [table.title for table in macer.tables] == ["Table 2", "Table 10"]
    table = macer.tables[0]
    assert table.columns == ["ACR", "r = 0", "r = 0.5"]
    assert [name for name, _ in table.rows] == ["Cohen-0.25", "Cohen-0.50"]
    (_, (acr, zero, half)), (_, (none, _, better)) = table.rows
    assert zero is none is None
    assert acr is not None
    assert half is not None
    assert better is not None
    assert (acr["status"], half["status"], better["status"]) == ("agrees", "below", "above")
    assert half["ours"] == "0.449"  # rounded down
    assert "95 % interval 0.410 to 0.489" in half["title"]
    assert macer.counts == dict.fromkeys(("agrees", "above", "below", "zero by construction", "not run"), 1)


def test_a_number_without_an_interval_shows_none() -> None:
    unknown = {"reproduced": 0.0, "low": math.nan, "high": math.nan}
    (paper,) = papers([number("Table 1", None, "undecided", **unknown)], [], [])
    ((_, (cell,)),) = paper.tables[0].rows
    assert cell is not None
    assert cell["ours"] == "0.000"
    assert "interval" not in cell["title"]


def test_rows_of_one_printed_name_are_told_apart_by_their_runs() -> None:
    twice = [
        number("Table 6, MACER", 0.0, label="macer"),
        number("Table 6, MACER", 0.0, label="macer-delayed"),
    ]
    (paper,) = papers(twice, [], [])
    assert [name for name, _ in paper.tables[0].rows] == ["MACER, macer", "MACER, macer-delayed"]


def test_pages_stand_alone_and_are_the_same_every_time(tmp_path: Path) -> None:
    commands = {"macer": "snakemake --cores 2"}
    first, second = (
        write_papers(tmp_path / folder, NUMBERS, [CLAIM], ["NAL", "MACER"], commands, {}, {}, {})
        for folder in ("a", "b")
    )
    assert [path.name for path in first] == ["index.html", "nal.html", "macer.html"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    index, _, macer = (path.read_text() for path in first)
    assert not re.search(r'(src|href)="(?!(index|nal|macer)\.html|#)', index + macer)
    assert "5 published numbers" in index
    assert "5 published numbers" in macer
    assert "The one claim holds." in macer.partition("<main>")[0]
    assert "It has the largest &lt;ACR&gt;." in macer
    assert "snakemake --cores 2" in macer
    assert 'class="below"' in macer
    for key in STATUSES:
        assert STATUSES[key][0] in macer  # the key explains every sign


def test_a_number_that_is_not_run_has_its_price() -> None:
    (paper,) = papers(NUMBERS, [], [], {"macer": 3.21})
    cells = [cell for table in paper.tables for _, row in table.rows for cell in row if cell]
    assert {cell["price"] for cell in cells if cell["status"] == "not-run"} == {"3.2 h"}
    assert {cell["price"] for cell in cells if cell["status"] != "not-run"} == {""}


@pytest.mark.parametrize(
    ("status", "difference", "depth"),
    [("agrees", 0.0, 1.0), ("agrees", -0.01, 0.5), ("below", -0.06, 1.0), ("above", 0.02, 0.5)],
)
def test_a_colour_is_as_deep_as_the_margin_is_clear(status: str, difference: float, depth: float) -> None:
    verdict = {"direction": status, "difference": difference, "margin": 0.02}
    one = number("Table 2", 0.5, "agrees" if status == "agrees" else "differs", **verdict)
    (paper,) = papers([one], [], [])
    assert paper.tables[0].rows[0][1][0]["depth"] == depth  # type: ignore[index]


def test_a_claim_has_the_chart_of_the_number_that_decides_it() -> None:
    (paper,) = papers([], [{**CLAIM, "interval": [0.1, 0.2, 0.4]}, CLAIM], [])
    low, found, high = paper.claims[0]["chart"]
    assert 50 < low < found < high < 100
    assert paper.claims[1]["chart"] is None


def test_claims_are_counted_from_what_holds_to_what_is_not_run() -> None:
    verdicts = ("not run", "fails", "holds", "holds", "undecided")
    (paper,) = papers([], [{**CLAIM, "verdict": verdict} for verdict in verdicts], [])
    assert paper.summary == "Of 5 claims 2 hold, 1 fails, 1 is undecided and 1 is not run."


def test_an_unknown_status_is_shown_without_a_verdict() -> None:
    (paper,) = papers([number("Table 3", None, "another machine")], [], [])
    assert paper.counts == {"no verdict": 1}


def test_numbers_in_names_count_as_numbers() -> None:
    assert sorted(["Table 10", "Table 2", "Figure 1"], key=order) == ["Figure 1", "Table 2", "Table 10"]


def test_linf_radii_are_levels_of_an_image() -> None:
    radii = [2.25, 0.123456, 0.2, 0.1, 0.00784313725490196, 0.03137254901960784]
    (paper,) = papers([number("Table 3, ours", r) for r in radii], [], ["MACER"])
    others = ["r = 0.1", "r = 0.123456", "r = 0.2", "r = 2.25"]  # 0.2 is 51/255, but is printed so
    assert paper.tables[0].columns == ["r = 2/255", "r = 8/255", *others]
