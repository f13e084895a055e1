"""Sequential runs: votes until every question is decided, the same for any sharding, sound certificates."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmark_modules import load_benchmark
from scipy import special
from tiny_study import Workspace, write_study

from rs.errors import UserError
from rs.methods.certificates.cohen import Cohen
from rs.methods.noise.gaussian import Gaussian
from rs.plan.plan import Plan
from rs.provenance.files import read_table, write_table
from rs.report.certified import certified_section, radius_section
from rs.settings.sampling import Stop
from rs.stages.draw_files import merge, read_votes
from rs.statistics.sequences import least_trials, upper
from rs.statistics.stopping import StoppingRule
from rs.study.study import Study
from rs.tables.aggregate import aggregate

RADII = (0.0, 0.25, 0.5, 0.75, 1.0, 2.25)
RULE = StoppingRule(Stop(0.001, RADII), sigma=0.5, n=20_000, block=80)
benchmark = load_benchmark("sequential")


# --- the rule ---


@pytest.mark.parametrize(("n", "block"), [(20_000, 80), (100_000, 160), (128, 128), (1000, 8)])
def test_blocks_are_multiples_and_grow_to_a_sixteenth_of_the_votes(n, block):
    sizes = np.array(replace(RULE, n=n, block=block).sizes())
    assert sizes.sum() == n
    assert np.all(sizes % block == 0)
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    assert np.all((sizes == block) | (sizes <= before / 16))
    assert len(sizes) <= 16 * (2 + np.log(n / block))


def test_an_image_without_failures_stops_at_the_first_look_that_certifies_the_largest_radius():
    needed = least_trials(float(special.ndtr(-2.0)), 0.001)  # 1.0 at sigma 0.5; 2.25 is out of reach of n
    failures, votes = benchmark.simulate(RULE, np.zeros(3), np.random.default_rng(0))
    looks = np.cumsum(RULE.sizes())
    assert list(failures) == [0, 0, 0]
    assert set(votes) == {looks[looks >= needed][0]}


def test_a_radius_that_no_votes_could_certify_is_given_up_at_once():
    """Even hardly out of reach of n votes without a failure."""
    nearly = -0.5 * float(special.ndtri(upper(0, 20_000, 0.001)))
    for radius, goes_on in ((nearly * 0.999, True), (nearly * 1.001, False)):
        rule = replace(RULE, stop=Stop(0.001, (radius,)))
        assert rule.going_on(np.zeros(1, int), 80).tolist() == [goes_on]


def test_what_stops_is_decided_and_certified_by_cohen():
    rates = np.repeat(np.array([1e-4, 0.01, 0.04, 0.12, 0.25, 0.4, 0.6, 1.0]), 25)
    failures, votes = benchmark.simulate(RULE, rates, np.random.default_rng(1))
    found = Cohen().certify(benchmark.stopped(RULE, failures, votes), Gaussian(0.5), 0.001)
    needed = special.ndtr(-np.array(RADII) / 0.5)
    bound = upper(failures, votes, 0.001)
    sure = (found.radius[:, None] >= np.array(RADII)) & (found.prediction == 0)[:, None]
    assert np.array_equal(sure, bound[:, None] <= needed * (1 - 1e-9))
    before = votes < RULE.n
    assert before.mean() > 0.9
    # certified are all radii well inside, and none outside
    true = -0.5 * special.ndtri(np.clip(rates, 1e-300, 1 - 1e-16))
    assert not np.any(found.radius > np.maximum(true, 0))
    inside = true[:, None] > np.minimum(np.array(RADII), 5) + 0.12
    assert sure[inside & (np.array(RADII) < 2)].mean() > 0.97


def test_giving_up_costs_what_futility_says():
    """Images that all n votes would just certify: 0.25 given up at most in a share `futility`."""
    for futility in (0.1, 0.5):
        rule = replace(RULE, stop=Stop(0.001, (0.25,), futility=futility))
        rate = float(rule._attainable[0])
        assert upper(rate * rule.n, rule.n, 0.001) == pytest.approx(special.ndtr(-0.5), rel=1e-6)
        failures, votes = benchmark.simulate(rule, np.full(400, rate), np.random.default_rng(2))
        certified = upper(failures, votes, 0.001) <= special.ndtr(-0.5)
        given_up = (votes < rule.n) & ~certified
        assert given_up.mean() <= futility + 0.05
        assert benchmark.simulate(rule, np.full(400, 1.2 * special.ndtr(-0.5)), np.random.default_rng(3))[
            1
        ].mean() < (0.3 * rule.n)


def test_a_width_is_what_all_votes_could_add():
    rates = np.repeat(np.array([0.0, 0.003, 0.05, 0.3, 0.6]), 20)
    wide, narrow = (replace(RULE, stop=Stop(0.001, width=w)) for w in (0.1, 0.02))
    few = benchmark.simulate(wide, rates, np.random.default_rng(4))
    many = benchmark.simulate(narrow, rates, np.random.default_rng(4))
    assert np.all(few[1] <= many[1])
    assert few[1].mean() < 0.6 * RULE.n
    for rule, (failures, votes) in ((wide, few), (narrow, many)):
        radius = Cohen().certify(benchmark.stopped(rule, failures, votes), Gaussian(0.5), 0.001).radius
        at_the_cap = -0.5 * special.ndtri(upper(rates * rule.n, rule.n, 0.001))
        assert np.all(radius >= np.maximum(at_the_cap, 0) - rule.stop.width - 0.02)


@pytest.mark.slow
def test_claims_are_wrong_at_most_as_often_as_alpha_whatever_stops():
    """A rule that stops at the first sign of success, the worst that a rule can do."""
    rng, alpha, p = np.random.default_rng(5), 0.2, 0.3
    n = np.arange(1, 201)
    table = upper(np.minimum(np.arange(201)[:, None], n), n, alpha)
    failures = np.cumsum(rng.random((1500, 200)) < p, axis=1)
    wrong = table[failures, n - 1] < p
    ever = wrong.any(1)
    assert 0.03 < ever.mean() <= alpha
    first = np.where(ever, wrong.argmax(1), 199)
    rows = np.arange(1500)
    draws = benchmark.stopped(RULE, failures[rows, first], n[first])
    found = Cohen().certify(draws, Gaussian(1.0), alpha)
    claims = (found.prediction == 0) & (found.radius > -special.ndtri(p))
    assert np.array_equal(claims, ever)


@pytest.mark.slow
def test_the_simulated_rates_are_those_of_a_study_s_votes(workspace, monkeypatch):
    monkeypatch.chdir(workspace.folder)
    seen = next(benchmark.observed(Path("study.yaml")))
    certify = next(iter(workspace.plan.jobs["certify"].values()))
    table = read_table(certify.target)[0]
    assert (seen.n - seen.failures).tolist() == table["votes"].to_pylist()[: len(seen.failures)]
    assert seen.sigma == certify.spec["noise"]["sigma"]


# --- the study ---


def sequential(study, **changes):
    study["sampling"] |= {"mode": "sequential", "n": 320, "stop": {"radii": [0, 0.25, 0.5]}, **changes}
    return study


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"block": 640}, r"sampling.block: 640 is larger than n = 320 \(sampling.n\)"),
        (
            {"stop": {"radii": [2.25, 10]}},
            r"sampling.stop.radii: no allowed n certifies radius 2.25 at sigma 0.25; n is at most 1000000000",
        ),
        (
            {"block": 20},
            r"sampling.block: 20: sequential draws whole batches; must be a multiple of batch = 32",
        ),
        (
            {"stop": {"radii": [0.75, 1]}},
            r"sampling.n: 320 votes decide nothing at alpha = 0.001; the first decision needs 5878",
        ),
        ({"stop": {}}, r"sampling.stop: give one of radii and width"),
        ({"stop": {"radii": [0.5], "width": 0.1}}, r"sampling.stop: give one of radii and width"),
        ({"stop": {"radii": [0.5], "alpha": 1}}, r"sampling.stop.alpha: 1: must be a number .*below 1"),
        (
            {"resolution": 0.02},
            r"sampling.resolution: 0.02: only tests give up by it; .* to tests",
        ),
        ({"mode": "adaptive"}, r"sampling.mode: 'adaptive'; allowed: fixed, sequential"),
    ],
)
def test_wrong_input_is_one_line(tiny, refusal, changes, expected):
    assert pd.Series([refusal(sequential(tiny, **changes))]).str.contains(expected)[0]


def test_a_fixed_block_larger_than_n_is_refused(tiny, refusal):
    tiny["sampling"] |= {"n": 16, "block": 32}
    assert "sampling.block: 32 is larger than n = 16" in refusal(tiny)


def test_what_needs_a_fixed_number_is_refused_before_anything_runs(tiny, refusal):
    message = "needs a fixed number of votes, and sampling.mode is sequential"
    for certificate in ({"name": "tcertify"}, {"name": "cohen", "randomised": True}):
        tiny["certificates"] = [certificate]
        assert message in refusal(sequential(tiny))
    tiny["certificates"] = [{"name": "laplace_l1"}]
    tiny["smoothing"] = [{"name": "laplace", "scale": 0.2}]
    expected = "sequential asks for radii under gaussian noise; this run is smoothed with laplace"
    assert f"sampling.mode: {expected}" in refusal(sequential(tiny))


def test_the_key_of_the_draws_holds_all_that_stops_them(tiny, plan_of):
    def files(**changes):
        plan = plan_of(sequential({**tiny, "sampling": dict(tiny["sampling"])}, **changes))
        return {t for t in plan.jobs["sample"] if "sequential" in t}

    base = files()
    assert base == files(stop={"radii": [0.0, 0.25, 0.5], "alpha": 1e-3})
    others = [{"n": 640}, {"n0": 32}, {"block": 64}, {"stop": {"radii": [0, 0.25]}}, {"stop": {"width": 0.1}}]
    others += [{"stop": {"radii": [0, 0.25, 0.5], key: 0.1}} for key in ("alpha", "futility")]
    assert all(base.isdisjoint(files(**changes)) for changes in others)


@pytest.fixture(scope="module")
def runs(workspace, tmp_path_factory):
    """Sequential plans on the tiny study's trained models, sampled and certified, by images per shard."""
    import copy

    from tiny_study import TINY

    made = {}
    for shard in (4, 1):
        folder = tmp_path_factory.mktemp("sequential") / "s"
        shutil.copytree(workspace.folder, folder)
        study = sequential(copy.deepcopy(TINY), images_per_shard=shard)
        study |= {"name": "sequential", "active": ["gaussian"], "attacks": []}
        space = Workspace(folder, Plan(Study([write_study(folder / "sequential.yaml", study)])))
        for stage in ("sample", "certify"):
            for job in space.plan.jobs[stage].values():
                space.run(job)
        made[shard] = space
    return made


def drawn(space):
    certify = space.job("certify")
    files = [space.path(f) for f in certify.reads()]
    half = len(files) // 2
    return merge(files[:half], [[f] for f in files[half:]], np.arange(6), np.zeros(6)), files


@pytest.mark.slow
def test_votes_do_not_depend_on_the_shards(runs):
    whole, single = drawn(runs[4])[0], drawn(runs[1])[0]
    assert np.array_equal(whole.estimation.counts, single.estimation.counts)
    assert np.array_equal(whole.selection.counts, single.selection.counts)
    assert whole.stop == single.stop == asdict(Stop(radii=(0, 0.25, 0.5))) | {"radii": [0, 0.25, 0.5]}
    assert len(set(whole.estimation.n)) > 1


@pytest.mark.slow
def test_every_image_stops_where_the_rule_says(runs):
    draws, files = drawn(runs[4])
    rule = StoppingRule(Stop(radii=(0, 0.25, 0.5)), 0.25, 320, 32)
    top = draws.selection.counts.argmax(1)
    failures = draws.estimation.n - draws.estimation.counts[np.arange(6), top]
    looks = np.cumsum(rule.sizes())
    for f, n in zip(failures, draws.estimation.n, strict=True):
        assert n in looks
        assert not rule.going_on(np.array([f]), int(n))[0]
    made = read_votes(files[-1])[3]
    assert made["stop"]["alpha"] == 0.001
    table, provenance = read_table(runs[4].path(runs[4].job("certify").outputs["certified"]))
    assert table["n"].to_pylist() == draws.estimation.n.tolist()
    assert table["radius"].to_pylist() == Cohen().certify(draws, Gaussian(0.25), 0.001).radius.tolist()
    assert provenance["stop"] == made["stop"]


@pytest.mark.slow
def test_stopped_draws_mix_with_no_others(runs, tmp_path):
    _, files = drawn(runs[4])
    select, estimate = files[0], files[-2]
    table, made = read_table(estimate)
    other = tmp_path / "other.parquet"
    write_table(other, table, made | {"stop": made["stop"] | {"alpha": 0.01}})
    with pytest.raises(UserError, match="not one run's draws"):
        merge([select, files[1]], [[other], [files[-1]]], np.arange(6), np.zeros(6))


@pytest.mark.slow
def test_tables_count_the_mean_and_mark_lower_bounds(runs, monkeypatch):
    space = runs[4]
    monkeypatch.chdir(space.folder)
    aggregate(space.plan, space.plan.tables, "code")
    draws, _ = drawn(space)
    accuracy = pd.read_parquet(space.plan.tables / "certified_accuracy.parquet")
    average = pd.read_parquet(space.plan.tables / "average_certified_radius.parquet")
    assert set(average["n"]) == {round(draws.estimation.n.mean())}
    assert average["lower_bound"].all()
    assert not accuracy["lower_bound"].any()  # the report's radii are those asked for
    assert set(accuracy["stopping"]) == {"sequential, α = 0.001"}
    shown = certified_section(space.plan.tables, None, {}, live=True).tables[0]
    assert "n is the mean number of votes (sequential, α = 0.001)" in shown.note
    assert "≥ marks a lower bound" in shown.note
    assert [c.text for c in shown.rows[0] if "≥" in c.text] == [f"≥ {average['acr'][0] // 1e-3 / 1000:.3f}"]
    row = radius_section(space.plan.tables, {}).tables[0].rows[0]
    assert any(cell.text.startswith("≥ ") for cell in row)
