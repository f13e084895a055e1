"""The list of tables, and the columns that tell a noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from rs.methods.noise import METHODS
from rs.plan import plan
from rs.report.names import noise_name
from rs.settings.limits import Level
from rs.settings.method_schema import method_schema_of
from rs.study.schema import method_schema
from rs.tables.aggregate import TABLES
from rs.tables.noise import smoothed_with, trained_with


def test_the_plan_names_every_table_and_a_table_stands_below_what_it_derives_from():
    assert tuple(TABLES) == plan.TABLES
    for place, (name, table) in enumerate(TABLES.items()):
        assert name == table.name
        assert set(table.of) <= set(list(TABLES)[:place]), name


LEVELS = {
    "gaussian": "sigma",
    "laplace": "scale",
    "mixed_norm": "sigma",
    "none": None,
    "spherical": "sigma",
    "sup_norm": "sigma",
    "uniform": "width",
}


@pytest.mark.parametrize("name", METHODS)
def test_a_noise_names_its_level_and_tables_have_one_word_for_it(name):
    parameter = LEVELS[name]
    assert method_schema("noises", name).get("x-level") == parameter
    noise = {"name": name, "k": 2.0, **({parameter: 0.5} if parameter else {})}
    row = smoothed_with(noise)
    assert row["smoothing_name"] == trained_with(noise)["noise"] == name
    for level in (row["smoothing_level"], trained_with(noise)["noise_level"]):
        assert level == 0.5 if parameter else math.isnan(level)


def test_a_level_among_other_types_is_found_and_leaves_no_mark():
    @dataclass(frozen=True)
    class Two:
        source: ClassVar[str] = "nobody"
        j: Annotated[float, Field(ge=0, le=9)] = 0.0
        width: Literal[0] | Level = 0
        k: Annotated[float, Field(ge=0, le=9)] = 0.0

    schema = method_schema_of("noises", "two", Two, "here:Two")
    assert schema["x-level"] == "width"
    assert "x-level" not in str(schema["properties"])


def test_people_read_a_noise_from_its_columns():
    row = smoothed_with({"name": "mixed_norm", "sigma": 0.5, "k": 2.0})
    assert noise_name(row["smoothing_name"], row["smoothing_parameters"]) == "mixed_norm k = 2, σ = 0.5"
    row = trained_with({"name": "laplace", "scale": 0.2})
    assert noise_name(row["noise"], row["noise_parameters"]) == "laplace scale = 0.2"
    assert noise_name("none", "{}") == "none"
