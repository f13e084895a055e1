"""One clear line for everything that a study may not hold: the file, the key, what is allowed."""

from __future__ import annotations

import json

import pytest

from rs.study.messages import PATTERNS
from rs.study.schema import schema


def put(study, path, value):
    *parents, last = path.split("/")
    for key in parents:
        study = study[int(key)] if isinstance(study, list) else study.setdefault(key, {})
    if isinstance(study, list):
        study[int(last)] = value
    else:
        study[last] = value


@pytest.mark.parametrize(
    ("path", "value", "place", "allowed"),
    [
        ("epochs", 3, "epochs", "unknown key; allowed: active, "),
        ("training/epoch", 3, "training.epoch", "unknown key (did you mean epochs?); allowed: augmentation"),
        ("runs/nal/objective/gama", 1, "runs.nal.objective.gama", "(did you mean gamma?); allowed: gamma"),
        (
            "runs/nal/objective/name",
            "nall",
            "runs.nal.objective.name",
            "'nall' (did you mean nal?); allowed: ",
        ),
        ("certificates/0/name", "incremental", "certificates[0]", "needs votes of two networks on the same"),
        ("data/name", "cifar", "data.name", "allowed: cifar10, digits, image-folder"),
        ("noise/sigma", -0.5, "noise.sigma", "-0.5: must be 0 or a number at least 1e-06"),
        ("noise/sigma", float("nan"), "noise.sigma", "must be a finite number"),
        ("noise", {"name": "gaussian"}, "noise.sigma", "lacks this key; it is 0 or a number"),
        ("noise/sigma", 0, "noise.sigma", "0: certificate cohen needs it above 0"),
        ("certificates/0/alpha", 0, "certificates[0].alpha", "0: must be a number above 0 and below 1"),
        ("sampling/n", 0, "sampling.n", "0: must be a whole number at least 1"),
        ("sampling/n", 64.5, "sampling.n", "64.5: must be a whole number at least 1"),
        ("sampling/n", 70, "sampling.n", "70 is not a multiple of the block size 32"),
        (
            "sampling/batch",
            40,
            "sampling.batch",
            "40: must be a whole number at least 16 and at most 1048576 and a multiple of 16",
        ),
        ("training/epochs", "ten", "training.epochs", "'ten': must be a whole number at least 1"),
        ("training/epochs", True, "training.epochs", "True: must be a whole number at least 1"),
        ("training/keep", "best", "training.keep", "'best'; allowed: last, best_clean"),
        ("runs", None, "runs", "must be a mapping of keys"),
        ("runs/nal", 3, "runs.nal", "3: must be a mapping of keys"),
        ("seeds", [], "seeds", "must be a list of at least 1"),
        ("seeds", [1, 1], "seeds", "1 is given twice"),
        ("seeds", [-1], "seeds[0]", "-1: must be a whole number at least 0"),
        ("name", "Über", "name", "must be lower-case letters, digits and hyphens"),
        ("name", "runs", "name", "reserved"),
        ("active", ["nothing"], "active[0]", "no run is labelled 'nothing'; runs: gaussian, nal"),
        ("active", [], "runs", "the study has no active run"),
        ("attacks/0", {"name": "pgd_l2"}, "attacks[0].radii", "lacks this key"),
        ("attacks/0/radii", [-1], "attacks[0].radii[0]", "-1: must be a number at least 0"),
        ("attacks/0/relative_step", 1e300, "attacks[0].relative_step", "above 0 and at most 1000000"),
        ("runs/nal/objective/gamma", 1e-40, "runs.nal.objective.gamma", "at least 1e-06 and at most 1000000"),
        ("attacks/0/judge", "all", "attacks[0].judge", "must be 'base' or a mapping of keys"),
        ("model/name", "lenet", "model", "lenet takes 1x28x28; digits is 1x8x8"),
        (
            "noise",
            {"name": "none"},
            "noise",
            "certificate cohen has no theorem for noise none; it has for gaussian",
        ),
        ("smoothing", [{"name": "none"}], "smoothing[0]", "certificate cohen has no theorem for noise none"),
        ("smoothing", [{"name": "gaussian", "sigma": 1}] * 2, "smoothing[1]", "each noise once"),
        (
            "certificates",
            [{"name": "cohen"}] * 2,
            "certificates[1]",
            "another one is called cohen; give one of them",
        ),
        (
            "runs/gaussian/calibration",
            {},
            "runs.gaussian.calibration",
            "gaussian has no gamma to calibrate with",
        ),
        ("training/keep", "best_clean", "runs.gaussian.training.held_out", "needs 1 to 1436 images"),
    ],
)
def test_bad_input_is_one_line_with_file_key_and_what_is_allowed(
    tmp_path, tiny, refusal, path, value, place, allowed
):
    put(tiny, path, value)
    message = refusal(tiny)
    assert message.startswith(f"{tmp_path / 'study0.yaml'}: {place}: ")
    assert allowed in message


def test_references(tiny, plan_of, refusal):
    smoothadv = {"objective": {"name": "smoothadv", "epsilon": {"calibrated": "nal"}}}
    tiny["runs"]["smoothadv"] = smoothadv
    plan_of(tiny)
    epsilon = smoothadv["objective"]["epsilon"]
    place = "runs.smoothadv.objective.epsilon"
    epsilon["calibrated"] = "wrm"
    assert f"{place}: calibrated: no run is labelled 'wrm'; runs: gaussian, nal, smoothadv" in refusal(tiny)
    epsilon["calibrated"] = "gaussian"
    assert f"{place}: calibrated: run 'gaussian' has no `calibration`" in refusal(tiny)
    smoothadv["objective"]["epsilon"] = {"calibrated": "nal", "cost": "free"}
    assert f"{place}.cost: 'free'" in refusal(tiny)
    smoothadv["objective"]["epsilon"] = {"calibratd": "nal"}
    assert f"{place}.calibratd: unknown key (did you mean calibrated?)" in refusal(tiny)
    smoothadv["objective"]["epsilon"] = -1
    assert f"{place}: -1: must be a number at least 0 and at most 1000000 or a mapping" in refusal(tiny)


def test_a_reference_means_the_same_seed_or_the_only_one(tiny, plan_of, refusal):
    tiny["runs"]["smoothadv"] = {
        "objective": {"name": "smoothadv", "epsilon": {"calibrated": "nal"}},
        "seeds": [0, 1],
    }
    plan = plan_of(tiny)
    nal = plan.runs[1].id
    given = [p.spec["objective"]["epsilon"]["calibrated"] for p in plan.runs[2:]]
    assert all(g.startswith(f"{nal}/") for g in given)
    tiny["runs"]["nal"]["seeds"] = [0, 1]
    plan = plan_of(tiny)
    given = [
        p.spec["objective"]["epsilon"]["calibrated"].split("/")[0]
        for p in plan.runs
        if p.run.label == "smoothadv"
    ]
    assert given == [p.id for p in plan.runs if p.run.label == "nal"]
    tiny["runs"]["smoothadv"]["seeds"] = [2]
    assert "calibrated: run 'nal' has no seed 2" in refusal(tiny)


def test_a_circle_of_references(tiny, refusal):
    for one, other in (("a", "b"), ("b", "a")):
        tiny["runs"][one] = {
            "objective": {"name": "smoothadv", "epsilon": {"calibrated": other}},
            "calibration": {},
        }
    assert "references go in a circle: a -> b -> a" in refusal(tiny)


def test_an_error_is_told_where_the_value_stands(tmp_path, tiny, refusal):
    """In the overlay, at the top, or in the run; a swept value names its sweep."""
    message = refusal(tiny, {"sampling": {"n0": 0}})
    assert message.startswith(f"{tmp_path / 'study1.yaml'}: sampling.n0: ")
    message = refusal(tiny, {"override": {"noise": {"sigma": -1}}})
    assert message.startswith(f"{tmp_path / 'study1.yaml'}: override.noise.sigma: ")
    tiny["runs"]["nal"]["sweep"] = {"product": {"noise.sigma": [0.5, -1]}}
    allowed = "0 or a number at least 1e-06 and at most 1000000"
    assert f"runs.nal.sweep.product.noise.sigma[1]: -1: must be {allowed}" in refusal(tiny)
    tiny["runs"]["nal"]["sweep"] = {"product": {"objective.beta": [0.5, 2]}}
    tiny["runs"]["nal"]["objective"] = {"name": "nal", "gamma": 1.5}
    problem = refusal(tiny)
    assert "runs.nal.objective.beta: unknown key" in problem
    assert problem.endswith("(in [beta=0.5])")


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ({"product": {"noise.sigma": [1, 1.0]}}, "runs.nal.sweep: gives nal[sigma=1] twice"),
        ({"product": {"noise.sigma": []}}, "the list is empty"),
        ({"product": {"noise.sigma": 0.5}}, "0.5: must be a list"),
        ({"product": {"name": ["x"]}}, "product.name: unknown key; allowed: attacks, calibration, certif"),
        (
            {"product": {"seeds.0": [1]}},
            "product.seeds.0: unknown key (did you mean seeds?); allowed: attacks",
        ),
        ({"product": {"certificates.0.alpha": [0.1]}}, "product.certificates.0.alpha: unknown key"),
        ({"product": {"noise.sgma": [1]}}, "noise.sgma: unknown key (did you mean noise.sigma?); allowed: n"),
        ({"zip": {"training.optimizer.lerning_rate": [1]}}, "did you mean training.optimizer.learning_rate?"),
        ({"product": {"noise.sigma": ["wide"]}}, "product.noise.sigma[0]: 'wide': must be "),
        (
            {"zip": {"noise.sigma": [1, 2], "training.epochs": [1]}},
            "same length (noise.sigma: 2, training.epochs: 1)",
        ),
        ({"zip": {"noise.sigma": [1]}, "product": {"noise.sigma": [1]}}, "a key is swept once"),
        ({"noise.sigma": [1, 2]}, "runs.nal.sweep.noise.sigma: unknown key; allowed: product, zip"),
    ],
)
def test_bad_sweeps(tiny, refusal, sweep, says):
    tiny["runs"]["nal"]["sweep"] = sweep
    assert says in refusal(tiny)


def test_patterns_that_are_told_in_words_are_those_of_the_schema(tiny, refusal):
    text = json.dumps(schema())
    assert all(json.dumps(pattern) in text for pattern in PATTERNS)
    tiny["sampling"]["device_class"] = "H100"
    assert "sampling.device_class: 'H100': must be a device class, as 'cuda 9.0'" in refusal(tiny)
