"""What optimizers leave as it was."""

from __future__ import annotations

import warnings

from torch import nn

from rs.networks.optimization import make_optimizer
from rs.settings.training import Optimizer, Training


def test_an_optimizer_leaves_the_warnings_of_the_process_alone():
    adam = make_optimizer(Training(optimizer=Optimizer(name="adam")), nn.Linear(2, 2))
    assert not any("capturable" in str(pattern) for _, pattern, *_ in warnings.filters)
    # torch itself keeps quiet about the steps before the recorded one
    assert adam._warned_capturable_if_run_uncaptured
