"""The verdict on a published number in words, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd


def verdict_words(row: Mapping[Any, Any]) -> str:
    """One sentence from a row of ``published.parquet``."""
    status = str(row["status"])
    if status == "other settings":
        return status + (f": {row['settings']}" if row["settings"] else "")
    if status == "bounded":
        return "bounded: votes stopped at a lower bound; all of them would tell"
    if pd.isna(row.get("difference")):
        return status
    told = f"{status}: {_signed(row['difference'])}"
    if pd.notna(row["difference_low"]):
        told += f" [{_signed(row['difference_low'])}, {_signed(row['difference_high'])}]"
    if status == "agrees":
        told += f", within {row['margin']:.3g}"
    elif status == "differs":
        beyond = "beyond" if row["beyond_margin"] else "maybe not beyond"
        told += f", {row['direction']} it, {beyond} {row['margin']:.3g}"
    elif status == "consistent":
        told += f"; the paper's own noise exceeds {row['margin']:.3g}"
    else:
        told += f"; {_decides(row)}"
    if pd.notna(row["difference_low"]) and "seeds" not in row["counted"]:
        told += f" ({row['seeds']:.0f} seed{'s' if row['seeds'] > 1 else ''}: their spread is not counted)"
    return told


def _decides(row: Mapping[Any, Any]) -> str:
    what, count = row["decides"], row["decides_count"]
    if what is None or pd.isna(what):
        return "nothing that is run here decides it"
    if what == "the paper's images":
        return f"the paper's own {count:,.0f} images would tell"
    if what == "seeds" and pd.isna(row["difference_low"]):  # their spread is not known yet
        return f"{count:,.0f} training seeds at least"
    return f"{count:,.0f} {'training seeds' if what == 'seeds' else what} would tell"


def _signed(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:+.3f}"
