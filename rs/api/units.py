"""Warnings of images, labels, noise and radii that are allowed but probably mistakes, mostly of units.

Images of `import rs` lie in [0, 1]; what lies outside is refused (rs.api.inputs). So their box has the width
1, and the diameter d^(1/p) in l_p. Not warned of: normalised images, which are refused before; few images
that are dark, which is no proof of another scale; networks that abstain, as their classes are compared with
the labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from rs.api.certification import Certification
from rs.api.counts import NO_LABEL
from rs.api.identity import each_digest
from rs.errors import plural
from rs.methods.plausible import NARROW
from rs.settings.labels import norm_text
from rs.study.schema import noise_level

MANY = 10  # images; fewer may well be dark or bright or alike, all of them
STEP = (1 + 1e-6) / 255  # the largest value of images that were divided by 255 twice, in float32
COPIES = 0.05  # share of the images; published test sets have far fewer
WIDEST = 10.0  # levels of noise in widths of the box; published ones are about 1 and below


def warn(verb: str, doubts: Iterable[str], calls: int) -> None:
    """A warning for each of the doubts, at the line of the user's program, `calls` functions above."""
    for doubt in doubts:
        warnings.warn(f"{verb}: {doubt}", RuntimeWarning, calls + 1)


def diameter(dimension: int, norm: float) -> float:
    """The largest l_norm distance of two images in [0, 1]^dimension."""
    return float(dimension ** (1 / norm))


def of_images(x: Tensor, noise: dict[str, Any]) -> Iterator[str]:
    """Doubts about images float32 [N, C, H, W] and the level of the noise on them."""
    low, high = float(x.min()), float(x.max())
    lie = f"images: {plural(len(x), 'image')} between {low:.3g} and {high:.3g}, and 1 is white"
    if low < high <= STEP:
        yield f"{lie}; they look divided by 255 twice"
    elif len(x) >= MANY and high - low < NARROW:
        yield lie + (f"; if {high:.3g} is, divide them by it" if low == 0 < high else "")
    level = noise_level(noise)  # NaN where there is none
    if level > min(diameter(x[0].numel(), 2.0), WIDEST):
        advice = f"if it is in levels of 255, give {level:g} / 255"
        yield f"{noise['name']} noise of level {level:g} drowns images between 0 and 1; {advice}"


def of_radii(radii: Iterable[float], dimension: int, norm: float) -> Iterator[str]:
    """Doubts about the radii of an attack."""
    most = diameter(dimension, norm)
    if far := [r for r in radii if r >= most]:
        reach = f"at {norm_text(norm)} {far[0]:g} every image in [0, 1] is within reach, as from {most:g} on"
        yield f"radii: {reach}; if it is in levels of 255, give {far[0]:g} / 255"


def of_attacked(x: Tensor, clean: np.ndarray, labels: np.ndarray, classes: int) -> Iterator[str]:
    """Doubts about attacked images float32 [N, C, H, W], and about labels that do not go with the predictions
    `clean` of the images without an attack: no accuracy is then one of robustness.
    """
    yield from _of_copies(each_digest(x))
    yield from _of_labels(clean, labels, classes)


def of_claims(certified: Certification) -> Iterator[str]:
    """Doubts about a certification of images in [0, 1]: radii beyond all images, copies among the images, and
    labels that do not go with the classes that most votes of the selection are for.
    """
    draws, labels, radii = certified.counts.draws, certified.counts.labels, certified.radius
    most = diameter(draws.dimension, certified.norm)
    if beyond := int((radii > most).sum()):
        up_to = f"{beyond} of {len(radii)} up to {norm_text(certified.norm)} {radii.max():g}"
        why = f"no two images in [0, 1] are farther apart than {most:g}"
        yield f"radii: {up_to}: {why}; check the units of the noise"
    yield from _of_copies(draws.origin.get("each image", np.array([])))
    if (labels != NO_LABEL).all():
        counts = draws.selection.counts
        yield from _of_labels(counts.argmax(1), labels, counts.shape[1])


def _of_copies(digests: np.ndarray) -> Iterator[str]:
    """A doubt about MANY images or more, with these digests [N], of which more than COPIES are copies."""
    copies = len(digests) - len(np.unique(digests))
    if len(digests) >= MANY and copies > COPIES * len(digests):
        independent = "intervals of averages and accuracies take images for independent"
        best = "the best of several claims about one image is none at alpha"
        yield f"images: {copies} of {len(digests)} are copies of others; {independent}, and {best}"


def _of_labels(predictions: np.ndarray, labels: np.ndarray, classes: int) -> Iterator[str]:
    from rs.report.guessing import slip_of_labels  # imports pandas

    if slip := slip_of_labels(predictions, labels, classes):
        yield f"labels: {slip}"
