"""What lies in a file or folder that was given where a network or its weights were expected.

Files are recognised by how they begin and by the names in an archive; nothing in them is run or unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rs.methods.data.images import some
from rs.provenance.reading import WEIGHTS, check_file

CONVERT = "export it to ONNX: --model onnx:FILE"
OWN = "--model entry:MODULE:FUNCTION"
LOAD = "load it in a function of yours"
HEAD = 512  # bytes


class Held(NamedTuple):
    """`what` lies there, and `how` to give it. `weights`: whether `--weights` and `--checkpoint` read it."""

    what: str
    how: str
    weights: bool = False


WEIGHTS_ALONE = Held("weights of torch", "give --weights", True)


def hint(path: Path) -> str:
    """The end of a line about a file that is no checkpoint of torch: what it is, where that is known."""
    held = recognised(path)
    return "" if held is None or held.weights else f"; it is {held.what}"


def recognised(path: Path) -> Held | None:
    """What lies there; None where that is unknown, or nothing."""
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        return None
    check_file(path, WEIGHTS)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if zipfile.is_zipfile(path):
        return _archive(path)
    return next((held for matches, held in _by_head(path, head) if matches), None)


def _folder(path: Path) -> Held:
    names = {file.name for file in path.iterdir()}
    if "saved_model.pb" in names:
        return Held("a folder with a network of TensorFlow", CONVERT)
    if "config.json" in names:
        return Held("a folder with a config.json, as transformers saves networks", f"give --model hf:{path}")
    files = sorted(n for n in names if n.endswith((".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".onnx")))
    return Held("a folder", f"give a file in it{f' (it has {some(files)})' if files else ''}")


def _by_head(path: Path, head: bytes) -> Iterator[tuple[bool, Held]]:
    suffix = path.suffix.lower()
    yield suffix == ".safetensors" or head[8:10] == b'{"', WEIGHTS_ALONE
    yield suffix == ".onnx", Held("a network in ONNX", f"give --model onnx:{path}")
    yield suffix == ".py", Held("Python code", f"name a function in it: --model entry:{path.stem}:FUNCTION")
    yield head.startswith(b"\x89HDF"), Held("HDF5, as Keras saves networks", CONVERT)
    pointer = head.startswith(b"version https://git-lfs")
    yield pointer, Held("a pointer of Git LFS instead of the file", "fetch the file: git lfs pull")
    page = head.lstrip().lower().startswith((b"<!doctype", b"<html"))
    yield page, Held("a web page instead of the file, as failed downloads leave", "download it again")
    packed = head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) or head[257:262] == b"ustar"
    yield packed, Held("a compressed archive", "unpack it")
    yield head[:1] == b"\x80", WEIGHTS_ALONE  # a pickle, as torch wrote before 1.6


def _archive(path: Path) -> Held:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return Held("a damaged archive", "copy it again")
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends:
        return Held("a network of TorchScript, which holds code", f"{LOAD} (torch.jit.load): {OWN}")
    if any(end in ("model.json", "serialized_exported_program.json") for end in ends):
        return Held("an exported program of torch", f"{LOAD} (torch.export.load(...).module()): {OWN}")
    if "data.pkl" in ends:
        return WEIGHTS_ALONE
    if "model.weights.h5" in ends:
        return Held("a network of Keras", CONVERT)
    if all(name.endswith(".npy") for name in names):
        return Held("arrays of numpy", f"{LOAD}, into the network: {OWN}")
    return Held("a zip archive without a network", "unpack it")
