"""Opens `--data`: a folder of files, Parquet files, or a data set that the `datasets` library saved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rs.errors import UserError
from rs.foreign import tabular
from rs.foreign.pictures import Pictures
from rs.methods.data.images import hidden, read, some

SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}  # names of folders


def open_pictures(place: Path, split: str | None, labelled: bool) -> Pictures:
    """The images at `place`. Raises UserError where there are none."""
    if not place.exists():
        raise UserError(f"{place}: no such file or folder; give --data a folder of images, or Parquet files")
    pictures = tabular.saved(place, split) or tabular.parquet(place, split)
    if pictures is None and split is not None:
        raise UserError(f"{place}: --split {split}: a folder of images has no splits")
    if pictures is None and place.is_dir():
        return folder(place, labelled)
    if pictures is None:
        raise UserError(f"{place}: no folder of images and no Parquet file")
    if not labelled:
        return replace(pictures, labels=None, groups=())
    if pictures.labels is not None and min(pictures.labels) < 0:
        without = next(i for i, label in enumerate(pictures.labels) if label < 0)
        raise UserError(f"{pictures.where(without)}: no label; give --unlabelled")
    return pictures


def _folders(place: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder and its file names once: under its own path, or else through the first link to it."""
    seen: set[tuple[int, int]] = set()
    tops = [str(place)]
    while tops:
        links = []
        for top in tops:
            for root, folders, names in os.walk(top):
                status = os.stat(root)
                if (status.st_dev, status.st_ino) in seen:
                    folders.clear()
                    continue
                seen.add((status.st_dev, status.st_ino))
                folders[:] = sorted(f for f in folders if not hidden(f))
                links += [path for f in folders if os.path.islink(path := os.path.join(root, f))]
                yield root, names
        tops = links


def folder(place: Path, labelled: bool = True) -> Pictures:
    """Image files in `place`; its sub-folders, if it has any instead, are the classes."""
    from torchvision.datasets.folder import is_image_file

    files = []
    for root, names in _folders(place):
        inside = os.path.relpath(root, place)
        images = (n for n in names if is_image_file(n) and not hidden(n))
        files += [os.path.normpath(os.path.join(inside, name)) for name in images]
    if not files:
        raise UserError(f"{place}: holds no image (jpg, jpeg, png, ppm, bmp, pgm, tif, tiff, webp)")
    files.sort()
    names = [os.fsencode(file).decode("utf-8", "backslashreplace") for file in files]  # pages are UTF-8
    tops = [file.partition(os.sep)[0] if os.sep in file else "" for file in files]
    groups = sorted(set(tops))
    if not labelled or groups == [""]:
        return Pictures(str(place), names, lambda i: read(place / files[i]))
    if "" in groups:
        loose = some([file for file, top in zip(files, tops, strict=True) if not top])
        raise UserError(f"{place}: images beside class folders ({loose}); give --unlabelled, or sort them in")
    if set(groups) <= SPLITS and all(file.count(os.sep) > 1 for file in files):
        splits = ", ".join(str(place / group) for group in groups)
        raise UserError(f"{place}: holds splits with class folders in them; give --data one of {splits}")
    places = {group: label for label, group in enumerate(groups)}
    labels = [places[top] for top in tops]
    return Pictures(str(place), names, lambda i: read(place / files[i]), labels, tuple(groups))
