"""The sample stage: votes (and softmax moments) of one range of images in one block, as one draw file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rs.machine.devices import device_class
from rs.stages import sample_answered, sample_group_sequential, sample_incremental, sample_sequential
from rs.stages.shared_batches import Ballot, cast
from rs.stages.voter import Voter

if TYPE_CHECKING:
    from rs.plan.jobs import Job

WAYS = {  # by the key of a spec that asks for it, the first of these that it has (rs.plan.stages)
    "rule": sample_group_sequential.sample,
    "source": sample_incremental.sample,
    "answers": sample_answered.sample,
    "stop": sample_sequential.sample,
}


def run_job(job: Job, device: torch.device, code: str) -> None:
    """Refuses before the first vote where those of this device would not merge with the ones there."""
    from rs.plan import mixed_draws  # inside: it is no part of the code that makes votes

    draws, selection = job.outputs["draws"], job.inputs.get("selection")
    mixed_draws.check(draws, code, device_class(device), job.device_class, selection)
    way = next((WAYS[key] for key in WAYS if key in job.spec), sample)
    way(job.spec, job.inputs, draws, device, code)


def sample(
    spec: dict[str, Any], inputs: dict[str, Path], output: Path, device: torch.device, code: str
) -> None:
    """Draws what `spec` asks for (see rs.plan.drawing) and writes it with the inference form in its
    provenance. `inputs` as of a Voter.
    """
    voter = Voter(spec, inputs, device)
    asked = spec["purpose"], spec["block"], spec["size"]
    ballots = [Ballot(row, *asked) for row in range(len(voter.images))]
    drawn = voter.follow(cast(voter, ballots), "{}, block {}".format(*asked), samples=spec["size"])
    counts, sums, squares = (torch.stack(part) for part in zip(*drawn, strict=True))
    voter.write(output, (counts, sums, squares), code)
