"""The columns of tables: types, units and meanings, as columns.toml beside this file declares them. No torch.

A column has one type in every study, whatever its values: tables of several studies can be read together. A
table without rows and a column without values have it, too.

Columns that end in `.*` there come with the settings of a study. Such a column has the type of that setting
in the schema: text where any method takes text (or a list), else bool or float64. In the sections `training`
and `train`, whose schema no method extends, whole numbers are int64.
"""

from __future__ import annotations

import functools
import itertools
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from rs.plan.stages import COLUMNS
from rs.study.schema import schema, section
from rs.tables.table import Row, Table

TYPES = {name: pa.type_for_alias(name) for name in ("string", "bool", "int64", "float64", "binary")}
TYPES |= {"list<int64>": pa.list_(pa.int64()), "list<float32>": pa.list_(pa.float32())}
SETTING = "setting"  # the type of columns that come with settings
COMMON = "common"  # columns of several tables
_METHODS = {"model": "models", "objective": "objectives", "resolved": "objectives", "noise": "noises"}


@dataclass(frozen=True)
class Column:
    """`type` is a key of TYPES, or SETTING."""

    type: str
    meaning: str
    unit: str = ""


@functools.cache
def dictionary() -> dict[str, dict[str, Column]]:
    """The columns that each table declares, and under COMMON those that several tables have."""
    read = tomllib.loads(COLUMNS.read_text(encoding="utf-8"))
    return {table: {name: Column(*facts) for name, facts in own.items()} for table, own in read.items()}


def column(table: str, name: str) -> Column:
    """A column of a table. Raises KeyError for one that is declared nowhere."""
    own = dictionary()[table]
    pattern = f"{name.partition('.')[0]}.*" if "." in name else "*" if "*" in own else ""
    known = own.get(name) or dictionary()[COMMON].get(name) or own.get(pattern)
    if known is None:
        raise KeyError(f"{table}: {name} is not in {COLUMNS.name}")
    return known if known.type != SETTING else Column(_type_of_setting(name), known.meaning, known.unit)


def typed(table: Table, rows: Sequence[Row]) -> pa.Table:
    """The table with its rows, every column as it is declared."""
    kinds = dict.fromkeys(map(tuple, rows))  # the columns of rows, of which millions have the same
    names = list(dict.fromkeys(itertools.chain(table.columns, *kinds)))
    columns = {name: column(table.name, name) for name in names}
    frame = pd.DataFrame(rows, columns=names)
    for name, facts in columns.items():
        if "." in name and facts.type == "string":  # a setting that takes text or a number
            frame[name] = frame[name].map(str, na_action="ignore")
    schema = pa.schema(
        pa.field(name, TYPES[facts.type], metadata=_described(facts)) for name, facts in columns.items()
    )
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def _described(facts: Column) -> dict[str, str]:
    return {"description": facts.meaning} | ({"unit": facts.unit} if facts.unit else {})


def _type_of_setting(name: str) -> str:
    own, *path = name.split(".")
    if own in _METHODS:
        schemas = list(schema()["$defs"][_METHODS[own]].values())
    else:
        schemas = [section(own) if own == "training" else schema()["$defs"]["study"]["properties"][own]]
        schemas += [{"properties": {"images": {"type": "integer"}}}]  # how many the subset has
    kinds = {kind for each in schemas for kind in _kinds(each, path)}
    if kinds == {"boolean"}:
        return "bool"
    if not kinds or not kinds <= {"integer", "number"}:
        return "string"
    return "int64" if kinds == {"integer"} and own not in _METHODS else "float64"


def _kinds(facts: dict[str, Any], path: Sequence[str]) -> Iterator[str]:
    """The JSON types of what a schema allows at a path. Objects have columns of their own."""
    for each in facts.get("anyOf", [facts]):
        if path and path[0] in each.get("properties", {}):
            yield from _kinds(each["properties"][path[0]], path[1:])
        elif not path and "properties" not in each and each.get("type") != "null":
            yield str(each.get("type", "string"))
