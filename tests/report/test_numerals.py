"""One minus sign on all pages: U+2212, in numbers, in sentences and in the live figure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import study_tables

from rs.report.claims import claims_section
from rs.report.html_table import constants, difference, down, interval, number, up
from rs.report.numerals import numeral, printed
from rs.report.published import published_section
from rs.report.verdict_words import verdict_words
from rs.tables.noise import smoothed_with
from rs.tables.published import COLUMNS


def test_numbers_have_the_minus_of_print() -> None:
    assert [down(-0.0501), up(-0.0501), up(-math.inf), down(math.inf)] == ["−0.051", "−0.050", "−∞", "∞"]
    assert interval(-0.1, 0.2) == "−0.100–0.200"
    small = number(-0.00001234, 1e-6)
    assert (small.text, small.sort, small.under) == ("−1.234e−05", -0.00001234, "± 1e−06")
    assert number(-12345).text == "−12,345"
    assert numeral(-0.5, "+.3f") == "−0.500"


def test_no_largest_radius_is_told_above_itself() -> None:
    frame = pd.DataFrame({"n": [100_000], "largest_radius": [3.81165]})
    assert constants(frame, {"n": "n = {}", "largest_radius": "r = {}"}) == ("n = 100,000 · r = 3.811", [])


def test_the_interval_of_a_difference_is_rounded_outwards() -> None:
    assert difference(0.0254, 0.0196, 0.0331) == ("+0.025", "+0.019", "+0.034")
    assert difference(-0.0131, -0.0002, 0.0001) == ("−0.013", "−0.001", "+0.001")  # 0 lies inside
    assert difference(-0.0001, -math.inf, -0.00001) == ("+0.000", "−∞", "+0.000")


@pytest.mark.parametrize(
    ("terminal", "page"),
    [
        ("differs: -0.005 [-0.020, -∞]", "differs: −0.005 [−0.020, −∞]"),
        ("cohen-0.50 of 2019-2020, a-1, nal[gamma=-1]", "cohen-0.50 of 2019-2020, a-1, nal[gamma=-1]"),
    ],
)
def test_only_the_minus_of_a_number_changes_in_a_sentence(terminal: str, page: str) -> None:
    assert printed(terminal) == page


def test_an_interval_without_a_lower_end_has_the_sign_of_infinity() -> None:
    row: dict[str, Any] = {"status": "undecided", "difference": -0.1, "difference_low": -math.inf}
    row |= {"difference_high": math.inf, "decides": None, "decides_count": None, "counted": "seeds"}
    assert verdict_words(row).startswith("undecided: -0.100 [-∞, +∞];")


def test_verdicts_and_claims_of_a_page_have_it(tmp_path: Path) -> None:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | smoothed_with({"name": "gaussian", "sigma": 0.25})
    row |= {"paper": "A", "table": "T", "label": "one", "metric": "acr", "published": 0.6, "printed": "0.6"}
    row |= {"reproduced": 0.5, "status": "differs", "difference": -0.1, "margin": 0.02}
    row |= {"direction": "below", "beyond_margin": True, "difference_low": -0.2, "difference_high": -0.05}
    row |= {"counted": "images, seeds"}
    claim: dict[str, Any] = {"id": "c", "verdict": "fails", "condition_verdict": "fails", "claim": "a > b"}
    claim |= {"paper": "A", "place": "p", "condition": "a better than b", "value": -0.1, "low": -0.2}
    claim |= {"high": -0.05, "radius": None, "counted": "", "evidence": "acr[0]", "settings": None}
    claim |= {"address": None}
    frames = {"published": pd.DataFrame([row]), "claims": pd.DataFrame([claim])}
    tables = study_tables.write(tmp_path, frames)
    (verdict,) = published_section(tables).tables[0].rows
    assert verdict[4].text == "differs: −0.100 [−0.200, −0.050], below it, beyond 0.02"
    (rests,) = claims_section(tables).tables[0].rows
    assert rests[2].text == "a better than b: −0.100 [−0.200, −0.050]"
