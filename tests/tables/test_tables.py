"""Tables against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from rs.errors import UserError
from rs.provenance.files import provenance, read_table, write_json, write_table
from rs.provenance.run_files import read_certified
from rs.tables import aggregate as tables
from rs.tables.certified import claims_of

# label, prediction, radius: right, wrong, abstained, right at 0.5 exactly, right, right with radius 0
CERTIFIED = [(0, 0, 1.0), (1, 2, 3.0), (2, -1, 0.0), (3, 3, 0.5), (4, 4, 0.25), (5, 5, 0.0)]


NETWORK = "digest of its weights"


def made_of(spec):
    """The provenance of a file made from `spec`."""
    return {**provenance(spec, "code"), "model": NETWORK}


def certified_file(path, rows, certificate="cohen", n=64, spec=None):
    label, prediction, radius = zip(*rows, strict=True)
    size = len(rows)
    columns = {
        "certificate": [certificate] * size,
        "norm": [2.0] * size,
        "alpha": [0.001] * size,
        "n": [n] * size,
    }
    columns |= {
        "factor": [1.0] * size,
        "rigorous": [True] * size,
        "image": list(range(size)),
        "label": list(label),
    }
    write_table(
        path, pa.table({**columns, "prediction": list(prediction), "radius": list(radius)}), made_of(spec)
    )


def attack_file(path, radius_success, spec=None):
    rows = [
        {"image": i, "label": 1, "radius": r, "prediction": 2 if s else 1, "distortion": r, "success": s}
        | {"steps": 2, "votes": ([0, 2, 30] if s else [0, 30, 2]) + [0] * 7, "variant": ""}
        | {
            "clean": [0.0] if i == 0 else None,
            "noisy": [0.1] if i == 0 else None,
            "attacked": [0.25] if i == 0 else None,
        }
        for r, successes in radius_success.items()
        for i, s in enumerate(successes)
    ]
    made = {**made_of(spec), "norm": 2.0, "judge": 32, "shape": [1, 1, 1], "classes": 10, "samples": 2}
    made |= {"access": "white-box", "shares": "none"}
    write_table(path, pa.Table.from_pylist(rows), made)


@pytest.fixture
def aggregated(tiny, plan_of, tmp_path, monkeypatch):
    """Tables as lists of rows, from hand-made files of the tiny study."""

    def make(radii=CERTIFIED, **study):
        plan = plan_of({**tiny, **study})
        monkeypatch.chdir(tmp_path)
        for p in plan.runs:
            made = {
                "epochs": 1,
                "train_seconds": 2.5,
                "device": "cpu",
                "precision": "float32",
                "resolved": {},
            }
            made |= made_of(p.spec)
            manifest = {"provenance": made, "classes": 10, "sha256": NETWORK, "run": p.id}
            write_json(p.folder / "model.json", manifest)
            write_table(p.folder / "training.parquet", pa.table({"epoch": [1], "loss": [0.5]}), made)
            if p.calibration:
                measured = {"gamma": 1.5, "rho_with_noise": 4.0, "epsilon_with_noise": 2.0}
                measured |= {"rho_without_noise": 1.0, "epsilon_without_noise": 1.0}
                provenance = made_of(plan.job("calibrate", p.calibration).spec)
                write_json(p.calibration, {**measured, "provenance": provenance})
            for o in p.observations:
                rows = radii if isinstance(radii, list) else radii(p.run)
                if o.certified:
                    certified_file(o.certified, rows, spec=plan.job("certify", o.certified).spec)
                for path in o.attacks:
                    found = {0.0: [False] * 4, 0.5: [True, False, False, True]}
                    attack_file(path, found, plan.job("attack", path).spec)
        tables.aggregate(plan, plan.tables, "code")
        return {f.stem: read_table(f)[0].to_pylist() for f in plan.table_files()}

    return make


def of_run(rows, label="gaussian"):
    return [r for r in rows if r["label"] == label]


def test_certified_accuracy_is_right_and_not_abstained_and_at_least_r(aggregated):
    rows = of_run(aggregated()["certified_accuracy"])
    assert {r["radius"]: r["certified_accuracy"] for r in rows} == {0.0: 4 / 6, 0.25: 3 / 6, 0.5: 2 / 6}
    assert all((r["images"], r["alpha"], r["n"], r["rigorous"]) == (6, 0.001, 64, True) for r in rows)
    assert all(
        (r["norm"], r["smoothing"], r["precision"]) == (2.0, "gaussian sigma=0.25", "float32") for r in rows
    )


def test_acr_counts_wrong_and_abstained_images_as_0(aggregated):
    (row,) = of_run(aggregated()["average_certified_radius"])
    values = np.array([1.0, 0, 0, 0.5, 0.25, 0])
    assert row["acr"] == pytest.approx(values.mean())
    half = stats.t.ppf(0.975, 5) * values.std(ddof=1) / math.sqrt(6)
    assert values.mean() < half, "the interval would hold averages below 0"
    assert (row["low"], row["high"]) == pytest.approx((0.0, values.mean() + half))


@pytest.mark.parametrize(("largest", "high"), [({"largest_radius": 1.0}, 1.0), ({}, 1.13)])
def test_an_average_reaches_no_further_than_its_votes(largest, high):
    columns = {"certificate": "cohen", "norm": 2.0, "alpha": 0.001, "n": 64, "factor": 1.0, "rigorous": True}
    columns |= {"label": 1, "prediction": 1, "image": range(6), "radius": [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]}
    (claim,) = claims_of(pd.DataFrame(columns | largest), {})
    row = claim.average()
    assert row["low"] < row["acr"] < row["high"]
    assert row["high"] == pytest.approx(high, abs=0.01)


def test_intervals_are_wilsons(aggregated):
    found = aggregated()
    row = next(r for r in of_run(found["certified_accuracy"]) if r["radius"] == 0.5)
    expected = stats.binomtest(2, 6).proportion_ci(0.95, method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    attacked = {r["radius"]: r for r in of_run(found["empirical_accuracy"])}
    assert attacked[0.0]["accuracy"] == 1
    assert attacked[0.5]["accuracy"] == 0.5
    expected = stats.binomtest(2, 4).proportion_ci(0.95, method="wilson")
    assert (attacked[0.5]["low"], attacked[0.5]["high"]) == pytest.approx((expected.low, expected.high))
    assert (attacked[0.5]["judge"], attacked[0.5]["images"]) == ("32", 4)
    assert attacked[0.5]["attack"].startswith("pgd_l2")


def test_a_single_image_has_no_interval_of_the_mean(aggregated):
    (row,) = of_run(aggregated(CERTIFIED[:1], test={"max": 1})["average_certified_radius"])
    assert row["acr"] == 1.0
    assert all(row[end] is None or math.isnan(row[end]) for end in ("low", "high"))


def test_seeds_are_averaged_with_their_spread(aggregated):
    def radii(run):
        return [(0, 0, 1.0 + run.seed), (1, 1 if run.seed else 0, 0.1)]

    found = aggregated(radii, seeds=[0, 1], test={"max": 2})
    (row,) = of_run(found["average_certified_radius_over_seeds"])
    assert row["seeds"] == 2
    assert row["mean"] == pytest.approx((0.5 + 1.05) / 2)
    assert row["std"] == pytest.approx(0.55 / math.sqrt(2))
    at_zero = next(r for r in of_run(found["certified_accuracy_over_seeds"]) if r["radius"] == 0)
    assert (at_zero["mean"], at_zero["seeds"]) == (0.75, 2)
    assert aggregated()["average_certified_radius_over_seeds"] == []  # one seed has no spread


def test_every_table_has_its_columns_even_without_rows(aggregated):
    found = aggregated(certificates=[], attacks=[])
    assert found["certified_accuracy"] == found["empirical_accuracy"] == found["examples"] == []
    assert [r["label"] for r in found["runs"]] == ["gaussian", "nal"]
    for name, definition in tables.TABLES.items():
        table, made = read_table(next(p for p in tables.Path("results/tiny/tables").glob(f"{name}.parquet")))
        assert set(definition.columns) <= set(table.column_names), name
        assert made["spec"] == {"study": "tiny", "table": name}


def test_runs_list_hyperparameters_and_training(aggregated):
    found = aggregated()
    row = of_run(found["runs"], "nal")[0]
    assert (row["objective"], row["noise"], row["noise_level"], row["seed"]) == ("nal", "gaussian", 0.25, 0)
    assert (row["objective.gamma"], row["objective.steps"]) == (1.5, 1)
    assert (row["train_seconds"], row["training.optimizer.learning_rate"]) == (2.5, 0.05)
    (calibration,) = found["calibration"]
    assert (calibration["label"], calibration["gamma"], calibration["rho_with_noise"]) == ("nal", 1.5, 4.0)
    assert found["training"][0]["loss"] == 0.5
    example = of_run(found["examples"])[0]
    assert (example["image"], example["true"], example["attacked"]) == (0, 1, [0.25])


def test_a_training_on_a_subset_says_on_how_many_images(aggregated):
    assert not [column for column in aggregated()["runs"][0] if column.startswith("train.")]
    training = {"epochs": 1, "keep": "best_clean", "held_out": 100}
    rows = aggregated(train={"max": 600, "skip": 2}, training=training)["runs"]
    assert {(row["train.max"], row["train.skip"], row["train.images"]) for row in rows} == {(600, 2, 500)}
    assert "train.first" not in rows[0]


def test_several_certificates_in_one_file_stay_apart(tmp_path):
    path = tmp_path / "two.parquet"
    certified_file(path, CERTIFIED)
    first, _ = read_table(path)
    certified_file(path, [(0, 0, 9.0)] * 6, certificate="other", n=128)
    write_table(
        path, pa.concat_tables([t.replace_schema_metadata() for t in (first, read_table(path)[0])]), {}
    )
    claims = claims_of(read_certified(path)[0], {"label": "x"})
    assert [(c.columns["certificate"], c.average()["acr"], c.columns["n"]) for c in claims] == [
        ("cohen", pytest.approx(1.75 / 6), 64),
        ("other", 9.0, 128),
    ]


def test_a_truncated_file_stops_the_tables(aggregated, tiny, plan_of):
    aggregated()
    plan = plan_of(tiny)
    broken = plan.runs[0].observations[0].certified
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(UserError, match="not a complete Parquet file"):
        tables.aggregate(plan, plan.tables / "again", "code")
    assert not (plan.tables / "again").exists()
