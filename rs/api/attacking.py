"""`rs.attack`: runs a named attack on a smoothed classifier and judges it as the pipeline does
(rs.stages.outcomes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rs.api import attack_doubts, inputs, units
from rs.api.counts import label_array
from rs.api.parameters import keywords, method_of, no_such, plain, radius_list
from rs.api.smoothed import SmoothedClassifier, smooth
from rs.api.user_model import without_advice
from rs.api.voting import Ready, undisturbed
from rs.errors import UserError, plural
from rs.machine.devices import generator
from rs.machine.progress import follow
from rs.methods import catalog
from rs.methods.interfaces import MinimalAttack
from rs.networks.differentiable import Differentiable, require_gradients
from rs.settings import attacks as settings
from rs.settings.labels import norm_text
from rs.smoothing.noise import Noise
from rs.smoothing.smoothed import Smoothed
from rs.stages.judge import Judge
from rs.stages.outcomes import Outcome, Target, outcomes
from rs.statistics.intervals import wilson_interval
from rs.study.messages import Validator, dotted, explain
from rs.study.schema import is_transfer, method_schema, schema

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = ("judge", "keep_broken", "radii", "seed")  # of a study's attack that have an effect here

VERB = "attack"
INSTEAD = (
    "; attack it with square_linf, which takes no gradients, or by images made on a `source` that has them"
)


@dataclass(frozen=True, eq=False)
class Attacked:
    """The outcome of an attack at R radii on N images; radius 0, the clean images, always comes first.

    `radii` float64 [R]; `images` float32 [R, N, C, H, W], attacked; `prediction` int64 [R, N], the judge's;
    `votes` int64 [R, N, classes], on which the prediction rests; `distortion` float64 [R, N] in the attack's
    `norm`.
    """

    radii: np.ndarray
    images: Tensor
    prediction: np.ndarray
    votes: np.ndarray
    distortion: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    norm: float

    @property
    def success(self) -> np.ndarray:
        """bool [R, N]: the judge's class is not the label."""
        return np.asarray(self.prediction != self.labels)

    def __repr__(self) -> str:
        what = f"{plural(len(self.labels), 'image')} at {plural(len(self.radii), 'radius', 'radii')}"
        norm = norm_text(self.norm)
        first, last = (float((~self.success[i]).mean()) for i in (0, -1))
        return (
            f"<Attacked: {what}, empirical accuracy {first:.3g}, and {last:.3g} at {norm} {self.radii[-1]:g}>"
        )

    def empirical_accuracy(self) -> pd.DataFrame:
        """Share of the images that stay correct under attack, and its 95 % Wilson interval, per radius."""
        import pandas as pd

        right = (~self.success).sum(1)
        low, high = wilson_interval(right, np.full(len(right), len(self.labels)))
        shares = {"empirical_accuracy": right / len(self.labels), "low": low, "high": high}
        return pd.DataFrame({"radius": self.radii, **shares})

    def frame(self) -> pd.DataFrame:
        """One row per radius and image: radius, image, label, prediction, distortion, success."""
        import pandas as pd

        many, few = len(self.radii), len(self.labels)
        columns = {"radius": np.repeat(self.radii, few), "image": np.tile(self.positions, many)}
        columns |= {"label": np.tile(self.labels, many), "prediction": self.prediction.reshape(-1)}
        columns |= {"distortion": self.distortion.reshape(-1), "success": self.success.reshape(-1)}
        return pd.DataFrame(columns)


def attack(
    smoothed: SmoothedClassifier,
    images: inputs.Images,
    labels: ArrayLike,
    attack: str | dict[str, Any] = "pgd_l2",
    *,
    radii: Sequence[float],
    judge: int | str = settings.Judge.n,
    keep_broken: bool | None = None,
    seed: int | None = None,
    positions: ArrayLike | None = None,
    source: SmoothedClassifier | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Attacked:
    """Attacks the smoothed classifier at `radii`, in the attack's norm and the units of the images.

    Attacked images are projected onto the ball and the box and judged by the majority of `judge` fresh votes;
    `judge="base"` attacks and judges the classifier without noise. With `keep_broken`, an image that a
    smaller radius broke counts as broken at larger ones. `seed` is that of the attack's draws and of the
    judge's, by default the classifier's. A transfer attack makes the images on another classifier, `source`,
    under its noise and with its seed. `parameters` are the attack's (`steps=40`). Raises UserError.
    """
    made_on = smoothed if source is None else source
    _refuse(labels, smoothed=smoothed, source=made_on)
    chosen = {"judge": judge, "keep_broken": keep_broken, "seed": smoothed.seed if seed is None else seed}
    method = _method(attack, radii, chosen, parameters)
    use, how = catalog.build_use("attacks", method), catalog.build("attacks", method)
    x = inputs.image_tensor(images, VERB)
    at = inputs.position_list(positions, len(x), VERB)
    ready = smoothed._ready_for(x, VERB)
    units.warn(VERB, units.of_radii(use.radii, x[0].numel(), how.norm), 2)
    known = label_array(labels, len(x), ready.form.classes, f"{VERB}: labels")
    seen = ready if source is None else source._ready_for(x, VERB)
    _check_alike(seen, ready, (made_on.device, smoothed.device))
    noise = None if source is None and use.judge == "base" else seen.noise
    aim = _Aim(made_on, seen, noise, made_on.seed if seed is None else use.seed, ready, use)
    together = max(1, ready.form.batch // getattr(how, "samples", 1))
    pieces = [list(range(len(x))[i : i + together]) for i in range(0, len(x), together)]
    heading = (f"{method['name']} on {made_on.name}", f"batches of {together} images")
    ordered, found = sorted({0.0, *map(float, use.radii)}), []
    with undisturbed(smoothed.device), without_advice(seen.audited.network):
        network = aim.network(how, method["name"], x[0])
        for piece in follow(pieces, len(pieces), *heading) if progress else pieces:
            target = aim.target(network, x[piece], known[piece], [at[i] for i in piece])
            found.append(_of_batch(how, target, ordered, use.keep_broken))
    attack_doubts.tell(how, heading[0], np.concatenate([stuck for *_, stuck in found]), ordered[-1], 2)
    attacked = _attacked(ordered, [f[0] for f in found], [f[1] for f in found], known, at, float(how.norm))
    units.warn(VERB, units.of_attacked(x, attacked.prediction[0], known, ready.form.classes), 2)
    return attacked


@dataclass(frozen=True)
class _Aim:
    """What images are made on, under which noise and with which seed; and what judges them."""

    source: SmoothedClassifier
    seen: Ready
    noise: Noise | None
    seed: int
    judging: Ready
    use: settings.AttackUse

    def network(self, how: Any, needed_by: str, image: Tensor) -> Differentiable:
        """The network on which images are made. Raises UserError where the attack needs gradients and it has
        none at the image [C, H, W].
        """
        network = Differentiable(self.seen.audited, self.seen.form_settings, self.source.device)
        if how.access != "gradient-free":
            require_gradients(network, image.to(self.source.device), self.source.name, needed_by, INSTEAD)
        return network

    def target(self, network: Differentiable, x: Tensor, labels: np.ndarray, positions: list[int]) -> Target:
        """The target of a batch of images [B, C, H, W]."""
        device, noise = self.source.device, self.noise or catalog.build("noises", {"name": "none"})
        smoothed = Smoothed(network, noise, [generator(device, self.seed, "attack", i) for i in positions])
        judge = Judge(self.judging.form, self.judging.noise, self.use)
        return Target(smoothed, x.to(device), torch.from_numpy(labels).to(device), positions, judge)


def _of_batch(
    how: Any, target: Target, radii: list[float], keep_broken: bool | None
) -> tuple[list[Outcome], list[np.ndarray], np.ndarray]:
    """Of B images: the outcome at each radius, on the CPU; the distortions float64 [B] there; and bool [B]
    where the attack was stuck (rs.api.attack_doubts).
    """
    keep = getattr(how, "keeps_broken", False) if keep_broken is None else keep_broken
    minimal = isinstance(how, MinimalAttack) and radii[-1] > 0
    # a minimal attack's one search is for any distance
    found = outcomes(how, target, [*radii, math.inf] if minimal else radii, keep)
    stuck, found = attack_doubts.stuck_images(how, target, found[-1]), found[: len(radii)]
    distortions = [np.array([row["distortion"] for row in o.rows(target, how.norm)]) for o in found]
    return [replace(o, images=o.images.cpu()) for o in found], distortions, stuck


def _refuse(labels: Any, **given: Any) -> None:
    """Raises UserError for what is no smoothed classifier, for one with exact noise, and without labels."""
    for argument, smoothed in given.items():
        if not isinstance(smoothed, SmoothedClassifier):
            advice = "give a smoothed classifier: rs.smooth(model, sigma=0.25)"
            raise UserError(f"{VERB}: {argument}: a {type(smoothed).__name__}; {advice}")
        if smoothed.noise.get("exact"):
            problem = "exact noise: attacks move images off its grid; smooth without exact"
            raise UserError(f"{VERB}: {argument}: {problem}")
    if labels is None:
        raise UserError(f"{VERB}: labels: an attack needs them: give one per image")


def _check_alike(seen: Ready, ready: Ready, devices: tuple[torch.device, torch.device]) -> None:
    """Raises UserError where images made on one classifier cannot be judged on the other."""
    for made, judged, what in (
        (*devices, "on {}"),
        (seen.form.classes, ready.form.classes, "{} classes"),
    ):
        if made != judged:
            raise UserError(f"{VERB}: source: {what.format(made)}; smoothed: {what.format(judged)}")


def _method(
    attack: str | dict[str, Any],
    radii: Sequence[float],
    chosen: dict[str, Any],
    parameters: dict[str, Any],
) -> dict[str, Any]:
    """The attack as a study writes it; `chosen` are the other settings of its use (SETTINGS). Raises
    UserError for an attack that no study could state, and for keys that only a study has.
    """
    method = method_of(attack, "attack", VERB)
    if twice := [key for key in parameters if key in method]:
        raise UserError(f"{VERB}: {twice[0]}: given twice")
    if own := [key for key in SETTINGS if key in method]:
        raise UserError(f"{VERB}: {own[0]}: give it as an argument, not beside the attack's name")
    method |= {key: plain(value) for key, value in parameters.items()}
    n = plain(chosen["judge"])
    uses = {**chosen, "radii": radius_list(radii, VERB), "judge": n if n == "base" else {"n": n}}
    method |= {key: plain(value) for key, value in uses.items() if value is not None}
    _check(method)
    return method


def _attacked(
    radii: list[float],
    batches: list[list[Outcome]],
    distortions: list[list[np.ndarray]],
    labels: np.ndarray,
    positions: list[int],
    norm: float,
) -> Attacked:
    """Joins the batches, each of which has an entry per radius."""
    by_radius = list(zip(*batches, strict=True))
    votes = np.stack([torch.cat([outcome.votes for outcome in at_r]).numpy() for at_r in by_radius])
    return Attacked(
        np.asarray(radii),
        torch.stack([torch.cat([outcome.images for outcome in at_r]) for at_r in by_radius]),
        votes.argmax(2),
        votes,
        np.stack([np.concatenate(at_r) for at_r in zip(*distortions, strict=True)]),
        labels,
        np.asarray(positions, np.int64),
        norm,
    )


def _check(method: dict[str, Any]) -> None:
    """Raises UserError for an unknown attack, one that needs another run, and values out of range."""
    named = schema()["$defs"]["attacks"]
    known = [name for name in named if not is_transfer({"name": name})]
    if method["name"] not in known:
        advice = "name the attack, and give its `source`; " if method["name"] in named else ""
        raise UserError(f"{VERB}: {method['name']}: no such attack here; {advice}allowed: {', '.join(known)}")
    facts = method_schema("attacks", method["name"])
    taken = {key: facts["properties"][key] for key in (*facts["x-parameters"], *SETTINGS)}
    if own := [key for key in method if key not in ("name", *taken)]:
        allowed = (*facts["x-parameters"], *keywords(attack))
        raise no_such(VERB, own[0], allowed, {"rs.smooth": keywords(smooth)})
    here = {**facts, "properties": taken, "required": [key for key in facts["required"] if key in taken]}
    for error in Validator(here).iter_errors({key: v for key, v in method.items() if key != "name"}):
        path, message = explain(error)
        raise UserError(f"{VERB}: {dotted(path)}: {message}")
