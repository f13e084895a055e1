"""What a certificate returns is checked before it is stored: a table would count a radius that is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from certificate_draws import random_votes

from rs.errors import UserError
from rs.methods.certificates.cohen import Cohen
from rs.methods.claims import checked
from rs.methods.interfaces import Certified
from rs.stages.certified_rows import claims, leading
from rs.statistics.draws import Draws

DRAWS = random_votes(4, 3, 1000)
GOOD = Certified(np.array([-1, 0, 3]), np.array([0.0, 0.0, 0.5]))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "returned NoneType, not Certified"),
        ((GOOD.prediction, GOOD.radius), "returned tuple, not Certified"),
        (Certified(GOOD.prediction[:2], GOOD.radius), "predictions of shape (2,), not (3,)"),
        (Certified(GOOD.prediction, np.float64(1)), "radii of shape (), not (3,)"),
        (Certified(np.array([-1, 0, 4]), GOOD.radius), "image 2: prediction 4, radius 0.5; allowed: -1"),
        (Certified(np.array([-2, 0, 3]), GOOD.radius), "image 0: prediction -2, "),
        (Certified(GOOD.prediction, np.array([0.0, np.nan, 0.5])), "image 1: prediction 0, radius nan"),
        (Certified(GOOD.prediction, np.array([0.0, 0.0, -0.5])), "image 2: prediction 3, radius -0.5"),
        (Certified(GOOD.prediction, np.array([0.1, 0.0, 0.5])), "image 0: prediction -1, radius 0.1"),
    ],
)
def test_a_broken_answer_is_one_line(found: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(found, DRAWS, Cohen())
    assert str(caught.value).startswith("certificate Cohen: ")
    assert message in str(caught.value)


def test_a_good_one_is_kept_and_claims_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(GOOD, DRAWS, Cohen()) is GOOD
    spec = {"noise": {"name": "gaussian", "sigma": 0.5}, "n": 1000}
    assert claims({"name": "cohen"}, DRAWS, spec, 1100).num_rows == 3
    own = Cohen.certify

    def nan(self: Any, *given: Any) -> Certified:
        found = own(self, *given)
        return Certified(found.prediction, found.radius * np.nan)

    monkeypatch.setattr(Cohen, "certify", nan)
    with pytest.raises(UserError, match=r"certificate Cohen: image 0: .* radius nan"):
        claims({"name": "cohen"}, DRAWS, spec, 1100)


def test_the_runner_up_is_the_other_class_with_most_estimation_votes() -> None:
    """The class is that of the selection votes, whatever the estimation votes say."""
    draws = Draws.from_counts([[9, 1, 0], [1, 9, 0], [0, 0, 10]], [[70, 10, 20], [60, 30, 10], [5, 5, 0]], 4)
    found = {name: column.tolist() for name, column in leading(draws).items()}
    assert (found["voted"], found["votes"]) == ([0, 1, 2], [70, 30, 0])
    assert (found["runner_up"], found["runner_up_votes"]) == ([2, 0, 0], [20, 60, 5])
