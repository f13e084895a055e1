"""The cost of votes on this machine, and the number of images and votes for a budget.

Time is measured as it will be spent: with the network in its inference form on noisy copies of one image. n
is a step of LADDER. With a budget, it is the largest step up to N that is affordable for a hundred images (or
all, or the requested number). Then as many images as fit are taken, and time left over buys more votes for
each of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from rs.api.voting import VoterAtHand
from rs.errors import UserError, plural
from rs.settings.sampling import Sampling
from rs.stages.shared_batches import shares

N = Sampling.n
ENOUGH = 100  # images that determine an accuracy to about 10 points
LADDER = (100, 200, 500, 1000, 2000, 5000, N, 20_000, 50_000, 100_000)
USED = 0.95  # share of a budget that is planned
SECONDS, PASSES = 1.0, 3  # least time and passes of a measurement


@dataclass(frozen=True)
class Cost:
    """Seconds of a pass of `batch` noisy images. Each block of votes is a whole number of passes, unless
    blocks are `shared` and fill up each other's batches.
    """

    seconds: float
    batch: int
    block: int
    n0: int
    shared: bool = False

    def image(self, n: int) -> float:
        """Seconds for one image with n0 and n votes."""
        whole, rest = divmod(n, self.block)
        return whole * self.votes(self.block) + self.votes(rest) + self.votes(self.n0)

    def votes(self, number: int) -> float:
        """Seconds for one block of votes."""
        return (number / self.batch if self.shared else -(-number // self.batch)) * self.seconds

    @property
    def rate(self) -> float:
        """Votes per second, in full batches."""
        return self.batch / self.seconds


def block_of(batch: int) -> int:
    """Votes of a block: about 500, in whole batches, and at least one batch."""
    return batch * max(512 // batch, 1)


def batch_of(image: int, device: torch.device) -> int:
    """The number of images of `image` numbers each in a batch, a power of two."""
    most, numbers = (512, 2**19) if device.type == "cpu" else (4096, 2**25)
    return int(min(max(2 ** int(np.log2(max(numbers // image, 1))), 16), most))


def measure(voter: VoterAtHand, batch: int, block: int, n0: int) -> Cost:
    """Measures with votes for the voter's first image, which are discarded; the first pass is a warm-up. The
    mean counts, because other work on this machine will go on.
    """
    passes, started = -1, 0.0
    while passes < PASSES or time.perf_counter() - started < SECONDS:
        voter.vote(0, "judge", passes + 1, batch)[0].cpu()  # waits for the device
        passes += 1
        started = started or time.perf_counter()
    return Cost((time.perf_counter() - started) / passes, batch, block, n0, shares(voter))


@dataclass(frozen=True)
class Chosen:
    n: int
    images: int


def choose(
    cost: Cost,
    available: int,
    images: int | None,
    n: int | None,
    budget: float | None,
    least: int,
) -> Chosen:
    """Votes and images for these wishes. `budget` is in seconds; `least` is the least number of votes that
    certify anything. Raises UserError where the budget is too short for one image, or for the requested
    images.
    """
    if budget is None:
        return Chosen(n or max(N, 5 * least), min(images or available, available))
    seconds = budget * USED
    steps = [step for step in LADDER if step >= 5 * least] or [5 * least]
    target = min(images or min(available, ENOUGH), available)
    is_fixed = n is not None
    if n is None:
        fits = [step for step in steps if step <= max(N, steps[0]) and target * cost.image(step) <= seconds]
        n = fits[-1] if fits else steps[0]
    most = target if images else available
    bought = min(int(seconds / cost.image(n)), most)
    if bought < (target if images else 1):
        number = target if images else 1
        takes = f"{'takes' if number == 1 else 'take'} {in_words(number * cost.image(n))} here"
        reason = f"{plural(number, 'image')} with n = {n} {takes}"
        raise UserError(f"certify: --budget {in_words(budget)}: too short: {reason}")
    if bought == most and not is_fixed:
        n = max(step for step in steps if step == n or bought * cost.image(step) <= seconds)
    return Chosen(n, bought)


def in_words(seconds: float) -> str:
    """The time as text: `40 s`, `12 min`, `3.5 h`, `2 days`."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.95 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"
