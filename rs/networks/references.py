"""Networks of other runs that an objective uses while it trains: loaded and frozen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from rs.errors import UserError
from rs.methods.interfaces import Objective
from rs.networks import checkpoints
from rs.provenance.files import ADVICE


def resolve_networks(
    objective: Objective, manifests: dict[str, Path], data: Path, device: torch.device
) -> tuple[Objective, dict[str, str]]:
    """The objective with networks, in evaluation mode on the device, in place of their runs' ids, and the
    digests of their weights. Raises UserError where a manifest is another run's.
    """
    networks, digests = {}, {}
    for parameter in getattr(objective, "networks", {}):
        path, run = manifests[parameter], getattr(objective, parameter)
        network, manifest = checkpoints.load(path, data)
        if manifest.get("run") != run:
            raise UserError(f"{path}: is run {manifest.get('run')}, not {run}; {ADVICE}")
        networks[parameter], digests[parameter] = network.to(device), manifest["sha256"]
    return dataclasses.replace(objective, **networks), digests  # type: ignore[type-var]
