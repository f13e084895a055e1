"""The sample stage: votes (and softmax moments) of one range of images in one block, as one draw file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rs.machine.devices import device_class
from rs.stages import sample_answered, sample_group_sequential, sample_incremental, sample_sequential
from rs.stages.shared_batches import Ballot, cast
from rs.stages.voter import JobVoter

if TYPE_CHECKING:
    from rs.plan.jobs import Job

WAYS = {  # key of a spec -> way of sampling; the first key that the spec has decides (rs.plan.stages)
    "rule": sample_group_sequential.sample,
    "source": sample_incremental.sample,
    "answers": sample_answered.sample,
    "stop": sample_sequential.sample,
}


def run_job(job: Job, device: torch.device, code: str) -> None:
    """Samples. Refuses before the first vote where votes of this device would not merge with existing
    ones.
    """
    from rs.plan import mixed_draws  # imported here: not part of the code that makes votes

    draws, selection = job.outputs["draws"], job.inputs.get("selection")
    mixed_draws.check(draws, code, device_class(device), job.device_class, selection)
    way = next((WAYS[key] for key in WAYS if key in job.spec), sample)
    way(job.spec, job.inputs, draws, device, code)


def sample(
    spec: dict[str, Any], inputs: dict[str, Path], output: Path, device: torch.device, code: str
) -> None:
    """Draws the votes that `spec` asks for (see rs.plan.drawing) and writes them with the inference form in
    their provenance. `inputs` as of a JobVoter.
    """
    voter = JobVoter(spec, inputs, device)
    ballot = spec["purpose"], spec["block"], spec["size"]
    ballots = [Ballot(row, *ballot) for row in range(len(voter.images))]
    drawn = voter.follow(cast(voter, ballots), "{}, block {}".format(*ballot), samples=spec["size"])
    counts, sums, squares = (torch.stack(part) for part in zip(*drawn, strict=True))
    voter.write(output, (counts, sums, squares), code)
