"""What is certified of images, and what votes certify without a network: `certify_counts`, `radius`. No
torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rs.api.counts import NO_LABEL, Counts, counts_of
from rs.api.lower_bounds import AverageRadius, decided_radii, shown
from rs.api.parameters import array_of, keywords, method_of, owned, path_of, radius_list, settings_of
from rs.errors import UserError, plural
from rs.methods import claims
from rs.methods.certificates.incremental import Incremental
from rs.methods.certificates.probabilities import (
    WIDTHS,
    check_draws,
    score_probabilities,
    vote_probabilities,
)
from rs.methods.interfaces import Certified
from rs.settings.certificates import CertificateUse
from rs.settings.labels import certificate_label, norm_text
from rs.statistics.draws import Draws
from rs.statistics.intervals import capped, shares_at_least, t_interval
from rs.statistics.paired_draws import PairedDraws
from rs.statistics.rounded_normal import left_of
from rs.study.schema import defaults, method_schema, prune

if TYPE_CHECKING:
    import os

    import pandas as pd


@dataclass(frozen=True, eq=False)
class Certification:
    """The claims of a certificate about N images, with the votes that they rest on.

    `prediction` int64 [N], -1 where it abstains. `radius` float64 [N] in the units of the images, rounded
    down, 0 where it abstains. `lower` float64 [N]: lower bounds, each at error `alpha`, of the probability of
    a vote for the selected class (for certificates of scores, of its expected score). `norm` is that of the
    radii. `rigorous` is False for an estimate that no proof covers.
    """

    prediction: np.ndarray
    radius: np.ndarray
    lower: np.ndarray
    counts: Counts
    certificate: dict[str, Any]
    alpha: float
    norm: float
    rigorous: bool

    @property
    def labels(self) -> np.ndarray:
        """int64 [N]. Raises UserError where no labels were given."""
        if (self.counts.labels == NO_LABEL).all():
            raise UserError("certification: no labels were given; use counts.labelled(labels) or give them")
        return self.counts.labels

    @property
    def correct(self) -> np.ndarray:
        """bool [N]: not abstained, and equal to the label."""
        return np.asarray(self.prediction == self.labels)

    def certified_accuracy(self, radii: Sequence[float] = (0.0,)) -> pd.DataFrame:
        """Share of the images that are correct with a radius of at least r, and its 95 % Wilson interval: one
        row per radius, with columns radius, certified_accuracy, low, high, rigorous (False: an estimate) and
        lower_bound (whether more votes could have raised the share, as stopped votes were not drawn to decide
        r). Raises UserError where `radii` are no list of numbers from 0.
        """
        import pandas as pd

        from rs.tables.certified import leaves_open

        at, decided = np.asarray(radius_list(radii, "certified_accuracy")), self._decided
        shares = shares_at_least(np.where(self.correct, self.radius, -1.0), at, self.factor)
        columns = dict(zip(("certified_accuracy", "low", "high"), shares, strict=True))
        marks = {"rigorous": self.rigorous, "lower_bound": [leaves_open(decided, r) for r in at]}
        return pd.DataFrame({"radius": at, **columns, **marks})

    def average_radius(self) -> AverageRadius:
        """The average certified radius, with wrong and abstained images as 0, and its 95 % t interval, cut to
        the possible range of the average: from 0 to the radius of unanimous votes. It unpacks into average,
        low, high, and says whether it is `rigorous` and a `lower_bound`.
        """
        radii = np.where(self.correct, self.radius, 0.0)
        interval = t_interval(radii, least=0.0, most=capped(largest_radius(self), radii))
        return AverageRadius(interval, self.rigorous, self._stopped)

    def frame(self) -> pd.DataFrame:
        """One row per image: image, label (-1: none), prediction, radius, lower, n; and the same in all rows,
        what the radii are: certificate, norm, alpha, rigorous.
        """
        import pandas as pd

        columns = {"image": self.counts.images, "label": self.counts.labels, "prediction": self.prediction}
        columns |= {"radius": self.radius, "lower": self.lower, "n": self.counts.votes}
        chosen = prune(self.certificate, method_schema("certificates", self.certificate["name"]))
        claim = {"certificate": certificate_label(chosen), "norm": self.norm}
        return pd.DataFrame({**columns, **claim, "alpha": self.alpha, "rigorous": self.rigorous})

    @property
    def _stopped(self) -> bool:
        return self.counts.draws.stopping != "fixed"

    @property
    def _decided(self) -> tuple[float, ...] | None:
        claim, name = Certified(self.prediction, self.radius), self.certificate["name"]
        return decided_radii(self.counts.draws, self.counts.noise, name, claim, self.norm, self.alpha)

    def to_log(self, path: str | os.PathLike[str]) -> None:
        """Writes a certification log as the field publishes them: tab-separated, a line per image, idx label
        predict radius correct time. It states neither noise, alpha, votes nor norm; times are 0. Warns where
        stopped votes leave its numbers lower bounds. Raises UserError without labels, and for a path that is
        another kind of file or cannot be written.
        """
        from rs.study.certification_log import check_name, write_claims
        from rs.tables.certified import left_open

        file = path_of(path, "to_log")
        check_name(file, "to_log:")
        columns = {"image": self.counts.images, "label": self.labels, "prediction": self.prediction}
        write_claims(file, columns | {"radius": self.radius})
        if self._stopped:
            warnings.warn(f"to_log: {file}: {left_open(self._decided or ())}", RuntimeWarning, 2)

    @property
    def factor(self) -> float:
        """The factor of certified accuracies (1 for all but STN's published procedure)."""
        from rs.methods import catalog
        from rs.stages.certified_rows import accuracy_factor

        return accuracy_factor(catalog.build("certificates", self.certificate), self.alpha)

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        abstained, norm = int((self.prediction < 0).sum()), norm_text(self.norm)
        what = "certified" if self.rigorous else "estimated"
        median = f"{'≥ ' * self._stopped}{shown(float(np.median(self.radius)))}"
        head = f"<Certification by {self.certificate['name']} at alpha = {self.alpha:g}: "
        head += f"{plural(len(self), 'image')}, "
        return f"{head}{abstained} abstained, median {what} {norm} radius {median}>"


def largest_radius(certified: Certification) -> float:
    """The certificate's radius for the maximum number of votes, all for one class."""
    from rs.methods import catalog
    from rs.stages.certify_incremental import unanimous_radius

    draws, noise = certified.counts.draws, certified.counts.noise
    certificate = catalog.build("certificates", certified.certificate)
    alpha = left_of(certified.alpha, noise, draws.dimension, claims.most_votes(draws))
    described = claims.described(noise, certified.certificate)
    n = int(draws.stop.get("n", draws.estimation.n.max()))
    return unanimous_radius(certificate, draws, described, alpha, n)


@dataclass(frozen=True)
class Claim:
    """The claim about an image: `prediction` (-1 abstains), `radius` in `norm`, `confidence`, proven or
    not.
    """

    prediction: int
    radius: float
    norm: float
    confidence: float
    rigorous: bool


def certify_counts(
    counts: Counts | tuple[ArrayLike, ArrayLike],
    certificate: str | dict[str, Any] = "cohen",
    alpha: float = CertificateUse.alpha,
    *,
    noise: str | dict[str, Any] | None = None,
    labels: ArrayLike | None = None,
    dimension: int | None = None,
    uniform: ArrayLike | None = None,
    **parameters: Any,
) -> Certification:
    """Applies a certificate to votes that were drawn before; no network runs.

    `counts` are those of `SmoothedClassifier.certify`, which hold their noise, or a pair of integer arrays
    (selection, estimation), each [N, classes]. A pair needs the parameters (`sigma=0.5`) of its `noise`,
    gaussian by default, and the `dimension` of the images where the radius depends on it. Other `parameters`
    are the certificate's. Raises UserError for input that allows no claim.
    """
    verb = "certify_counts"
    alpha = settings_of(CertificateUse, verb, alpha=alpha).alpha
    method = method_of(certificate, "certificate", verb)
    family = "gaussian" if noise is None else noise
    chosen = {"noise": method_of(family, "noise", verb), "certificate": method}
    if isinstance(counts, Counts):
        if noise is not None or dimension is not None or uniform is not None:
            raise UserError(f"{verb}: noise, dimension and uniform are those of the counts; leave them out")
        chosen["noise"] = counts.noise
    facts = claims.facts_of(verb, {role: m["name"] for role, m in chosen.items()})
    fixed = ("noise",) if isinstance(counts, Counts) else ()
    chosen = owned(verb, parameters, chosen, facts, fixed, keywords(certify_counts))
    claims.check_parameters(verb, chosen, facts)
    norm = float(facts["certificate"]["x-norms"][chosen["noise"]["name"]])
    where = " where the counts are made" if isinstance(counts, Counts) else ""
    if not isinstance(counts, Counts):
        counts = counts_of(counts, verb, chosen["noise"], _dimension(verb, dimension), uniform)
    _refuse_unknown(verb, counts, chosen["certificate"], norm, where)
    return certification(verb, counts.labelled(labels), chosen["certificate"], alpha)


def radius(
    selection: Sequence[int],
    estimation: Sequence[int],
    certificate: str | dict[str, Any] = "cohen",
    alpha: float = CertificateUse.alpha,
    **others: Any,
) -> Claim:
    """The claim about one image from its votes per class, as `rs radius` prints it. `others` as in
    `certify_counts`: `sigma=0.5`, `noise="laplace"`, `dimension=3072`.
    """
    for name, votes in (("selection", selection), ("estimation", estimation)):
        allowed = "give one count per class, of one image"
        if array_of(votes, f"radius: {name}", allowed).ndim != 1:
            raise UserError(f"radius: {name}: {allowed}")
    certified = certify_counts((selection, estimation), certificate, alpha, **others)
    answer = int(certified.prediction[0]), float(certified.radius[0])
    return Claim(*answer, certified.norm, claims.confidence(certified.alpha), certified.rigorous)


def certification(verb: str, counts: Counts, certificate: dict[str, Any], alpha: float) -> Certification:
    """The certification by a checked certificate."""
    draws, facts = counts.draws, method_schema("certificates", certificate["name"])
    check_draws(draws, alpha, anytime=True)
    full = defaults(facts, certificate)
    claims.check_rule(verb, certificate, draws.stop)
    if "paired_counts" in facts["x-needs"] and not isinstance(draws, PairedDraws):
        raise UserError(
            f"{verb}: certificate {full['name']} needs the counts of certify_from, of two networks"
        )
    if "soft_moments" in facts["x-needs"] and full["beta"] not in draws.selection.sums:
        stored = ", ".join(f"{b:g}" for b in sorted(draws.selection.sums)) or "none"
        problem = (
            f"needs softmax moments at beta = {full['beta']:g}; the counts hold {stored} (betas of certify)"
        )
        raise UserError(f"{verb}: certificate {certificate['name']} {problem}")
    outcome = claims.claim(verb, draws, counts.noise, certificate, alpha)
    norm = float(facts["x-norms"][counts.noise["name"]])
    bound = _lower(draws, full, facts, alpha)
    claimed = (outcome.prediction.astype(np.int64), outcome.radius.astype(np.float64), bound)
    return Certification(*claimed, counts, certificate, alpha, norm, bool(facts["x-rigorous"]))


def _lower(draws: Draws, full: dict[str, Any], facts: dict[str, Any], alpha: float) -> np.ndarray:
    """Lower bounds of p_A, or of the expected score, rounded down."""
    if "paired_counts" in facts["x-needs"]:
        q = Incremental(full["share"]).failure(draws, alpha)
    elif "soft_moments" in facts["x-needs"]:
        width = WIDTHS[full["bound"] if "bound" in full else facts["x-bound"]]
        q = score_probabilities(draws, full["beta"], alpha, 1.0, width).q_a
    else:
        q = vote_probabilities(draws, alpha, 1.0).q_a
    return np.maximum(np.nextafter(1 - q, -1), 0.0)


def _refuse_unknown(verb: str, counts: Counts, certificate: dict[str, Any], norm: float, where: str) -> None:
    """Raises UserError for a claim that depends on what the counts lack, to be given `where`."""
    if certificate.get("randomised") and not counts.has_uniform:
        before = "a number in [0, 1) drawn before the votes"
        raise UserError(f"{verb}: randomised=True needs uniform{where}, {before}")
    if not counts.has_dimension and claims.needs_dimension(counts.noise, norm):
        depends = f"the l{norm:g} radius under {counts.noise['name']} noise depends on it"
        raise UserError(f"{verb}: give dimension{where}: {depends}")


def _dimension(verb: str, dimension: int | None) -> int | None:
    if dimension is None:
        return None
    if isinstance(dimension, bool) or not isinstance(dimension, int | np.integer) or dimension < 1:
        raise UserError(f"{verb}: dimension: {dimension}: must be a whole number from 1, as 3072")
    return int(dimension)
