"""Verdicts on published numbers and claims as text, for the terminal and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from rs.errors import plural
from rs.report.html_table import difference
from rs.report.numerals import MINUS

_ARE = {"agrees": "agree", "differs": "differ", "holds": "hold", "fails": "fail"}  # the others take a verb
_HAVE = {"other settings", "no verdict"}


def counted(
    verdicts: Iterable[str] | Mapping[str, int],
    things: str,
    order: Sequence[str] = (),
    asides: Mapping[str, str] | None = None,
) -> str:
    """`Of 4 claims 3 hold and 1 is undecided.` or `All 4 claims hold.` from the verdict on each, one or more,
    or from the number of each verdict. `things` is the plural; an aside stands in brackets behind its
    verdict. Verdicts stand in `order`, by default in their own; those that were never given are left out.
    """
    counts = Counter(verdicts)
    numbers = {verdict: counts[verdict] for verdict in order or counts if counts[verdict]}
    brackets = {verdict: f" ({aside})" for verdict, aside in (asides or {}).items() if aside}
    if len(numbers) == 1:
        ((verdict, n),) = numbers.items()
        return f"{_every(n, things, verdict)}{brackets.get(verdict, '')}."
    parts = [f"{n:,} {_verb(verdict, n)}{brackets.get(verdict, '')}" for verdict, n in numbers.items()]
    return f"Of {sum(numbers.values()):,} {things} {', '.join(parts[:-1])} and {parts[-1]}."


def whole(n: int, things: str) -> str:
    """`The one claim`, `Both claims`, `All 4 claims`: n things, where the same is said of each of them."""
    if n == 1:
        return f"The one {things.removesuffix('s')}"
    return f"Both {things}" if n == 2 else f"All {n:,} {things}"


def _every(n: int, things: str, verdict: str) -> str:
    if verdict != "not run" or n == 1:
        return f"{whole(n, things)} {_verb(verdict, n)}"
    return f"Neither {things.removesuffix('s')} is run" if n == 2 else f"None of {n:,} {things} is run"


def _verb(verdict: str, n: int) -> str:
    if verdict in _ARE:
        return verdict if n == 1 else _ARE[verdict]
    verb = ("has", "have") if verdict in _HAVE else ("is", "are")
    return f"{verb[n != 1]} {verdict}"


def verdict_words(row: Mapping[Any, Any]) -> str:
    """One sentence from a row of ``published.parquet``."""
    status = str(row["status"])
    if status == "other settings":
        return status + (f": {row['settings']}" if row["settings"] else "")
    if status == "bounded":
        return "bounded: voting stopped at a lower bound; all votes would decide it"
    if pd.isna(row.get("difference")):
        return status
    known = pd.notna(row["difference_low"])
    ends = (row["difference_low"], row["difference_high"]) if known else (0.0, 0.0)
    nearest, low, high = (text.replace(MINUS, "-") for text in difference(row["difference"], *ends))
    text = f"{status}: {nearest}" + (f" [{low}, {high}]" if known else "")
    if status == "agrees":
        text += f", within {row['margin']:.3g}"
    elif status == "differs":
        beyond = "beyond" if row["beyond_margin"] else "maybe not beyond"
        text += f", {row['direction']} it, {beyond} {row['margin']:.3g}"
    elif status == "consistent":
        text += f"; the paper's own noise exceeds {row['margin']:.3g}"
    else:
        text += f"; {_decides(row)}"
    if known and "seeds" not in row["counted"]:
        seeds = plural(row["seeds"], "seed", spec=".0f")
        text += f" ({seeds}: the spread over seeds is not counted)"
    return text


def _decides(row: Mapping[Any, Any]) -> str:
    """ "may": it takes difference and spread to stay as they seem (docs/evidence/decided-wrongly.md)."""
    what, count = row["decides"], row["decides_count"]
    if what is None or pd.isna(what):
        return "nothing that runs here decides it"
    if what == "the paper's images":
        return f"the paper's own {plural(count, 'image', spec=',.0f')} may decide it"
    if what == "images and seeds":
        return "more images and training seeds together may decide it"
    if what == "seeds" and "seeds" not in row["counted"]:  # their spread is not known yet
        return f"{plural(count, 'training seed', spec=',.0f')} at least"
    one = "training seed" if what == "seeds" else what.removesuffix("s")
    return f"{plural(count, one, spec=',.0f')} may decide it"
