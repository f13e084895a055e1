"""The result of certifying somebody's model, as tables and pages show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from rs.api.certification import Certification
from rs.api.counts import NO_LABEL
from rs.errors import plural
from rs.foreign.pictures import Pictures
from rs.foreign.sources import Foreign
from rs.report.guessing import no_better_than_guesses
from rs.report.html_table import down, up
from rs.report.model import SHOWN, ModelPage
from rs.settings.labels import norm_text
from rs.statistics.intervals import shares_at_least, t_interval


@dataclass(frozen=True)
class Result:
    """A finished certification. `cap` is the radius that n votes for one class certify. `earlier` are the
    other claims made from these votes, as texts. `described` is what was announced before drawing. `names`
    are the classes' names from class folders or a table. `turned` is the number of images whose EXIF
    orientation was not followed.
    """

    model: Foreign
    pictures: Pictures
    certified: Certification
    cap: float
    earlier: list[str]
    described: dict[str, str]
    names: Mapping[int, str]
    turned: int = 0

    @property
    def labelled(self) -> bool:
        return bool((self.certified.counts.labels != NO_LABEL).all())

    @property
    def measure(self) -> str:
        """What the shares of `accuracy` are called."""
        if self.labelled:
            return "certified accuracy" if self.certified.rigorous else "estimated accuracy"
        return "certified" if self.certified.rigorous else "estimated"

    def radii(self) -> np.ndarray:
        """float64 [N]; below 0 where an image counts at no radius, because it abstained or is wrong."""
        counts = self.certified.correct if self.labelled else self.certified.prediction >= 0
        return np.where(counts, self.certified.radius, -1.0)

    def accuracy(self, radii: Sequence[float]) -> pd.DataFrame:
        """Share of the images at radius r, with its 95 % Wilson interval: radius, share, low, high."""
        at, factor = np.asarray(radii, np.float64), self.certified.factor if self.labelled else 1.0
        share, low, high = shares_at_least(self.radii(), at, factor)
        return pd.DataFrame({"radius": at, "share": share, "low": low, "high": high})

    def class_name(self, label: int) -> str:
        """The class as text: the model's own name, that of its folder, or its number."""
        names = self.model.classes or ()
        if label < 0:
            return "abstains"
        known = len(names) == self.certified.counts.estimation.shape[1]
        return names[label] if known else self.names.get(label, str(label))

    def frame(self) -> pd.DataFrame:
        """One row per image, as in Certification.frame, with the file and the name of the class."""
        frame = self.certified.frame()
        frame.insert(1, "file", [self.pictures.names[i] for i in frame["image"]])
        frame["class"] = [self.class_name(label) for label in frame["prediction"]]
        return frame

    def page(self, radii: Sequence[float], software: str) -> ModelPage:
        """The page; `software` says what made it."""
        frame = self.frame()
        frame["true class"] = [self.class_name(y) if y >= 0 else "" for y in frame["label"]]
        shown = frame["image"].head(SHOWN)
        prepare, pictures = self.model.preprocessing.pixels, self.pictures
        pixels = {int(i): prepare(pictures.image(i), pictures.where(i)) for i in shown}
        own = self.radii()
        every = self.accuracy(sorted({0.0, *own[own > 0].tolist()}))
        facts = self.model.title, self.measure, self.described, self.notes(), self.accuracy(radii)
        return ModelPage(*facts, every, frame, pixels, self.cap, self.labelled, software)

    def table(self) -> pa.Table:
        """The rows with the settings of their radii, which `rs audit` checks."""
        frame = self.frame().assign(factor=self.certified.factor, largest_radius=self.cap)
        return pa.Table.from_pandas(frame, preserve_index=False)

    def notes(self) -> list[str]:
        """The notes below the shares."""
        certified, radii = self.certified, np.maximum(self.radii(), 0.0)
        number, abstained = len(radii), int((certified.prediction < 0).sum())
        average, low, high = t_interval(radii, least=0.0, most=self.cap)
        what = "average certified radius" if certified.rigorous else "average estimated radius"
        if not self.labelled:  # the field's average certified radius counts wrong predictions as 0
            what = f"{what.replace(' certified', '')} of the predictions"
        spread = f" [{down(low)}, {up(high)}]" if number > 1 else ""
        norm = norm_text(certified.norm)
        lines = [f"{what} {down(average)}{spread} ({norm}), at most {down(self.cap)}; {abstained} abstained"]
        lines.append(f"{plural(number, 'image', spec=',')}, {self._settings()}")
        if not certified.rigorous:
            lines.append(f"{certified.certificate['name']} is an estimate that no proof covers")
        if self.labelled:
            classes, right = certified.counts.estimation.shape[1], int(certified.correct.sum())
            lines += filter(None, [no_better_than_guesses(right, number, classes)])
        else:
            lines.append("no labels: what is certified are the predictions, right or wrong")
        if self.turned:
            loaders = "certified as their pixels lie, as torchvision's and timm's loaders give them"
            lines.append(f"images with an EXIF orientation: {self.turned:,}, {loaders}")
        if self.earlier:
            holds = "a claim holds for settings chosen first"
            lines.append(f"these votes were claimed with {'; '.join(self.earlier)} before: {holds}")
        return lines

    def _settings(self) -> str:
        certified, noise = self.certified, self.certified.counts.noise
        level = ", ".join(f"{k} = {v}" for k, v in noise.items() if k != "name")
        n = int(certified.counts.draws.estimation.n.max())
        claim = f"{certified.certificate['name']}, n = {n:,}, alpha = {certified.alpha:g} per image"
        return f"{noise['name']} noise, {level}; {claim}"
