"""Which tools refuse the mistakes of networks and images (rs/cli/mistakes.yaml) that can be made elsewhere.

    pip install adversarial-robustness-toolbox statsmodels
    python benchmarks/soundness_peers.py

Each mistake is given to `rs.smooth`, to ART's PyTorchRandomizedSmoothing, and to CERTIFY as the papers' code
has it, in the loop below: sigma = 0.25, 100 + 500 votes, four 8x8 digits, nearest of ten mean images. The
output is how many of the four get a radius, or `refused` where an error or a warning reports a fault.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
from scipy import special
from sklearn.datasets import load_digits
from torch import Tensor, nn

import rs
from rs.statistics.bounds import clopper_pearson_upper

SIGMA, N0, N, ALPHA = 0.25, 100, 500, 0.001
DIGITS = load_digits()
X = (DIGITS.images / 16).astype(np.float32)[:, None]
MEANS = torch.tensor(np.stack([X[DIGITS.target == c].mean(0) for c in range(10)])).flatten(1)
IMAGES = X[:4]


class Base(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x.flatten(1), MEANS)


class BatchStatistics(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0) + MEANS.mean(0).view(1, 8, 8))


class Dropout(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, 0.2, training=True))


class TrainingMode(Base):
    def train(self, mode: bool = True) -> TrainingMode:
        return super().train(True)


class NoiseShared(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.3 * torch.randn_like(x[:1]))


class KeepsState(Base):
    def __init__(self) -> None:
        super().__init__()
        self.last = torch.zeros(10)

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x) + 0.1 * self.last
        self.last = logits.detach().mean(0)
        return logits


class PlaceInTheBatch(Base):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits + 0.1 * torch.arange(len(x))[:, None] * torch.eye(10)[0]


class OtherUnderAttack(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (0.0 if torch.is_grad_enabled() and x.requires_grad else 1.0)


class NotANumber(Base):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return torch.where(logits.max(1, keepdim=True).values < -2.9, torch.nan, logits)


def normalised(images: np.ndarray) -> np.ndarray:
    return (images - 0.31) / 0.38


MISTAKES: dict[str, tuple[nn.Module, np.ndarray]] = {
    "batch-statistics": (BatchStatistics(), IMAGES),
    "dropout": (Dropout(), IMAGES),
    "training-mode": (TrainingMode(), IMAGES),
    "noise-shared-in-a-batch": (NoiseShared(), IMAGES),
    "network-keeps-state": (KeepsState(), IMAGES),
    "place-in-the-batch": (PlaceInTheBatch(), IMAGES),
    "other-under-attack": (OtherUnderAttack(), IMAGES),
    "not-a-number": (NotANumber(), IMAGES),
    "normalised-before-the-noise": (Base(), normalised(IMAGES)),
    "pixels-to-255": (Base(), 255 * IMAGES),
}


def ours(network: nn.Module, images: np.ndarray) -> int:
    allowed = ["chance"] if isinstance(network, NoiseShared) else []
    smoothed = rs.smooth(network, sigma=SIGMA, device="cpu", batch=128, allow=allowed)
    certified = smoothed.certify(images, n=N, n0=N0, alpha=ALPHA, progress=False)
    return int((certified.radius > 0).sum())


def toolbox(network: nn.Module, images: np.ndarray) -> int:
    smoothed = PyTorchRandomizedSmoothing(
        network,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 8, 8),
        nb_classes=10,
        clip_values=(0, 1),
        sample_size=N0,
        scale=SIGMA,
        alpha=ALPHA,
        device_type="cpu",
    )
    return int((smoothed.certify(images, n=N, batch_size=128)[1] > 0).sum())


@torch.no_grad()
def plain_loop(network: nn.Module, images: np.ndarray) -> int:
    """Cohen et al.'s CERTIFY."""
    network.eval()

    def counts(x: Tensor, number: int) -> Tensor:
        votes = torch.zeros(10, dtype=torch.int64)
        for start in range(0, number, 128):
            batch = x.repeat(min(128, number - start), 1, 1, 1)
            votes += torch.bincount(network(batch + SIGMA * torch.randn_like(batch)).argmax(1), minlength=10)
        return votes

    certified = 0
    for image in torch.from_numpy(images):
        top = counts(image, N0).argmax()
        miss = clopper_pearson_upper(N - int(counts(image, N)[top]), N, ALPHA)
        certified += bool(-SIGMA * special.ndtri(miss) > 0)
    return certified


def outcome_of(
    certify: Callable[[nn.Module, np.ndarray], int], network: nn.Module, images: np.ndarray
) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            certified = certify(network, images)
        except Exception:
            return "refused"
    return "refused" if any(issubclass(w.category, UserWarning) for w in caught) else f"{certified} certified"


def main() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    who = {"rs": ours, "ART": toolbox, "plain loop": plain_loop}
    print(f"| mistake | {' | '.join(who)} |\n|{'---|' * (len(who) + 1)}")
    refused = dict.fromkeys(who, 0)
    assert all(outcome_of(certify, Base(), IMAGES) == "4 certified" for certify in who.values())
    for name, (network, images) in MISTAKES.items():
        row = {by: outcome_of(certify, network, images) for by, certify in who.items()}
        for by, outcome in row.items():
            refused[by] += outcome == "refused"
        print(f"| `{name}` | {' | '.join(row.values())} |")
    print(f"| refused | {' | '.join(f'{number} of {len(MISTAKES)}' for number in refused.values())} |")


if __name__ == "__main__":
    main()
