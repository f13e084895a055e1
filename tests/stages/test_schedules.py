"""Learning rates: milestones, cosine and warm-up."""

from __future__ import annotations

import math

import pytest

from rs.settings.training import Optimizer, Schedule, Training
from rs.stages import train as training

pytestmark = pytest.mark.slow


def test_schedules():
    step = Training(
        epochs=90, optimizer=Optimizer(learning_rate=0.1), schedule=Schedule("multistep", (30, 60), 0.1)
    )
    rates = [training.learning_rate(step, e) for e in (0, 29, 30, 59, 60, 89)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    cosine = Training(epochs=10, optimizer=Optimizer(learning_rate=0.2), schedule=Schedule("cosine"))
    assert training.learning_rate(cosine, 0) == 0.2
    assert training.learning_rate(cosine, 5) == pytest.approx(0.1)
    assert training.learning_rate(cosine, 9) == pytest.approx(0.1 * (1 + math.cos(0.9 * math.pi)))
    assert training.learning_rate(Training(), 7) == 0.01


def test_warm_up_ends_at_the_whole_rate_and_cosine_takes_the_rest():
    """ADRE's ImageNet schedule: 50 epochs, 8 of them warm-up."""
    adre = Training(epochs=50, optimizer=Optimizer(learning_rate=0.1), schedule=Schedule("cosine", warmup=8))
    rates = [training.learning_rate(adre, e) for e in range(50)]
    assert rates[:8] == pytest.approx([0.1 * (e + 1) / 8 for e in range(8)])
    assert rates[8:] == pytest.approx([0.05 * (1 + math.cos(math.pi * e / 42)) for e in range(42)])
    assert max(rates) == rates[7] == rates[8] == 0.1
    short = Training(epochs=2, schedule=Schedule("cosine", warmup=8))
    assert [training.learning_rate(short, e) for e in (0, 1)] == pytest.approx([0.00125, 0.0025])
    steps = Training(epochs=9, schedule=Schedule("multistep", (3, 6), warmup=2))
    rates = [training.learning_rate(steps, e) for e in (0, 1, 2, 3, 6)]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.001, 0.0001])
