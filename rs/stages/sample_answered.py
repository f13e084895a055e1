"""The sample stage of a run that others start from: votes of one block, and which class each was for.

Counts are those of rs.stages.sample. An answer takes a byte (two, of more than 256 classes), which Parquet's
dictionary makes 4 bits for ten classes, and less where most answers are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.machine.progress import follow
from rs.stages import answers
from rs.stages.voter import Voter


def sample(
    spec: dict[str, Any],
    model_manifest: Path,
    data: Path,
    output: Path,
    device: torch.device,
    code: str,
    form_file: Path | None = None,
) -> None:
    """Draws what `spec` asks for (see rs.plan.drawing). `form_file` is what the form stage wrote, for a form
    that had to be tried out.
    """
    voter = Voter(spec, model_manifest, data, device, form_file)
    answers.refuse_chance(voter)
    block, images = spec["block"], voter.images
    label = f"{model_manifest.parent.name} answered {images.start}-{images.stop} block {block}"
    found = []
    with answers.within_memory(voter.form.batch, "one network"):
        for row in follow(range(len(images)), len(images), label, "images", samples=spec["size"]):
            noisy = answers.batches(voter, row, block, spec["size"])
            found.append(torch.cat([answers.answers(voter.form, part) for part in noisy]).cpu().numpy())
    voter.form.check()
    stored = np.stack(found).astype(np.uint8 if voter.classes <= 256 else np.uint16)
    counts = np.stack([np.bincount(row, minlength=voter.classes) for row in stored]).astype(np.int64)
    answers.write(output, voter, counts, {"answers": stored}, code)
