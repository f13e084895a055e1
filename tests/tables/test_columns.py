"""A column has one type in every study, whatever its values."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from rs.provenance.files import write_table
from rs.tables.aggregate import TABLES
from rs.tables.columns import column, dictionary, typed

WHOLE = {
    "run": "a",
    "seed": 0,
    "epochs": 1,
    "noise.sigma": 1,
    "objective.lambda_from": 0,
    "training.epochs": 1,
}
PARTS = {"run": "b", "noise.sigma": 0.25, "objective.lambda_from": "first_drop", "training.epochs": None}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_rows_has_the_types_of_one_with_rows(name):
    table = TABLES[name]
    empty, unknown = typed(table, []), typed(table, [dict.fromkeys(table.columns)])
    assert empty.schema == unknown.schema
    assert pa.null() not in empty.schema.types
    assert unknown.num_rows == 1
    assert all(one.null_count == 1 for one in unknown.columns)


def test_tables_of_several_studies_are_read_as_one_in_any_order(tmp_path):
    files = []
    for i, rows in enumerate([[], [WHOLE], [PARTS], [WHOLE, PARTS]]):
        files.append(tmp_path / f"{i}.parquet")
        write_table(files[-1], typed(TABLES["runs"], rows), {})
    together = pa.unify_schemas([pq.read_schema(file) for file in files])
    for order in itertools.permutations(map(str, files)):
        assert ds.dataset(list(order), together).to_table().num_rows == 4
        assert ds.dataset(list(order)).to_table().num_rows == 4
    assert typed(TABLES["runs"], [WHOLE, PARTS])["objective.lambda_from"].to_pylist() == ["0", "first_drop"]
    assert typed(TABLES["runs"], [WHOLE, PARTS])["seed"].to_pylist() == [0, None]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("noise.sigma", "float64"),  # 0 or a number
        ("noise.exact", "bool"),
        ("objective.epsilon", "float64"),  # a number, or a section with columns of its own:
        ("objective.epsilon.calibrated", "string"),
        ("objective.steps", "float64"),  # whole; a method of somebody else may have `steps`, too
        ("objective.step_size", "float64"),  # null or a number
        ("resolved.epsilon", "float64"),
        ("resolved.classifier", "string"),
        ("model.members", "string"),  # a list
        ("model.entry", "string"),  # of an imported network: no method has it
        ("training.epochs", "int64"),
        ("training.optimizer.momentum", "float64"),
        ("training.schedule.milestones", "string"),
        ("train.max", "int64"),
        ("train.images", "int64"),
    ],
)
def test_a_setting_has_the_type_of_the_schema(name, kind):
    assert column("runs", name).type == kind


def test_a_column_that_is_declared_nowhere_is_refused():
    with pytest.raises(KeyError, match=r"claims: verdicts is not in columns\.toml"):
        typed(TABLES["claims"], [{"verdicts": "holds"}])


def test_files_carry_the_meaning_and_the_unit_of_their_columns(tmp_path):
    path = tmp_path / "average_certified_radius.parquet"
    write_table(path, typed(TABLES[path.stem], []), {})
    facts = pq.read_schema(path).field("acr").metadata
    assert facts[b"unit"] == b"image units"
    assert facts[b"description"].decode() == dictionary()[path.stem]["acr"].meaning
