"""PREDICT: its error, over all outcomes; its p-values; when it abstains."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rs.statistics.prediction import least_votes, p_values, predicted

LAWS = [(0.5, 0.5, 0.0), (0.34, 0.33, 0.33), (0.4, 0.35, 0.25), (0.26, 0.25, 0.25, 0.24), (0.5, 0.49, 0.01)]


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("law", LAWS)
def test_another_class_than_the_smoothed_one_is_returned_with_probability_alpha_at_most(law, alpha):
    n = 24 if len(law) == 3 else 14
    counts = np.array([c for c in itertools.product(range(n + 1), repeat=len(law)) if sum(c) == n])
    probability = stats.multinomial(n, law).pmf(counts)
    assert probability.sum() == pytest.approx(1)
    answers = predicted(counts, alpha)
    wrong = probability[(answers > 0)].sum()  # class 0 is the smoothed one (ties: any of them would do)
    assert wrong <= alpha
    assert (answers == 0).any()


@settings(max_examples=40)
@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400))
def test_p_values_are_those_of_the_two_sided_binomial_test_rounded_up(a, b, c):
    _, second, first = sorted((a, b, c))
    if first == 0:
        return
    exact = stats.binomtest(first, first + second, 0.5).pvalue
    found = p_values(np.array([[a, b, c]]))[0]
    assert found == pytest.approx(exact, rel=1e-8)
    whole = sum(math.comb(first + second, k) for k in range(first, first + second + 1))
    assert found * 2 ** (first + second) >= min(2 * whole, 2 ** (first + second))  # in whole numbers


def test_the_class_of_most_votes_or_an_abstention():
    counts = np.array([[60, 40, 0], [40, 60, 0], [70, 10, 20], [50, 50, 0], [0, 0, 100]])
    assert predicted(counts, 0.05).tolist() == [-1, -1, 0, -1, 2]
    assert predicted(counts, 0.06).tolist() == [0, 1, 0, -1, 2]


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.001, 1e-9])
def test_fewest_votes(alpha):
    n = least_votes(alpha)
    assert predicted(np.array([[n, 0], [n - 1, 0]]), alpha).tolist() == [0, -1]
