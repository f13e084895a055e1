"""Study files: reading, merging, overlays, sweeps."""

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
        ("- name\n", "must be a mapping of keys, not a list"),
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
