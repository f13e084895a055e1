"""A study file as dataclasses: the keys of a run, of an imported model, and of the study itself. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.settings.calibration import Calibration
from rs.settings.claims import Claim
from rs.settings.distributional import Distributional
from rs.settings.images import Subset
from rs.settings.limits import (
    LARGEST,
    MOST_ENTRIES,
    MOST_LABELS,
    MOST_METHODS,
    Divisor,
    Positive,
    Radii,
    Seed,
    Share,
    Votes,
)
from rs.settings.published import Agreement, Labels, PaperSettings, Published
from rs.settings.sampling import Sampling
from rs.settings.training import Training

# A method (objective, noise, ...): its `name` and its hyperparameters. These are defined in the method's own
# dataclass and checked through `rs/schema.json`.
Method = dict[str, Any]
Methods = Annotated[tuple[Method, ...], Field(max_length=MOST_METHODS)]
Grid = Annotated[
    dict[str, Annotated[list[Any], Field(max_length=MOST_ENTRIES)]], Field(max_length=MOST_METHODS)
]
Sections = Annotated[dict[str, dict[str, Any]], Field(max_length=MOST_LABELS)]
Channels = Field(min_length=1, max_length=3)

LONGEST_NAME = 200  # of a study, after which a folder is named


# What a figure can distinguish; `rs.study.schema_document` adds the runs' settings, such as objective.gamma.
FigureKey = Literal[
    "noise", "run", "label", "certificate", "attack", "access", "objective", "model", "smoothing_name"
]
FigureKeys = Annotated[tuple[FigureKey, ...], Field(max_length=4)]


@dataclass(frozen=True)
class AxesOfTheirOwn:
    """Runs, or whole sweeps, that share axes, whatever `panels` says. Colour and style are by default the
    report's.
    """

    runs: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_ENTRIES)]
    title: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    colour: FigureKeys | None = None
    style: FigureKeys | None = None


@dataclass(frozen=True)
class Report:
    """Radii of the tables and figures, at which every certificate and curve is evaluated, and the layout of
    figures.

    `panels` says what certified accuracy has a panel for, beside the norm: each smoothing `noise`, each `run`
    as the study writes it (its whole sweep together), each `label`, `certificate`, value of a setting such as
    `objective.gamma`, or combinations. Accuracy under attack has a panel for each attack. `groups` come
    first, then the runs that no group names. `colour` and `style` say what colours and styles distinguish.
    Styles are markers, and under attack also dashes (in figures of certified accuracy, dashes mark
    estimates).
    """

    radii: Radii = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25)
    panels: FigureKeys = ("noise",)
    colour: FigureKeys = ()
    style: FigureKeys = ()
    groups: Annotated[tuple[AxesOfTheirOwn, ...], Field(max_length=MOST_METHODS)] = ()


@dataclass(frozen=True)
class Log:
    """A certification log of somebody else's model, with the facts that the log does not contain.

    `file` is relative to the working directory, or to the folder of the data sets. `n` is the number of
    estimation votes per image, `alpha` the error rate. A log with the label of an inactive run replaces it:
    printed numbers and claims of the run are compared with the log.
    """

    file: str
    noise: Method
    alpha: Share
    n: Votes
    certificate: str = "cohen"


@dataclass(frozen=True)
class Comparison:
    """Two runs, or logs, whose difference the table `comparisons` tests: `better` minus `than`.

    `at` are the radii of the accuracies (by default those of the report). A difference within `margin`, in
    each metric's own unit, counts as none: `equivalent`. Fix both before the study runs.
    """

    better: str
    than: str
    at: Radii = ()
    margin: Positive | None = None


@dataclass(frozen=True)
class Tracking:
    """The MLflow store; a server's URL works too. A relative sqlite path is relative to the working
    directory.
    """

    uri: str = "sqlite:///results/mlflow.db"


@dataclass(frozen=True)
class Sweep:
    """Explicit grids over dotted keys: `product` crosses its lists, `zip` goes through its lists together."""

    product: Grid = field(default_factory=dict)
    zip: Grid = field(default_factory=dict)


@dataclass(frozen=True)
class RunSections:
    """The settings of a run. The same keys at the top of a study are the defaults of all its runs. Only a
    model that joins networks of other runs has no objective.
    """

    model: Method
    noise: Method
    objective: Method | None = None
    smoothing: Methods | None = None
    training: Training = field(default_factory=Training)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_ENTRIES)] = (0,)
    sampling: Sampling = field(default_factory=Sampling)
    certificates: Methods = ()
    attacks: Methods = ()
    calibration: Calibration | None = None
    distributional: Distributional | None = None


@dataclass(frozen=True)
class Constants:
    """Normalisation by given constants per channel: (x - mean) / std."""

    mean: Annotated[
        tuple[Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)], ...], Channels
    ]
    std: Annotated[tuple[Divisor, ...], Channels]


@dataclass(frozen=True)
class ImportedSections:
    """Somebody else's trained network: `weights` (a file, relative to the working directory) for the network
    that `entry` ("module:function") returns, or for an `architecture` of ours.

    `key` is the place of the state dict in a file that holds several, such as "ema" or "ema.shadow".
    `normalization` is the first layer; by default it is the architecture's own, or none. The network must be
    one deterministic function of an image. `allow: [chance]` admits a network that draws at random at every
    call, independently for every image.

    `output` is what the network of an entry gives: logits; an `image`, from a denoiser for `noise`; or the
    `noise` that a diffusion model predicts, network(x_t, t) with `alphas_cumprod`, for images in [-1, 1].
    """

    weights: str
    noise: Method
    entry: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")] | None = None
    architecture: Method | None = None
    format: Literal["plain", "cohen"] = "plain"
    key: str | None = None
    output: Literal["logits", "image", "noise"] = "logits"
    normalization: Literal["none", "center", "standardize"] | Constants | None = None
    allow: Annotated[tuple[Literal["chance"], ...], Field(max_length=1)] = ()
    smoothing: Methods | None = None
    sampling: Sampling = field(default_factory=Sampling)
    certificates: Methods = ()
    attacks: Methods = ()
    distributional: Distributional | None = None


@dataclass(frozen=True)
class StudySections:
    """The keys of a study that are not its runs'. `train` and `test` are the images of a split that its runs
    are trained on and observed on. `override` is merged over every run last (for scale overlays). `papers`
    says by name how the numbers of a paper under `published` came about. Without `comparisons`, all pairs of
    runs under the same noise and certificate are compared.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=LONGEST_NAME)]
    data: Method
    description: str = ""
    data_dir: str | None = None
    train: Subset = field(default_factory=Subset)
    test: Subset = field(default_factory=Subset)
    runs: Sections = field(default_factory=dict)
    active: Labels | None = None
    override: dict[str, Any] = field(default_factory=dict)
    imported: Annotated[dict[str, dict[str, Any]], Field(max_length=MOST_LABELS)] = field(
        default_factory=dict
    )
    logs: Annotated[dict[str, Log], Field(max_length=MOST_LABELS)] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    papers: Annotated[dict[str, PaperSettings], Field(max_length=MOST_METHODS)] = field(default_factory=dict)
    published: Annotated[tuple[Published, ...], Field(max_length=MOST_LABELS)] = ()
    claims: Annotated[tuple[Claim, ...], Field(max_length=MOST_LABELS)] = ()
    comparisons: Annotated[tuple[Comparison, ...], Field(max_length=MOST_ENTRIES)] = ()
    agreement: Agreement = field(default_factory=Agreement)
    tracking: Tracking = field(default_factory=Tracking)
