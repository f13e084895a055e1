"""The sample stage of a run that others start from: votes of one block, and the class of each vote.

Counts are those of rs.stages.sample. A stored class takes one byte (two for more than 256 classes, four for
more than 65,536). Parquet's dictionary makes that 4 bits for ten classes, and less where most answers are the
same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.stages import answers
from rs.stages.voter import JobVoter


def sample(
    spec: dict[str, Any], inputs: dict[str, Path], output: Path, device: torch.device, code: str
) -> None:
    """Draws the votes that `spec` asks for (see rs.plan.drawing). `inputs` as of a JobVoter."""
    voter = JobVoter(spec, inputs, device)
    answers.refuse_chance(voter)
    rows, found = range(len(voter.images)), []
    block, size = spec["block"], spec["size"]
    with voter.within_memory():
        for row in voter.follow(rows, f"answered, block {block}", samples=size):
            noisy = voter.noisy(row, "estimate", block, size)
            found.append(torch.cat([answers.answers(voter.form, part) for part in noisy]).cpu().numpy())
    voter.form.check()
    stored = np.stack(found).astype(np.min_scalar_type(voter.classes - 1))
    counts = np.stack([np.bincount(row, minlength=voter.classes) for row in stored]).astype(np.int64)
    answers.write(output, voter, counts, {"answers": stored}, code)
