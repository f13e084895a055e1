"""What a study says of a paper's numbers: what is printed, under which settings, and how near is near. No
torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.settings.images import Subset
from rs.settings.limits import LARGEST, MOST_ENTRIES, MOST_LABELS, Images, NonNegative, Share
from rs.settings.numbers import Radii

Labels = Annotated[tuple[str, ...], Field(max_length=MOST_LABELS)]
Margin = Annotated[float, Field(gt=0, le=1)]
# A number, or the text that is printed: YAML reads 0.30 as 0.3, and '0.30' has its two digits.
PrintedShare = (
    Annotated[float, Field(ge=0, le=1)] | Annotated[str, Field(pattern=r"^(0(\.[0-9]+)?|1(\.0+)?)$")]
)
Printed = (
    Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
    | Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,9})?$")]
)
Accuracies = Annotated[tuple[PrintedShare, ...], Field(max_length=MOST_ENTRIES)]


@dataclass(frozen=True)
class Agreement:
    """When a measured number agrees with a printed one: the interval of their difference lies within a
    margin.

    `accuracy` is a difference of accuracies, `acr` and `epsilon` are shares of the printed value. `interval`
    says how the two sides' intervals are joined (rs.statistics.agreement), at `confidence`. They are fixed
    before the run: a study's file holds them, and another margin is another study.
    """

    accuracy: Margin = 0.02
    acr: Margin = 0.05
    epsilon: Margin = 0.1
    confidence: Share = 0.95
    interval: Literal["mover"] = "mover"


@dataclass(frozen=True)
class PaperSettings:
    """How a paper's numbers came about, as far as it or its code says; what is left out it leaves open.

    `model`, `objective`, `noise`, `training` and `sampling` hold some of a run's keys, with the paper's
    values, `certificate` some of a certificate's (its `alpha`); a run with another value is at other
    settings. `train` is all of the training images unless it says otherwise. `test` says which test images,
    where that is known: a study on the same ones shares their noise; elsewhere `images` says how many there
    were.
    """

    data: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    objective: dict[str, Any] | None = None
    noise: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    sampling: dict[str, Any] | None = None
    certificate: dict[str, Any] | None = None
    train: Subset | None = None
    test: Subset | None = None
    images: Images | None = None


@dataclass(frozen=True)
class Published:
    """One row of a published table: what a paper gives for the run labelled `run`, or for the best of
    several, at each radius on its own, as papers that tune a hyperparameter per column do; rows that name
    the same `row` are of one network, the one that is best over all of their numbers.

    Certified accuracies and an ACR are those under `certificate`, empirical accuracies those under the attack
    labelled `attack`; `epsilon` is what the run was calibrated to, with the noise in the distance that `cost`
    names; `smoothing` says which noise, as the tables print it, where the run is smoothed with several.
    A number of a list has the digits of the longest one in it. `settings` are joined to those of its paper
    under `papers`, or name others there that stand in their place.
    """

    paper: str
    table: str
    run: str | Annotated[Labels, Field(min_length=1)]
    row: str | None = None
    smoothing: str | None = None
    certificate: str = "cohen"
    attack: str | None = None
    acr: Printed | None = None
    epsilon: Printed | None = None
    cost: Literal["with_noise", "without_noise", "reused_noise"] = "without_noise"
    train_hours: NonNegative | None = None
    radii: Radii = ()
    certified_accuracy: Accuracies = ()
    empirical_accuracy: Accuracies = ()
    settings: str | PaperSettings | None = None
