"""Verdicts as text for people: totals, each claim, each number with a verdict; and as Markdown for pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rs.cli.text_table import aligned, markdown
from rs.errors import plural
from rs.report.claims import findings
from rs.report.html_table import down
from rs.report.numerals import printed
from rs.report.verdict_words import verdict_words, whole
from rs.tables.claims import VERDICTS, ZERO
from rs.tables.table import Row
from rs.tables.verdict import STATUSES

DECIDED = ("agrees", "consistent", "differs", "undecided", "bounded")  # shown one by one


def totals(numbers: list[Row], claims: list[Row]) -> Row:
    """How many of each status: of the project and of each paper."""

    def count(rows: list[Row], column: str, order: tuple[str, ...]) -> dict[str, int]:
        counted = Counter(row[column] for row in rows)
        return {status: counted[status] for status in order}

    def both(paper: str | None) -> Row:
        mine = ([r for r in rows if paper in (None, r["paper"])] for rows in (numbers, claims))
        first, second = mine
        return {"numbers": count(first, "status", STATUSES), "claims": count(second, "verdict", VERDICTS)}

    papers = sorted({row["paper"] for row in (*numbers, *claims)})
    return {**both(None), "papers": {paper: both(paper) for paper in papers}}


def text(numbers: list[Row], claims: list[Row]) -> str:
    """Totals, each number whose difference was judged, and each claim."""
    lines = [_table(numbers, "status", STATUSES, "numbers")]
    for row in numbers:
        if row["status"] not in DECIDED:
            continue
        reproduced = "" if row["reproduced"] is None else f" reproduced {down(row['reproduced'])}"
        lines.append(f"{row['address']}\n    printed {row['printed']}{reproduced}: {verdict_words(row)}")
    lines += ["", _table(claims, "verdict", VERDICTS, "claims"), *_by_theory(claims)]
    lines += _by_own_numbers(claims)
    for row in claims:
        own = f"; by its own numbers: {row['own_numbers']['verdict']}" if row["own_numbers"] else ""
        lines.append(
            f"{row['address']}\n    {row['verdict']}: {row['claim']} ({row['paper']}, {row['place']}{own})"
        )
    return "\n".join(lines)


def _table(rows: list[Row], column: str, order: tuple[str, ...], name: str) -> str:
    order = _shown(rows, column, order)
    lines = [[name, *order, "all"], *_counts(rows, column, order)]
    return "\n".join(aligned(lines, left=())) + "\n"


def _shown(rows: list[Row], column: str, order: tuple[str, ...]) -> tuple[str, ...]:
    """The statuses that have a column: all but a rare one that no row has."""
    return tuple(status for status in order if status != ZERO or any(row[column] == ZERO for row in rows))


def _counts(rows: list[Row], column: str, order: tuple[str, ...]) -> Iterator[list[str]]:
    """A line for each paper and for all: how many of each status, and in total."""
    for paper in (*sorted({row["paper"] for row in rows}), "all"):
        mine = [row[column] for row in rows if paper in ("all", row["paper"])]
        counted = Counter(mine)
        yield [paper, *(str(counted[status]) for status in order), str(len(mine))]


def _by_theory(claims: list[Row]) -> list[str]:
    """A line on how many of the claims that hold or fail are mathematics; none where no claim does."""
    decided = [row for row in claims if row["verdict"] in ("holds", "fails")]
    theory = sum(all(row["counted"] == "theory" for row in claim["conditions"]) for claim in decided)
    each = "" if theory == 1 else "each "
    counts = {
        f"mathematics, {each}decided by a test": theory,
        "decided by trained networks": len(decided) - theory,
    }
    parts = [f"{n} {_are(n)} {by}" for by, n in counts.items() if n]
    if len(parts) == 1:
        hold, alike = "holds or fails" if len(decided) == 1 else "hold or fail", parts[0].partition(" ")[2]
        return [f"{whole(len(decided), 'claims')} that {hold} {alike}."]
    return [f"Of {len(decided)} claims that hold or fail, {'; '.join(parts)}."] if parts else []


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _by_own_numbers(claims: list[Row]) -> list[str]:
    """A line on the claims whose paper prints what they are about; none where no paper does."""
    with_numbers = [row for row in claims if row["own_numbers"]]
    open_ = sum(row["own_numbers"]["verdict"] == "undecided" for row in with_numbers)
    less = len(_contradicted(claims))
    kept = len(with_numbers) - less - open_
    counts = [(kept, "holds" if kept == 1 else "hold"), (less, f"{'does' if less == 1 else 'do'} not hold")]
    counts.append((open_, f"{_are(open_)} within rounding"))
    parts = [(str(n), verb) for n, verb in counts if n]
    if len(parts) == 1:  # the same of each
        parts = [("it" if len(with_numbers) == 1 else "all", parts[0][1])]
    rest = ", ".join(" ".join(part) for part in parts)
    behind = plural(len(with_numbers), "claim")
    return [f"The papers print the numbers behind {behind}: by these, {rest}."] if with_numbers else []


def _contradicted(claims: list[Row]) -> list[Row]:
    return [row for row in claims if row["own_numbers"] and row["own_numbers"]["verdict"] == "fails"]


def page(numbers: list[Row], claims: list[Row], with_claims: bool) -> str:
    """Totals as Markdown tables; `with_claims` adds each claim, and each number with a verdict."""
    parts = [
        _markdown(numbers, "status", STATUSES, "numbers"),
        _markdown(claims, "verdict", VERDICTS, "claims"),
        *_by_theory(claims),
        *_by_own_numbers(claims),
    ]
    if with_claims:
        run = [row for row in claims if row["verdict"] != "not run"]
        shown = [[*_claim(row), row["verdict"], _rests_on(row)] for row in run]
        parts.append(markdown(["claim", "place", "verdict", "rests on"], shown))
        decided = [row for row in numbers if row["status"] in DECIDED]
        parts.append(markdown(["number", "printed", "here", "verdict"], map(_number, decided)))
        shown = [[*_claim(row), _rests_on(row["own_numbers"])] for row in _contradicted(claims)]
        heads = ["claim that its paper's own numbers contradict", "place", "the numbers"]
        parts.append(markdown(heads, shown))
        left = [row for row in claims if row["verdict"] == "not run"]
        own = [row["own_numbers"]["verdict"] if row["own_numbers"] else "" for row in left]
        shown = [[*_claim(row), by, _rests_on(row)] for row, by in zip(left, own, strict=True)]
        heads = ["claim that is not run", "place", "by its paper's own numbers", "found so far"]
        parts.append(markdown(heads, shown))
    return "\n\n".join(parts) + "\n"


def _claim(row: Row) -> list[str]:
    return [row["claim"], f"{row['paper']}, {row['place']}"]


def _number(row: Row) -> list[str]:
    return [f"`{row['address']}`", row["printed"], down(row["reproduced"]), printed(verdict_words(row))]


def _rests_on(row: Row) -> str:
    """The settings that are not the paper's, and a line per condition."""
    lines = [row["settings"]] if row.get("settings") else []
    return "<br>".join(map(printed, [*lines, *findings(row["conditions"], row["verdict"])]))


def _markdown(rows: list[Row], column: str, order: tuple[str, ...], name: str) -> str:
    order = _shown(rows, column, order)
    return markdown([name, *order, "all"], _counts(rows, column, order))
