"""`rs.compare`: the paired differences of two certifications."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import rs
from rs.api.identity import each_digest
from rs.statistics.paired import of_means, of_proportions
from rs.study.certification_log import read_log

N = 40


def certified(failures: np.ndarray, labels: np.ndarray | None = None) -> rs.Certification:
    """Of images with so many of 1000 votes against class 0."""
    estimation = np.stack([1000 - failures, failures], axis=1)
    selection = np.broadcast_to([90, 10], estimation.shape)
    labels = np.zeros(len(failures), int) if labels is None else labels
    return rs.certify_counts((selection, estimation), sigma=0.5, labels=labels)


@pytest.fixture
def pair() -> tuple[rs.Certification, rs.Certification]:
    draw = np.random.default_rng(0)
    hard = draw.integers(1, 600, N)
    return certified(np.maximum(hard - 150, 0)), certified(hard)


def test_differences_are_paired_by_image(pair):
    better, worse = pair
    table = rs.compare(better, worse, radii=[0.25]).set_index("metric")
    radius = [np.where(f.correct, f.radius, 0.0) for f in pair]
    expected = of_means(*radius)
    row = table.loc["acr"]
    assert (row["difference"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
    assert (row["verdict"], row["images"]) == ("better", N)
    right = [f.correct & (f.radius >= 0.25) for f in pair]
    shares = of_proportions((right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum(), N)[0]
    assert table.loc["certified_accuracy", "difference"] == shares.value
    assert table.loc["certified_accuracy", "p"] == shares.p
    turned = rs.compare(worse, better, radii=[0.25]).set_index("metric")
    assert turned.loc["acr", "verdict"] == "worse"


def test_only_the_same_images_are_paired(digits, nearest_mean):
    """The positions are 0, 1, ... in every call that does not state them."""
    x, labels = digits
    ones = np.flatnonzero(labels == 1)

    def of(images: np.ndarray, positions: list[int] | None = None) -> rs.Certification:
        smoothed = rs.smooth(nearest_mean, sigma=0.25)
        ones = np.ones(len(images), int)
        return smoothed.certify(images, ones, n=20, n0=10, alpha=0.05, positions=positions, progress=False)

    first = of(x[ones[:4]])
    with pytest.raises(rs.UserError, match=r"a and b: of different images: image 2 has the digest .* there"):
        rs.compare(first, of(x[ones[[0, 1, 5, 6]]]))
    for same in (of((x[ones[:4]] * np.float32(16)) / 16), of(x[ones[[3, 2, 0]]], [3, 2, 0])):
        assert set(rs.compare(first, same)["images"]) == {len(same.counts)}
    before = dict(first.counts.draws.origin)
    del before["each image"]
    votes = replace(first.counts, draws=replace(first.counts.draws, origin=before))
    kept = rs.certify_counts(votes, alpha=0.05)
    assert set(rs.compare(kept, of(x[ones[4:8]]))["images"]) == {4}  # as files of before are


def test_digests_are_of_the_picture_and_not_of_its_last_bits():
    levels = torch.arange(256.0).reshape(1, 1, 16, 16)
    divided, multiplied = levels / 255, levels * np.float32(1 / 255)
    assert not torch.equal(divided, multiplied)
    assert each_digest(divided) == each_digest(multiplied)
    one_level = divided.clone()
    one_level[0, 0, 3, 3] += 1 / 255
    assert each_digest(one_level) != each_digest(divided)
    assert each_digest(divided.reshape(1, 1, 8, 32)) != each_digest(divided)


def test_other_conditions_are_compared_only_when_asked_for(pair):
    votes = pair[0].counts
    few = (votes.selection, votes.estimation // 10)
    labels = np.zeros(N, int)
    for other, line in (
        (rs.certify_counts(votes, alpha=0.1), "alpha 0.001 and 0.1: not under the same conditions"),
        (rs.certify_counts(votes, "tcertify"), "certificate cohen and tcertify: not under"),
        (rs.certify_counts(few, sigma=0.5, labels=labels), "n 1000 and 9[0-9] to 100: not under"),
        (
            rs.certify_counts((few[0], votes.estimation), sigma=0.25, labels=labels),
            "smoothing gaussian sigma=0.5 and gaussian sigma=0.25: .*; give across=True",
        ),
    ):
        with pytest.raises(rs.UserError, match=line):
            rs.compare(pair[0], other)
        table = rs.compare(pair[0], other, across=True)
        assert line.split(":")[0].split(" and ")[0] in table.attrs["conditions"][0]
        assert set(table["rigorous"]) == {other.rigorous}
    assert rs.compare(*pair).attrs["conditions"] == []


def test_votes_that_choose_the_class_and_the_most_that_a_rule_draws_are_conditions(digits, nearest_mean):
    x, labels = digits
    smoothed = rs.smooth(nearest_mean, sigma=0.25, batch=16)

    def of(n0: int, n: int, **stop: object) -> rs.Certification:
        return smoothed.certify(x[:6], labels[:6], n0=n0, n=n, progress=False, **stop)

    rule = {"stop": {"radii": [0.25]}}
    for one, other, line in (
        (of(1, 160), of(100, 160), "a and b: n0 1 and 100: not under the same conditions"),
        (
            of(9, 160, **rule),
            of(9, 4000, **rule),
            "a and b: n stopped, at most 160 and stopped, at most 4000",
        ),
    ):
        with pytest.raises(rs.UserError, match=line):
            rs.compare(one, other)
        (condition,) = rs.compare(one, other, across=True).attrs["conditions"]
        assert condition == line.partition(": not")[0]

        assert rs.compare(one, one).attrs["conditions"] == []


def test_defaults_that_are_written_out_are_no_other_conditions(pair):
    counts = pair[0].counts
    one = rs.certify_counts((counts.selection, counts.estimation), sigma=1, labels=np.zeros(N, int))
    same = rs.certify_counts(
        (counts.selection, counts.estimation),
        {"name": "cohen", "randomised": False},
        noise={"name": "gaussian", "sigma": 1.0, "exact": False},
        labels=np.zeros(N, int),
    )
    assert (rs.compare(one, same)["difference"] == 0).all()


def test_a_certification_meets_a_log_and_becomes_one(pair, tmp_path):
    log = tmp_path / "new" / "worse.tsv"
    pair[1].to_log(log)
    written = read_log(log)
    for own, column in ((pair[1].radius, written.radius), (pair[1].prediction, written.predict)):
        assert np.array_equal(own, column)
    assert np.array_equal(written.correct, pair[1].correct)
    own, table = rs.compare(*pair, radii=[0.25]), rs.compare(pair[0], log, radii=[0.25])
    same = [column for column in own if column != "rigorous"]
    pd.testing.assert_frame_equal(own[same], table[same])
    assert not table["rigorous"].any()  # nobody knows
    (remark,) = table.attrs["remarks"]
    assert remark == f"not known, and taken for the same: certificate, noise, alpha and votes of {log}"
    (remark,) = rs.compare(pair[0], str(log), sigma=0.5).attrs["remarks"]
    assert remark.startswith("not known, and taken for the same: certificate, alpha and votes of")
    for call, line in (
        (
            lambda: rs.compare(pair[0], log, sigma=0.25),
            "smoothing gaussian sigma=0.5 and gaussian sigma=0.25",
        ),
        (
            lambda: rs.compare(pair[0], log, sigma=0.01),
            "at sigma = 0.01, 10^9 votes, all for one class, give",
        ),
        (lambda: rs.compare(pair[0], log, sigma=-1), "compare: sigma: -1: must be greater than or equal"),
        (lambda: rs.compare(pair[0], tmp_path), "no contestant; allowed: the images.parquet of"),
        (lambda: rs.compare(pair[0], tmp_path / "none.tsv"), "none.tsv: cannot be read"),
        (lambda: pair[0].to_log(tmp_path / "a.parquet"), "a.parquet: a log is tab-separated text; name it"),
        (lambda: pair[0].to_log(tmp_path), "cannot be written"),
        (lambda: pair[0].to_log(None), "to_log: a NoneType; give the path of a file"),
    ):
        with pytest.raises(rs.UserError) as caught:
            call()
        assert line in str(caught.value)
    counts = pair[0].counts
    with pytest.raises(rs.UserError, match="no labels were given"):
        rs.certify_counts((counts.selection, counts.estimation), sigma=0.5).to_log(log)


def test_a_margin_makes_the_same_equivalent(pair):
    table = rs.compare(pair[0], pair[0], radii=[0.25], margins={"acr": 0.5}).set_index("metric")
    assert table.loc["acr", "verdict"] == "equivalent"
    assert table.loc["certified_accuracy", "verdict"] == "undecided"


def test_what_cannot_be_compared(pair):
    counts = pair[0].counts
    unlabelled = rs.certify_counts((counts.selection, counts.estimation), sigma=0.5)
    votes, classes = (counts.selection, counts.estimation), np.zeros(N, int)
    in_l1 = rs.certify_counts(votes, "laplace_l1", noise="laplace", scale=0.5, labels=classes)
    for call, line in (
        (lambda: rs.compare(pair[0], pair[1].radius), "give two certifications"),
        (lambda: rs.compare(*pair, level=1), "compare: level: 1: must be less than 1"),
        (lambda: rs.compare(*pair, level="high"), "compare: level: 'high': must be a valid number"),
        (lambda: rs.compare(*pair, margins=0.1), "compare: margins: 0.1: must be a valid dictionary"),
        (lambda: rs.compare(*pair, margins={"acr": "x"}), "compare: margins.acr: 'x': must be a valid"),
        (lambda: rs.compare(*pair, margins={"acr": np.inf}), "compare: margins.acr: inf: must be a finite"),
        (lambda: rs.compare(*pair, margins={"ACR": 1}), "margins: ACR: no such metric; allowed: acr"),
        (lambda: rs.compare(*pair, radii=[-1.0]), "radii: [-1.0]: give a list of numbers from 0"),
        (lambda: rs.compare(*pair, radii=0.5), "radii: 0.5: give a list of numbers from 0: [0.5]"),
        (lambda: rs.compare(pair[0], certified(np.zeros(N, int), np.ones(N, int))), "label"),
        (lambda: rs.compare(pair[0], unlabelled), "no labels were given"),
        (
            lambda: rs.compare(in_l1, pair[0]),
            "a has l1 radii and b has l2 radii; allowed: certificates of one norm",
        ),
    ):
        with pytest.raises(rs.UserError) as caught:
            call()
        assert line in str(caught.value)


def test_stopped_votes_decide_only_what_they_were_stopped_for(pair):
    def stopped(found: rs.Certification, alpha: float) -> rs.Certification:
        rule = {"alpha": alpha, "radii": (0.25,), "n": 1000}
        draws = replace(found.counts.draws, stopping="sequential", stop=rule)
        votes = replace(found.counts, draws=draws)
        return rs.certify_counts(votes, alpha=0.001)

    for alpha, decides in (
        (0.001, True),
        (0.0001, False),
    ):  # at its own alpha it answers, at a larger it may not
        sides = [stopped(found, alpha) for found in pair]
        table = rs.compare(*sides, radii=[0.25, 0.5])
        open_ = table[table["lower_bound"]]
        assert set(open_["verdict"]) == {"undecided"}
        assert open_["p"].isna().all()
        at = table[table["metric"] == "certified_accuracy"].set_index("radius")
        assert list(at["lower_bound"]) == [not decides, True]
        assert len(open_) == len(table) - decides
