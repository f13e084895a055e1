"""Shared by all ways of sampling: a network that votes on images, and a job's draw file of a range of test
images.

An image's noise is seeded by (study seed, purpose, image, block) and nothing else: not by the run, the shard
or the requested number of votes. A block's noise is drawn in order, in pieces of the batch size, which is
part of the inference form. Batches are multiples of 16 images: then torch's CPU generator gives the same
stream of normal numbers in pieces as at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from rs.errors import UserError
from rs.machine.chance import kept_chance, seeded
from rs.machine.devices import device_class, device_name, generator
from rs.machine.memory import ran_out
from rs.machine.progress import follow
from rs.methods import catalog
from rs.networks import audit as network_audit
from rs.networks import forms
from rs.networks.audit import Audited
from rs.networks.images import load_images
from rs.networks.inference import NOT_FINITE, InferenceForm
from rs.provenance.digests import canonical
from rs.provenance.files import ADVICE, provenance
from rs.smoothing.noise import Noise
from rs.stages.draw_files import read_votes, write_votes
from rs.statistics.draws import Votes
from rs.statistics.seeding import PURPOSES, Purpose, derive_seed

T = TypeVar("T")
Totals = tuple[Tensor, Tensor, Tensor]  # counts, sums and squares, as returned by InferenceForm.vote


class Voter:
    """An audited network in its inference form, the noise, and images [N, C, H, W] with their positions in
    their data set.
    """

    def __init__(
        self,
        audited: Audited,
        form: InferenceForm,
        noise: Noise,
        seed: int,
        x: Tensor,
        images: Sequence[int],
        betas: Sequence[float] = (),
    ) -> None:
        self.run, self.chance, self.classes = audited.run, audited.chance, form.classes
        self.form, self.device, self.noise, self.seed = form, form.device, noise, seed
        self.x, self.images, self.betas = x.to(form.device), images, tuple(map(float, betas))
        # int64 [2, N]: per image its votes so far, and those with an infinite or NaN logit
        self._seen = torch.zeros(2, len(x), dtype=torch.int64, device=form.device)

    def noisy(self, row: int, purpose: Purpose, block: int, votes: int) -> Iterator[Tensor]:
        """Copies [B, C, H, W] of the row-th image with the noise of one block, a batch at a time."""
        draws = generator(self.device, self.seed, purpose, self.images[row], block)
        image = self.x[row]
        for start in range(0, votes, self.form.batch):
            rows = min(self.form.batch, votes - start)
            # the noise's own `add_`: exact noise is added on its grid (rs.methods.noise.exact_gaussian)
            yield self.noise.sample((rows, *image.shape), draws).add_(image)

    def vote(self, row: int, purpose: Purpose, block: int, votes: int) -> Totals:
        """Totals of `votes` votes of the row-th image, with the noise of one block, in batches of its own; on
        the device.
        """
        draws = generator(self.device, self.seed, purpose, self.images[row], block)
        image, before = self.x[row], self.form.broken.clone()
        with self.within_memory(), self.own_draws(row, purpose, block):
            found = self.form.vote(
                image, votes, lambda rows: self.noise.sample((rows, *image.shape), draws), self.betas
            )
        self._seen[0, row] += votes
        self._seen[1, row] += self.form.broken - before
        return found

    def zeros(self, size: int) -> Totals:
        """Totals of `size` images without votes: int64 [size, classes], float64 [size, betas, classes]."""
        counts = torch.zeros(size, self.classes, dtype=torch.int64, device=self.device)
        sums = torch.zeros(size, len(self.betas), self.classes, dtype=torch.float64, device=self.device)
        return counts, sums, sums.clone()

    @contextlib.contextmanager
    def within_memory(self, networks: str = "") -> Iterator[None]:
        """Turns running out of memory into one line that says what to lower."""
        try:
            yield
        except Exception as error:  # each library has its own type of error
            if not ran_out(error):
                raise
            raise UserError(
                f"memory ran out in batches of {self.form.batch}{networks}; lower sampling.batch (which is "
                "another inference form) or run fewer jobs on this device at a time"
            ) from error

    @contextlib.contextmanager
    def own_draws(self, row: int, purpose: Purpose, block: int) -> Iterator[None]:
        """Seeds a network's own random draws, where they are allowed, as the noise is seeded."""
        if not self.chance:
            yield
            return
        with kept_chance():
            where = PURPOSES.index(purpose), self.images[row], block
            seeded(derive_seed(self.seed, "network", *where))
            yield

    def votes(self, totals: Totals) -> Votes:
        """The votes of stacked totals. Raises UserError where a logit was infinite or NaN."""
        self._refuse_broken()
        counts, sums, squares = (total.cpu().numpy() for total in totals)
        scores = ({beta: of[:, i] for i, beta in enumerate(self.betas)} for of in (sums, squares))
        return Votes(counts, *scores)

    def seen(self, rows: Tensor, logits: Tensor) -> None:
        """Counts votes, and votes with an infinite or NaN logit: `logits` [B, classes] belong to the images
        in `rows` int64 [B].
        """
        broken = ~logits.isfinite().all(1)
        self._seen.index_add_(1, rows, torch.stack([torch.ones_like(broken), broken]).long())

    def _refuse_broken(self) -> None:
        votes, broken = self._seen.tolist()
        if any(broken):
            row = max(range(len(broken)), key=lambda i: broken[i] / max(votes[i], 1))
            share = f"{broken[row]} of {votes[row]} votes ({broken[row] / votes[row]:.2%})"
            images = f"in {sum(b > 0 for b in broken)} of {len(broken)} images"
            raise UserError(f"{self.run}: image {self.images[row]}: {share} and votes {images}: {NOT_FINITE}")


class JobVoter(Voter):
    """The voter of a sample job: the network of a run, on the range of test images of the job's `spec`."""

    def __init__(self, spec: dict[str, Any], inputs: Mapping[str, Path], device: torch.device) -> None:
        """`inputs` has the `model` and `data` manifests, and the form stage's file (`form`) for a form that
        had to be tried out.
        """
        self.spec, self.range = spec, range(*spec["images"])
        audited = network_audit.load(inputs["model"], inputs["data"], device)
        self.manifest = audited.manifest
        form = forms.fixed(audited, spec, inputs.get("form"), inputs["data"], device)
        x, self.labels = load_images(inputs["data"], "test", self.range, device)
        noise: Noise = catalog.build("noises", spec["noise"])
        super().__init__(audited, form, noise, spec["seed"], x, self.range, spec.get("betas", ()))

    def follow(self, items: Iterable[T], what: str, samples: int | Callable[[], int]) -> Iterator[T]:
        """Yields one item per image and reports progress; `samples` as in rs.machine.progress."""
        label = f"{self.run} {what}, images {self.range.start}-{self.range.stop}"
        yield from follow(items, len(self.images), label, "images", samples=samples)

    def selected(self, file: Path) -> np.ndarray:
        """The class that the selection votes in a file chose, int64 [N]. Raises UserError for votes of other
        images, of another network, noise or seed, or with another purpose.
        """
        images, _, votes, origin = read_votes(file)
        if images.tolist() != list(self.images):
            problem = f"holds other images than {self.range.start} to {self.range.stop}"
            raise UserError(f"{file}: {problem}; {ADVICE}")
        own = [self.manifest["sha256"], "select", canonical(self.spec["noise"]), self.spec["seed"]]
        if own != [origin["model"], *(origin["spec"].get(key) for key in ("purpose", "noise", "seed"))]:
            raise UserError(f"{file}: selection votes of another network, noise or seed; {ADVICE}")
        return votes.counts.argmax(1)  # type: ignore[no-any-return]

    def origin(self, code: str, **facts: Any) -> dict[str, Any]:
        """The provenance of a draw file, with `facts`."""
        return provenance(
            self.spec,
            code,
            model=self.manifest["sha256"],
            form=self.form.description,
            compared=self.form.compared,
            device=device_name(self.device),
            device_class=device_class(self.device),
            dimension=self.x[0].numel(),
            classes=self.classes,
            **({} if self.form.passes is None else {"passes": self.form.passes}),
            **facts,
        )

    def write(self, output: Path, totals: Totals, code: str, **facts: Any) -> None:
        """Writes the draw file of all images; `totals` are stacked over them. `facts` join the provenance.

        Raises UserError, before writing, where a logit was infinite or NaN.
        """
        labels = self.labels.cpu().numpy()
        votes = self.votes(totals)
        write_votes(output, np.asarray(self.images, np.int64), labels, votes, self.origin(code, **facts))
