"""Settings of a paper's numbers: what is printed, under which settings, and which margin counts as agreement.
No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.settings.images import Subset
from rs.settings.limits import LARGEST, MOST_ENTRIES, MOST_LABELS, Images, Radii, Share

Labels = Annotated[tuple[str, ...], Field(max_length=MOST_LABELS)]
Margin = Annotated[float, Field(gt=0, le=1)]
# A number, or the printed text: YAML reads 0.30 as 0.3, but '0.30' keeps both digits.
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

    `accuracy` is a difference of accuracies; `acr` and `epsilon` are shares of the printed value. Both sides'
    intervals are joined at `confidence` (rs.statistics.agreement). All are fixed before the run: they stand
    in the study's file, and another margin is another study.
    """

    accuracy: Margin = 0.02
    acr: Margin = 0.05
    epsilon: Margin = 0.1
    confidence: Share = 0.95


@dataclass(frozen=True)
class PaperSettings:
    """How a paper's numbers came about, as far as the paper or its code says; what it leaves open is left
    out.

    `model`, `objective`, `noise`, `training` and `sampling` hold some of a run's keys with the paper's
    values; `certificate`, `attack` and `calibration` hold some of theirs, such as `alpha` and `steps`, for
    numbers that come from one. A run with another value is at other settings. `train` is the whole training
    set by default. `test` gives the test images, where they are known: a study on the same images shares
    their noise. Otherwise `images` is their number.
    """

    data: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    objective: dict[str, Any] | None = None
    noise: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    sampling: dict[str, Any] | None = None
    certificate: dict[str, Any] | None = None
    attack: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    train: Subset | None = None
    test: Subset | None = None
    images: Images | None = None


@dataclass(frozen=True)
class Published:
    """One row of a published table: the numbers of the run labelled `run`.

    If `run` names several, each number is that of the best of them at its radius, as in papers that tune a
    hyperparameter per column. Rows with the same `row` are of one network: the best over all of their
    numbers.

    Certified accuracies and an ACR are those under `certificate`, empirical accuracies those under the attack
    labelled `attack`. `epsilon` is the run's calibrated value, with the noise in the distance that `cost`
    names. `smoothing` is the noise, as the tables print it, where the run is smoothed with several. All
    numbers of a list have as many digits as the longest one. `settings` are merged over those of its paper
    under `papers`, or name an entry there that replaces them.
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
    train_hours: Printed | None = None
    radii: Radii = ()
    certified_accuracy: Accuracies = ()
    empirical_accuracy: Accuracies = ()
    settings: str | PaperSettings | None = None
