"""Checks what certification assumes of a network before it votes: one deterministic function per image.

An image must get the same logits alone, in another batch, at another place of its batch, twice, after other
images, and with gradients off and on; `eval()` must leave no module in training mode. All of this is judged
in float64, since in float32 every network's last digits depend on its batch. A network that itself computes
in narrower numbers is allowed their rounding.

A network that draws at random at every call may be let in on request (`allow: [chance]`). With independent
draws for every image, votes are still independent: votes of a classifier whose noise includes the network's
own. This is tested: draws that the images of a batch share are refused, and so is a mean answer that depends
on the batch. The network's chance is then seeded per image and block, as the noise is.

Only four images are examined like this. When the network's form is made, all 128 probes are compared in two
arrangements of their batches (`check_batches`).

Passing is no proof: a network that misbehaves at its thousandth call, at the last places of a batch of more
than 128 images, or only on images unlike the probes, passes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rs.errors import UserError
from rs.machine.chance import kept_chance, seeded
from rs.machine.memory import ran_out
from rs.networks import checkpoints
from rs.networks.images import load_images, open_split
from rs.networks.transformations import EQUAL, EXACT, apart, copied, one_line

IMAGES, LEVELS = 32, (0.12, 0.25, 0.5, 1.0)  # probes: 32 test images under Gaussian noise of each level
NARROW = {torch.float32: 1e-4, torch.float16: 0.05, torch.bfloat16: 0.3}  # changes that rounding may make
CALLS = 128  # calls of a network that draws at random
FEW, SECONDS = 8, 5.0  # calls at least, and for how long, in search of the cause of a refusal
# Limits beyond chance: standard errors between two means; variance between calls over variance within calls
FAR, SHARED = 6.0, 3.0
ASSUMED = "certification assumes one deterministic function of the image"
ALLOW = "allow chance (allow: [chance], or --allow chance), which is then recorded"


@dataclass(frozen=True)
class Audited:
    """A trained network that passed, its manifest, probes on the device, and whether it draws at random."""

    network: nn.Module
    manifest: dict[str, Any]
    probes: Tensor
    run: str
    chance: bool


def load(model_manifest: Path, data: Path, device: torch.device) -> Audited:
    """A trained network, loaded by `rs.networks.checkpoints` and audited."""
    network, manifest = checkpoints.load(model_manifest, data)
    images, run = probes(data, device), model_manifest.parent.name
    chance = bool(manifest.get("audit", {}).get("chance", False))  # allowed, and found, at import
    found = audit(network, images, run, ["chance"] if chance else [])
    return Audited(network, manifest, images, run, found["chance"])


def probes(data: Path, device: torch.device) -> Tensor:
    """Noisy images [128, C, H, W] on which forms of a network are compared; the same for every job of a run,
    whichever images the job is about.
    """
    size = len(open_split(data, "test"))
    images, _ = load_images(data, "test", [i * size // IMAGES for i in range(IMAGES)])
    return probes_of(images).to(device)


def probes_of(images: Tensor, number: int = IMAGES) -> Tensor:
    """Noisy copies of `number` of the images (repeated where there are fewer), each under all LEVELS."""
    few = images[[i * len(images) // number for i in range(number)]]
    draws = torch.Generator().manual_seed(0)
    levels = torch.tensor(LEVELS).repeat(number // len(LEVELS)).reshape(-1, 1, 1, 1)
    noisy = [few + levels.roll(i, 0) * torch.randn(few.shape, generator=draws) for i in range(len(LEVELS))]
    return torch.cat(noisy)  # neighbours differ in image and level


def audit(network: nn.Module, images: Tensor, run: str, allow: Sequence[str] = ()) -> dict[str, Any]:
    """The findings: `chance`, and the numbers it was `judged_in`. Raises UserError that names a failed
    assumption.
    """
    subject = _subject(network, images, run)
    few, others = subject.images[:EXACT], subject.images[EXACT : 2 * EXACT]
    with kept_chance():
        seeded(0)
        first, again = subject(few), subject(few)
        if subject.differ(first, again):
            seeded(0)
            repeated = subject(few)
            seeded(0)
            if subject.differ(repeated, subject(few)):
                subject.refuse("its answer changes between calls, and not by seeded chance: it keeps state")
            if "chance" not in allow:
                refusal = "its answer changes between calls (it draws at random in evaluation mode)"
                subject.refuse(refusal, f"{ASSUMED}; {ALLOW}")
            _independent(subject, few, others)
            return {"chance": True, "judged_in": subject.judged_in}
        among = subject(torch.cat([few[:1], others[1:]]))
        if subject.differ(first, subject(few)):
            subject.refuse("its answer depends on the images before: it keeps state between calls")
        if subject.differ(first[:1], among[:1]):
            subject.refuse("its answer depends on the other images of the batch")
        if subject.differ(first, subject(few.flip(0)).flip(0)):
            subject.refuse("its answer depends on an image's place in the batch")
        if subject.differ(first[:2], torch.cat([subject(few[:1]), subject(few[1:2])])):
            subject.refuse("its answer to an image alone is not its answer to it in a batch")
        with contextlib.suppress(RuntimeError), torch.enable_grad():  # a network may have no gradients
            taken = subject.network(few.clone().requires_grad_().clone())
            if subject.differ(first, taken.detach()):
                subject.refuse("its answer changes where gradients are taken")
    return {"chance": False, "judged_in": subject.judged_in}


def check_batches(
    network: nn.Module, images: Tensor, logits: Tensor, batches: tuple[int, int], run: str
) -> None:
    """Raises UserError where `images` [N, C, H, W] get other logits at other places and among other images.
    The network gave them `logits` [N, classes] in batches of the first size; the second is that of the votes.

    All probes count, so float32 comes first. Logits that differ there by more than rounding are computed
    again as `audit` computes them.
    """
    with torch.no_grad():
        if apart(_shuffled(network, images, batches[1]), logits) <= NARROW[torch.float32]:
            return
    subject = _subject(network, images, run)
    first = torch.cat([subject(part) for part in subject.images.split(batches[0])])
    if subject.differ(first, _shuffled(subject, subject.images, batches[1])):
        subject.refuse("its answer depends on the batch that an image is in, or changes between calls")


def _shuffled(network: Callable[[Tensor], Tensor], images: Tensor, batch: int) -> Tensor:
    """Logits of the images, which go through the network in another order."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).to(images.device)
    found = torch.cat([network(part) for part in images[order].split(batch)])
    return found[order.argsort()]


@dataclass(frozen=True)
class _Subject:
    """A copy of the network, in float64 if possible, and images of the same type."""

    network: nn.Module
    images: Tensor
    run: str
    tolerance: float
    judged_in: str

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        number = "1 image alone" if len(images) == 1 else f"{len(images)} images"
        try:
            logits: Tensor = self.network(images.clone())  # a network may change its input
        except Exception as error:
            if ran_out(error):
                raise
            size = "x".join(map(str, images.shape[1:]))
            self.refuse(f"fails on {number} of {size}", one_line(error))
        if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(images):
            shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            self.refuse(f"its output for {number} is {shape}", "it must be [batch, classes]")
        return logits.clone()

    def differ(self, one: Tensor, other: Tensor) -> bool:
        return apart(other, one) > self.tolerance

    def refuse(self, assumption: str, why: str = ASSUMED) -> NoReturn:
        raise UserError(f"{self.run}: {_narrowed(self, assumption)}; {why}")


def _narrowed(subject: _Subject, assumption: str) -> str:
    """The failed `assumption` in words, or the cause that a counter of calls has: it may first be noticed in
    any comparison, such as that of two places in a batch.
    """
    if not assumption.startswith("its answer"):
        return assumption
    images, began = subject.images[:EXACT], time.monotonic()
    with contextlib.suppress(Exception), torch.no_grad(), kept_chance():
        found: list[Tensor] = []
        while len(found) < CALLS and (len(found) < FEW or time.monotonic() - began < SECONDS):
            seeded(0)
            found.append(subject.network(images.clone()).clone())
            if subject.differ(found[0], found[-1]):
                return "its answer changes between calls, and not by seeded chance: it keeps state"
    return assumption


def _subject(network: nn.Module, images: Tensor, run: str) -> _Subject:
    copy = copied(network, run).to(images.device)
    training = [name or "the network" for name, module in copy.named_modules() if module.training]
    if training:
        raise UserError(f"{run}: {training[0]} stays in training mode after eval(); {ASSUMED}")
    try:
        exact, few, watch = copied(copy, run).double(), images[:EXACT].double(), _Watch()
        with torch.no_grad(), kept_chance(), watch:
            exact(few)
    except Exception as error:
        if ran_out(error):
            raise
        return _Subject(copy, images, run, NARROW[torch.float32], "float32")
    narrow = max(watch.narrow, key=NARROW.__getitem__, default=None)
    if narrow is None:
        return _Subject(exact, images.double(), run, EQUAL, "float64")
    return _Subject(exact, images.double(), run, NARROW[narrow], str(narrow).removeprefix("torch."))


class _Watch(TorchDispatchMode):
    """Records the number types narrower than float64 in which anything is computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.narrow: set[torch.dtype] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: skipping the compiler in this mode would import it, which takes longer than the audit."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.narrow |= {t.dtype for t in tree_leaves(found) if isinstance(t, Tensor) and t.dtype in NARROW}
        return found


def _independent(subject: _Subject, few: Tensor, others: Tensor) -> None:
    """Refuses draws that the images of a batch share, and mean logits that depend on the batch."""
    rows = 8
    alike = few[:1].expand(rows, *few.shape[1:])
    seeded(1)
    many = torch.stack([subject(alike) for _ in range(CALLS)])  # [calls, rows, classes]
    between, within = rows * many.mean(1).var(0), many.var(1).mean(0)
    if bool((between > SHARED * within).any()):
        shared = "its draws at random are shared by the images of a batch"
        subject.refuse(shared, "votes would not be independent, which every certificate assumes")
    among = torch.stack([subject(torch.cat([others[1:], few[:1]]))[-1] for _ in range(CALLS)])
    flat = many.flatten(0, 1)
    error = (flat.var(0) / len(flat) + among.var(0) / CALLS).sqrt()
    if bool(((flat.mean(0) - among.mean(0)).abs() > FAR * error).any()):
        subject.refuse("its mean answer depends on the other images of the batch")
