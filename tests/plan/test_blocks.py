"""Where a study states no block: n decides at first, then what was drawn. What `rs certify` asks for."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from pathlib import Path

import pytest

from rs.cli.certify_checkpoint import radii_up_to, study_of
from rs.plan.drawing import in_blocks

FIXED = {"mode": "fixed", "block": None, "batch": 512}


def drawn(folder: Path, size: int, files: int) -> None:
    (folder / "key" / f"estimate-{size}").mkdir(parents=True)
    for i in range(files):
        (folder / "key" / f"estimate-{size}" / f"0-50-1_block{i}.parquet").touch()


@pytest.mark.parametrize(
    ("n", "block", "rounded"),
    [(100_000, 10_000, 100_000), (10_000, 10_000, 10_000), (500, 500, 500), (25_000, 10_000, 30_000)],
)
def test_a_block_follows_n(tmp_path, n, block, rounded):
    found = in_blocks({**FIXED, "n": n}, tmp_path)
    assert (found["block"], found["n"]) == (block, rounded)
    assert in_blocks({**FIXED, "n": n, "block": 7}, tmp_path) == {**FIXED, "n": n, "block": 7}


def test_a_run_keeps_the_block_that_it_was_drawn_in(tmp_path):
    drawn(tmp_path, 500, 3)
    found = in_blocks({**FIXED, "n": 100_000}, tmp_path)
    assert (found["block"], found["n"]) == (500, 100_000)
    assert in_blocks({**FIXED, "n": 700}, tmp_path)["n"] == 1000
    for stray in ("estimate-500 (copy)", "estimate-0", "estimate-"):
        (tmp_path / "key" / stray).mkdir()
        (tmp_path / "key" / stray / "0-50-1_block0.parquet").touch()
    assert in_blocks({**FIXED, "n": 700}, tmp_path)["n"] == 1000
    drawn(tmp_path, 10_000, 1)  # more votes in one file than in the three
    assert in_blocks({**FIXED, "n": 700}, tmp_path)["n"] == 10_000


def test_sequential_blocks_are_whole_batches(tmp_path):
    drawn(tmp_path, 500, 3)
    found = in_blocks({**FIXED, "mode": "sequential", "n": 100_000}, tmp_path)
    assert (found["block"], found["n"]) == (9728, 107_008)
    assert in_blocks({**FIXED, "mode": "sequential", "n": 100}, tmp_path)["block"] == 512


def test_more_and_fewer_votes_draw_only_what_is_missing(tmp_path, tiny, plan_of):
    """On plans: files of fewer votes are among those of more."""
    del tiny["sampling"]["block"]

    def files(n: int) -> set[str]:
        tiny["sampling"]["n"] = n
        return set(plan_of(tiny).jobs["sample"])

    with contextlib.chdir(tmp_path):
        first = files(64)
        for path in first:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()
        assert first < files(640)
        assert files(10) == first


# --- rs certify --checkpoint ---

ASKED = {
    **{"checkpoint": Path("best.pt"), "data": "mnist", "noise": "gaussian", "certificate": "cohen"},
    **{"set": ["sigma=0.25"], "n0": "100", "n": "100", "alpha": "0.001", "images": "30", "skip": "1"},
    **{
        "key": None,
        "entry": "m:f",
        "architecture": None,
        "normalization": None,
        "format": "plain",
        "allow": [],
        "sigma": None,
    },
}


def study(**changes: str):
    return study_of(Namespace(**{**ASKED, **changes}), "certify-best")


def test_thirty_images_are_thirty():
    (run,) = study()["imported"].values()
    assert 30 % run["sampling"]["images_per_shard"] == 0
    (run,) = study(images="4")["imported"].values()
    assert run["sampling"]["images_per_shard"] == 4
    (run,) = study(images="5000")["imported"].values()
    assert "images_per_shard" not in run["sampling"]


def test_radii_end_where_the_votes_do():
    """0.25 Phi^-1(0.001^(1/100)) = 0.375."""
    assert study()["report"]["radii"] == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]
    assert study(n="100000", set=["sigma=1"])["report"]["radii"][-1] == 3.5
    pixel = study(certificate="laplace_l1", noise="laplace", set=["scale=0.25"])
    assert 0 < max(pixel["report"]["radii"]) < 1


@pytest.mark.parametrize("top", [1e-4, 0.37, 0.5, 1.0, 2.25, 3.81, 10.0, 7e5])
def test_steps_are_few_and_below_the_top(top):
    radii = radii_up_to(top)
    assert radii[0] == 0
    assert 0 < radii[-1] <= top * (1 + 1e-9)
    assert 4 <= len(radii) <= 11
    assert top - radii[-1] < radii[1] * (1 + 1e-9)
    assert radii == sorted(set(radii))
