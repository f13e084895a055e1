"""A prepared data set's files, read back: the manifest, and arrays checked against it. No torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rs.errors import UserError
from rs.provenance.digests import canonical, dumps, file_digest
from rs.provenance.files import ADVICE, read_json
from rs.provenance.reading import check_file


def read_manifest(path: Path, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """A data manifest; `data` is the data set, as a study names it, that the manifest should describe.

    Raises UserError for anything else, and for another data set.
    """
    manifest: dict[str, Any] = read_json(path)
    if not isinstance(manifest, dict) or not _is_manifest(manifest):
        raise UserError(f"{path}: not a data manifest; remove it and run the data stage again")
    stored = manifest["provenance"]["spec"]["data"]
    if data is not None and canonical(data) != stored:
        raise UserError(f"{path}: of the data set {dumps(stored)}, not {dumps(data)}; {ADVICE}")
    return manifest


def _is_manifest(found: dict[str, Any]) -> bool:
    """Whether it has every entry that `prepare` writes, each of its type."""
    try:
        channels = len(found["mean"])
        files = [found["splits"][split] for split in ("train", "test")]
        return bool(
            [type(n) for n in (*found["shape"], found["classes"])] == 4 * [int]
            and min(*found["shape"], found["classes"]) >= 1
            and channels == len(found["std"]) == found["shape"][0]
            and all(
                math.isfinite(m) and 0 < s < math.inf
                for m, s in zip(found["mean"], found["std"], strict=True)
            )
            and all(isinstance(f["sha256"], str) and Path(f["file"]).name == f["file"] for f in files)
            and "name" in found["provenance"]["spec"]["data"]
            and isinstance(found["name"], str)
        )
    except (KeyError, TypeError):
        return False


def load_arrays(manifest_path: Path, split: str) -> dict[str, np.ndarray]:
    """A split as stored (`arrays_of`), compared with the manifest's digest."""
    entry = read_manifest(manifest_path)["splits"][split]
    path = manifest_path.with_name(entry["file"])
    check_file(path)
    advice = f"remove {manifest_path} and run again"
    try:
        changed = file_digest(path) != entry["sha256"]
        arrays: dict[str, np.ndarray] = {} if changed else load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: missing or no images of ours ({error}); {advice}") from error
    if changed:
        raise UserError(f"{path}: truncated or changed since it was prepared; {advice}")
    return arrays
