"""Files in a run's place that speak of other networks, certificates or images; a table of another study."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from observed_runs import NETWORK, observe
from tiny_study import TINY

from rs.errors import UserError
from rs.provenance.files import provenance, read_table, write_table
from rs.tables.aggregate import TABLES, check_tables
from rs.tables.stored import check_files

TWO = [{"name": "cohen", "alpha": 0.001}, {"name": "cohen", "alpha": 0.001, "label": "again"}]


@pytest.fixture
def plan(tiny, plan_of, tmp_path, monkeypatch):
    tiny["runs"]["nal"].pop("calibration")
    found = plan_of({**tiny, "certificates": TWO})
    monkeypatch.chdir(tmp_path)
    observe(found, lambda run: [0.1] * TINY["test"]["max"])
    check_files(found)  # as they are they pass
    return found


@pytest.mark.parametrize("kind", ["certify", "attack"])
def test_of_another_network(plan, kind):
    observation = plan.runs[0].observations[0]
    path = observation.certified if kind == "certify" else observation.attacks[0]
    table, made = read_table(path)
    spec = plan.job(kind, str(path)).spec
    facts = {
        key: made[key] for key in ("norm", "judge", "shape", "classes", "samples", "access") if key in made
    }
    write_table(path, table, {**provenance(spec, "code"), **facts, "model": NETWORK + " of another training"})
    with pytest.raises(UserError, match=path.name):
        check_files(plan)


@pytest.mark.parametrize("held", ["one certificate", "an image twice", "other images"])
def test_certificates_and_images_are_those_asked_for(plan, held):
    path = plan.runs[0].observations[0].certified
    table, made = read_table(path)
    changed = {
        "one certificate": table.filter(pc.equal(table["certificate"], "cohen")),
        "an image twice": pa.concat_tables([table, table.slice(0, 1)]),
        "other images": table.set_column(
            table.column_names.index("image"), "image", pc.add(table["image"], 1)
        ),
    }[held]
    spec = plan.job("certify", str(path)).spec
    write_table(path, changed, {**provenance(spec, "code"), "model": NETWORK, "form": made["form"]})
    message = (
        "stands there twice"
        if held == "an image twice"
        else "does not hold the 2 certificates of 6 images each"
    )
    with pytest.raises(UserError, match=message):
        check_files(plan)


def test_a_table_of_another_study(plan):
    for path in plan.table_files():
        empty = pa.table({name: [] for name in TABLES[path.stem].columns})
        write_table(path, empty, provenance({"study": plan.study.name, "table": path.stem}, "code"))
    check_tables(plan)
    path = plan.table_files()[0]
    write_table(path, read_table(path)[0], provenance({"study": "another", "table": path.stem}, "code"))
    with pytest.raises(UserError, match=f"not the table {path.stem} of {plan.study.name}"):
        check_tables(plan)
