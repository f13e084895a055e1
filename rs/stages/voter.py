"""What every way of sampling shares: a trained network voting on a range of test images, and the draw file.

An image's noise is seeded by (study seed, purpose, image, block) and nothing else: not by the run, the shard
or the number of votes asked for. A block's noise is drawn in order, in pieces of the batch size, which is
part of the inference form. Batches are multiples of 16 images: torch's CPU generator then gives normal
numbers in the same stream in pieces as at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rs.errors import UserError
from rs.machine.devices import device_class, device_name, generator
from rs.methods import catalog
from rs.networks import audit as network_audit
from rs.networks import forms
from rs.networks.images import load_images
from rs.networks.inference import NOT_FINITE
from rs.provenance.files import provenance
from rs.smoothing.noise import Noise
from rs.stages.draw_files import write_votes
from rs.statistics.draws import Votes
from rs.statistics.seeding import PURPOSES, Purpose, derive_seed

Totals = tuple[
    Tensor, Tensor, Tensor
]  # counts, sums and squares of one image, as InferenceForm.vote has them


class Voter:
    """The network of a run in its inference form, the noise and the images of a sample job's `spec`."""

    def __init__(
        self, spec: dict[str, Any], model: Path, data: Path, device: torch.device, form_file: Path | None
    ) -> None:
        """`form_file` is what the form stage wrote, for a form that had to be tried out."""
        self.spec, self.device = spec, device
        self.images = range(*spec["images"])
        self.betas = tuple(float(beta) for beta in spec.get("betas", ()))
        self.noise: Noise = catalog.build("noises", spec["noise"])
        audited = network_audit.load(model, data, device)
        self.manifest, self.run, self.chance = audited.manifest, audited.run, audited.chance
        self.classes = int(self.manifest["classes"])
        self.form = forms.fixed(audited, spec, form_file, device)
        self.x, self.labels = load_images(data, "test", self.images, device)
        self._broken = torch.zeros(len(self.images), dtype=torch.int64, device=device)

    def vote(self, row: int, purpose: Purpose, block: int, votes: int) -> Totals:
        """`votes` of the row-th image, with the noise of one block; all on the device."""
        draws = generator(self.device, self.spec["seed"], purpose, self.images[row], block)
        image, before = self.x[row], self.form.broken.clone()
        try:
            with self._own_draws(row, purpose, block):
                found = self.form.vote(
                    image, votes, lambda rows: self.noise.sample((rows, *image.shape), draws), self.betas
                )
            self._broken[row] += self.form.broken - before
            return found
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"memory ran out in batches of {self.form.batch}; lower sampling.batch (which is another "
                "inference form) or run fewer jobs on this device at a time"
            ) from error

    @contextlib.contextmanager
    def _own_draws(self, row: int, purpose: Purpose, block: int) -> Iterator[None]:
        """Seeds what the network itself draws, where that is allowed, as the noise is seeded."""
        if not self.chance:
            yield
            return
        with network_audit.kept_chance():
            where = PURPOSES.index(purpose), self.images[row], block
            network_audit.seeded(derive_seed(self.spec["seed"], "network", *where))
            yield

    def write(self, output: Path, totals: Totals, code: str, **facts: Any) -> None:
        """The draw file of all images; `totals` are stacked over them. `facts` join the provenance.

        Raises UserError, before writing, where a logit was infinite or NaN.
        """
        self._refuse_broken(totals[0])
        counts, sums, squares = (total.cpu().numpy() for total in totals)
        made = provenance(
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
        votes = Votes(
            counts,
            {beta: sums[:, i] for i, beta in enumerate(self.betas)},
            {beta: squares[:, i] for i, beta in enumerate(self.betas)},
        )
        write_votes(output, np.asarray(self.images, np.int64), self.labels.cpu().numpy(), votes, made)

    def _refuse_broken(self, counts: Tensor) -> None:
        """UserError where a logit was infinite or NaN; `counts` are the votes [images, classes]."""
        broken, votes = self._broken.tolist(), counts.sum(1).tolist()
        if any(broken):
            row = max(range(len(broken)), key=lambda i: broken[i] / votes[i])
            share = f"{broken[row]} of {votes[row]} votes ({broken[row] / votes[row]:.2%})"
            images = f"in {sum(b > 0 for b in broken)} of {len(broken)} images"
            raise UserError(f"{self.run}: image {self.images[row]}: {share} and votes {images}: {NOT_FINITE}")
