"""`first_drop`: an objective begins something at the very step at which the learning rate first drops."""

from __future__ import annotations

import pytest

from rs.errors import UserError
from rs.methods.catalog import build
from rs.networks.optimization import learning_rate
from rs.settings.training import Optimizer, Schedule, Training
from rs.study.study import Study

DELAYED = {"name": "macer", "k": 2, "lambda_from": "first_drop"}
MULTISTEP = {"name": "multistep", "milestones": [2, 3]}


def study(epochs, schedule):
    return Study(
        [],
        {
            "name": "moments",
            "data": {"name": "digits"},
            "model": {"name": "digits_cnn"},
            "noise": {"name": "gaussian", "sigma": 0.5},
            "training": {"epochs": epochs, "schedule": schedule},
            "runs": {"delayed": {"objective": DELAYED}},
        },
    )


@pytest.mark.parametrize(
    ("epochs", "milestones", "steps"),
    [(440, [200, 400], 938), (90, [30, 60], 235), (7, [5, 3], 3), (3, [1], 1)],
)
def test_it_is_the_first_step_at_the_lower_rate(epochs, milestones, steps):
    schedule = {"name": "multistep", "milestones": milestones}
    objective = build("objectives", study(epochs, schedule).runs[0].sections["objective"])
    training = Training(
        epochs=epochs,
        optimizer=Optimizer(learning_rate=1.0),
        schedule=Schedule(name="multistep", milestones=tuple(milestones)),
    )
    for epoch in range(epochs):
        for number in {0, steps // 2, steps - 1}:  # progress as an epoch's steps have it
            begun = objective.phase((epoch + number / steps) / epochs)
            assert begun == (learning_rate(training, epoch) < 1.0), (epoch, number)


def test_a_rounded_share_begins_before_the_drop():
    """What the word is for: 0.4545 of 440 epochs begins in the 919th of 938 steps of epoch 200."""
    rounded = build("objectives", {**DELAYED, "lambda_from": 0.4545})
    early = [number for number in range(938) if rounded.phase((199 + number / 938) / 440)]
    assert len(early) == 18


@pytest.mark.parametrize("schedule", [{"name": "constant"}, {"name": "multistep"}, {"name": "cosine"}])
def test_it_is_refused_where_the_rate_never_drops(schedule):
    with pytest.raises(UserError, match=r"runs\.delayed\.objective\.lambda_from: first_drop: .* never drops"):
        study(4, schedule)


def test_a_training_cut_before_the_drop_never_begins():
    for epochs in (1, 2):
        objective = build("objectives", study(epochs, MULTISTEP).runs[0].sections["objective"])
        assert not objective.phase((epochs - 1 + 937 / 938) / epochs)


def test_the_word_stands_for_its_number():
    by_word = study(4, MULTISTEP).runs[0].sections["objective"]["lambda_from"]
    assert by_word == 0.5
