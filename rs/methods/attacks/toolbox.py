"""Presents the smoothed classifier to the Adversarial Robustness Toolbox (ART), so that independent attacks
check ours.

ART draws from the process's global generators and mixes the images of a batch (one step size, one square for
all). So every image is attacked alone: its own generator seeds the global ones, whose states are restored
afterwards. ART is the optional extra `attacks`, imported when first needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.chance import kept_chance, seeded
from rs.methods.interfaces import Proposed

if TYPE_CHECKING:
    from rs.smoothing.smoothed import Smoothed

Generate = Callable[[Any, np.ndarray, np.ndarray, float], np.ndarray]  # classifier, x, one-hot label, radius


class LogSoft(nn.Module):
    """Log of the mean softmax over fresh noise as logits [B, K]: ART's cross-entropy is our soft loss."""

    def __init__(self, smoothed: Smoothed, samples: int) -> None:
        super().__init__()
        # not a submodule: ART would move it and change its mode
        self._log_soft: Callable[[Tensor], Tensor] = lambda x: smoothed.log_soft(x, samples)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        found: Tensor = self._log_soft(x)
        return found


def require(attack: str) -> None:
    """Raises UserError where ART is not installed."""
    try:
        found = find_spec("art.estimators")  # another package is called art too
    except ModuleNotFoundError:
        found = None
    if found is None:
        needed = "the Adversarial Robustness Toolbox; install it: pip install adversarial-robustness-toolbox"
        raise UserError(f"attack {attack} needs {needed}")


def propose(
    smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float], samples: int, generate: Generate
) -> Proposed:
    """Runs `generate` on one image at a time, for every radius; steps are calls of `smoothed`."""
    from art.estimators.classification import PyTorchClassifier

    from rs.smoothing.smoothed import Smoothed

    logging.getLogger("art").setLevel(logging.ERROR)  # it warns of defences that it cannot see
    images = x.repeat(len(radii), *[1] * x.dim())
    steps = torch.zeros(len(radii), len(x), dtype=torch.int64, device=x.device)
    with torch.no_grad():
        classes = smoothed.log_soft(x, 1).shape[1]
    labels = np.eye(classes, dtype=np.float32)[y.cpu().numpy()]
    for i, state in enumerate(smoothed.generators):
        alone = Smoothed(smoothed.model, smoothed.noise, [state])
        for r, radius in enumerate(radii):
            if radius == 0:
                continue
            model = LogSoft(alone, samples)
            alone.restart()
            with kept_chance():
                seeded(state.initial_seed())
                classifier = PyTorchClassifier(
                    model,
                    nn.CrossEntropyLoss(),
                    tuple(x.shape[1:]),
                    classes,
                    clip_values=(0.0, 1.0),
                    device_type="gpu" if x.is_cuda else "cpu",
                )
                found = generate(classifier, x[i : i + 1].cpu().numpy(), labels[i : i + 1], radius)
            images[r, i] = torch.from_numpy(found[0]).to(x)
            steps[r, i] = model.calls
    return Proposed(images, steps)
