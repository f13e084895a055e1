"""rho and epsilon of eq. (8): what the noise adds, and what it does not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from rs.machine.devices import device_name, generator
from rs.methods import catalog
from rs.networks import checkpoints
from rs.networks.images import load_images
from rs.provenance.files import write_json
from rs.provenance.prepared import read_manifest
from rs.settings.images import Subset
from rs.settings.training import Training
from rs.smoothing.ascent import lagrangian_ascent
from rs.smoothing.smoothed import mean_cross_entropy
from rs.stages.calibrate import calibrate
from rs.stages.train import images_of
from rs.tables.published import beside

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SPEC = {"steps": 3, "samples": 2, "images": {"max": 40}}


@pytest.fixture
def measure(workspace, tmp_path):
    """Calibration of the trained NAL network with another training noise or objective in its manifest."""
    job = workspace.job("train", "nal")
    manifest, weights = (workspace.path(job.outputs[k]) for k in ("manifest", "weights"))
    data = workspace.path(workspace.plan.data_manifest)

    def make(spec=SPEC, **changes):
        written = json.loads(manifest.read_text())
        written["provenance"]["spec"] |= changes
        copied = tmp_path / "model.json"
        write_json(copied, {**written, "run": copied.parent.name})
        copied.with_suffix(".safetensors").write_bytes(weights.read_bytes())
        calibrate(spec, copied, data, tmp_path / "c.json", CPU, "code")
        return json.loads((tmp_path / "c.json").read_text())

    return make


def test_without_noise_both_costs_are_the_same(measure):
    found = measure(noise={"name": "none"})
    assert found["rho_with_noise"] == found["rho_without_noise"] > 0
    assert found["epsilon_with_noise"] == math.sqrt(found["rho_with_noise"])


def test_the_noise_adds_d_sigma_squared(measure):
    """E|x + z - x0|^2 = E|x - x0|^2 + d sigma^2 for fresh z, within its standard error."""
    for sigma in (0.1, 0.5):
        found = measure(noise={"name": "gaussian", "sigma": sigma}, spec={**SPEC, "images": {"max": 200}})
        added = found["rho_with_noise"] - found["rho_without_noise"]
        # |z|^2 has variance 2 d sigma^4, the cross term 4 sigma^2 |x - x0|^2: 200 images of 2 draws each
        error = math.sqrt((2 * 64 * sigma**4 + 4 * sigma**2 * found["rho_without_noise"]) / 400)
        assert abs(added - 64 * sigma**2) < 4 * error
        assert found["gamma"] == 1.5
        assert found["images"] == 200


def test_a_sampled_cost_leaves_its_noise_in_the_point(measure):
    """With the step 0.5/gamma the point carries minus the mean of the last r draws: d sigma^2/r more."""
    for r in (1, 4):
        spec = {"steps": 2, "samples": r, "images": {"max": 200}}
        walked = measure({**spec, "noise_in_cost": True}, noise={"name": "gaussian", "sigma": 0.5})
        exact = measure(spec, noise={"name": "gaussian", "sigma": 0.5})
        added = walked["rho_without_noise"] - exact["rho_without_noise"]
        # of |mean z|^2 over 200 images; the loss's gradients change little
        assert added == pytest.approx(64 * 0.25 / r, rel=5 * math.sqrt(2 / 64 / 200))


def test_reused_noise_leaves_its_spread_and_of_one_draw_nothing(measure):
    """Eq. (8) on the last step's draws, noise in the cost: |grad l|^2/(4 gamma^2) + d sigma^2 (1 - 1/r)."""
    sigma, images = 0.5, {"max": 200}
    noise = {"name": "gaussian", "sigma": sigma}
    one = measure({"steps": 2, "samples": 1, "images": images, "noise_in_cost": True}, noise=noise)
    small = measure({"steps": 2, "samples": 1, "images": images}, noise=noise)
    # small["rho_without_noise"] is |grad l|^2 / (4 gamma^2) too, at points that carry less noise
    assert 0 < one["rho_reused_noise"] < 4 * small["rho_without_noise"] < 64 * sigma**2 / 4
    assert one["epsilon_reused_noise"] == math.sqrt(one["rho_reused_noise"])
    for r in (2, 4):
        spec = {"steps": 2, "samples": r, "images": images, "noise_in_cost": True}
        found = measure(spec, noise=noise)
        added, expected = found["rho_reused_noise"], 64 * sigma**2 * (1 - 1 / r)
        assert expected * 0.97 < added < expected * 1.03 + 4 * small["rho_without_noise"]


def test_values_and_standard_errors_are_those_of_a_plain_loop(workspace, measure, tmp_path):
    found = measure()
    data = workspace.path(workspace.plan.data_manifest)
    job = workspace.job("train", "nal")
    network, manifest = checkpoints.load(workspace.path(job.outputs["manifest"]), data)
    noise = catalog.build("noises", manifest["provenance"]["spec"]["noise"])
    x, y = load_images(data, "train", range(40))
    distances = []
    for i in range(40):
        source = generator(CPU, 0, "calibrate", i)
        worst = lagrangian_ascent(
            lambda at, z, i=i: mean_cross_entropy(network, at, z, y[i : i + 1]),
            lambda source=source: noise.sample((2, *x.shape[1:]), source)[None],
            x[i : i + 1],
            1.5,
            3,
            noise_in_cost=False,
        )
        distances.append(float((worst - x[i]).square().sum()))
    rho, error = np.mean(distances), np.std(distances, ddof=1) / math.sqrt(40)
    assert found["rho_without_noise"] == pytest.approx(rho, rel=1e-4)
    assert found["rho_without_noise_se"] == pytest.approx(error, rel=1e-3)
    assert found["epsilon_without_noise"] == pytest.approx(math.sqrt(rho), rel=1e-4)
    assert found["epsilon_without_noise_se"] == pytest.approx(error / (2 * math.sqrt(rho)), rel=1e-3)
    made = found["provenance"]
    assert (made["spec"], made["code_digest"], made["model"]) == (SPEC, "code", manifest["sha256"])
    assert (made["run"], made["device"]) == (tmp_path.name, device_name(CPU))


def test_a_larger_penalty_means_a_smaller_epsilon(measure):
    epsilons = [
        measure(objective={"name": "nal", "gamma": gamma})["epsilon_without_noise"]
        for gamma in (0.75, 1.5, 6)
    ]
    assert epsilons[0] > epsilons[1] > epsilons[2] > 0


def test_the_same_seed_gives_the_same_values_for_any_subset(measure, monkeypatch):
    """Means over images 3 to 8, in batches of 4, are the means of what each of them has alone."""
    monkeypatch.setattr("rs.stages.calibrate.COPIES_PER_BATCH", 4 * SPEC["samples"])
    together = measure({**SPEC, "images": {"first": 3, "max": 6}})
    alone = [measure({**SPEC, "images": {"first": i, "max": 1}}) for i in range(3, 9)]
    for cost in ("with_noise", "without_noise", "reused_noise"):
        values = [one[f"rho_{cost}"] for one in alone]
        assert together[f"rho_{cost}"] == pytest.approx(np.mean(values), rel=1e-5)
        assert together[f"rho_{cost}_se"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(6), rel=1e-4)
    assert measure({**SPEC, "seed": 1})["rho_with_noise"] != measure()["rho_with_noise"]


def test_images_held_out_for_selection_are_not_calibrated_on(measure):
    """They are not trained on: 1,437 images, of which the last 1,400 are held out."""
    spec, held = {"steps": 1, "samples": 1}, {"keep": "best_clean", "held_out": 1400}
    found = measure(spec, training=held)
    assert found["images"] == 37
    assert found["rho_with_noise"] == measure(spec, train={"max": 37})["rho_with_noise"]
    assert measure({**spec, "images": {"skip": 2}}, training=held)["images"] == 19
    assert measure({**spec, "images": {"max": 50}}, training={**held, "selection": "test"})["images"] == 50


@pytest.mark.parametrize("train", [{}, {"max": 300, "skip": 2, "first": 5}])
@pytest.mark.parametrize("selection", ["held_out", "test"])
@pytest.mark.parametrize("keep", ["best_clean", "last"])
def test_an_epoch_is_selected_on_images_that_are_not_trained_on(workspace, train, selection, keep):
    data = workspace.path(workspace.plan.data_manifest)
    settings = Training(keep=keep, selection=selection, held_out=100)
    images, selected = images_of({"train": train}, settings, read_manifest(data), data, CPU, 0)
    used, held = Subset(**train).positions(1437), keep == "best_clean" and selection == "held_out"
    assert images.positions == (used[:-100] if held else used)
    on_test = keep == "best_clean" and selection == "test"
    assert selected.positions == (range(360) if on_test else used[-100:] if held else used[:0])


def test_a_published_epsilon_stands_beside_the_calibrated_one(tiny, plan_of):
    measured = {"label": "nal", "sigma": 0.25, "epsilon_without_noise_se": 0.005}
    rows = {"calibration": [measured | {"epsilon_without_noise": 0.33 + step} for step in (-0.001, 0, 0.001)]}
    tiny["published"] = [
        {"paper": "NAL", "table": f"Table {i}", "run": "nal", "epsilon": epsilon}
        for i, epsilon in enumerate((0.34, 0.84))
    ]
    tiny["published"].append({"paper": "NAL", "table": "Table 1", "run": "gaussian", "epsilon": 0.1})
    near, far, absent = beside(plan_of(tiny).study, rows)
    assert (near["metric"], near["status"]) == ("epsilon", "agrees")
    assert (far["status"], far["difference"]) == ("differs", pytest.approx(-0.51))
    assert absent["status"] == "not run"
    rows["calibration"] = [measured | {"epsilon_without_noise": 0.33}]
    alone, apart, _ = beside(plan_of(tiny).study, rows)
    assert alone["low"] == pytest.approx(0.33 - 1.96 * 0.005)
    assert (alone["status"], apart["status"]) == (
        "undecided",
        "undecided",
    )  # the spread over seeds is unknown


def test_a_published_epsilon_names_its_reading(tiny, plan_of):
    rows = {"calibration": [{"label": "nal", "epsilon_without_noise": 0.5, "epsilon_without_noise_se": 0.01}]}
    entry = {"paper": "NAL", "table": "Table 1", "run": "nal", "epsilon": 0.34, "cost": "reused_noise"}
    tiny["published"] = [entry]
    tiny["runs"]["nal"]["calibration"]["noise_in_cost"] = True
    study = plan_of(tiny).study
    assert beside(study, rows)[0]["status"] == "not run"  # calibrated before there was this reading
    rows["calibration"][0] |= {"epsilon_reused_noise": 0.35, "epsilon_reused_noise_se": 0.01}
    assert beside(study, rows)[0]["difference"] == pytest.approx(0.01)
