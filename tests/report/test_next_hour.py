"""What the next hour on a GPU would decide: the most per hour first, whole studies, and what fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rs.report.next_hour import fits, offers, sentence
from rs.report.papers import write_papers


def left(study: str, numbers: int, done: int = 0) -> list[dict[str, Any]]:
    row = {"paper": "P", "table": "Table 1", "label": study, "metric": "acr", "radius": None}
    row |= {"printed": "0.5", "address": "a", "study": study, "reproduced": None, "low": None}
    return [{**row, "status": "not run" if i < numbers else "agrees"} for i in range(numbers + done)]


def claim(study: str, verdict: str = "not run") -> dict[str, Any]:
    return {"study": study, "verdict": verdict, "paper": "P", "claim": "c", "place": "p", "id": study} | {
        "evidence": "",
        "address": "a",
    }


NUMBERS = [*left("cheap", 3), *left("rich", 90, done=4), *left("dear", 200), *left("done", 0, done=5)]
HOURS = {"cheap": 0.2, "rich": 0.9, "dear": 40.0, "done": 1.0, "claims": 0.1, "free": 0.0}
CLAIMS = [claim("claims"), claim("claims", "holds")]
COUNTS = {
    "cheap": (3, 0),
    "rich": (90, 0),
    "dear": (200, 0),
    "done": (0, 0),
    "claims": (0, 1),
    "free": (1, 0),
}
LEFT = {name: tuple({f"{name}{i}" for i in range(n)} for n in counts) for name, counts in COUNTS.items()}


def test_the_most_per_hour_comes_first_and_what_is_done_not_at_all() -> None:
    found = offers(LEFT, HOURS)
    assert [(o.study, len(o.numbers), len(o.claims)) for o in found] == [
        ("rich", 90, 0),
        ("cheap", 3, 0),
        ("claims", 0, 1),
        ("dear", 200, 0),
    ]


def test_an_hour_is_filled_with_whole_studies() -> None:
    found = offers(LEFT, HOURS)
    assert [o.study for o in fits(found)] == ["rich", "claims"]  # 0.9 and 0.1; cheap no longer fits
    assert sentence(found, "H100") == (
        "The next H100 hour would decide 90 numbers and 1 claim: rich and claims (1.0 hours)."
    )


def test_what_several_studies_decide_counts_once() -> None:
    shared = {"whole": ({*"abcd"}, {"x"}), "part": ({*"abc"}, {"x"}), "more": ({*"ae"}, set())}
    found = offers(shared, {"whole": 0.3, "part": 0.3, "more": 0.3})
    assert [o.study for o in fits(found)] == ["whole", "more"]
    expected = "The next H100 hour would decide 5 numbers and 1 claim: whole and more (0.60 hours)."
    assert sentence(found, "H100") == expected


def test_where_nothing_fits_the_cheapest_is_named() -> None:
    found = offers(LEFT, {"dear": 40.0, "rich": 3.0})
    expected = "Nothing that is left fits into one H100 hour; the cheapest, rich, decides 90 numbers in 3.0."
    assert sentence(found, "H100") == expected
    assert sentence([], "H100") == ""


def test_the_index_says_it_with_the_commands(tmp_path: Path) -> None:
    commands = {"rich": "snakemake --configfile rich.yaml   # about 0.9 H100 hours"}
    commands |= dict.fromkeys(HOURS, "")
    index, *_ = write_papers(tmp_path, NUMBERS, CLAIMS, ["P"], commands, HOURS, {}, LEFT)
    page = index.read_text()
    assert "The next H100 hour would decide 90 numbers and 1 claim" in page
    assert page.rindex('.html">') < page.index("The next H100 hour")  # verdicts before costs
    write_papers(tmp_path, NUMBERS, CLAIMS, ["P"], {}, {}, {}, LEFT)
    assert "The next" not in index.read_text()  # without prices
