"""The pipeline's voter for a network and images in memory, instead of in the files of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rs.api import inputs
from rs.api.counts import joined
from rs.api.parameters import radius_list
from rs.api.user_model import MODE, Called, without_advice
from rs.errors import UserError
from rs.machine.chance import kept_chance
from rs.machine.float32 import full_float32
from rs.machine.progress import follow
from rs.networks import audit as network_audit
from rs.networks import forms
from rs.networks.audit import Audited
from rs.networks.inference import InferenceForm, form_of
from rs.networks.shared_draws import check_independent
from rs.networks.transformations import copied
from rs.settings.limits import MOST_VOTES
from rs.settings.sampling import Stop, requested_form
from rs.smoothing.noise import Noise
from rs.stages.sample_sequential import draw_until_decided
from rs.stages.shared_batches import Ballot, cast
from rs.stages.voter import Voter
from rs.statistics.draws import Votes
from rs.statistics.paired_stopping import PairedRule
from rs.statistics.seeding import Purpose
from rs.statistics.stopping import StoppingRule

BLOCK = 10_000  # votes of one seed, as in a study that states no block
TOGETHER = 50  # images on the device at a time, as in a draw file


@contextlib.contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """float32 is float32 inside, gradients can be taken, and what a network draws leaves the process's
    generators as they were.
    """
    with torch.inference_mode(False), full_float32(device), kept_chance():
        yield


@dataclass(frozen=True)
class Ready:
    """A network that passed the audit, in its inference form, with the noise and the seed of its votes."""

    audited: Audited
    form: InferenceForm
    form_settings: dict[str, Any]
    noise: Noise
    seed: int


def prepared(
    network: nn.Module,
    form_settings: dict[str, Any],
    noise: Noise,
    seed: int,
    x: Tensor,
    device: torch.device,
    name: str,
    allow: Sequence[str],
    verb: str,
) -> Ready:
    """Audits a copy of the network on noisy copies of some of the images `x`, and brings it into the form
    `form_settings` (precision, batch, compiled) or the first one that this machine can run. Raises UserError,
    also for a network whose draws at random are shared by a batch of votes.
    """
    probes = network_audit.probes_of(x).to(device)
    copy, called = copied(network, name).to(device), isinstance(network, Called)
    if called and form_settings["compiled"]:  # a function's compiled code keeps the weights that it first met
        torch.compiler.reset()
    with copy.watched(name) if isinstance(copy, Called) else contextlib.nullcontext():
        classes = inputs.classes_of(copy, probes[:2], verb)
    try:
        facts = network_audit.audit(copy, probes, name, allow)
    except UserError as error:
        if not called:
            raise
        raise UserError(f"{error}; {MODE}") from error
    audited = Audited(copy, {"classes": classes}, probes, name, facts["chance"])
    form_settings = requested_form(form_settings)
    with without_advice(copy):
        if form_settings["compiled"] or device.type == "cuda":  # other forms need no trial (rs.stages.form)
            form_settings, _ = forms.resolve(audited, form_settings, device)
        form = form_of(audited, form_settings, device)
    if audited.chance:
        check_independent(form, noise, x[0].to(device))
    return Ready(audited, form, form_settings, noise, seed)


class VoterAtHand(Voter):
    """The voter of a network at hand, on images at hand."""

    def __init__(self, ready: Ready, x: Tensor, positions: Sequence[int], betas: Sequence[float]) -> None:
        super().__init__(ready.audited, ready.form, ready.noise, ready.seed, x, positions, betas)


@dataclass(frozen=True)
class Drawing:
    """Images to be voted on: float32 [N, C, H, W], and their positions."""

    ready: Ready
    x: Tensor
    positions: Sequence[int]
    betas: Sequence[float]
    progress: bool

    def fixed(self, purpose: Purpose, n: int) -> Votes:
        """`n` votes of each image, in blocks of 10,000 with a seed each."""
        done: list[Votes] = []

        def rows() -> Iterator[int]:
            for voter in self._voters():
                sizes, drawn = block_sizes(n), []
                blocks = range(len(sizes))
                each = [Ballot(row, purpose, b, sizes[b]) for row in range(len(voter.x)) for b in blocks]
                totals = cast(voter, each)
                for row in range(len(voter.x)):
                    parts = [next(totals) for _ in sizes]
                    drawn.append([torch.stack(part).sum(0) for part in zip(*parts, strict=True)])
                    yield row
                counts, sums, squares = (torch.stack(part) for part in zip(*drawn, strict=True))
                done.append(voter.votes((counts, sums, squares)))

        self._follow(rows(), purpose, n)
        return joined(done)

    def sequential(self, top: np.ndarray, rule: StoppingRule) -> Votes:
        """Votes of each image, drawn until they decide what the rule asks of the class `top` [N]."""
        done: list[Votes] = []

        def rows() -> Iterator[int]:
            for start, voter in zip(range(0, len(top), TOGETHER), self._voters(), strict=True):
                totals = voter.zeros(len(voter.x))
                yield from draw_until_decided(rule, top[start : start + TOGETHER], totals, voter.vote)
                done.append(voter.votes(totals))

        self._follow(rows(), "until decided", 0)
        return joined(done)

    def _voters(self) -> Iterator[VoterAtHand]:
        """A voter for every TOGETHER images, whose totals are on the device at the same time."""
        for start in range(0, len(self.x), TOGETHER):
            part = slice(start, start + TOGETHER)
            yield VoterAtHand(self.ready, self.x[part], self.positions[part], self.betas)

    def _follow(self, rows: Iterator[int], what: str, samples: int) -> None:
        if self.progress:
            label = f"{self.ready.audited.run} {what}"
            rows = follow(rows, len(self.x), label, "images", samples=samples)
        with undisturbed(self.ready.form.device):
            for _ in rows:
                pass


def block_sizes(n: int) -> list[int]:
    return [min(BLOCK, n - start) for start in range(0, n, BLOCK)]


def stop_of(verb: str, stop: Any, alpha: float) -> Any:
    """`stop` as a study's, at `alpha` unless it states another. Raises UserError for a key it has not."""
    if not isinstance(stop, Mapping):
        return stop
    known = [field.name for field in fields(Stop)]
    if unknown := [key for key in stop if key not in known]:
        raise UserError(f"{verb}: stop: {unknown[0]}: no such key; allowed: {', '.join(known)}")
    radii = {"radii": radius_list(stop["radii"], f"{verb}: stop")} if "radii" in stop else {}
    return {"alpha": alpha, **stop, **radii}


def check_first(verb: str, rule: StoppingRule | PairedRule, draws: str = "votes") -> None:
    """Raises UserError where the rule's n votes decide nothing."""
    stop, least = rule.stop, rule.first_decision()
    if least > MOST_VOTES and stop.radii:
        radius = f"radius {min(stop.radii):g} at sigma {rule.sigma:g}"
        raise UserError(f"{verb}: stop: radii: no allowed n certifies {radius}; n is at most {MOST_VOTES}")
    if rule.n < least:
        problem = f"{draws} decide nothing at alpha = {stop.alpha:g}; the first decision needs {least:.15g}"
        raise UserError(f"{verb}: n = {rule.n}: {problem}")


def stopping_rule(stop: Stop, sigma: float, n: int, batch: int) -> StoppingRule:
    """The rule in blocks of one batch, to which n is rounded up: most images need few votes."""
    return StoppingRule(stop, sigma, -(-n // batch) * batch, batch)
