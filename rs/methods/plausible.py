"""Data that keep their protocol and are hardly meant: levels 0 to 16 as uint8, where v stands for v / 255, a
stated mean that is another data set's, test images that were trained on.

What no data set can be is refused. What may be meant, such as dark images, is a warning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from rs.errors import plural
from rs.methods.interfaces import Files, Split

NARROW = 0.5  # the share of the range from black to white that almost all splits exceed
# How far stated statistics may be from those of the images: the mean in standard deviations, and the factor
# between standard deviations. Rounding lies within, and CIFAR-10's std over single images (0.202 for 0.247).
SHIFTED, SCALED = 0.1, 1.25
SEEN = 0.05  # the share of test images that are training images; published data sets have fewer
NUMBERS = 2**22  # numbers that are held as float64 at a time
Splits = dict[str, Split | Files]


def impossible(dataset: Any, splits: Splits) -> str:
    """What is certainly wrong with the images or with the data set's facts about them, and what is allowed;
    empty where nothing is.
    """
    for name, split in splits.items():
        if isinstance(split, Split) and 0 <= split.images.max() <= white(split) / 255:
            high = f"no pixel exceeds {split.images.max():g}, and {white(split)} is white"
            return f"returned {name} images that are black: {high}"
    mean, std, train = getattr(dataset, "mean", None), getattr(dataset, "std", None), splits["train"]
    if mean is None and std is None and isinstance(train, Split) and train.images.dtype == np.uint8:
        return ""
    if mean is None or std is None:
        facts = "mean" if std is not None else "std" if mean is not None else "mean and std"
        have = f": here {_text(*statistics(train))}" if isinstance(train, Split) else ""
        only = "must state both, which are measured for uint8 images in memory alone"
        return f"returned images of a data set without {facts}; {only}{have}"
    channels = dataset.shape[0]
    for fact, values, low in (("mean", mean, 0.0), ("std", std, 1e-6)):
        try:
            numbers = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if numbers.shape != (channels,) or not ((numbers >= low) & (numbers <= 1)).all():
            must = f"{plural(channels, 'number')} in units of [0, 1], as {(0.5,) * channels}"
            return f"returned images of a data set whose {fact} is {values}; must be {must}"
    return ""


def doubts(dataset: Any, splits: Splits) -> Iterator[str]:
    """What may be meant and mostly is not, a line each."""
    for name, split in splits.items():
        if not isinstance(split, Split):  # images in files are decoded where they are used
            continue
        low, high = float(split.images.min()), float(split.images.max())
        if 0 <= low <= high <= white(split) and high - low < NARROW * white(split):
            remedy = f"; if {high:g} is white, scale them by {white(split)} / {high:g}" if not low else ""
            yield f"all {name} images lie between {low:g} and {high:g}, and {white(split)} is white{remedy}"
    train = splits["train"]
    empty = sorted({*range(dataset.classes)} - {*np.unique(train.labels).tolist()})
    if empty:
        few = ", ".join(map(str, empty[:8])) + ", ..." * (len(empty) > 8)
        yield f"no training image has label {few}, of {dataset.classes} classes"
    if seen := _seen(train, splits.get("test")):
        yield f"{seen}: results on these say nothing of other images"
    stated = getattr(dataset, "mean", None), getattr(dataset, "std", None)
    if stated[0] is None or stated[1] is None or not isinstance(train, Split):
        return
    if not 0 <= train.images.min() <= train.images.max() <= white(train):
        return  # the data stage names the image
    mean, std = statistics(train)
    varies = std > 0
    shift = np.abs(np.asarray(stated[0]) - mean)[varies] / std[varies]
    factor = np.asarray(stated[1])[varies] / std[varies]
    if (shift > SHIFTED).any() or (factor > SCALED).any() or (factor < 1 / SCALED).any():
        yield f"the training images have {_text(mean, std)}; models scale by the stated {_text(*stated)}"


def _seen(train: Split | Files, test: Split | Files | None) -> str:
    """How many test images are training images, to the last bit, where they are more than SEEN of them."""
    if not (isinstance(train, Split) and isinstance(test, Split) and test.images.max() <= white(test)):
        return ""  # the data stage names an image that is not finite
    trained, tested = (
        [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in split.images]
        for split in (train, test)
    )
    known = set(trained)
    number = sum(digest in known for digest in tested)
    return f"{number} of {len(tested)} test images are training images" * (number > SEEN * len(tested))


def white(split: Split) -> int:
    return 255 if split.images.dtype == np.uint8 else 1


def statistics(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel, float64 [C], in [0, 1]."""
    images, unit = split.images, white(split)
    rows = max(NUMBERS // images[0].size, 1)
    sums, squares = np.zeros(images.shape[1]), np.zeros(images.shape[1])
    for start in range(0, len(images), rows):
        part = images[start : start + rows].astype(np.float64) / unit
        sums += part.sum((0, 2, 3))
        squares += np.square(part).sum((0, 2, 3))
    number = images.size / images.shape[1]
    mean = sums / number
    return mean, np.sqrt(np.maximum(squares / number - mean**2, 0.0))


def _text(mean: Any, std: Any) -> str:
    first, second = (", ".join(f"{v:.4g}" for v in values) for values in (mean, std))
    return f"mean {first} and std {second}"
