"""What people read at a terminal: table, verdicts beside the papers, and what `rs clean` may remove."""

from __future__ import annotations

import pyarrow as pa
import pytest
from claim_rows import PRINTED, beside_printed
from observed_runs import observe

from rs.cli.overview import certified_accuracy_text, places, published_text
from rs.cli.rederive import attacks_text
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.files import write_table
from rs.study.study import Study
from rs.tables.aggregate import aggregate, check_tables
from rs.tables.published import beside


def test_text_floors_and_names_estimates(tmp_path):
    row = {"run": "r", "label": "a", "smoothing": "gaussian sigma=1", "certificate": "c", "images": 3, "n": 5}
    row |= {"alpha": 0.001, "rigorous": False, "norm": 2.0}
    write_table(
        tmp_path / "certified_accuracy.parquet",
        pa.Table.from_pylist([{**row, "radius": 0.5, "certified_accuracy": 0.9996}]),
        {},
    )
    write_table(
        tmp_path / "average_certified_radius.parquet", pa.Table.from_pylist([{**row, "acr": 0.3}]), {}
    )
    text = certified_accuracy_text(tmp_path)
    assert "0.999" in text
    assert "0.300" in text  # 0.3 is 0.29999... in binary: floored at the digits shown, not one below
    assert "estimates, not certificates: c" in text


def test_text_marks_lower_bounds_and_shows_every_alpha(tmp_path):
    row = {"run": "r", "label": "a", "smoothing": "gaussian sigma=1", "images": 3, "n": 5, "norm": 2.0}
    row |= {"rigorous": True}
    accuracies, averages = [], []
    for certificate, alpha, stopped in (("cohen", 0.001, True), ("other", 0.0001, False)):
        claim = row | {"certificate": certificate, "alpha": alpha}
        averages.append(claim | {"acr": 0.3, "lower_bound": stopped})
        for r, decided in ((0.25, True), (0.5, False)):
            shown = {"radius": r, "certified_accuracy": 0.5, "lower_bound": stopped and not decided}
            accuracies.append(claim | shown)
    for name, rows in (("certified_accuracy", accuracies), ("average_certified_radius", averages)):
        write_table(tmp_path / f"{name}.parquet", pa.Table.from_pylist(rows), {})
    _, stopped, whole, _ = (line.split() for line in certified_accuracy_text(tmp_path).splitlines())
    assert stopped[-6:] == ["0.001", "0.500", "≥", "0.500", "≥", "0.300"]
    assert whole[-4:] == ["0.0001", "0.500", "0.500", "0.300"]


def test_seeds_of_one_label_are_told_apart(monkeypatch, tmp_path, plan_of, tiny):
    monkeypatch.chdir(tmp_path)
    tiny["seeds"] = [0, 3]
    tiny["runs"] = {"gaussian": tiny["runs"]["gaussian"]}
    plan = plan_of(tiny)
    observe(plan, lambda run: [0.125 + run.seed] * 6, lambda run: [run.seed == 3, False, False])
    aggregate(plan, plan.tables, "")
    head, *rows = certified_accuracy_text(plan.tables).splitlines()
    assert head.split()[:2] == ["label", "seed"]
    assert [row.split()[1] for row in rows[:2]] == ["0", "3"]
    assert [row.split()[-1] for row in rows[:2]] == ["0.125", "3.125"]
    head, row, note = attacks_text(plan.tables).splitlines()
    assert head.split()[:2] == ["label", "seeds"]
    assert (row.split()[1], row.split()[-1]) == ("2", "0.833")
    assert note == "accuracy under attack, 3 images, mean over the seeds"


def test_places_are_those_that_are_there(monkeypatch, tmp_path, plan_of, tiny):
    """`rs certify` makes tables, and neither page nor figures nor a store."""
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tiny)
    plan.tables.mkdir(parents=True)
    assert places(plan) == f"tables   {plan.tables}"
    (plan.folder / "report.html").touch()
    (plan.folder / "mlflow.json").write_text("{}")
    assert [line.split()[0] for line in places(plan).splitlines()] == ["report", "tables", "MLflow"]


def test_published_text_shows_both_numbers(tmp_path, plan_of, tiny):
    study = plan_of({**tiny, "published": [PRINTED]}).study
    table = pa.Table.from_pylist(beside(study, beside_printed(images=500)))
    write_table(tmp_path / "published.parquet", table, {})
    assert "r=0.5   published 0.94   reproduced 0.950 [0.927, 0.966]  undecided: +0.010" in published_text(
        tmp_path
    )


def test_tables_that_nothing_has_made_yet_say_what_makes_them(monkeypatch, tmp_path, plan_of, tiny):
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tiny)
    files = " ".join(map(str, plan.study.files))
    given = Plan(Study(plan.study.files, {"seeds": [1]}))
    for planned, keys in ((plan, ""), (given, " --config 'seeds=[1]'")):
        with pytest.raises(UserError) as refused:
            check_tables(planned)
        command = f"snakemake --cores N --configfile {files}{keys}"
        assert str(refused.value).endswith(f"runs.parquet: not there yet; run the study first ({command})")
