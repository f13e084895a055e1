"""What would hang, fill the memory or end in a traceback is one line at once: studies of any wrong shape."""

from __future__ import annotations

import copy
import itertools
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_study import TINY, write_study

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.settings import limits
from rs.study.study import Study


def level(letter: str, below: str) -> str:
    return f"{letter}: &{letter} [{', '.join(9 * [f'*{below}'])}]\n"


BOMB = "a: &a [x, x]\n" + "".join(level(b, a) for a, b in itertools.pairwise("abcdefghijkl"))
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join(9 * [f'*{a}'])}]}}\n" for a, b in itertools.pairwise("abcdefghijkl")
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "more than 50000 values, with aliases written out"),
        (MERGED, "more than 50000 values, with aliases written out"),
        ("a: &a [*a]\n", "an alias stands inside of what it names"),
        ("a: &a {b: *a}\n", "an alias stands inside of what it names"),
        ("a: " + 60 * "[" + 60 * "]", "nested too deeply: at most 50 levels"),
        ("a: " + 100_000 * "[", "nested too deeply"),
        ("a: 0x" + 5000 * "f", "a number of 5002 characters; at most 100"),
        ("a: " + 5000 * "1:" + "1", "a number of 10001 characters; at most 100"),
        ("# " + 2**20 * "x", "1048578 bytes; at most 1048576"),
    ],
)
def test_documents_that_grow_are_refused_before_they_do(refusal, text, says):
    start = time.monotonic()
    assert says in refusal(text)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("value", ["x", "[x]"])
@pytest.mark.parametrize("tag", ["!!map", "!!set"])
def test_a_tag_on_a_value_of_another_kind_is_named(refusal, tag, value):
    found = {"x": "scalar", "[x]": "sequence"}[value]
    line = f"not valid YAML: line 1, column 7: expected a mapping node, but found {found}"
    assert line in refusal(f"name: {tag} {value}\n")


def test_aliases_that_a_study_really_uses_are_read(tiny, plan_of):
    text = yaml.safe_dump({**tiny, "report": {"radii": "R"}}).replace("radii: R", "radii: *r")
    assert plan_of(f"active: &r [gaussian]\n{text.replace('*r', '[0.25]')}").runs[0].run.label == "gaussian"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "sampling",
            {"n": 10**12},
            "sampling.n: 1000000000000: must be a whole number at least",
        ),
        ("sampling", {"n": 10**9, "block": 1}, "sampling.block: 1: 2 shards of images and 1000000000 blocks"),
        ("noise", {"name": "gaussian", "sigma": 1e-200}, "noise.sigma: 1e-200: must be 0 or a number"),
        ("noise", {"name": "spherical", "sigma": 1, "k": 1e12}, "noise.k: 1000000000000: must be a number"),
        ("seeds", list(range(60_000)), "more than 50000 values, with aliases written out"),
        ("report", {"radii": [0.001 * i for i in range(2000)]}, "report.radii: 2000 entries; at most 1000"),
        ("attacks", 101 * [{"name": "pgd_l2", "radii": [1]}], "attacks: 101 entries; at most 100"),
        ("runs", {f"r{i}": {} for i in range(5001)}, "runs: 5001 entries; at most 5000"),
    ],
)
def test_numbers_and_lists_beyond_their_meaning_are_refused(tiny, refusal, key, value, says):
    tiny[key] = {**tiny[key], **value} if key == "sampling" else value
    assert says in refusal(tiny)


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        (
            {k: [i / 1000 for i in range(1, 101)] for k in ("a", "b", "c")},
            "sweep: 1000000 runs; at most 10000",
        ),
        ({"noise." + 50 * "a.": [1]}, "unknown key; allowed: noise."),
    ],
)
def test_sweeps_that_nobody_can_run_are_refused(tiny, refusal, sweep, says):
    names = {"a": "noise.sigma", "b": "training.optimizer.learning_rate", "c": "objective.gamma"}
    tiny["runs"]["nal"]["sweep"] = {"product": {names.get(k, k): v for k, v in sweep.items()}}
    assert says in refusal(tiny)


def test_runs_and_jobs_of_the_whole_study_are_counted(tiny, refusal, monkeypatch):
    tiny["seeds"] = [0, 1, 2]
    monkeypatch.setattr("rs.study.study.MOST_RUNS", 5)
    assert "runs.nal: more than 5 runs and seeds" in refusal(tiny)
    monkeypatch.setattr("rs.study.study.MOST_RUNS", limits.MOST_RUNS)
    monkeypatch.setattr("rs.plan.plan.MOST_JOBS", 10)
    assert "more than 10 jobs; fewer runs" in refusal(tiny)


def test_as_many_shards_as_a_folder_may_hold_are_planned(tiny, plan_of):
    """The data set of every paper in 2,000 shards: slow, and nothing to refuse."""
    tiny |= {"data": {"name": "mnist"}, "model": {"name": "lenet"}, "attacks": [], "test": {}}
    tiny["runs"] = {"g": {"objective": {"name": "gaussian"}}}
    tiny["sampling"] |= {"images_per_shard": 5, "block": 64}
    assert len(plan_of(tiny).jobs["sample"]) == 2 * 2_000


@pytest.mark.parametrize("odd", ["\n", "\t", "\x00", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ud800"])
@pytest.mark.parametrize("where", ["name", "label", "key", "text"])
def test_control_characters_are_refused_where_they_stand(tmp_path, tiny, odd, where):
    """A name that ends in a line break would be a folder's; only the description may have lines."""
    tiny["description"] = f"two{odd}lines"
    Study([write_study(tmp_path / "good.yaml", tiny)])
    tiny["description"] = ""
    if where == "name":
        tiny["name"] += odd
    elif where == "label":
        tiny["runs"][f"a{odd}b"] = tiny["runs"].pop("gaussian")
    elif where == "key":
        tiny[f"seeds{odd}"] = [0]
    else:
        tiny["data_dir"] = f"data{odd}"
    with pytest.raises(UserError) as caught:
        Study([write_study(tmp_path / "s.yaml", tiny)])
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith("must be text without line breaks and other control characters")


def test_messages_are_one_line_of_moderate_length_whatever_they_quote():
    assert str(UserError("a\nb\x00\ud800ü")) == "a\\nb\\x00\\ud800ü"
    assert 2000 < len(str(UserError(10**6 * "x"))) < 2010


# --- files that are none ---


@pytest.fixture
def endless(tmp_path: Path) -> dict[str, Path]:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    return {"pipe": tmp_path / "pipe", "device": tmp_path / "link"}


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_no_studies_logs_or_weights(tmp_path, tiny, refusal, endless, kind):
    with pytest.raises(UserError, match="a pipe, device or socket; must be a regular file"):
        Study([endless[kind]])
    log = {"file": str(endless[kind]), "noise": {"name": "gaussian", "sigma": 1}, "alpha": 0.01, "n": 9}
    assert "must be a regular file" in refusal({**tiny, "logs": {"theirs": log}})
    theirs = {"weights": str(endless[kind]), "architecture": {"name": "digits_cnn"}}
    message = refusal({**tiny, "imported": {"theirs": theirs}})
    assert "imported.theirs.weights: " in message
    assert "must be a regular file" in message


def test_a_normalisation_of_0_to_255_is_refused(tiny, refusal):
    theirs = {"weights": "w.pt", "architecture": {"name": "digits_cnn"}, "noise": {"name": "none"}}
    theirs["normalization"] = {"mean": [77.9], "std": [95.9]}
    message = refusal({**tiny, "imported": {"theirs": theirs}})
    assert (
        "imported.theirs.normalization.mean: above 1, and images are in [0, 1]: divide it by 255" in message
    )


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_no_results_or_images(endless, kind):
    from rs.methods.data.images import read
    from rs.provenance.digests import file_digest
    from rs.provenance.files import read_json, read_table

    for reader in (read, file_digest, read_json, read_table):
        with pytest.raises(UserError, match="must be a regular file"):
            reader(endless[kind])


def test_a_file_that_is_too_large_or_grows_while_it_is_read_is_refused(tmp_path):
    from rs.provenance.reading import read_bytes

    (tmp_path / "f").write_bytes(b"12345")
    assert read_bytes(tmp_path / "f", 5) == b"12345"
    with pytest.raises(UserError, match="5 bytes; at most 4"):
        read_bytes(tmp_path / "f", 4)
    if Path("/proc/self/status").exists():  # regular, of size 0, and with content
        with pytest.raises(UserError, match="grows while it is read"):
            read_bytes(Path("/proc/self/status"))


# --- anything at all ---

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    3,
    0.5,
    1e-320,
    1e300,
    10**18,
    float("nan"),
    float("inf"),
    "",
    "x\ny",
    "\x00",
]
ODD += ["ü", 300 * "a", "../..", "/dev/zero", "nal", "$\\frac", [], {}, [[]], [{}], [None], {"a": 1}, {1: 2}]
ODD += [{"name": "none"}, {"name": [1]}, {"name": None}, 2000 * [0], {"calibrated": "nal"}, "base", 4096]


def places(value: Any) -> list[tuple[dict[str, Any] | list[Any], Any]]:
    """Every container in the document with each of its keys."""
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def disturbed(chance: random.Random) -> dict[str, Any]:
    """The tiny study with one to three places removed, replaced, renamed or given an unknown key."""
    study = copy.deepcopy(TINY)
    for _ in range(chance.choice((1, 1, 2, 3))):
        container, key = chance.choice(places(study) or [(study, "name")])
        act = chance.random()
        if act < 0.7:
            container[key] = copy.deepcopy(chance.choice(ODD))
        elif act < 0.8 or isinstance(container, list):
            del container[key]
        elif act < 0.9:
            container[chance.choice(("x\n", "", 300 * "a", 1, None, "name", "runs"))] = container.pop(key)
        else:
            container[chance.choice(("smoothing", "noise", "n", "label", "sweep"))] = chance.choice(ODD)
    return study


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_study_holds_it_is_planned_or_refused_in_one_line(tmp_path, seed):
    chance, refused = random.Random(seed), 0
    for _ in range(60):
        file = write_study(tmp_path / "s.yaml", disturbed(chance))
        message = ""
        try:
            Plan(Study([file]))
        except UserError as error:
            message = str(error)
        refused += bool(message)
        assert message.isprintable()
        assert message.startswith(str(file)) or not message
    assert 30 < refused < 60
