"""One call of `certify`, from start to end: model, images, inference form, price, votes, claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rs.api import inputs
from rs.api.certification import certification
from rs.api.counts import NO_LABEL, Counts
from rs.api.parameters import settings_of
from rs.api.voting import TOGETHER, Ready, VoterAtHand, prepared
from rs.errors import UserError, plural
from rs.foreign import claimed, cost, sources
from rs.foreign.by_image import ByImage
from rs.foreign.cost import Chosen
from rs.foreign.fingerprint import fingerprint
from rs.foreign.image_sources import open_pictures
from rs.foreign.labels import in_model, names_of
from rs.foreign.misfit import doubt, explain
from rs.foreign.pictures import Pictures, digest_of, is_turned, spread
from rs.foreign.preprocessing import Stated, compare, shape
from rs.foreign.result import Result
from rs.foreign.sources import Foreign
from rs.foreign.votes import Block, Kept, blocks_of
from rs.machine.devices import device_class
from rs.machine.progress import follow
from rs.methods import catalog, claims
from rs.networks.images import as_float
from rs.provenance.code import code_digest
from rs.provenance.files import provenance, write_json, write_table
from rs.settings.sampling import Sampling
from rs.stages.shared_batches import Ballot, cast
from rs.statistics.decimals import floored
from rs.statistics.draws import Draws, Votes
from rs.statistics.seeding import stored_uniform
from rs.study.feasibility import least_votes
from rs.study.schema import defaults, noise_level
from rs.tables.file_contestants import IMAGES

VERB = "certify"
PROBES = 32  # images on which the network's forms are compared
NUMBERS = 2**25  # numbers in the images that are on the device at the same time
COMPARED = 4  # images that the model's own library prepares too, for comparison
CHOICES = "choices.json"


@dataclass(frozen=True)
class Settings:
    """The user's settings, whose defaults are those of the options (rs.cli). `noise` and `certificate` are
    checked (rs.methods.claims); `budget` is in seconds; `labelled`: look for labels beside the images.
    """

    model: sources.Request
    stated: Stated
    data: Path
    out: Path
    noise: dict[str, Any]
    certificate: dict[str, Any]
    alpha: float
    n0: int
    n: int | None
    images: int | None
    budget: float | None
    split: str | None
    labelled: bool
    seed: int
    device: str
    precision: str
    batch: int | None
    allow: tuple[str, ...]


Tell = Callable[[str, str], None]  # a fact: its name and its text


def certify(settings: Settings, tell: Tell) -> Result:
    """Certifies, and announces each step with `tell`. Raises UserError for what cannot be certified; votes
    drawn until then are kept.
    """
    least = _least(settings)
    pictures = open_pictures(settings.data, settings.split, settings.labelled)
    model = sources.load(settings.model, settings.stated)
    work = _Work(settings, model, pictures)
    described = work.described()
    for name, text in described.items():
        tell(name, text)
    ready = work.ready()
    classes = ready.form.classes
    labels, how = in_model(pictures, classes, model.classes or ())
    described["labels"] = how
    tell("labels", how)
    kept = work.kept()
    chosen = work.choose(least, tell)
    positions = spread(len(pictures), chosen.images)
    work.vote(positions, chosen.n, kept, tell)
    selection, estimation = kept.totals(positions, settings.n0, chosen.n, work.block, classes)
    at = np.asarray(positions, np.int64)
    known = np.array([NO_LABEL if labels is None else labels[i] for i in positions], np.int64)
    uniform = np.array([stored_uniform(settings.seed, i) for i in positions])
    origin = {"form": ready.form.description, "noise": settings.noise}
    drawn = Draws(
        at, known, Votes(selection), Votes(estimation), work.dimension, uniform, "fixed", {}, origin
    )
    certified = certification(VERB, Counts(drawn, settings.noise), settings.certificate, settings.alpha)
    full = _certificate(settings)
    earlier = claimed.note(settings.out / CHOICES, chosen.n, chosen.images, settings.alpha, full)
    cap = largest(settings, classes, work.dimension, chosen.n)
    turned, names = len(work.turned & set(positions)), names_of(pictures, labels)
    result = Result(model, pictures, certified, cap, earlier, described, names, turned)
    write_table(settings.out / IMAGES, result.table(), provenance(kept.identity, kept.identity["code of rs"]))
    return result


def largest(settings: Settings, classes: int, dimension: int, n: int) -> float:
    """The radius if all votes are for one class."""
    others = [0] * (classes - 1)
    draws = Draws.from_counts([settings.n0, *others], [n, *others], dimension)
    return float(claims.claim(VERB, draws, settings.noise, settings.certificate, settings.alpha).radius[0])


def _least(settings: Settings) -> int:
    """The least number of votes that certify anything. Raises UserError where n is less."""
    facts = _facts(settings)
    full = _certificate(settings) | {"alpha": settings.alpha}
    least = least_votes(full, facts, settings.noise["name"], settings.n0)
    if settings.n is not None and settings.n < least:
        problem = f"votes certify nothing at alpha = {settings.alpha:g}"
        raise UserError(f"{VERB}: --n {settings.n}: {problem}; at least {least} for {full['name']}")
    return least


def _facts(settings: Settings) -> dict[str, Any]:
    """The certificate's schema."""
    name = settings.certificate["name"]
    schema: dict[str, Any] = claims.facts_of(VERB, {"certificate": name})["certificate"]
    return schema


def _certificate(settings: Settings) -> dict[str, Any]:
    """The certificate with its defaults."""
    return defaults(_facts(settings), settings.certificate)


class _Work:
    """The steps of one call that share the network and the images."""

    def __init__(self, settings: Settings, model: Foreign, pictures: Pictures) -> None:
        self.settings, self.model, self.pictures = settings, model, pictures
        self.device = torch.device("cpu") if model.on_cpu else inputs.chosen_device(settings.device, VERB)
        self.turned: set[int] = set()  # images whose EXIF orientation is not followed
        self.first = self.images(spread(len(pictures), PROBES))
        if model.theirs is not None:
            for i in spread(len(pictures), COMPARED):
                compare(model.preprocessing, pictures.image(i), pictures.where(i), model.theirs)
        self.dimension = self.first[0].numel()
        self.batch = settings.batch or cost.batch_of(self.dimension, self.device)
        self.block = cost.block_of(self.batch)
        settings_of(Sampling, VERB, precision=settings.precision, batch=self.batch, seed=settings.seed)
        inputs.check_calibrated(VERB, {"precision": settings.precision})

    def pixels(self, image: int) -> np.ndarray:
        """The prepared image, uint8 [C, H, W]. Raises UserError."""
        whole = self.pictures.image(image)
        if is_turned(whole):
            self.turned.add(image)
        return self.model.preprocessing.pixels(whole, self.pictures.where(image))

    def images(self, positions: list[int]) -> Tensor:
        """float32 [N, C, H, W] in [0, 1], of one size. Raises UserError."""
        arrays: list[np.ndarray] = []
        for i in positions:
            pixels = self.pixels(i)
            if arrays and pixels.shape != arrays[0].shape:
                sizes = f"{shape(arrays[0])} and {shape(pixels)} ({self.pictures.names[i]})"
                raise UserError(f"{self.pictures.place}: images of several sizes, {sizes}; give --size HxW")
            arrays.append(pixels)
        return as_float(torch.from_numpy(np.stack(arrays)))

    def described(self) -> dict[str, str]:
        noise = self.settings.noise
        level = noise_level(noise) if noise["name"] == "gaussian" else None
        size = "x".join(map(str, self.first.shape[1:]))
        labels = self.pictures.labels
        kind = "without labels" if labels is None else plural(len(set(labels)), "class", "classes")
        return {
            "model": self.model.title,
            "images": f"{len(self.pictures)} in {self.pictures.place}, {kind}, certified as {size}",
            **doubt(self.first),
            **self.model.preprocessing.facts(level),
        }

    def ready(self) -> Ready:
        """The audited network in its form; every call uses the same images for this."""
        net = inputs.network_of(self.model.preprocessing.network(self.model.network), VERB)
        form = {"precision": self.settings.precision, "batch": self.batch, "compiled": False}
        noise, seed = catalog.build("noises", self.settings.noise), self.settings.seed
        name = self.model.title
        try:
            self.classifier = prepared(
                net, form, noise, seed, self.first, self.device, name, self.settings.allow, VERB
            )
        except UserError:
            explain(self.model, self.pictures, self.first[:2])
            raise
        return self.classifier

    def kept(self) -> Kept:
        noise = type(self.classifier.noise)
        entries = [
            "rs.api.voting:VoterAtHand",
            "rs.api.voting:prepared",
            "rs.stages.shared_batches:cast",
        ]
        identity = {
            "model": self.model.title,
            **self.model.provenance,
            "preprocessing": asdict(self.model.preprocessing),
            "noise": self.settings.noise,
            "seed": self.settings.seed,
            "number of images": len(self.pictures),
            "inference form": self.classifier.form.description,
            "block": self.block,
            "device": device_class(self.device),
            "torch": torch.__version__,
            "code of rs": code_digest([*entries, f"{noise.__module__}:{noise.__qualname__}"]),
        }
        network, size = self.classifier.audited.network, self.first.shape[1:]
        return Kept(self.settings.out, identity, fingerprint(network, size, self.device, self.model.title))

    def voter(self, image: int) -> VoterAtHand:
        return VoterAtHand(self.classifier, self.images([image]), [image], ())

    def choose(self, least: int, tell: Tell) -> Chosen:
        """n and the images: as chosen by the last call with the same wishes, else from the measured rate."""
        settings = self.settings
        wished = ("n", "n0", "images", "budget", "alpha", "certificate")
        wishes: dict[str, Any] = {name: getattr(settings, name) for name in wished}
        file = settings.out / CHOICES
        before = claimed.read_choices(file)
        self.cost = cost.measure(self.voter(0), self.classifier.form.batch, self.block, settings.n0)
        if before.get("wishes") == wishes:
            chosen = Chosen(int(before["n"]), int(before["images"]))
        else:
            requested = settings.images, settings.n, settings.budget
            chosen = cost.choose(self.cost, len(self.pictures), *requested, least)
            earlier = before.get("claimed", [])
            write_json(file, {"wishes": wishes, **vars(chosen), "claimed": earlier})
        tell("votes", f"n0 = {settings.n0} choose the class, n = {chosen.n:,} bound its probability")
        tell("largest radius", self._reach(chosen.n))
        return chosen

    def _reach(self, n: int) -> str:
        classes = self.classifier.form.classes
        at = [largest(self.settings, classes, self.dimension, m) for m in (n, 10 * n)]
        here, more = (f"{floored(radius, 3):.3f}" for radius in at)
        return f"{here} at alpha = {self.settings.alpha:g}, where all votes agree (n = {10 * n:,}: {more})"

    def vote(self, positions: list[int], n: int, kept: Kept, tell: Tell) -> None:
        """Draws the missing votes and keeps them, including those drawn before an error."""
        plan = {i: list(blocks_of(i, self.settings.n0, n, self.block)) for i in positions}
        missing = {i: todo for i, of in plan.items() if (todo := [b for b in of if b not in kept])}
        digests = {}
        for i in follow(positions, len(positions), "reading", "images"):
            digests[i] = digest_of(self.pixels(i))  # reports a damaged image before anything is drawn
            kept.check_image(i, digests[i], self.pictures.where(i))
        total, left = (sum(map(len, each.values())) for each in (plan, missing))
        price = sum(self.cost.votes(b.votes) for todo in missing.values() for b in todo)
        number = plural(len(positions), "image", spec=",")
        drawn = f"{number}, {self.cost.rate:.3g} votes/s here"
        tell("predicted", f"{cost.in_words(price)} ({drawn}{', goes on' * (left < total)})")
        try:
            blocks = self._blocks(missing, kept, digests)
            votes, so_far = 0, lambda: votes
            for block in follow(blocks, total, VERB, "blocks", total - left, so_far):
                votes += block.votes
        finally:
            kept.write()

    def _blocks(
        self, missing: dict[int, list[Block]], kept: Kept, digests: dict[int, str]
    ) -> Iterator[Block]:
        lot = max(min(TOGETHER, NUMBERS // self.dimension), 1)  # images whose votes share batches
        for start in range(0, len(missing), lot):
            together = list(missing)[start : start + lot]
            voter = ByImage(self.classifier, self.images(together), together, ())
            blocks = [b for i in together for b in missing[i]]
            ballots = [Ballot(together.index(b.image), b.purpose, b.block, b.votes) for b in blocks]
            for b, ballot, totals in zip(blocks, ballots, cast(voter, ballots), strict=True):
                if not voter.is_broken(ballot.row):
                    kept.add(b, digests[b.image], totals[0].cpu().numpy())
                    yield b
            voter.refuse_broken()
