"""Prices: in proportion to the work, nothing for what is there, honest about what was not measured."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny_study import TINY

from rs.plan import price, rates
from rs.plan.passes import Network
from rs.plan.plan import Plan
from rs.plan.space import space
from rs.plan.stages import STAGES
from rs.plan.work import TRIALS, work_of
from rs.stages import shared_batches
from rs.study.study import Study

pytestmark = pytest.mark.usefixtures("own_cache")
PAPERS = Path(__file__).resolve().parents[2] / "config" / "papers"
RATE = {"fixed": 0.0, "each": 0.001}
KINDS = ("forward", "vote", "ascent", "update", "gradient")
COSTS = {"multiply_adds": 10, "outputs": 20, "weights": 30, "operations": 40}


def hours(plan, stage=None, machine=None):
    found = price.price(plan, price.whole(plan), machine)
    return found.hours if stage is None else found.stages[stage]


def images(plan, stage, kind):
    works = (w for job in plan.jobs[stage].values() for w in work_of(plan, job))
    return sum(w.copies for w in works if w.kind == kind)


def test_the_work_of_every_stage_is_what_its_settings_say(tiny, plan_of):
    plan = plan_of(tiny)
    digits = plan.data_facts["x-sizes"]["train"]
    # one epoch of gaussian, one of nal at one step and one sample
    assert images(plan, "train", "update") == 2 * digits
    assert images(plan, "train", "ascent") == digits
    assert images(plan, "calibrate", "gradient") == 40 * 3 * 2
    # two runs, six images in two shards of four, a batch of 32 for n0 = 16 and for each of two blocks of 32
    assert images(plan, "sample", "vote") == 2 * 8 * 3 * 32
    # two runs, three images: 2 steps of 2 samples at one radius, and 5 times that for the checks
    assert images(plan, "attack", "gradient") == 2 * 3 * 6 * 4
    assert images(plan, "attack", "vote") == 2 * 32 * 3 * (2 + 3)
    tiny["attacks"][0]["judge"] = {"n": 1000}  # which stop early
    plan = plan_of(tiny)
    assert images(plan, "attack", "vote") == 2 * 120 * 3 * (2 + 3)
    judging = [w for job in plan.jobs["attack"].values() for w in work_of(plan, job) if w.kind == "vote"]
    assert sum(work.most for work in judging) == 2 * 1000 * 3 * (2 + 3)


CHANGES = {
    "train": lambda s: s["training"].update(epochs=3),
    "sample": lambda s: s["sampling"].update(n=320),
    "attack": lambda s: s["attacks"][0].update(images={"max": 9}),
    "calibrate": lambda s: s["runs"]["nal"]["calibration"].update(steps=30),
}


@pytest.mark.parametrize("stage", CHANGES)
@pytest.mark.parametrize("machine", [None, "H100"])
def test_more_work_costs_more(stage, machine, tiny, plan_of):
    on = machine and rates.card(machine)
    before, changed = plan_of(tiny), copy.deepcopy(TINY)
    CHANGES[stage](changed)
    after = plan_of(changed)
    assert hours(after, stage, on) > hours(before, stage, on)
    for other in set(CHANGES) - {stage}:
        assert hours(after, other, on) == pytest.approx(hours(before, other, on))


def test_more_test_images_cost_more_votes_in_proportion(tiny, plan_of):
    tiny["test"]["max"] = 4
    few = images(plan_of(tiny), "sample", "vote")
    tiny["test"]["max"] = 40
    assert images(plan_of(tiny), "sample", "vote") == 10 * few


def test_images_share_batches_where_that_pays_for_its_trial(tiny, plan_of):
    """A hundred images of 16 votes fill 50 batches of 32, not 100; blocks of 32 votes fill their own."""
    tiny["sampling"]["images_per_shard"] = tiny["test"]["max"] = 100
    assert images(plan_of(tiny), "sample", "vote") == 2 * 32 * (50 + TRIALS + 2 * 100)
    tiny["sampling"] |= {"mode": "sequential", "block": 16, "rule": "tests", "stop": {"radii": [0.1]}}
    tiny["certificates"] = [{"name": "group_sequential", "alpha": 0.001}]
    plan = plan_of(tiny)
    shared = [w for job in plan.jobs["sample"].values() for w in work_of(plan, job) if w.most is not None]
    assert [(w.passes, w.most) for w in shared] == [(50 + TRIALS, 200 * 32)] * 2
    assert shared_batches.TRIALS == TRIALS


def test_a_finished_study_costs_nothing_and_a_part_of_it_its_share(tiny, plan_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tiny)
    everything = price.missing(plan)
    assert {id(job) for job in everything} == {id(job) for job in price.whole(plan)}
    for job in everything:
        for path in job.outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert price.missing(plan) == []
    assert price.sentence(plan) is None
    assert price.price(plan, price.missing(plan)).hours == 0
    # certified draws are not asked for again; an attack is made anew alone, a network with all that is on it
    draws = next(iter(plan.jobs["sample"].values()))
    draws.outputs["draws"].unlink()
    assert price.missing(plan) == []
    attack = next(iter(plan.jobs["attack"].values()))
    attack.outputs["attacks"].unlink()
    assert price.missing(plan) == [attack]
    nal = next(j for j in plan.jobs["train"].values() if "nal" in j.run)
    nal.outputs["manifest"].unlink()
    assert {j.stage for j in price.missing(plan) if j.run == nal.run} == {
        "train", "calibrate", "sample", "certify", "attack",
    }  # fmt: skip


def test_sequential_votes_have_a_likely_price_and_a_highest_one(tiny, plan_of):
    tiny["sampling"] |= {"mode": "sequential", "n": 3200, "block": 32, "stop": {"radii": [0.5]}}
    found = price.price(plan_of(tiny), price.whole(plan_of(tiny)))
    assert found.hours < found.most
    fixed = {**tiny, "sampling": {**TINY["sampling"], "n": 3200, "block": 32}}
    assert price.price(plan_of(fixed), price.whole(plan_of(fixed))).most >= found.hours


def test_what_nothing_is_known_of_is_told_and_not_guessed(tiny, plan_of, monkeypatch):
    plan = plan_of(tiny)
    assert price.hours(plan, price.whole(plan)).hours > 0
    monkeypatch.setattr(Network, "costs", None)
    found = price.price(plan, price.whole(plan))
    assert found.unpriced == ("digits_cnn, float32: not measured yet (rs price does)",)
    assert price.hours(plan, price.whole(plan)) is None
    unknown = "cost unknown: digits_cnn, float32: not measured yet (rs price does)"
    assert price.sentence(plan) == f"{len(price.missing(plan))} jobs missing; {unknown}"


def test_measured_rates_are_taken_instead_of_assumed_ones(tiny, plan_of):
    plan = plan_of(tiny)
    assert price.price(plan, price.whole(plan)).assumed
    network = next(work_of(plan, next(iter(plan.jobs["train"].values())))).network
    rates.keep(network, COSTS, dict.fromkeys(KINDS, RATE))
    found = price.price(plan, price.whole(plan))
    assert not found.assumed
    digits = plan.data_facts["x-sizes"]["train"]
    assert found.stages["train"] * 3600 == pytest.approx(3 * digits * 0.001 + 2 * rates.START)
    assert "(measured)" in price.sentence(plan)


def test_steps_of_a_warm_up_are_not_recorded(tiny, plan_of):
    """Each has another phase, which a CUDA graph cannot have (rs.networks.captured_step)."""
    tiny["runs"] = {"a": {"objective": {"name": "smoothadv", "epsilon": 0.5, "warmup": 0.25}}}
    plan = plan_of(tiny)
    work = {(w.kind, w.recorded): w for job in plan.jobs["train"].values() for w in work_of(plan, job)}
    assert set(work) == {(kind, recorded) for kind in ("ascent", "update") for recorded in (True, False)}
    for kind in ("ascent", "update"):
        written, recorded = work[kind, False], work[kind, True]
        assert 3 * written.passes == recorded.passes
        assert 3 * written.copies == recorded.copies
    tiny["runs"]["a"]["objective"].pop("warmup")
    whole = plan_of(tiny)
    assert images(whole, "train", "update") == images(plan, "train", "update")
    card = rates.card("H100")
    assert hours(plan, "train", card) > hours(whole, "train", card)


def test_what_takes_no_step_and_what_votes_are_settled_by(tiny, plan_of):
    tiny["runs"]["nal"]["objective"]["steps"] = 0
    minimal = {"name": "ddn", "radii": [0.5], "steps": 2, "samples": 2, "images": {"max": 3}, "checks": 0}
    tiny["attacks"] = [minimal]
    plan = plan_of(tiny)
    assert images(plan, "train", "ascent") == 0
    assert images(plan, "attack", "gradient") == 2 * 3 * 2 * 2
    assert images(plan, "attack", "forward") == 2 * 3 * 5 * 10_000  # votes that settle points
    works = [w for job in plan.jobs["attack"].values() for w in work_of(plan, job)]
    assert all(w.copies <= w.passes * 32 for w in works)
    assert space(plan, price.whole(plan)).memory < 1e9


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(PAPERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_a_paper_has_a_price(file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    plan = Plan(Study([file]))
    found = price.price(plan, price.whole(plan), rates.card("H100"))
    assert found.unpriced == ()
    assert 0.05 < found.hours < 5000
    computing = {stage for stage, declared in STAGES.items() if declared.device}
    assert set(found.stages) == {stage for stage in computing if plan.jobs[stage]}


# --- the cache ---


def test_a_damaged_file_of_rates_is_measured_again_and_two_writers_leave_a_whole_one():
    network = Network('{"name":"lenet"}', (1, 28, 28), "float32")
    assert rates.measured(network) == {}
    rates.keep(network, COSTS, {"vote": RATE})
    file = rates.cache_file(network)
    assert rates.measured(network) == {"costs": COSTS, "rates": {"vote": RATE}}
    text = file.read_text()
    no_rate = json.loads(text) | {"rates": {"vote": {"fixed": 0, "each": 0}}}
    no_rate.pop("checksum")
    for wrong in (text[:40], text.replace("0.001", "0.002"), "[]", '{"rates": 3}', json.dumps(no_rate)):
        file.write_text(wrong)
        assert rates.measured(network) == {}
        rates.keep(network, COSTS, {"vote": RATE})
        assert rates.measured(network)["rates"] == {"vote": RATE}
    costs = [{"vote": {"fixed": 0.0, "each": float(i)}} for i in range(1, 9)]
    writers = [threading.Thread(target=rates.keep, args=(network, COSTS, rate)) for rate in costs]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert rates.measured(network)["rates"] in costs
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_cache_is_by_device_network_and_precision(monkeypatch):
    network = Network('{"name":"lenet"}', (1, 28, 28), "float32")
    names = {rates.cache_file(network)}
    names |= {rates.cache_file(Network(network.model, network.shape, "bfloat16"))}
    names |= {rates.cache_file(Network('{"activation":"elu","name":"lenet"}', network.shape, "float32"))}
    monkeypatch.setattr(rates, "here", lambda: rates.Here("another", "core-hours", "cpu avx2"))
    assert len(names | {rates.cache_file(network)}) == 4


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    rates.keep(Network('{"name":"lenet"}', (1, 28, 28), "float32"), COSTS, {"vote": RATE})


def test_pricing_imports_no_torch():
    code = "import sys, rs.plan.price; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.004, "0"),
        (0.0123, "0.01"),
        (0.126, "0.13"),
        (3.44, "3.4"),
        (12.3, "12"),
        (13510, "14,000"),
    ],
)
def test_hours_in_words(value, words):
    assert price.in_words(value) == words
