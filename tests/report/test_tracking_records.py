"""What is logged of a study: numbers under names that compare, seeds in groups, logs of others as runs."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import study_tables

from rs.report.tracking import numbers
from rs.report.tracking.records import Record, records
from rs.report.tracking.sources import Sources
from rs.report.tracking.view import saved_view


def logged(folder: Path, frames: dict[str, pd.DataFrame]) -> dict[str, Record]:
    found = records(study_tables.write(folder, frames), Sources())
    return {record.key: record for record in found}


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    """Of two Gaussian runs with one certificate."""
    whole = study_tables.frames()
    keep = list(whole["runs"].run[:2])
    return {k: f[f.run.isin(keep)].drop(columns=["noisy"], errors="ignore") for k, f in whole.items()}


def test_one_certificate_needs_no_name(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    first = next(iter(logged(tmp_path, frames).values()))
    row = frames["average_certified_radius"].iloc[0]
    assert first.headlines["acr"] == row.acr
    assert first.headlines["interval/acr_low"] == row.low
    accuracy = frames["certified_accuracy"].query("run == @first.key and radius == 0.25")
    assert first.headlines["certified_accuracy_at_0.25"] == accuracy.certified_accuracy.iloc[0]
    assert first.headlines["empirical_accuracy_at_0.75"] > 0


@pytest.mark.parametrize(
    ("column", "value", "key"),
    [
        ("certificate", "stn", "acr/stn"),
        ("norm", float("inf"), "acr/linf"),
        ("alpha", 0.01, "acr/alpha 0.01"),
        ("n", 500, "acr/n 500"),
        ("smoothing", "gaussian sigma=1", "acr/gaussian sigma 1"),
    ],
)
def test_what_one_run_has_several_of_is_in_the_name(
    frames: dict[str, pd.DataFrame], tmp_path: Path, column: str, value: Any, key: str
) -> None:
    for name in ("certified_accuracy", "average_certified_radius"):
        frames[name] = pd.concat([frames[name], frames[name].assign(**{column: value})])
    for record in logged(tmp_path, frames).values():
        averages = [name for name in record.headlines if name.startswith("acr")]
        assert key in averages
        assert len(averages) == 2
        assert "acr" not in averages, "no number is compared with that of something else"
        curves = [(key, step) for key, _, step, _ in record.metrics if key.startswith("curve/")]
        assert len(set(curves)) == len(curves), "one value at each step of a curve"


def test_estimates_and_lower_bounds_are_not_sorted_among_the_others(
    frames: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    average, accuracy = frames["average_certified_radius"], frames["certified_accuracy"]
    average["lower_bound"] = average.run == average.run.iloc[0]
    accuracy["lower_bound"] = (accuracy.run == average.run.iloc[0]) & (accuracy.radius != 0.5)
    accuracy["rigorous"] = average["rigorous"] = True
    first, second = logged(tmp_path / "bounds", frames).values()
    assert "acr_lower_bound" in first.headlines
    assert "acr" not in first.headlines
    assert {"certified_accuracy_at_0.50", "certified_accuracy_lower_bound_at_0.25"} <= first.headlines.keys()
    assert "acr" in second.headlines
    accuracy["rigorous"] = average["rigorous"] = False
    first, second = logged(tmp_path / "estimates", frames).values()
    assert {"acr_estimate", "certified_accuracy_estimate_at_0.50"} <= second.headlines.keys()
    assert not {"acr", "acr_lower_bound"} & second.headlines.keys()


def test_values_that_differ_within_a_run_are_no_parameter(
    frames: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    """One that some rows lack is; where there are several, the names of the metrics say which."""
    accuracy = frames["certified_accuracy"]
    accuracy["source_n"] = [1000.0, *[None] * (len(accuracy) - 1)]
    accuracy["alpha"] = [0.01, *[0.001] * (len(accuracy) - 1)]
    first, second = logged(tmp_path, frames).values()
    assert first.params["certificate.cohen.source_n"] == "1000"
    assert "certificate.cohen.alpha" not in first.params
    assert "certificate.cohen.source_n" not in second.params
    assert second.params["certificate.cohen.alpha"] == "0.001"


def test_an_attack_has_the_steps_that_it_takes(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    """None at radius 0."""
    attacked = frames["empirical_accuracy"]
    attacked["steps"] = [0.0 if radius == 0 else 20.0 for radius in attacked["radius"]]
    first, _ = logged(tmp_path, frames).values()
    assert first.params["attack.pgd_l2.steps"] == "20"
    frames["empirical_accuracy"] = attacked[attacked["radius"] == 0].copy()
    first, _ = logged(tmp_path, frames).values()
    assert (first.params["attack.pgd_l2.steps"], first.params["attack.pgd_l2.norm"]) == ("0", "2")


def test_a_training_on_a_subset_has_it_as_parameters(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    frames["runs"]["train.max"], frames["runs"]["train.images"] = 600, 500
    first, _ = logged(tmp_path, frames).values()
    assert (first.params["train.max"], first.params["train.images"]) == ("600", "500")


def test_small_radii_are_told_apart(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    """In 255ths, as in the sup-norm: no point of a curve is lost, none shows more than is certified."""
    accuracy = frames["certified_accuracy"]
    accuracy["radius"] /= 255
    first = next(iter(logged(tmp_path, frames).values()))
    assert "certified_accuracy_at_0.00784314" in first.headlines
    curve = {s: v for k, v, s, _ in first.metrics if k == "curve/certified_accuracy_by_radius_x1000000"}
    mine = accuracy[accuracy.run == first.key]
    assert len(curve) == len(mine)
    at = dict(zip(mine.radius, mine.certified_accuracy, strict=True))
    for step, value in curve.items():
        assert value <= max(share for radius, share in at.items() if radius >= step / 1e6)


def test_a_curve_has_the_rows_of_its_run_and_certificate(
    frames: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    """Whatever order the rows come in; points stand by radius."""
    proven = frames["certified_accuracy"].assign(rigorous=True)
    half = proven.certified_accuracy / 2
    estimated = proven.assign(rigorous=False, certificate="stn", certified_accuracy=half)
    every = pd.concat([proven, estimated]).sample(frac=1, random_state=0)
    frames["certified_accuracy"] = every
    for run, record in logged(tmp_path, frames).items():
        for name, rows in (("accuracy", proven), ("accuracy_estimate", estimated)):
            mine = rows[rows.run == run].sort_values("radius")
            key = f"curve/certified_{name}_by_radius_x1000/{mine.certificate.iloc[0]}"
            points = [(step, value) for found, value, step, _ in record.metrics if found == key]
            steps = [round(1000 * radius) for radius in mine.radius]
            assert points == list(zip(steps, mine.certified_accuracy, strict=True))


def test_seeds_are_nested_in_their_means(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    for frame in frames.values():
        if "label" in frame:
            frame["label"] = "gaussian"
    frames["runs"]["seed"] = [0, 1]
    *seeds, group = logged(tmp_path, frames).values()
    assert [seed.name for seed in seeds] == ["gaussian seed 0", "gaussian seed 1"]
    assert [seed.parent for seed in seeds] == [group.key, group.key]
    assert (group.kind, group.name, group.parent) == ("seeds", "gaussian, mean of 2 seeds", "")
    values = [seed.headlines["acr"] for seed in seeds]
    assert group.headlines["acr"] == statistics.fmean(values)
    assert group.headlines["over_seeds/acr_std"] == statistics.stdev(values)
    assert "seed" not in group.params
    assert group.params["objective.name"] == "gaussian"
    assert "over_seeds" not in saved_view([*seeds, group])


def test_a_log_of_somebody_else_is_a_run(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    other = frames["runs"].run.iloc[1]
    for name in ("runs", "training", "empirical_accuracy"):
        frames[name] = frames[name][frames[name].run != other]
    log = logged(tmp_path, frames)[other]
    label = frames["certified_accuracy"].query("run == @other").label.iloc[0]
    assert (log.kind, log.name, log.params["label"]) == ("log", label, label)
    assert log.params["noise.level"] == "0.5"
    assert log.params["certificate.cohen.alpha"] == "0.001"
    assert log.headlines["acr"] > 0


def test_radii_are_written_with_the_digits_that_they_need() -> None:
    assert [numbers.radius_text(r) for r in (0, 0.5, 1.25, 0.125, 2 / 255)] == [
        *("0.00", "0.50", "1.25", "0.125", "0.00784314")
    ]
