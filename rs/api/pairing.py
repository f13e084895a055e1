"""Pairs a second classifier's votes with a first one's, on images at hand
(`SmoothedClassifier.certify_from`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rs.api.counts import NO_LABEL, Counts
from rs.api.identity import images_digest, network_digest, origin_of
from rs.api.voting import TOGETHER, Drawing, Ready, VoterAtHand, check_first, undisturbed
from rs.errors import UserError, plural
from rs.machine.progress import follow
from rs.methods.certificates.incremental import first_failure
from rs.settings.sampling import Sampling
from rs.stages.sample_paired import Pair
from rs.statistics.draws import Votes
from rs.statistics.paired_draws import PairedDraws
from rs.statistics.paired_stopping import PairedRule
from rs.statistics.seeding import stored_uniform


@dataclass(frozen=True)
class FirstVotes:
    """The first classifier's counts, and the classifier in the form that cast these votes."""

    counts: Counts
    ready: Ready

    def check(self, verb: str, second: Ready, noise: dict[str, object], x: Tensor) -> None:
        """Raises UserError where the votes are not the first classifier's for the images `x` under the noise,
        or where the two classifiers cannot share draws.
        """
        draws = self.counts.draws
        if self.counts.noise != noise:
            raise UserError(f"{verb}: the first one's votes are under {self.counts.noise}, not {noise}")
        if len(draws) != len(x):
            problem = f"{plural(len(x), 'image')}, but the first one's votes are of {len(draws)}"
            raise UserError(f"{verb}: {problem}; give the same images in the same order")
        form = draws.origin.get("form")
        if form != self.ready.form.description:
            here = self.ready.form.description
            raise UserError(f"{verb}: certified: votes of the form {form}, but the first one votes as {here}")
        for what, pair in (
            ("classes", (self.ready.form.classes, second.form.classes)),
            ("batches of", (self.ready.form.batch, second.form.batch)),
            ("devices", (self.ready.form.device, second.form.device)),
        ):
            if pair[0] != pair[1]:
                problem = f"{pair[0]} of the first one, {pair[1]} of this one; they must be the same"
                raise UserError(f"{verb}: {what}: {problem}")
        if self.ready.audited.chance or second.audited.chance:
            raise UserError(f"{verb}: a network that draws at random at every call has no pairs of answers")
        if draws.origin.get("images") != images_digest(x):
            problem = "the first one's votes are of other images, or do not name theirs"
            raise UserError(f"{verb}: images: {problem}; give those that it certified, in the same order")
        if draws.origin.get("network") != network_digest(self.ready, x):
            problem = "votes of another network than the first one, or that do not name theirs"
            raise UserError(f"{verb}: certified: {problem}; certify with the first one, on this machine")

    def labels(self) -> np.ndarray | None:
        """int64 [N]; None where no labels were given."""
        labels = self.counts.labels
        return None if (labels == NO_LABEL).all() else labels


def paired_rule(
    verb: str, sampling: Sampling, alpha: float, sigma: float, batch: int, share: float
) -> PairedRule:
    """The stopping rule, in blocks of one batch, to which n is rounded up: most images need few draws. Raises
    UserError where n draws decide nothing, or where not exactly one of radii and width is given.
    """
    if sampling.stop.alpha != alpha:
        raise UserError(f"{verb}: stop: alpha: {sampling.stop.alpha:g}: leave it out; it is {alpha:g} here")
    if bool(sampling.stop.radii) == (sampling.stop.width is not None):
        raise UserError(f"{verb}: stop: give one of radii and width")
    rule = PairedRule(sampling.stop, sigma, -(-sampling.n // batch) * batch, batch, share)
    check_first(verb, rule, "draws")
    return rule


def paired_draws(
    first: FirstVotes, drawing: Drawing, labels: np.ndarray, n0: int, rule: PairedRule
) -> PairedDraws:
    """The second network's votes: `n0` selection votes, then draws that both networks answer."""
    selection = drawing.fixed("select", n0)
    own, beside, both = _votes(first, drawing, selection.counts.argmax(1), rule)
    ready, before = drawing.ready, first.counts.draws
    return PairedDraws(
        before.images,
        labels,
        selection,
        own,
        drawing.x[0].numel(),
        np.array([stored_uniform(ready.seed, position) for position in drawing.positions]),
        "sequential",
        {**vars(rule.stop), "n": rule.n, "share": rule.share},
        origin_of(ready, first.counts.noise, drawing.x),
        first=before.estimation,
        first_stopping=before.stopping,
        first_stop=before.stop,
        beside=beside,
        both=both,
    )


def _votes(
    first: FirstVotes, drawing: Drawing, top: np.ndarray, rule: PairedRule
) -> tuple[Votes, np.ndarray, np.ndarray]:
    """The second network's votes, drawn until `rule` has enough for each image; and int64 [N, classes] the
    first network's votes on the same draws, and the votes on which both agree.
    """
    votes, stopping = first.counts.draws.estimation, first.counts.draws.stopping
    bound = first_failure(votes, stopping, top, rule.share * rule.stop.alpha)
    done: list[np.ndarray] = []

    def rows() -> Iterator[int]:
        for start in range(0, len(top), TOGETHER):
            part = slice(start, start + TOGETHER)
            voter = VoterAtHand(drawing.ready, drawing.x[part], drawing.positions[part], ())
            totals = torch.zeros(len(voter.x), 3, voter.classes, dtype=torch.int64, device=voter.device)
            pair = Pair(voter, first.ready.form)
            yield from pair.until_decided(rule, top[part], bound[part], totals)
            pair.check()
            done.append(totals.cpu().numpy())

    drawn = rows()
    if drawing.progress:
        label = f"{drawing.ready.audited.run} beside {first.ready.audited.run}"
        drawn = follow(drawn, len(top), label, "images", samples=0)
    with undisturbed(drawing.ready.form.device):
        for _ in drawn:
            pass
    own, beside, both = np.concatenate(done).transpose(1, 0, 2)
    return Votes(own), beside, both
