"""Study files: merging, overlays, sweeps, and one clear line for everything that a study may not hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_study import write_study

from rs.errors import UserError
from rs.study.study import Study, merge
from rs.study.yaml_file import read_yaml


def study_of(tmp_path: Path, *studies) -> Study:
    return Study([write_study(tmp_path / f"s{i}.yaml", s) for i, s in enumerate(studies)])


# --- reading ---


def test_numbers_are_numbers_and_1_is_1_point_0(tmp_path):
    text = "a: 1e-5\nb: 1E3\nc: 1.0\nd: -2.5e+2\ne: .5e1\nf: '1e-5'\ng: 1e5x\n1: one\n"
    found = read_yaml(write_study(tmp_path / "s.yaml", text))
    assert found == {"a": 1e-5, "b": 1000, "c": 1, "d": -250, "e": 5, "f": "1e-5", "g": "1e5x", "1": "one"}
    assert isinstance(found["b"], int)
    assert isinstance(found["c"], int)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nname: b\n", "line 2, column 1: key 'name' is given twice"),
        ("runs:\n  a: {x: 1, x: 2}\n", "line 2, column 13: key 'x' is given twice"),
        ("name: [1, 2\n", "not valid YAML: line 2, column 1"),
        ("? [a, b]\n: 1\n", "['a', 'b'] is no key"),
        ("a: &a [*a]\n", "an alias stands inside of what it names"),
        ("a: " + 5000 * "[", "nested too deeply"),
        ("- name\n", "a study is a mapping of keys, not a list"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ],
)
def test_broken_yaml_names_the_place(tmp_path, text, says):
    with pytest.raises(UserError) as caught:
        read_yaml(write_study(tmp_path / "s.yaml", text))
    assert str(caught.value).startswith(f"{tmp_path / 's.yaml'}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_yaml_merge_key_is_resolved_and_own_keys_win(tmp_path):
    text = "a: &a {x: 1, y: {z: 2}}\nb: {<<: *a, x: 3}\n"
    assert read_yaml(write_study(tmp_path / "s.yaml", text))["b"] == {"x": 3, "y": {"z": 2}}
    with pytest.raises(UserError, match="key 'x' is given twice"):
        read_yaml(write_study(tmp_path / "t.yaml", "a: &a {y: 1}\nb: {<<: *a, x: 1, x: 2}\n"))


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "nowhere.yaml")
    (tmp_path / "b.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(UserError, match=r"b.yaml: not a text file in UTF-8"):
        read_yaml(tmp_path / "b.yaml")


def test_merge_is_deep_replaces_lists_and_other_methods_and_changes_neither_side():
    base = {"a": {"b": 1, "c": [1, 2]}, "m": {"name": "sgd", "rate": 1}}
    over = {"a": {"c": [3]}, "m": {"name": "adam"}}
    assert merge(base, over) == {"a": {"b": 1, "c": [3]}, "m": {"name": "adam"}}
    assert merge(base, {"m": {"name": "sgd", "momentum": 2}})["m"] == {
        "name": "sgd",
        "rate": 1,
        "momentum": 2,
    }
    assert merge(base, {"a": None}) == {"a": None, "m": base["m"]}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "m": {"name": "sgd", "rate": 1}}
    assert over == {"a": {"c": [3]}, "m": {"name": "adam"}}


# --- runs, overlays, sweeps ---


def test_a_run_inherits_from_the_top_and_from_defaults(tmp_path, tiny):
    tiny["runs"]["gaussian"]["training"] = {"epochs": 7}
    first = study_of(tmp_path, tiny).runs[0]
    assert (first.label, first.seed) == ("gaussian", 0)
    training = first.sections["training"]
    assert (training["epochs"], training["batch_size"], training["precision"]) == (7, 128, "float32")
    assert training["optimizer"] == {
        "name": "sgd",
        "learning_rate": 0.05,
        "momentum": 0.9,
        "weight_decay": 1e-4,
    }


def test_overlays_shorten_every_run_and_drop_some(tmp_path, tiny):
    tiny["runs"]["gaussian"]["training"] = {"epochs": 7}
    overlay = {"override": {"training": {"epochs": 2}}, "active": ["gaussian"], "test": {"skip": 3}}
    study = study_of(tmp_path, tiny, overlay)
    assert [r.label for r in study.runs] == ["gaussian"]
    assert [r.label for r in study.all_runs] == ["gaussian", "nal"]
    assert study.runs[0].sections["training"]["epochs"] == 2
    assert study.test == {"skip": 3, "max": 6, "first": 0}


def test_an_override_of_a_parameter_reaches_the_methods_that_have_it(tmp_path, tiny, refusal):
    tiny["attacks"] = [
        {"name": "pgd_l2", "radii": [0.5], "samples": 8},
        {"name": "carlini_wagner_l2", "radii": [0.5], "search_steps": 9},
        {"name": "transfer", "radii": [0.5], "source_run": "nal", "attack": "pgd_l2"},
    ]
    change = {"attacks": {"samples": 2, "search_steps": 1, "judge": {"n": 20}}}
    run = study_of(tmp_path, tiny, {"override": change}).runs[0]
    own = [{k: a[k] for k in ("samples", "search_steps") if k in a} for a in run.sections["attacks"]]
    assert own == [{"samples": 2}, {"samples": 2, "search_steps": 1}, {}]
    assert all(attack["judge"]["n"] == 20 for attack in run.sections["attacks"])
    assert "search_step" in refusal(tiny, {"override": {"attacks": {"search_step": 1}}})


def test_an_override_changes_every_attack_and_asks_for_none(tmp_path, tiny):
    tiny["attacks"].append({"name": "ddn", "radii": [0.5]})
    change = {"attacks": {"judge": {"n": 8}}, "calibration": {"images": {"max": 5}}}
    gaussian, nal = study_of(tmp_path, tiny, {"override": change}).runs
    assert [a["judge"]["n"] for a in gaussian.sections["attacks"]] == [8, 8]
    assert gaussian.sections["attacks"][0]["images"]["max"] == 3
    assert (gaussian.sections["calibration"], nal.sections["calibration"]["images"]["max"]) == (None, 5)
    del tiny["attacks"]
    assert study_of(tmp_path, tiny, {"override": change}).runs[0].sections["attacks"] == []


@pytest.mark.slow
def test_shipped_scales_fit_shipped_studies():
    config = Path(__file__).parents[2] / "config"
    scales = sorted(config.glob("scales/*.yaml"))
    studies = [*config.glob("*.yaml"), *config.glob("papers/*.yaml")]
    assert studies
    for file in studies:
        assert Study([file]).runs
        for scale in scales:
            assert Study([file, scale]).runs


def test_sweeps_cross_and_walk_together(tmp_path, tiny):
    tiny["runs"] = {
        "g": {
            "objective": {"name": "gaussian"},
            "sweep": {
                "product": {"noise.sigma": [0.25, 1.0]},
                "zip": {"training.epochs": [1, 2], "training.optimizer.learning_rate": [0.1, 0.2]},
            },
        }
    }
    runs = study_of(tmp_path, tiny).runs
    assert [r.label for r in runs] == [
        "g[sigma=0.25,epochs=1,learning_rate=0.1]",
        "g[sigma=0.25,epochs=2,learning_rate=0.2]",
        "g[sigma=1,epochs=1,learning_rate=0.1]",
        "g[sigma=1,epochs=2,learning_rate=0.2]",
    ]
    last = runs[-1].sections
    assert (last["noise"]["sigma"], last["training"]["epochs"]) == (1, 2)
    assert last["training"]["optimizer"]["learning_rate"] == 0.2
    tiny["active"] = ["g[sigma=1,epochs=1,learning_rate=0.1]"]
    assert [r.label for r in study_of(tmp_path, tiny).runs] == tiny["active"]
    tiny["active"] = ["g"]
    assert len(study_of(tmp_path, tiny).runs) == 4


def test_lists_without_sweep_are_values_and_seeds_are_runs(tmp_path, tiny):
    tiny["seeds"] = [0, 3.0]
    assert [(r.label, r.seed) for r in study_of(tmp_path, tiny).runs] == [
        ("gaussian", 0),
        ("gaussian", 3),
        ("nal", 0),
        ("nal", 3),
    ]


# --- refusals: one line, the file, the key, what is allowed ---


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
        ("epochs", 3, "epochs", "unknown key; allowed: active, attacks"),
        ("training/epoch", 3, "training.epoch", "unknown key (did you mean epochs?); allowed: augmentation"),
        ("training/optimizer/lr", 0.1, "training.optimizer.lr", "unknown key; allowed: learning_rate"),
        ("runs/nal/objective/gama", 1, "runs.nal.objective.gama", "(did you mean gamma?); allowed: gamma"),
        ("runs/nal/sweeps", {}, "runs.nal.sweeps", "(did you mean sweep?)"),
        (
            "runs/nal/objective/name",
            "nall",
            "runs.nal.objective.name",
            "'nall' (did you mean nal?); allowed: ",
        ),
        ("noise/name", "gausian", "noise.name", "(did you mean gaussian?)"),
        ("certificates/0/name", "bogus", "certificates[0].name", "'bogus'; allowed: bilateral, cohen"),
        ("data/name", "cifar", "data.name", "allowed: cifar10, digits, image-folder"),
        ("noise/sigma", -0.5, "noise.sigma", "-0.5: must be 0 or a number at least 1e-06"),
        ("noise/sigma", "much", "noise.sigma", "much: must be 0 or a number"),
        ("noise/sigma", float("nan"), "noise.sigma", "must be a finite number"),
        (
            "training/optimizer/learning_rate",
            float("inf"),
            "training.optimizer.learning_rate",
            "finite number",
        ),
        ("noise", {"name": "gaussian"}, "noise.sigma", "lacks this key; it is 0 or a number"),
        ("noise/sigma", 0, "noise.sigma", "0: certificate cohen needs it above 0"),
        ("certificates/0/alpha", 0, "certificates[0].alpha", "0: must be a number above 0 and below 1"),
        ("certificates/0/alpha", 1.0, "certificates[0].alpha", "1: must be a number above 0 and below 1"),
        ("sampling/n0", 0, "sampling.n0", "0: must be a whole number at least 1"),
        ("sampling/n", 0, "sampling.n", "0: must be a whole number at least 1"),
        ("sampling/n", 64.5, "sampling.n", "64.5: must be a whole number at least 1"),
        ("sampling/n", 70, "sampling.n", "70 is not a multiple of the block size 32"),
        (
            "sampling/batch",
            40,
            "sampling.batch",
            "40: must be a whole number at least 16 and at most 1048576 and a multiple of 16",
        ),
        ("training/epochs", "ten", "training.epochs", "ten: must be a whole number at least 1"),
        ("training/epochs", True, "training.epochs", "True: must be a whole number at least 1"),
        ("training/keep", "best", "training.keep", "'best'; allowed: last, best_clean"),
        ("training", [1], "training", "[1]: must be a mapping of keys"),
        ("runs", None, "runs", "must be a mapping of keys"),
        ("runs/nal", 3, "runs.nal", "3: must be a mapping of keys"),
        ("seeds", [], "seeds", "must be a list of at least 1"),
        ("seeds", [1, 1], "seeds", "1 is given twice"),
        ("seeds", [-1], "seeds[0]", "-1: must be a whole number at least 0"),
        ("name", "Über", "name", "must match"),
        ("name", "runs", "name", "reserved"),
        ("active", ["nothing"], "active[0]", "no run is labelled 'nothing'; runs: gaussian, nal"),
        ("active", [], "runs", "the study has no active run"),
        ("attacks/0", {"name": "pgd_l2"}, "attacks[0].radii", "lacks this key"),
        ("attacks/0/radii", [-1], "attacks[0].radii[0]", "-1: must be a number at least 0"),
        ("attacks/0/radii", [], "attacks[0].radii", "[]: must be a list of at least 1"),
        ("attacks/0/radii", [0.5, 1e300], "attacks[0].radii[1]", "at least 0 and at most 1000000"),
        ("attacks/0/relative_step", 1e300, "attacks[0].relative_step", "above 0 and at most 1000000"),
        ("training/optimizer/learning_rate", 1e39, "training.optimizer.learning_rate", "at most 1000000"),
        ("runs/nal/objective/gamma", 1e-40, "runs.nal.objective.gamma", "at least 1e-06 and at most 1000000"),
        ("attacks/0/judge", "all", "attacks[0].judge", "must be 'base' or a mapping of keys"),
        ("attacks/0/judge", {"n": 0}, "attacks[0].judge.n", "0: must be a whole number at least 1"),
        ("model/name", "lenet", "model", "lenet takes 1x28x28; digits is 1x8x8"),
        (
            "noise",
            {"name": "none"},
            "noise",
            "certificate cohen has no theorem for noise none; it has for gaussian",
        ),
        (
            "noise",
            {"name": "laplace", "scale": 0.1},
            "noise",
            "certificate cohen has no theorem for noise laplace",
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


def test_sigma_0_and_no_noise_are_fine_without_a_certificate(tiny, plan_of):
    tiny["certificates"] = []
    tiny["noise"] = {"name": "gaussian", "sigma": 0}
    assert plan_of(tiny).jobs["attack"]
    tiny["noise"] = {"name": "none"}
    assert not plan_of(tiny).jobs["sample"]


@pytest.mark.parametrize(("alpha", "least"), [(0.001, 10), (0.5, 2), (0.25, 3)])
def test_too_few_votes_for_alpha(tiny, plan_of, refusal, alpha, least):
    tiny["certificates"][0]["alpha"] = alpha
    tiny["sampling"] |= {"n": least, "block": 1}
    plan_of(tiny)
    tiny["sampling"]["n"] = least - 1
    assert f"sampling.n: {least - 1} votes certify nothing at alpha = {alpha}; at least {least}" in refusal(
        tiny
    )


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
    told = refusal(tiny)
    assert "runs.nal.objective.beta: unknown key" in told
    assert told.endswith("(in [beta=0.5])")


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
        ({"product": {"noise.sigma": ["wide"]}}, "product.noise.sigma[0]: wide: must be "),
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


def test_an_objective_that_cannot_train_under_a_noise(tiny, refusal):
    tiny["certificates"] = []
    tiny["noise"] = {"name": "laplace", "scale": 0.1}
    tiny["runs"]["gaussian"]["objective"] = {"name": "macer"}
    assert "noise: macer trains under gaussian, not laplace" in refusal(tiny)


def test_two_labels_for_one_training(tiny, refusal):
    tiny["runs"]["again"] = {"objective": {"name": "gaussian"}, "certificates": []}
    assert "runs.again: trains exactly what gaussian trains" in refusal(tiny)


@pytest.mark.parametrize(
    ("certificate", "noise", "least"),
    [
        ({"name": "soft_bernstein"}, "gaussian", 37),
        ({"name": "soft_hoeffding"}, "gaussian", 14),
        ({"name": "bilateral"}, "gaussian", 11),
        ({"name": "dual"}, "mixed_norm", 11),
        ({"name": "tcertify_sound", "mode": "grid"}, "gaussian", 11),
        ({"name": "renyi", "abstain_on_overlap": True, "sample": "pooled"}, "gaussian", 9),
        ({"name": "renyi", "abstain_on_overlap": True, "intervals": "sison_glaz"}, "gaussian", 1),
        ({"name": "renyi"}, "gaussian", 1),
    ],
)
def test_too_few_votes_for_a_certificate(tiny, plan_of, refusal, certificate, noise, least):
    tiny |= {"noise": {"name": noise, "sigma": 1}, "attacks": [], "certificates": [certificate]}
    tiny["runs"] = {"gaussian": {"objective": {"name": "gaussian"}}}
    tiny["sampling"] |= {"n0": 2, "n": least, "block": 1, "betas": [1]}
    assert plan_of(tiny).jobs["certify"]
    if least > 1:
        tiny["sampling"]["n"] = least - 1
        assert f"at least {least} for {certificate['name']}" in refusal(tiny)


@pytest.mark.parametrize(("certificate", "limit"), [("dual", 63.9), ("bilateral", 63.9), (None, 64)])
def test_k_leaves_room_for_the_certificates_law(tiny, plan_of, refusal, certificate, limit):
    tiny["noise"] = {"name": "spherical", "sigma": 1, "k": limit}
    tiny["certificates"] = [{"name": certificate}] if certificate else []
    assert f"noise.k: {limit}: must be below {limit} for these images" in refusal(tiny)
    tiny["noise"]["k"] = limit - 0.01
    assert plan_of(tiny).runs


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lambda_start": 2, "lambda_end": 1}, "lambda_end: 1: must be at least lambda_start, 2"),
        ({"lambda_step": 1e-4}, "lambda_step: 0.0001: lambda_start to lambda_end must be at most 10000"),
    ],
)
def test_a_grid_of_multipliers_holds_some_and_not_too_many(tiny, refusal, given, says):
    tiny["certificates"] = [{"name": "dual_published", **given}]
    assert f"certificates[0].{says}" in refusal(tiny)


def test_soft_certificates_need_their_beta_sampled(tiny, plan_of, refusal):
    tiny["certificates"] = [{"name": "soft_hoeffding", "beta": 16}]
    assert "certificates[0]: beta 16: must be one of sampling.betas []" in refusal(tiny)
    tiny["sampling"]["betas"] = [1, 16.0]
    assert plan_of(tiny).jobs["certify"]


def test_published_accuracies_are_at_radii_that_their_attack_has(tiny, plan_of, refusal):
    numbers = {"attack": "pgd_l2", "radii": [0, 0.5], "empirical_accuracy": [0.9, 0.5]}
    label = tiny["attacks"][0]["label"] = "pgd_l2"
    tiny["published"] = [{"paper": "STN", "table": "Table 1", "run": ["gaussian", "nal"], **numbers}]
    assert plan_of(tiny).runs  # 0 is always attacked
    tiny["published"][0]["radii"] = [0, 0.75]
    says = f"published[0].radii: radius 0.75 is not among those of gaussian's attack {label}; allowed: 0, 0.5"
    assert says in refusal(tiny)
