"""Runs under `rule: tests`: full batches, the same counts for any shards, sound claims."""

from __future__ import annotations

import copy
import shutil

import numpy as np
import pandas as pd
import pytest
from tiny_study import TINY, Workspace, write_study

from rs.errors import UserError
from rs.methods.certificates.group_sequential import GroupSequential, rule_of
from rs.methods.noise.gaussian import Gaussian
from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.settings.sampling import Stop
from rs.stages.draw_files import merge, read_votes
from rs.statistics.group_sequential import GroupSequentialRule
from rs.study.study import Study
from rs.tables.aggregate import aggregate

pytestmark = pytest.mark.slow

RADII = [0, 0.125, 0.25, 0.5]


def by_tests(study, **changes):
    study["sampling"] |= {"mode": "sequential", "rule": "tests", "n": 960}
    study["sampling"] |= {"stop": {"radii": RADII}, **changes}
    study["certificates"] = [{"name": "group_sequential", "alpha": 0.001}, {"name": "cohen", "alpha": 0.001}]
    return study


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mode": "fixed"}, r"sampling.rule: tests stop votes; set sampling.mode to sequential"),
        ({"stop": {"width": 0.1}}, r"sampling.stop: tests are of radii; give some, and no width"),
        ({"stop": {"radii": [0.5], "futility": 0.1}}, r"stop.futility: .* give up by sampling.resolution"),
        ({"block": 24, "n": 960}, r"sampling.block: 24: .*must be a multiple of 16"),
        ({"stop": {"radii": [0.75]}}, r"sampling.n: 960 votes decide nothing .* needs 5114"),
        (
            {"stop": {"radii": [5]}},
            r"stop.radii: no allowed n certifies radius 5 at sigma 0.25; n is",
        ),
        ({"resolution": 0}, r"sampling.resolution: 0: must be .*0.001"),
        ({"stop": {"radii": [0.5], "alpha": 0.01}}, r"alpha: 0.001: is below that of its rule .*= 0.01\)"),
        ({"rule": "confidence_sequence"}, r"group_sequential needs votes that its rule stopped"),
        ({"rule": "wald"}, r"sampling.rule: 'wald'; allowed: confidence_sequence, tests"),
    ],
)
def test_wrong_input_is_one_line(tiny, refusal, changes, expected):
    assert pd.Series([refusal(by_tests(tiny, **changes))]).str.contains(expected)[0]


def test_other_noise_is_refused(tiny, refusal):
    by_tests(tiny)["certificates"] = [{"name": "laplace_l1"}]
    tiny["smoothing"] = [{"name": "laplace", "scale": 0.2}]
    assert "tests are of radii under gaussian noise; this run is smoothed with laplace" in refusal(tiny)


def test_the_key_of_the_draws_holds_the_rule(tiny, plan_of):
    def files(**changes):
        plan = plan_of(by_tests({**tiny, "sampling": dict(tiny["sampling"])}, **changes))
        return {t for t in plan.jobs["sample"] if "sequential" in t}

    base, sequence = files(), {"rule": "confidence_sequence"}
    tiny["certificates"] = []
    assert base.isdisjoint(files(resolution=0.02))
    assert base == files(resolution=0.01)
    plain = by_tests({**tiny, "sampling": dict(tiny["sampling"])}, **sequence) | {"certificates": []}
    assert base.isdisjoint({t for t in plan_of(plain).jobs["sample"] if "sequential" in t})


@pytest.fixture(scope="module")
def runs(workspace, tmp_path_factory):
    """The tiny study's models, sampled and certified, by (images per shard, batch, block)."""
    made = {}
    for key in ((4, 128, 32), (1, 128, 32), (6, 32, 32)):
        folder = tmp_path_factory.mktemp("tests") / "s"
        shutil.copytree(workspace.folder, folder)
        sizes = dict(zip(("images_per_shard", "batch", "block"), key, strict=True))
        study = by_tests(copy.deepcopy(TINY), **sizes)
        study |= {"name": "tests", "active": ["gaussian"], "attacks": []}
        space = Workspace(folder, Plan(Study([write_study(folder / "tests.yaml", study)])))
        for stage in ("sample", "certify"):
            for job in space.plan.jobs[stage].values():
                space.run(job)
        made[key] = space
    return made


def drawn(space):
    files = [space.path(f) for f in space.job("certify").reads()]
    half = len(files) // 2
    return merge(files[:half], [[f] for f in files[half:]], np.arange(6), np.zeros(6)), files[half:]


def test_votes_depend_on_no_shard_and_no_neighbour(runs):
    whole, single, alone = (drawn(space)[0] for space in runs.values())
    assert np.array_equal(whole.estimation.counts, single.estimation.counts)
    # another batch is another form; in float32 on one machine the votes are the same
    assert np.array_equal(whole.estimation.counts, alone.estimation.counts)
    assert len(set(whole.estimation.n)) > 1
    assert whole.stop == single.stop


def test_batches_are_shared(runs):
    made = {key: read_votes(drawn(space)[1][0])[3] for key, space in runs.items()}
    assert made[4, 128, 32]["packed"]
    assert made[4, 128, 32]["filled"] > made[1, 128, 32]["filled"]
    assert made[6, 32, 32]["filled"] == 1.0


def test_every_image_stops_where_the_rule_says_and_claims_what_the_tests_say(runs):
    space = runs[4, 128, 32]
    draws, _ = drawn(space)
    rule = GroupSequentialRule(Stop(0.001, tuple(RADII)), 0.25, 960, 32, 0.01)
    assert rule_of(draws, 0.25) == rule
    failures = draws.estimation.n - draws.estimation.counts[np.arange(6), draws.selection.counts.argmax(1)]
    claims = rule.design.claims(failures, draws.estimation.n)  # refuses what stopped elsewhere
    table, provenance = read_table(space.path(space.job("certify").outputs["certified"]))
    rows = table.to_pandas().groupby("certificate", sort=False)
    found = dict(iter(rows))["group_sequential"]
    radii = np.append(-1.0, RADII)[claims]
    assert found["radius"].to_numpy() == pytest.approx(np.maximum(radii, 0), rel=1e-8)
    assert np.all(found["radius"] >= np.maximum(radii, 0))
    assert claims.max() > 1
    assert rows["decided"].all().to_dict() == {"group_sequential": True, "cohen": False}
    assert provenance["stop"] == draws.stop


def test_tables_know_what_was_asked(runs, monkeypatch):
    space = runs[4, 128, 32]
    monkeypatch.chdir(space.folder)
    aggregate(space.plan, space.plan.tables, "code")
    accuracy = pd.read_parquet(space.plan.tables / "certified_accuracy.parquet").set_index("certificate")
    assert not accuracy.loc["group_sequential", "lower_bound"].any()
    assert accuracy.loc["cohen", "lower_bound"].all()
    assert set(accuracy["stopping"]) == {"group sequential, α = 0.001"}


def test_draws_of_other_boundaries_are_refused(runs):
    draws, _ = drawn(runs[4, 128, 32])
    draws.stop["boundaries"] = "another"
    with pytest.raises(UserError, match="other boundaries than this version's tests"):
        GroupSequential().certify(draws, Gaussian(0.25), 0.001)
