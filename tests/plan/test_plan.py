"""Ids and jobs: what changes an id, what does not, and what a plan asks for after an edit of the study."""

from __future__ import annotations

import copy
import itertools
import re

import pytest
import yaml

from rs.errors import UserError
from rs.plan.jobs import Job, noise_slug, slug
from rs.study.schema import defaults, schema


def targets(plan, *stages):
    return {t for stage in stages or plan.jobs for t in plan.jobs[stage]}


def ids(plan):
    return [p.id for p in plan.runs]


def tracked(plan):
    """All that Snakemake compares: every target with its spec and code."""
    return {t: (job.params, job.code) for jobs in plan.jobs.values() for t, job in jobs.items()}


def shuffled(value):
    """The same value with every dictionary's keys in the opposite order."""
    if isinstance(value, dict):
        return {k: shuffled(v) for k, v in reversed(value.items())}
    return [shuffled(v) for v in value] if isinstance(value, list) else value


# --- what changes nothing ---


def test_key_order_comments_and_1_point_0_change_nothing(tiny, plan_of):
    tiny["noise"]["sigma"] = 1
    before = plan_of(tiny)
    text = yaml.safe_dump(shuffled({**tiny, "runs": None}), sort_keys=False).replace("runs: null", "")
    text += yaml.safe_dump({"runs": {k: shuffled(v) for k, v in tiny["runs"].items()}}, sort_keys=False)
    text = text.replace("sigma: 1", "sigma: 1.0  # a comment").replace(
        "batch_size: 128", "batch_size: 1.28e2"
    )
    text = text.replace("n: 64", "n: 64.0").replace("alpha: 0.001", "alpha: 1e-3")
    assert all(new in text for new in ("1.0  # a", "1.28e2", "64.0", "1e-3"))
    assert tracked(plan_of(text)) == tracked(before)


def filled(study):
    """The study with every default of every section and method written out."""
    run = schema()["$defs"]["run"]
    out = copy.deepcopy(study)
    full = defaults(run, {k: v for k, v in out.items() if k in run["properties"]})
    out |= {k: v for k, v in full.items() if v is not None}
    for key, kind in {"model": "models", "noise": "noises", "data": "datasets"}.items():
        out[key] = defaults(schema()["$defs"][kind][out[key]["name"]], out[key])
    for key in ("certificates", "attacks"):
        out[key] = [defaults(schema()["$defs"][key][m["name"]], m) for m in out[key]]
    for text in out["runs"].values():
        objective = text["objective"]
        text["objective"] = defaults(schema()["$defs"]["objectives"][objective["name"]], objective)
        if "calibration" in text:
            text["calibration"] = defaults(run["properties"]["calibration"]["anyOf"][0], text["calibration"])
    return out


def test_defaults_spelled_out_change_nothing(tiny, plan_of):
    spelled = filled(tiny)
    assert spelled["training"]["precision"] == "float32"
    assert spelled["model"]["activation"] == "relu"
    assert spelled["attacks"][0]["random_start"] is False
    assert spelled["runs"]["nal"]["calibration"]["seed"] == 0
    assert tracked(plan_of(spelled)) == tracked(plan_of(tiny))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training/device", "cuda"),
        ("training/threads", 2),
        ("training/processes", 2),
        ("training/workers", 0),
        ("sampling/device", "cuda"),
        ("attacks/0/label", "PGD"),
        ("description", "Words."),
        ("report/radii", [0.1]),
        ("tracking", {"uri": "http://localhost:5000"}),
        ("name", "other"),
        ("data_dir", "/somewhere"),
    ],
)
def test_where_it_runs_and_what_it_is_called_is_no_identity(tiny, plan_of, path, value):
    before = tracked(plan_of(tiny))
    *parents, last = path.split("/")
    place = tiny
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last] = value
    # on a GPU the memory of the form is tried out first: one job more, and no other spec
    found = {target: job for target, job in tracked(plan_of(tiny)).items() if "/forms/" not in target}
    assert found == before


def test_renamed_runs_keep_their_ids(tiny, plan_of):
    tiny["runs"]["smoothadv"] = {"objective": {"name": "smoothadv", "epsilon": {"calibrated": "nal"}}}
    before = plan_of(tiny)
    text = (
        yaml.safe_dump(tiny, sort_keys=False)
        .replace("nal:", "robust:")
        .replace("calibrated: nal", "calibrated: robust")
    )
    after = plan_of(text)
    assert [p.run.label for p in after.runs] == ["gaussian", "robust", "smoothadv"]
    assert tracked(after) == tracked(before)
    assert after.summary != before.summary  # the tables show the labels


# --- what changes an id ---


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", {"activation": "elu"}),
        ("noise", {"sigma": 0.5}),
        ("training", {"epochs": 2}),
        ("training", {"optimizer": {"momentum": 0.8}}),
        ("training", {"precision": "bfloat16"}),
        ("objective", {"samples": 2}),
        ("seeds", [1]),
    ],
)
def test_an_edited_hyperparameter_is_a_new_id_beside_the_old_one(tiny, plan_of, key, value):
    before = plan_of(tiny)
    tiny["runs"]["gaussian"][key] = (
        value if isinstance(value, list) else {**tiny["runs"]["gaussian"].get(key, {}), **value}
    )
    after = plan_of(tiny)
    assert ids(after)[0] != ids(before)[0]
    assert ids(after)[1] == ids(before)[1]
    shared = {t for t in targets(before) if ids(before)[0] not in t}
    assert shared <= targets(after)


def test_a_reference_enters_as_the_reference(tiny, plan_of):
    tiny["runs"]["smoothadv"] = {"objective": {"name": "smoothadv", "epsilon": {"calibrated": "nal"}}}
    plan = plan_of(tiny)
    nal, adv = plan.runs[1], plan.runs[2]
    reference = adv.spec["objective"]["epsilon"]
    assert reference == {"calibrated": f"{nal.id}/{nal.calibration.stem}", "cost": "without_noise"}
    job = plan.job("train", str(adv.folder / "model.json"))
    assert job.inputs["calibrations"] == {"epsilon": nal.calibration}
    tiny["runs"]["nal"]["objective"]["gamma"] = 3
    assert ids(plan_of(tiny))[2] != adv.id
    tiny["runs"]["nal"]["objective"]["gamma"] = 1.5
    tiny["runs"]["nal"]["calibration"]["steps"] = 5
    assert ids(plan_of(tiny))[1] == nal.id
    assert ids(plan_of(tiny))[2] != adv.id
    tiny["runs"]["nal"]["calibration"]["steps"] = 3
    tiny["runs"]["smoothadv"]["objective"]["epsilon"]["cost"] = "with_noise"
    assert ids(plan_of(tiny))[2] != adv.id


def test_an_inactive_run_that_is_referred_to_is_still_made(tiny, plan_of):
    tiny["runs"]["smoothadv"] = {"objective": {"name": "smoothadv", "epsilon": {"calibrated": "nal"}}}
    tiny["active"] = ["smoothadv"]
    plan = plan_of(tiny)
    assert [p.run.label for p in plan.runs] == ["smoothadv"]
    assert len(plan.jobs["train"]) == 2
    assert len(plan.jobs["calibrate"]) == 1


# --- what an edit asks for ---


def test_adding_a_sigma_adds_only_its_targets(tiny, plan_of):
    tiny["runs"] = {"g": {"objective": {"name": "gaussian"}, "sweep": {"product": {"noise.sigma": [0.25]}}}}
    before = plan_of(tiny)
    tiny["runs"]["g"]["sweep"]["product"]["noise.sigma"].append(0.5)
    after = plan_of(tiny)
    assert tracked(before).items() <= tracked(after).items()
    assert all(ids(after)[1] in t for t in targets(after) - targets(before))


@pytest.mark.parametrize("edit", ["alpha", "certificate", "radii"])
def test_certificates_and_radii_neither_train_nor_sample(tiny, plan_of, edit):
    before = plan_of(tiny)
    if edit == "alpha":
        tiny["certificates"][0]["alpha"] = 0.01
    elif edit == "certificate":
        tiny["certificates"].append({"name": "cohen", "label": "loose", "alpha": 0.1})
    else:
        tiny["report"]["radii"] = [0.125]
    after = plan_of(tiny)
    kept = ("data", "train", "calibrate", "sample", "attack")
    assert targets(after, *kept) == targets(before, *kept)
    assert (targets(after, "certify") == targets(before, "certify")) == (edit == "radii")
    assert (after.summary == before.summary) == (edit != "radii")


def test_more_votes_add_blocks_and_more_images_add_ranges(tiny, plan_of):
    plans = [plan_of(tiny)]
    tiny["sampling"]["n"] = 128
    plans.append(plan_of(tiny))
    tiny["test"]["max"] = 11
    plans.append(plan_of(tiny))
    tiny["test"]["max"] = None
    plans.append(plan_of(tiny))
    for fewer, more in itertools.pairwise(plans):
        old, new = fewer.jobs["sample"], more.jobs["sample"]
        assert {t: j.params for t, j in old.items()}.items() < {t: j.params for t, j in new.items()}.items()
    names = {t.rsplit("/", 1)[1] for t in plans[1].jobs["sample"]}
    assert names == {f"{r}_block{b}.parquet" for r in ("0-4-1", "4-8-1") for b in range(4)}
    certify = next(iter(plans[1].jobs["certify"].values()))
    files = certify.reads()
    assert len(files) == 2 + 2 * 4
    assert {str(f) for f in files} == {t for t, j in plans[1].jobs["sample"].items() if j.run == certify.run}
    last = list(plans[-1].observer.shards(4))[-1]
    assert (last.start, last.stop) == (356, 360)


def test_a_noise_for_smoothing_beside_the_one_of_training(tiny, plan_of):
    tiny["smoothing"] = [{"name": "gaussian", "sigma": 0.25}, {"name": "gaussian", "sigma": 0.5}]
    plan = plan_of(tiny)
    assert ids(plan) == ids(plan_of({k: v for k, v in tiny.items() if k != "smoothing"}))
    assert [len(p.observations) for p in plan.runs] == [2, 2]
    assert len({o.certified for p in plan.runs for o in p.observations}) == 4


def test_every_target_belongs_to_one_spec(tiny, plan_of):
    tiny["smoothing"] = [{"name": "gaussian", "sigma": s} for s in (0.25, 0.5)]
    tiny["attacks"] += [
        {**tiny["attacks"][0], "label": "again"},
        {"name": "pgd_l2", "radii": [1], "label": "x"},
    ]
    tiny["seeds"] = [0, 1]
    plan = plan_of(tiny)
    jobs = [job for of_stage in plan.jobs.values() for job in of_stage.values()]
    outputs = [str(path) for job in jobs for path in job.outputs.values()]
    assert len(outputs) == len(set(outputs))
    assert set(map(str, plan.aggregated_files())) <= set(outputs)
    for job in jobs:
        assert plan.job(job.stage, str(next(iter(job.outputs.values())))) is job
        assert re.fullmatch(r"[a-z0-9-]*", job.run)
    clash = Job("train", {"other": 1}, (), jobs[1].run, outputs=jobs[1].outputs)
    with pytest.raises(UserError, match="two different specs have the same digest"):
        plan.add(clash)


def test_slugs_are_safe_in_paths_and_wildcards():
    assert slug("LeNet", 0.25, 1.0, "a_b.c/../d") == "lenet-0p25-1-a-b-c-d"
    assert noise_slug({"sigma": 0.5, "name": "mixed_norm", "k": 250.0}) == "mixed-norm-250-0p5"
