"""The digest by which a store knows that a run is unchanged: of all that is logged."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import study_tables
from tracked_study import FORM, SPEC, Study

from rs.provenance.digests import digest
from rs.tables import reading


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


def test_it_is_the_digest_of_all_that_is_fixed_once_written(study: Study) -> None:
    """As stores hold it: another way to it would have every run of every store logged again."""
    record = study.records()[0]
    record.param("name", 'é "quoted" \\ line\n')
    record.metrics += [
        ("whole", 3.0, 0, 2.0),
        ("huge", 1e300, 1, 0.1),
        ("größe", -0.0, -2, 1e16),
        ("a", 1, 2, 3),
    ]
    assert record.network
    assert record.inputs
    network, inputs = record.network.identity, [vars(i) for i in record.inputs]
    assert record.digest == digest([record.kind, record.params, record.metrics, inputs, network], 16)
    record.network = None
    assert record.digest == digest([record.kind, record.params, record.metrics, inputs, ""], 16)


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (lambda s: s.edit("certified_accuracy", "certified_accuracy", 0.125), 1),
        (lambda s: s.edit("average_certified_radius", "acr", 0.125), 1),
        (lambda s: s.edit("empirical_accuracy", "accuracy", 0.125), 1),
        (lambda s: s.edit("training", "loss", 0.125), 1),
        (lambda s: s.edit("runs", "training.learning_rate", 0.125), 1),
        (lambda s: s.train(s.runs[0], "2" * 64), 1),
        (lambda s: s.certify(s.runs[0], {"spec": SPEC, "form": FORM | {"batch": 9}}), 1),
        (lambda s: s.certify(s.runs[0], {"spec": SPEC | {"seed": 1}, "form": FORM}), 1),
        (lambda s: s.prepare("3" * 64), 2),
    ],
)
def test_a_change_of_tables_network_or_settings_is_seen(study: Study, change: Any, stale: int) -> None:
    before = {record.key: record.digest for record in study.records()}
    assert {record.key: record.digest for record in study.records()} == before
    change(study)
    after = {record.key: record.digest for record in study.records()}
    assert [run for run in study.runs if before[run] != after[run]] == study.runs[:stale]


def test_the_step_of_a_radius_is_that_of_its_decimals(study: Study) -> None:
    """1000 times the float 1.001 is below 1001; a radius just below a step belongs to the one before."""
    radii = [*(step / 1000 for step in range(1000, 1020)), 1.0209999999999, 1.0219999999999998, 1.5]
    accuracy = reading.read(study.tables, "certified_accuracy")
    rows = accuracy[accuracy.run == study.runs[0]].head(1)
    fine = pd.concat([rows.assign(radius=radius, certified_accuracy=1 - radius / 2) for radius in radii])
    study_tables.write(study.tables, {"radius_accuracy": fine})
    key = "curve/certified_accuracy_by_radius_x1000"
    steps = [step for found, _, step, _ in study.records()[0].metrics if found == key]
    assert steps == [*range(1000, 1020), 1020, 1021, 1500]
