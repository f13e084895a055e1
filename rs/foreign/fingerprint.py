"""A network's logits for fixed images, by which stored votes know their classifier: its weights and the
user's own file do not show the code that they call.

The images are random, not the user's, so a changed image is told from a changed network. Logits are compared
up to the rounding of float32, which the number of threads and the processor change.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rs.errors import UserError
from rs.machine.chance import kept_chance, seeded
from rs.networks import audit
from rs.networks.inference import NOT_FINITE
from rs.networks.transformations import apart

PROBES, PATCHES = 8, 4  # images, and their coarse patches of colour along a side


@torch.no_grad()
def fingerprint(network: torch.nn.Module, shape: Sequence[int], device: torch.device, name: str) -> list[str]:
    """Logits of images [C, H, W] in [0, 1] under the audit's levels of noise, in float32, one line per image.

    A network that draws at random is seeded. Raises UserError for logits that are not finite.
    """
    drawn = torch.Generator().manual_seed(0)
    coarse = torch.rand(len(audit.LEVELS), shape[0], PATCHES, PATCHES, generator=drawn)
    images = functional.interpolate(coarse, list(shape[1:]), mode="bilinear")
    probes = audit.probes_of(images, len(audit.LEVELS))[:PROBES].to(device)
    with kept_chance():
        seeded(0)
        logits = network(probes).float().cpu()
    if not bool(logits.isfinite().all()):
        raise UserError(f"{name}: {NOT_FINITE}")
    return [" ".join(f"{v:.8g}" for v in row) for row in logits.tolist()]


def same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two networks give the same logits up to rounding."""
    return apart(_numbers(one), _numbers(other)) <= audit.NARROW[torch.float32]


def are_numbers(line: object) -> bool:
    """Whether this can be the line of an image."""
    try:
        return isinstance(line, str) and bool([float(word) for word in line.split()])
    except ValueError:
        return False


def _numbers(lines: Sequence[str]) -> Tensor:
    return torch.tensor([float(word) for line in lines for word in line.split()])
