"""Draw files: what is written is read, blocks add up, shards follow one another, nothing else is merged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rs.errors import UserError
from rs.plan.draw_paths import files_of
from rs.stages.draw_files import merge, read_votes, write_votes
from rs.statistics.draws import Draws, Votes
from rs.statistics.seeding import PURPOSES, derive_seed, stored_uniform

FORM = {"precision": "float32", "batch": 32, "compiled": False, "device": "cpu"}
BETAS = (0.5, 16.0)

NOISE = {"name": "gaussian", "sigma": 0.25}


def votes_of(images: np.ndarray, seed: int) -> Votes:
    """Made-up votes: a function of image and seed alone."""
    counts = np.stack([np.random.default_rng([seed, i]).multinomial(32, [0.2, 0.3, 0.5]) for i in images])
    # a softmax that is surer at larger beta
    sums = {b: (counts * b + 32 / 3) / (b + 1) for b in BETAS}
    return Votes(counts.astype(np.int64), sums, {b: v**2 / 32 for b, v in sums.items()})


def write(path, images, seed, **provenance):
    """A selection file for seed 1, else a block of estimation votes."""
    spec = {"purpose": "select" if seed == 1 else "estimate", "block": seed, "seed": 0, "noise": NOISE}
    made = {"form": FORM, "model": "m", "dimension": 64, "classes": 3}
    made |= {**provenance, "spec": {**spec, **provenance.get("spec", {})}}
    write_votes(path, np.array(images), np.array(images) % 3, votes_of(np.array(images), seed), made)
    return path


def equal(a: Votes, b: Votes) -> bool:
    same = np.array_equal(a.counts, b.counts) and a.sums.keys() == b.sums.keys()
    return same and all(
        np.allclose(a.sums[k], b.sums[k]) and np.allclose(a.squares[k], b.squares[k]) for k in a.sums
    )


def test_round_trip(tmp_path):
    images, labels, votes, made = read_votes(write(tmp_path / "a.parquet", [3, 5, 9], 1))
    assert list(images) == [3, 5, 9]
    assert list(labels) == [0, 2, 0]
    assert equal(votes, votes_of(np.array([3, 5, 9]), 1))
    assert votes.counts.dtype == np.int64
    assert list(votes.n) == [32, 32, 32]
    assert made["form"] == FORM


@pytest.mark.parametrize(
    ("sums", "squares"),
    [
        ([16, 12, 4], [9, 5, -1]),  # squares of scores below 0
        ([16, 12, 4], [9, 13, 1]),  # or above the scores, which are at most 1
        ([16, 12, 8], [9, 5, 1]),  # 36 scores of 32 votes
        ([40, -4, -4], [9, 0, 0]),
    ],
)
def test_moments_that_are_none_of_the_votes_are_refused(tmp_path, sums, squares):
    spec = {"purpose": "select", "block": 1, "seed": 0, "noise": NOISE}
    made = {"form": FORM, "model": "m", "dimension": 64, "classes": 3, "spec": spec}
    images, counts = np.array([3, 5]), np.array([[20, 8, 4], [32, 0, 0]])
    path, beside = tmp_path / "a.parquet", [30.0, 1.0, 1.0]
    good = Votes(counts, {1.0: np.array([[16.0, 12, 4], beside])}, {1.0: np.array([[9.0, 5, 1], beside])})
    write_votes(path, images, images % 3, good, made)
    assert equal(read_votes(path)[2], good)
    bad = Votes(counts, {1.0: np.array([sums, beside])}, {1.0: np.array([squares, beside])})
    write_votes(path, images, images % 3, bad, made)
    with pytest.raises(UserError, match="its softmax moments at beta 1 are none of its votes"):
        read_votes(path)


@pytest.mark.parametrize("lacking", ["form", "model", "dimension", "classes", "spec"])
def test_votes_that_do_not_say_how_they_were_drawn_are_refused(tmp_path, lacking):
    spec = {"purpose": "select", "block": 1, "seed": 0, "noise": NOISE}
    made = {"form": FORM, "model": "m", "dimension": 64, "classes": 3, "spec": spec}
    del made[lacking]
    write_votes(tmp_path / "a.parquet", np.arange(2), np.arange(2), votes_of(np.arange(2), 1), made)
    with pytest.raises(UserError, match="does not say how its votes were drawn"):
        read_votes(tmp_path / "a.parquet")


def test_merging_in_any_order_gives_the_wanted_images(tmp_path):
    shards = [[0, 2, 4], [6, 8, 10], [12]]
    select = [write(tmp_path / f"s{i}.parquet", s, 1) for i, s in enumerate(shards)]
    estimate = [
        [write(tmp_path / f"e{i}-{b}.parquet", s, 2 + b) for b in range(3)] for i, s in enumerate(shards)
    ]
    images = np.array([2, 6, 8, 12])
    uniform = np.array([0.1, 0.2, 0.3, 0.4])
    total = votes_of(images, 2) + votes_of(images, 3) + votes_of(images, 4)
    for shard_order in itertools.permutations(range(3)):
        for block_order in itertools.permutations(range(3)):
            found = merge(
                [select[i] for i in shard_order],
                [[estimate[i][b] for b in block_order] for i in shard_order],
                images,
                uniform,
            )
            assert list(found.images) == list(images)
            assert list(found.labels) == list(images % 3)
            assert equal(found.selection, votes_of(images, 1))
            assert equal(found.estimation, total)
            assert (found.dimension, found.stopping) == (64, "fixed")
            assert np.array_equal(found.uniform, uniform)
    assert np.all(found.estimation.n == 96)


def test_an_image_in_two_files_is_counted_once(tmp_path):
    """As where two plans drew it in shards of different sizes."""
    shards = [[0, 2, 4], [2, 4, 6, 8]]
    select = [write(tmp_path / f"s{i}.parquet", s, 1) for i, s in enumerate(shards)]
    estimate = [[write(tmp_path / f"e{i}.parquet", s, 2)] for i, s in enumerate(shards)]
    images = np.array([0, 2, 4, 6, 8])
    for order in ([0, 1], [1, 0]):
        parts = [select[i] for i in order], [estimate[i] for i in order]
        found = merge(*parts, images, np.full(5, 0.5))
        assert list(found.images) == list(images)
        assert equal(found.selection, votes_of(images, 1))
        assert equal(found.estimation, votes_of(images, 2))


@pytest.mark.parametrize(
    "other",
    [
        {"form": {**FORM, "precision": "bfloat16"}},
        {"form": {**FORM, "device": "cuda"}},
        {"model": "other"},
        {"device_class": "cuda 9.0"},
        {"spec": {"noise": {"name": "gaussian", "sigma": 0.5}}},
        {"spec": {"seed": 7}},
    ],
)
def test_other_smoothed_classifiers_are_refused(tmp_path, other):
    select = write(tmp_path / "s.parquet", [0], 1)
    estimate = write(tmp_path / "e.parquet", [0], 2, **other)
    with pytest.raises(UserError, match=r"e.parquet: drawn as .* different smoothed classifiers"):
        merge([select], [[estimate]], np.array([0]), np.zeros(1))


def test_a_vote_counts_once_and_for_one_purpose(tmp_path):
    select, estimate = write(tmp_path / "s.parquet", [0], 1), write(tmp_path / "e.parquet", [0], 2)
    for blocks in ([estimate, estimate], [select], [estimate, select]):
        with pytest.raises(UserError, match=r"votes of block \d, not expected here"):
            merge([select], [blocks], np.array([0]), np.zeros(1))
    with pytest.raises(UserError, match="estimate votes of block 2, not expected here"):
        merge([estimate], [[estimate]], np.array([0]), np.zeros(1))


def test_missing_images_and_blocks_of_other_images_are_named(tmp_path):
    select, estimate = write(tmp_path / "s.parquet", [0, 1], 1), write(tmp_path / "e.parquet", [0, 1], 2)
    for requested in ([0, 7], [7, 0], [-1]):
        with pytest.raises(UserError, match=rf"image {7 if 7 in requested else -1} is in none of the files"):
            merge([select], [[estimate]], np.array(requested), np.zeros(len(requested)))
    other = write(tmp_path / "o.parquet", [1, 2], 3)
    with pytest.raises(UserError, match=r"o.parquet: other images or labels than .*s.parquet"):
        merge([select], [[estimate, other]], np.array([0]), np.zeros(1))


def test_truncated_draws_are_named(tmp_path):
    select, estimate = write(tmp_path / "s.parquet", [0], 1), write(tmp_path / "e.parquet", [0], 2)
    estimate.write_bytes(estimate.read_bytes()[:100])
    with pytest.raises(UserError, match=r"e.parquet: not a complete Parquet file"):
        merge([select], [[estimate]], np.array([0]), np.zeros(1))


def test_the_files_of_more_votes_contain_those_of_fewer(tmp_path):
    few, many = (files_of(tmp_path, ["0-4-1", "4-8-1"], 16, n, 32) for n in (64, 96))
    assert few[0] == many[0]
    assert [blocks[:2] for blocks in many[1]] == few[1]
    assert [len(blocks) for blocks in many[1]] == [3, 3]


def test_draws_from_typed_counts():
    found = Draws.from_counts([3, 1], [[30, 2], [5, 27]], 8)
    assert len(found) == 2
    assert found.selection.counts.tolist() == [[3, 1], [3, 1]]


def test_seeds_depend_on_every_part_and_on_nothing_else():
    seeds = {
        derive_seed(seed, purpose, image, block)
        for seed in range(3)
        for purpose in PURPOSES
        for image in range(5)
        for block in range(4)
    }
    assert len(seeds) == 3 * len(PURPOSES) * 5 * 4
    assert all(0 <= s < 2**63 for s in seeds)
    assert derive_seed(1, "select", 23) != derive_seed(12, "select", 3) != derive_seed(1, "select", 2, 3)
    assert derive_seed(0, "estimate", 7, 1) == 7996919495346403868
    with pytest.raises(ValueError, match="purpose 'test'"):
        derive_seed(0, "test")  # type: ignore[arg-type]


def test_stored_uniforms_are_uniform():
    u = np.array([stored_uniform(0, i) for i in range(4000)])
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * 4000)
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.06
