"""Optimizers take the settings of a study, step by step, and leave the process as it was."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import nn

from rs.networks.optimization import make_optimizer
from rs.settings.training import Optimizer, Training

RATE, MOMENTUM, DECAY = 0.1, 0.5, 0.25


def sgd(weight: float, gradients: list[float]) -> float:
    velocity = 0.0
    for gradient in gradients:
        velocity = MOMENTUM * velocity + gradient + DECAY * weight
        weight -= RATE * velocity
    return weight


def adam(weight: float, gradients: list[float]) -> float:
    """Kingma & Ba, Algorithm 1, with the l2 penalty in the gradient."""
    mean = square = 0.0
    for t, gradient in enumerate(gradients, start=1):
        gradient += DECAY * weight
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        weight -= RATE * mean / (1 - 0.9**t) / (math.sqrt(square / (1 - 0.999**t)) + 1e-8)
    return weight


@pytest.mark.parametrize(("name", "by_hand"), [("sgd", sgd), ("adam", adam)])
def test_steps_are_those_of_the_settings(name, by_hand):
    model, gradients = nn.Linear(1, 1, bias=False), [0.0, 1.0, -0.5]
    nn.init.constant_(model.weight, 2.0)
    optimizer = make_optimizer(Training(optimizer=Optimizer(name, RATE, MOMENTUM, DECAY)), model)
    for gradient in gradients:
        model.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    assert model.weight.item() == pytest.approx(by_hand(2.0, gradients), rel=1e-6)


def test_an_optimizer_leaves_the_warnings_of_the_process_alone():
    adam = make_optimizer(Training(optimizer=Optimizer(name="adam")), nn.Linear(2, 2))
    assert not any("capturable" in str(pattern) for _, pattern, *_ in warnings.filters)
    # torch itself keeps quiet about the steps before the recorded one
    assert adam._warned_capturable_if_run_uncaptured
