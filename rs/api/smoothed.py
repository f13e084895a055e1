"""`rs.smooth`: anybody's classifier under noise, certified and queried as the pipeline does it.

On the first images, the network is audited (rs.networks.audit) on noisy copies of them and brought into its
inference form (rs.networks.inference). Every image's noise is seeded by (seed, purpose, position, block)
alone. So the same images at the same positions get the same votes as in a study of the same seed and form.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rs.api import inputs, units
from rs.api.certification import Certification, certification
from rs.api.counts import Counts, label_array
from rs.api.identity import origin_of
from rs.api.pairing import FirstVotes, paired_draws, paired_rule
from rs.api.parameters import keywords, method_of, owned, settings_of
from rs.api.user_model import Called, check_unchanged
from rs.api.voting import Drawing, Ready, check_first, prepared, stop_of, stopping_rule, undisturbed
from rs.errors import UserError
from rs.methods import catalog, claims
from rs.methods.certificates.incremental import SHARE
from rs.networks.audit import ALLOW
from rs.networks.transformations import copied
from rs.settings.attacks import Judge
from rs.settings.certificates import CertificateUse
from rs.settings.sampling import Sampling
from rs.statistics.draws import Draws
from rs.statistics.prediction import least_votes as least_to_predict
from rs.statistics.prediction import predicted
from rs.statistics.seeding import stored_uniform
from rs.statistics.stopping import StoppingRule
from rs.study.feasibility import least_votes
from rs.study.schema import defaults

ALLOW_HERE = "allow chance (rs.smooth(..., allow=['chance'])), which is then recorded"


def smooth(
    model: inputs.Model,
    noise: str | dict[str, Any] = "gaussian",
    *,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = Sampling.precision,
    batch: int = Sampling.batch,
    compiled: bool = Sampling.compiled,
    allow: Collection[str] = (),
    name: str = "model",
    **parameters: Any,
) -> SmoothedClassifier:
    """The classifier that returns the most frequent class of `model` under the noise.

    `model` is a torch module or any callable from float32 images [B, C, H, W] in [0, 1] to logits [B,
    classes]. A module is copied here and not changed; the copy is put into evaluation mode, and calls after
    the module has got other weights are refused. Any other callable is used as it is at each call, with the
    networks that it calls, and audited again where these have changed. `parameters` are the noise's
    (`sigma=0.25`, in the units of the images). `precision`, `batch` and `compiled` are the inference form;
    the certificate is about the network in this form. `allow=["chance"]` admits a network that draws at
    random. `name` appears in messages and progress. Raises UserError for an invalid model, noise or form.
    """
    verb = "smooth"
    chosen = {"noise": method_of(noise, "noise", verb)}
    facts = claims.facts_of(verb, {"noise": chosen["noise"]["name"]})
    elsewhere = {"certify": keywords(SmoothedClassifier.certify)}
    chosen = owned(verb, parameters, chosen, facts, (), keywords(smooth), elsewhere)
    claims.check_parameters(verb, chosen, facts, level=False)
    if not isinstance(allow, Collection) or isinstance(allow, str) or any(a != "chance" for a in allow):
        raise UserError(f"{verb}: allow: {allow!r}; allowed: ['chance']")
    form = {"precision": precision, "batch": batch, "compiled": compiled}
    settings: Sampling = settings_of(Sampling, verb, **form, seed=seed)
    form = {key: getattr(settings, key) for key in form}
    inputs.check_calibrated(verb, form)
    network = inputs.network_of(model, verb)
    catalog.build("noises", chosen["noise"])  # refuses invalid parameters before there are images
    return SmoothedClassifier(
        network, chosen["noise"], form, settings.seed, inputs.chosen_device(device, verb), tuple(allow), name
    )


class SmoothedClassifier:
    """What `rs.smooth` returns. `certify` and `predict` vote; only the inference form, which the first images
    fix, is kept between calls.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        noise: dict[str, Any],
        form: dict[str, Any],
        seed: int,
        device: torch.device,
        allow: Sequence[str],
        name: str,
    ) -> None:
        self.noise, self.seed, self.device, self.name = noise, seed, device, name
        self._model, self._form, self._allow = model, form, allow
        self._network = model if isinstance(model, Called) else copied(model, name)
        self._ready: Ready | None = None

    def certify(
        self,
        images: inputs.Images,
        labels: ArrayLike | None = None,
        *,
        n: int = Sampling.n,
        alpha: float = CertificateUse.alpha,
        n0: int = Sampling.n0,
        certificate: str | dict[str, Any] = "cohen",
        stop: dict[str, Any] | None = None,
        betas: Sequence[float] = (),
        positions: ArrayLike | None = None,
        progress: bool = True,
        **parameters: Any,
    ) -> Certification:
        """Prediction, radius and lower bound of each image, at error `alpha` per image.

        `n0` votes choose the class; `n` separate votes bound its probability; both are fixed here. With
        `stop={"radii": [...]}` or `stop={"width": w}` votes are sequential (docs/votes.md): an image gets
        them a batch at a time, at most n, rounded up to whole batches; the rule's `alpha` is this one unless
        it states another. `images` are float [N, C, H, W] in [0, 1]; `positions` are their positions in their
        data set, 0, 1, ... by default. `parameters` are the certificate's; `betas` store further softmax
        moments. Raises UserError, before anything is drawn, for what cannot be certified.
        """
        verb = "certify"
        alpha = settings_of(CertificateUse, verb, alpha=alpha).alpha
        betas = settings_of(Sampling, verb, betas=betas).betas
        method = self._certificate(verb, certificate, parameters)
        full = defaults(claims.facts_of(verb, {"certificate": method["name"]})["certificate"], method)
        if "beta" in full and full["beta"] not in betas:
            betas = (*betas, full["beta"])
        mode = "fixed" if stop is None else "sequential"
        limits = {} if stop is None else stop_of(verb, stop, alpha)
        sampling: Sampling = settings_of(Sampling, verb, n=n, n0=n0, betas=betas, mode=mode, stop=limits)
        rule = self._check_votes(verb, full | {"alpha": alpha}, sampling)
        x = inputs.image_tensor(images, verb)
        at = inputs.position_list(positions, len(x), verb)
        ready = self._ready_for(x, verb)
        known = label_array(labels, len(x), ready.form.classes, f"{verb}: labels")
        drawing = Drawing(ready, x, at, sampling.betas, progress)
        selection = drawing.fixed("select", sampling.n0)
        if rule is None:
            estimation = drawing.fixed("estimate", sampling.n)
        else:
            estimation = drawing.sequential(selection.counts.argmax(1), rule)
        uniform = np.array([stored_uniform(self.seed, position) for position in at])
        dimension, origin = x[0].numel(), origin_of(ready, self.noise, x)
        stopping = ("fixed", {}) if rule is None else ("sequential", {**vars(sampling.stop), "n": rule.n})
        drawn = (np.asarray(at, np.int64), known, selection, estimation, dimension, uniform)
        return self._certified(verb, Draws(*drawn, *stopping, origin), method, alpha)

    def certify_from(
        self,
        first: SmoothedClassifier,
        certified: Certification,
        images: inputs.Images,
        labels: ArrayLike | None = None,
        *,
        stop: dict[str, Any],
        n: int = Sampling.n,
        alpha: float = CertificateUse.alpha,
        n0: int = Sampling.n0,
        share: float = SHARE,
        progress: bool = True,
    ) -> Certification:
        """Prediction and radius of each image by the certificate `incremental`, from `certified` (the result
        of `first` on the same images, with many votes) and draws that both networks answer.

        Each image gets at most `n` draws, until they decide `stop`, as in `certify`; the alpha of `stop` is
        this `alpha`. Its part `share` goes into the bound of the first network's votes, the rest into that of
        the differences. Labels are those of `certified` unless others are given. Raises UserError, before
        anything is drawn, where `certified` is not of `first`, these images and this noise: its counts carry
        digests of all three.
        """
        verb = "certify_from"
        if not isinstance(first, SmoothedClassifier) or not isinstance(certified, Certification):
            raise UserError(f"{verb}: give the first SmoothedClassifier, and what its certify returned")
        method = self._certificate(verb, "incremental", {"share": share})
        share = method["share"]
        alpha = settings_of(CertificateUse, verb, alpha=alpha).alpha
        limits = stop_of(verb, stop, alpha)
        sampling: Sampling = settings_of(Sampling, verb, n=n, n0=n0, mode="sequential", stop=limits)
        rule = paired_rule(verb, sampling, alpha, self.noise["sigma"], self._form["batch"], share)
        x, at = inputs.image_tensor(images, verb), certified.counts.images.tolist()
        source, ready = FirstVotes(certified.counts, first._ready_for(x, verb)), self._ready_for(x, verb)
        source.check(verb, ready, self.noise, x)
        own_labels = source.labels() if labels is None else labels
        known = label_array(own_labels, len(x), ready.form.classes, f"{verb}: labels")
        drawn = paired_draws(source, Drawing(ready, x, at, (), progress), known, sampling.n0, rule)
        return self._certified(verb, drawn, method, alpha)

    def predict(
        self,
        images: inputs.Images,
        n: int = Judge.n,
        alpha: float = CertificateUse.alpha,
        *,
        positions: ArrayLike | None = None,
        progress: bool = True,
    ) -> np.ndarray:
        """Classes int64 [N], -1 for abstention: PREDICT of Cohen et al. (rs.statistics.prediction).

        A returned class differs from the smoothed classifier's with probability at most `alpha`.
        """
        verb = "predict"
        alpha = settings_of(CertificateUse, verb, alpha=alpha).alpha
        n = settings_of(Sampling, verb, n=n).n
        if n < (least := least_to_predict(alpha)):
            raise UserError(
                f"{verb}: n = {n}: abstains from everything at alpha = {alpha:g}; at least {least}"
            )
        x = inputs.image_tensor(images, verb)
        at = inputs.position_list(positions, len(x), verb)
        votes = Drawing(self._ready_for(x, verb), x, at, (), progress).fixed("judge", n)
        return predicted(votes.counts, alpha)

    def _certified(self, verb: str, draws: Draws, certificate: dict[str, Any], alpha: float) -> Certification:
        """The certification, after a warning of each mistake that it suggests (rs.api.units)."""
        found = certification(verb, Counts(draws, self.noise), certificate, alpha)
        units.warn(verb, units.of_claims(found), 3)
        return found

    def _ready_for(self, x: Tensor, verb: str) -> Ready:
        """The audited network in its inference form, fixed by the first images for their size. A function's
        networks are audited anew where they have changed. Raises UserError for a module that has changed.
        """
        units.warn(verb, units.of_images(x, self.noise), 3)
        if not isinstance(self._network, Called):
            check_unchanged(self._model, self._network, f"{verb}: {self.name}")
        elif self._ready is not None:
            with undisturbed(self.device):
                if self._network.changed(self._ready.audited.probes[:2], self.name):
                    self._ready = None
        if self._ready is not None:
            shape, voted = (
                "x".join(map(str, s)) for s in (x.shape[1:], self._ready.audited.probes.shape[1:])
            )
            if shape != voted:
                problem = f"images of {shape}, but this classifier has its form for {voted}; make another one"
                raise UserError(f"{verb}: {problem} (rs.smooth)")
            return self._ready
        noise, where = catalog.build("noises", self.noise), (self.device, self.name, self._allow)
        with undisturbed(self.device):
            try:
                self._ready = prepared(self._network, self._form, noise, self.seed, x, *where, verb)
            except UserError as error:
                raise UserError(str(error).replace(ALLOW, ALLOW_HERE)) from error
        return self._ready

    def _certificate(self, verb: str, certificate: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """The certificate, checked for this noise as a study's is."""
        chosen = {"noise": self.noise, "certificate": method_of(certificate, "certificate", verb)}
        facts = claims.facts_of(verb, {role: method["name"] for role, method in chosen.items()})
        if verb != "certify_from" and "paired_counts" in facts["certificate"]["x-needs"]:
            name = chosen["certificate"]["name"]
            raise UserError(f"{verb}: certificate {name} needs votes of two networks; use certify_from")
        claims.check_rule(verb, chosen["certificate"])
        elsewhere = {"rs.smooth": (*keywords(smooth), *self.noise)}
        chosen = owned(verb, parameters, chosen, facts, ("noise",), keywords(self.certify), elsewhere)
        claims.check_parameters(verb, chosen, facts)
        return chosen["certificate"]

    def _check_votes(self, verb: str, full: dict[str, Any], sampling: Sampling) -> StoppingRule | None:
        """The rule, if votes are sequential. Raises UserError where n votes certify or decide nothing."""
        facts = claims.facts_of(verb, {"certificate": full["name"]})["certificate"]
        least = least_votes(full, facts, self.noise["name"], sampling.n0)
        if sampling.n < least:
            problem = f"votes certify nothing at alpha = {full['alpha']:g}"
            raise UserError(f"{verb}: n = {sampling.n}: {problem}; at least {least} for {full['name']}")
        if sampling.mode == "fixed":
            return None
        if not facts.get("x-anytime") or full.get("randomised"):
            raise UserError(f"{verb}: stop: {full['name']} needs a fixed number of votes; leave stop out")
        if self.noise["name"] != "gaussian":
            raise UserError(f"{verb}: stop: asks for radii under gaussian noise, not {self.noise['name']}")
        if bool(sampling.stop.radii) == (sampling.stop.width is not None):
            raise UserError(f"{verb}: stop: give one of radii and width")
        rule = stopping_rule(sampling.stop, self.noise["sigma"], sampling.n, self._form["batch"])
        check_first(verb, rule)
        return rule

    def __repr__(self) -> str:
        parameters = {key: value for key, value in self.noise.items() if key != "name"}
        noise = ", ".join(
            [f"{self.noise['name']} noise", *(f"{key}={value}" for key, value in parameters.items())]
        )
        return f"<SmoothedClassifier of {self.name}: {noise}, on {self.device}>"
