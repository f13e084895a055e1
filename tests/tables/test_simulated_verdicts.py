"""The simulation behind docs/evidence/decided-wrongly.md: its truths are true, its verdicts a study's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_modules import load_benchmark


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    """Benchmarks import what lies beside them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def numbers() -> Any:
    return load_benchmark("simulated_verdicts")


@pytest.fixture
def claims() -> Any:
    return load_benchmark("claim_verdicts")


@pytest.mark.parametrize("level", [0.3, 0.6, 0.97])
def test_a_network_is_right_on_the_share_that_it_is_meant_to(numbers, level):
    draw = np.random.default_rng(0)
    images = numbers.images_of(draw, 1, 4_000_000)
    shares = numbers.accuracies(draw, images, np.full((1, 3), level))
    assert shares == pytest.approx(level, abs=2e-3)
    few = numbers.images_of(draw, 500, 100)
    networks = numbers.accuracies(draw, few, np.full((500, 2), level))
    assert np.corrcoef(networks.T)[0, 1] > 0.7  # of the same images


@pytest.mark.parametrize("law", ["normal", "Student's, 3 degrees", "1 of 10 collapses"])
def test_seeds_vary_around_the_methods_mean(numbers, law):
    draws = numbers.LAWS[law](np.random.default_rng(0), (200_000,))
    assert draws.mean() == pytest.approx(0, abs=0.02)
    assert draws.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("apart", "status"), [(0.0, "agrees"), (0.1, "differs")])
def test_verdicts_on_numbers_follow_the_truth_where_it_is_plain(numbers, apart, status):
    case = numbers.Case(0.0, 10_000, True)
    draws = numbers.drawn(case, apart, 3, 12, 0)  # more than one study's worth
    rows = numbers.judged(case, draws.printed, draws.ours)
    assert [row["published"] for row in rows] == [float(text) for text in draws.printed]
    found = numbers.shares(rows)
    assert found[status][0] >= 10
    assert found[status][1] == 12
    assert set(numbers.shares(numbers.judged(case, draws.printed, draws.ours[:, :2]))) >= {"undecided"}


def test_more_seeds_keep_those_that_there_were(numbers):
    case = numbers.Case(0.02, 1000, True)
    draws = numbers.drawn(case, 0.0, 3, 1, 0)
    seen = []
    real = numbers.judged
    numbers.judged = lambda *given, **more: seen.append(given[2]) or real(*given, **more)
    for keep in (True, False):
        numbers.judged_again(draws, 0, "seeds", 6, np.random.default_rng(0), keep)
    kept, anew = seen
    assert kept.shape == anew.shape == (1, 6)
    assert (kept[0, :3] == draws.ours[0]).all()
    assert (anew[0, :3] != draws.ours[0]).any()


@pytest.mark.slow
def test_the_tables_on_numbers_are_printed():
    for each in load_benchmark("verdicts").TABLES:
        head, rule, *rows = each(1).splitlines()
        assert {row.count("|") for row in (rule, *rows)} == {head.count("|")}
        assert rows


def test_lines_have_the_average_radius_and_cross_where_they_are_meant_to(claims):
    setting = claims.Setting(0.0, 1, 400_000)
    for share in (0.0, 0.05):
        radii = claims.radii_of([claims.farther(share)], setting, np.random.default_rng(0))
        assert radii.clip(min=0).mean() == pytest.approx(0.4 * (1 + share), abs=2e-3)
    both = claims.radii_of(claims.crossing(0.06, 0.03), setting, np.random.default_rng(0))
    above = [(both[0] >= r).mean() - (both[1] >= r).mean() for r in (0.25, 0.75)]
    assert above == pytest.approx([0.06, -0.03], abs=3e-3)


@pytest.mark.slow
def test_every_claim_is_judged_and_plain_ones_are_right(claims):
    few = claims.Setting(0.001, 3, 200)
    for statement in (*claims.AT_THE_BOUNDARY, *claims.OTHERS, *claims.CLEAR):
        setting = few if statement.settings[0].seeds > 1 else statement.settings[0]
        assert sum(n for n, _ in claims.verdicts(statement, setting, 1, 0).values()) == 1
    clear = claims.Statement("far better", (claims.above(0.15), claims.Line()), claims.FOUR)
    assert claims.verdicts(clear, few, 3, 0)["holds"] == (3, 3)
    assert claims.verdicts(clear, claims.Setting(seeds=2), 3, 0)["undecided"] == (3, 3)
    turned = claims.Statement("far worse", (claims.Line(), claims.above(0.15)), claims.FOUR)
    assert claims.verdicts(turned, few, 3, 0)["fails"] == (3, 3)


def test_sides_are_paired_by_image_and_by_seed(claims):
    study = claims.study_of(claims.Statement("", claims.ALIKE, [claims.better()]), 3)
    radii = claims.radii_of(claims.ALIKE, claims.Setting(images=50), np.random.default_rng(0))
    paired, unpaired = (claims.tables_of(study, radii, alike)["comparisons"] for alike in (True, False))
    widths = [
        next(r["high"] - r["low"] for r in rows if r["about"] == "methods") for rows in (paired, unpaired)
    ]
    assert {row["images"] for row in paired} == {50}
    assert widths[0] != widths[1]
