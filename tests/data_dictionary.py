"""docs/tables.md shows the columns that rs/tables/columns.toml declares. `python tests/data_dictionary.py`
writes the page's tables anew; its prose is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from rs.tables.columns import COMMON, SETTING, Column, dictionary

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tables.md"
TITLES = {"In many tables": COMMON}  # headings that are not the name of a table
HEAD = ["| column | type | meaning |", "|---|---|---|"]


def page(text: str) -> str:
    """The page with today's columns."""
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return "".join(map(_section, sections))


def _section(text: str) -> str:
    title = text.splitlines()[0].removeprefix("## ")
    columns = dictionary().get(TITLES.get(title, title))
    if columns is None:
        return text
    table = "\n".join([*HEAD, *(_row(name, column) for name, column in columns.items())])
    return re.sub(
        r"^\| column \|.*?\n(?=\n|\Z)", lambda _: f"{table}\n", text, flags=re.DOTALL | re.MULTILINE
    )


def _row(name: str, column: Column) -> str:
    kind = "that of the setting" if column.type == SETTING else column.type
    return f"| `{name}` | {kind}{', ' * bool(column.unit)}{column.unit} | {column.meaning} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
