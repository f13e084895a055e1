"""Networks of others that draw at random (`allow: [chance]`): none is kept whose batches share draws."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from rs.networks import checkpoints
from rs.networks.images import load_images
from rs.networks.shared_draws import check_network


def checked(make: Callable[[dict[str, Path]], None], outputs: dict[str, Path], data_manifest: Path) -> None:
    """Makes the files of a network, whose paths `make` is given, after a trial that leaves nothing.

    Raises UserError for shared draws. A denoiser has no answers of its own: it is judged where it is joined.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = {key: Path(folder) / path.parent.name / path.name for key, path in outputs.items()}
        make(trial)
        network, manifest = checkpoints.load(trial["manifest"], data_manifest)
    answers = "output" not in manifest["provenance"]["spec"]["model"].get("imported", {})
    if manifest["audit"]["chance"] and answers:
        images, _ = load_images(data_manifest, "test", [0])
        check_network(network, images[0], manifest["run"])
    make(outputs)
