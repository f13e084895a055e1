"""The distributional stage, and its way into the plan, the tables, the page and the figures."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_study import TINY, Workspace, write_study
from torch import nn

from rs.networks import audit as network_audit
from rs.plan.plan import Plan
from rs.provenance.files import read_table, write_table
from rs.report import figures
from rs.report.page import write_report
from rs.settings.distributional import Distributional
from rs.stages.distributional import losses
from rs.study.study import Study
from rs.tables.aggregate import aggregate
from rs.tables.distributional import certificates
from rs.tables.distributional_observations import moved_run
from rs.tables.reading import read
from rs.tables.worst_cases import ends

pytestmark = pytest.mark.slow

SECTION = {"gammas": [0.5, 2.0], "attack_gammas": [1.0], "images": {"max": 5}, "steps": 3, "samples": 2}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A study with the section on a bounded loss, on cross-entropy and on a network without noise."""
    bounded = {**SECTION, "loss": "error_probability", "estimates": 8}
    study = {k: v for k, v in TINY.items() if k not in ("attacks", "certificates")} | {
        "runs": {
            "gaussian": {"objective": {"name": "gaussian"}, "distributional": bounded},
            "nal": {**TINY["runs"]["nal"], "distributional": {**SECTION, "estimates": 8}},
            "wrm": {
                "objective": {"name": "wrm", "steps": 1},
                "noise": {"name": "none"},
                "distributional": SECTION,
            },
        }
    }
    folder = tmp_path_factory.mktemp("distributional")
    made = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", study)])))
    for stage in ("data", "train", "distributional", "calibrate"):
        for job in made.plan.jobs[stage].values():
            made.run(job)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        aggregate(made.plan, made.plan.tables, "code")
    return made


def observations(ran, label):
    return read_table(ran.path(ran.job("distributional", label).outputs["observed"]))


def test_files_hold_every_image_adversary_and_gamma(ran):
    table, made = observations(ran, "gaussian")
    frame = table.to_pandas()
    found = frame["adversary"].value_counts()
    assert found["base"] == found["smoothed"] == 5 * 4  # gammas of both kinds, and infinity
    assert found["pgd_base"] == found["pgd_smoothed"] == 5 * 7  # radii, and 0
    balls = frame[frame["radius"].notna()]
    assert (balls["squared_distance"] <= balls["radius"] ** 2 * (1 + 1e-5)).all()
    assert balls["chosen_loss"].notna().all()
    assert (balls["chosen_loss"] != balls["loss"])[balls["adversary"] == "pgd_smoothed"].all()
    frame = frame[frame["radius"].isna()]
    assert (made["sigma"], made["dimension"], made["estimates"]) == (0.25, 64, 8)
    still = frame[np.isinf(frame["gamma"])]
    assert (still["squared_distance"] == 0).all()
    assert frame[np.isfinite(frame["gamma"])]["squared_distance"].min() > 0
    scored = (frame["adversary"] == "smoothed") & np.isfinite(frame["gamma"])
    assert frame["gradient_product"].notna().equals(scored)
    assert frame["loss"].between(0, 1).all()
    assert set(observations(ran, "wrm")[0].to_pandas()["adversary"]) == {"base", "pgd_base"}
    assert observations(ran, "nal")[0].to_pandas()["gradient_product"].isna().all()


def test_an_image_does_not_depend_on_the_others(ran, tmp_path):
    job, out = ran.job("distributional", "gaussian"), tmp_path / "fewer.parquet"
    ran.run(job, spec={**job.spec, "images": {"max": 2}}, outputs={"observed": out})
    fewer = read_table(out)[0].to_pandas()
    whole = observations(ran, "gaussian")[0].to_pandas()
    pd.testing.assert_frame_equal(fewer, whole[whole["image"] < 2].reset_index(drop=True), rtol=1e-4)


def test_a_network_that_draws_itself_is_observed_the_same_way_again(ran, tmp_path, monkeypatch):
    class Draws(nn.Module):
        def forward(self, logits):
            return logits + torch.rand_like(logits)

    def load(*places, load=network_audit.load):
        audited = load(*places)
        return dataclasses.replace(audited, network=nn.Sequential(audited.network, Draws()), chance=True)

    monkeypatch.setattr(network_audit, "load", load)
    job, frames = ran.job("distributional", "nal"), []
    for name in ("first", "second"):
        torch.rand(7)  # whatever else the process draws
        ran.run(job, outputs={"observed": tmp_path / name})
        frames.append(read_table(tmp_path / name)[0].to_pandas())
    pd.testing.assert_frame_equal(*frames)
    assert (frames[0]["loss"] != observations(ran, "nal")[0].to_pandas()["loss"]).any()


def test_a_clip_bounds_the_cross_entropy():
    logits, y = torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 0])
    assert Distributional(clip=2.0).bound == 2
    assert Distributional().bound == math.inf
    assert losses(Distributional(clip=2.0), logits, y).tolist() == pytest.approx([1.234e-4, 2.0], rel=1e-3)
    error = losses(Distributional(loss="error_probability"), logits, y).tolist()
    assert error == pytest.approx([1.234e-4, 1 - 1.234e-4], rel=1e-3)


def test_tables_page_and_figure_show_it(ran, tmp_path):
    tables = ran.path(ran.plan.tables)
    claimed, worst = read(tables, "distributional"), read(tables, "worst_cases")
    mixed = worst.loc[worst["adversary"].str.startswith("pgd_"), "noise_error"]
    assert mixed.between(0, 0.5).all()
    assert (mixed > 0).any()
    assert set(claimed.loc[claimed["label"] == "wrm", "certificate"]) == {"sinha", "sinha_line"}
    assert "nal_line" in set(claimed.loc[claimed["label"] == "nal", "certificate"])
    assert not claimed.loc[claimed["label"] == "gaussian", "certificate"].str.endswith("_line").any()
    assert set(worst["gamma"].dropna()) == {1.0}
    checked = read(tables, "bound_checks")
    assert set(checked["label"]) == {"gaussian", "nal", "wrm"}
    assert set(checked["verdict"]) <= {"holds", "fails"}
    assert set(claimed.loc[claimed["label"] == "nal", "rigorous"]) == {False}
    drawn = figures.draw(tables, tmp_path)
    assert tmp_path / "distributional.png" in drawn
    write_report("tiny", tables, drawn, tmp_path / "report.html", {})
    page = (tmp_path / "report.html").read_text()
    for text in ("Bounds against adversaries that they have not seen", "γ of the training"):
        assert text in page
    for text in ("Distributional certificate", "proven, Neyman–Pearson", "strongly concave from γ = 3.87"):
        assert text in page
    assert "at no γ is the inner problem known to be concave" in page
    assert "0.84, 0.34, 0.21" in page  # NAL's Table 1, beside the calibration


def test_sigma_0_is_no_noise(ran, tmp_path):
    job, out = ran.job("distributional", "gaussian"), tmp_path / "still.parquet"
    ran.run(job, spec={**job.spec, "noise": {"name": "gaussian", "sigma": 0}}, outputs={"observed": out})
    table, made = read_table(out)
    assert set(table.to_pandas()["adversary"]) == {"base", "pgd_base"}
    planned = next(p for p in ran.plan.runs if p.run.label == "gaussian")

    def certified():
        run = moved_run(out, planned, {})
        return list(certificates(run.observed, run.setting))

    claimed = certified()
    assert {row["certificate"] for row in claimed} == {"sinha"}
    assert not any(row["rigorous"] for row in claimed)
    assert claimed[0]["gamma_corollary_1"] == math.inf
    # a file that has smoothed points all the same says no more
    both = observations(ran, "gaussian")[0]
    write_table(out, both, made)
    assert {row["certificate"] for row in certified()} == {"sinha"}
    run = moved_run(out, planned, {})
    assert set(run.independent) == {"base"}
    assert [row["adversary"] for row in ends(run.observed, run.attack_gammas, 8)] == ["base"]


def test_page_and_figure_leave_out_what_is_not_finite(ran, tmp_path):
    tables = tmp_path / "tables"
    shutil.copytree(ran.path(ran.plan.tables), tables)
    for name in ("distributional", "worst_cases"):
        frame = read(tables, name)
        first = frame["label"] == "nal"
        frame.loc[first, "loss"] = np.inf  # all of one run, and an end of an interval of the others
        frame.loc[~first & (frame.index % 3 == 0), "high"] = np.inf
        frame.loc[frame.index[-1], "rho"] = np.nan
        frame.to_parquet(tables / f"{name}.parquet")
    drawn = figures.draw(tables, tmp_path)
    assert tmp_path / "distributional.png" in drawn
    write_report("tiny", tables, drawn, tmp_path / "report.html", {})
    page = (tmp_path / "report.html").read_text()
    lost = (read(tables, "distributional")["label"] == "nal").sum()
    assert f"not shown: {lost} of {lost} losses, which are not finite" in page


def test_only_what_is_observed_names_the_file(tiny, plan_of):
    def file(**changes):
        tiny["runs"]["nal"]["distributional"] = {**SECTION, **changes}
        return next(iter(plan_of(tiny).jobs["distributional"]))

    first = file()
    assert file(rhos=[0.1], alpha=0.01) == first
    assert file(gammas=[1.0, 2.0], attack_gammas=[0.5]) == first
    assert file(loss="error_probability") != first
    assert file(images={"max": 6}) != first


def test_a_changed_grid_changes_the_tables(tiny, plan_of):
    tiny["runs"]["nal"]["distributional"] = SECTION
    before = plan_of(tiny).summary
    tiny["runs"]["nal"]["distributional"] = {**SECTION, "rhos": [0.1]}
    assert plan_of(tiny).summary != before


def test_refusals(tiny, refusal):
    tiny["runs"]["nal"]["distributional"] = SECTION
    tiny["noise"] = {"name": "laplace", "scale": 0.2}
    tiny["certificates"] = []
    assert "no theorem for noise laplace; it has for gaussian, none" in refusal(tiny)
    tiny["noise"] = {"name": "gaussian", "sigma": 0.2}
    bad = {"gammas": [0.0], "estimates": 3, "loss": "hinge", "alpha": 1.0, "rhos": [-1], "clip": 1e300}
    for key, value in bad.items():
        tiny["runs"]["nal"]["distributional"] = {**SECTION, key: value}
        assert f"distributional.{key}" in refusal(tiny)
    for key, value in {"gammas": [1e-40], "attack_gammas": [1e300]}.items():
        tiny["runs"]["nal"]["distributional"] = {**SECTION, key: value}
        says = f"distributional.{key}[0]: {value[0]:g}: must be a number at least 1e-06 and at most 1000000"
        assert says in refusal(tiny)


def test_an_imported_model_has_the_section_too(tiny, plan_of, tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"not read when it is planned")
    own = {"weights": str(weights), "architecture": {"name": "digits_cnn"}}
    tiny["imported"] = {"theirs": {**own, "distributional": SECTION}}
    plan = plan_of(tiny)
    (job,) = plan.jobs["distributional"].values()
    assert job.run == next(p.id for p in plan.runs if p.run.label == "theirs")
    assert job.inputs["model"] in plan.aggregated_files()
    assert next(iter(job.outputs.values())) in plan.aggregated_files()
