"""The distributional stage: where an adversary who pays gamma ||x - x_0||^2 moves test images, and the loss
there, under one smoothing noise (NAL, Theorems 1 and 3, Figure 2a). rs.tables.distributional derives claims.

For every image and gamma, `steps` of ascent from x_0 with step 0.5/gamma, once for each adversary:

  smoothed   ascends l^(x) - gamma ||x - x_0||^2,   l^(x) = E_z l(x + z)   (NAL's phi_gamma, up to a constant)
  base       ascends l(x) - gamma ||x - x_0||^2                            (Sinha et al.'s)

NAL's cost is ||x + z - x_0||^2. Its expectation over z is ||x - x_0||^2 + d sigma^2 for every x, so the
ascent uses the expectation; draws of the cost would only push x about (see rs.stages.calibrate). The step is
NAL's and has a reason: where l^ is L-smooth and gamma > L/2, the objective's curvature lies between 2 gamma -
L and 2 gamma + L. For that range 0.5/gamma is the best constant step; each step multiplies the distance to
the maximiser by at most L/(2 gamma) (rs.tables.distributional has L). Images are not clipped, as NAL writes
no projection.

Two further adversaries find points that no certificate sees, as independent worst cases
(rs.tables.worst_cases): `pgd_smoothed` and `pgd_base`, l2 PGD on the same losses with steps of length 2
r/steps and noise of its own, in a ball of every radius r in `attack_radii`.

Stored per image, adversary and gamma (infinite: x_0 itself) or radius (0: x_0):
- ||x - x_0||^2, and mean and mean square of the loss over `estimates` fresh noises, which no ascent saw and
  which are the same for every gamma and radius.
- For a bounded loss under Gaussian noise, the inner product of two independent estimates of the gradient, one
  from each half of those noises. Its expectation is the squared norm of the gradient, which bounds what the
  ascent missed. The estimates use the score, grad l^(x) = E[(l(x + z) - M/2) z] / sigma^2, so they need no
  smooth network.
- For PGD's points, the mean loss over other noises, by which to choose among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from rs.machine.chance import kept_chance, seeded
from rs.machine.devices import device_name, generator
from rs.machine.progress import follow
from rs.methods import catalog
from rs.networks import audit as network_audit
from rs.networks.differentiable import Differentiable, require_gradients
from rs.networks.images import open_split
from rs.provenance.files import provenance, write_table
from rs.settings.distributional import Distributional
from rs.smoothing.ascent import lagrangian_ascent, pgd
from rs.smoothing.noise import Noise
from rs.smoothing.smoothed import Smoothed, noisy_logits
from rs.statistics.seeding import Purpose, derive_seed

if TYPE_CHECKING:
    from rs.plan.jobs import Job

COPIES_PER_BATCH = 512
SCHEMA = {"image": pa.int64(), "adversary": pa.string(), "gamma": pa.float64()}
SCHEMA |= {"squared_distance": pa.float64(), "loss": pa.float64(), "loss_square": pa.float64()}
SCHEMA |= {"gradient_product": pa.float64(), "radius": pa.float64(), "chosen_loss": pa.float64()}


def run_job(job: Job, device: torch.device, code: str) -> None:
    observe(job.spec, job.inputs["model"], job.inputs["data"], job.outputs["observed"], device, code)


def observe(
    spec: dict[str, Any], model_manifest: Path, data: Path, output: Path, device: torch.device, code: str
) -> None:
    """Writes one row per image, adversary and gamma or radius."""
    settings = TypeAdapter(Distributional).validate_python({k: v for k, v in spec.items() if k != "noise"})
    noise: Noise = catalog.build("noises", spec["noise"])
    audited = network_audit.load(model_manifest, data, device)
    manifest, label = audited.manifest, f"distributional {audited.run}"
    differentiable = Differentiable(audited, {"precision": "float32"}, device)
    split = open_split(data, "test", device)
    positions = list(settings.images.positions(len(split)))
    together = max(1, COPIES_PER_BATCH // settings.samples)
    pieces = [positions[i : i + together] for i in range(0, len(positions), together)]
    rows: list[dict[str, Any]] = []
    for batch in follow(pieces, len(pieces), label, f"batches of {together} images"):
        x, y = split.take(batch)
        require_gradients(differentiable, x[0], model_manifest, "the distributional certificate", "")
        adversary = Adversary(differentiable, noise, settings, x, y, batch)
        seen = {"base": catalog.build("noises", {"name": "none"})}
        seen |= {"smoothed": noise} if getattr(noise, "sigma", 0.0) > 0 else {}
        with kept_chance():
            seeded(derive_seed(settings.seed, "network", batch[0]))  # for a network that draws itself
            for name, its_noise in seen.items():
                rows += adversary.rows(name, its_noise) + adversary.independent(name, its_noise)
    origin = provenance(
        spec,
        code,
        model=manifest["sha256"],
        device=device_name(device),
        sigma=float(getattr(noise, "sigma", 0.0)),
        dimension=math.prod(x.shape[1:]),
        estimates=settings.estimates,
        compared=differentiable.compared,
    )
    write_table(output, pa.Table.from_pylist(rows, pa.schema(SCHEMA)), origin)


def losses(settings: Distributional, logits: Tensor, y: Tensor) -> Tensor:
    """The loss of every row of logits [R, K]: [R]."""
    found = F.cross_entropy(logits, y, reduction="none")
    if settings.loss == "error_probability":
        found = -torch.expm1(-found)
    return found if settings.clip is None else found.clamp(max=settings.clip)


@dataclass(frozen=True)
class Adversary:
    """Moves the images x [B, C, H, W] with labels y; `positions` are their positions in the split."""

    network: nn.Module
    noise: Noise
    settings: Distributional
    x: Tensor
    y: Tensor
    positions: Sequence[int]

    def rows(self, name: str, noise: Noise) -> list[dict[str, Any]]:
        """The point of each gamma under `noise`, and x_0 itself."""
        found = []
        for gamma in (*self.settings.gammas, math.inf):
            x = self.x if math.isinf(gamma) else self.moved(noise, gamma)
            columns = self.measured(noise, gamma, x)
            for i, image in enumerate(self.positions):
                row = {key: float(values[i]) for key, values in columns.items()}
                found.append({"image": image, "adversary": name, "gamma": gamma, **row})
        return found

    def independent(self, name: str, noise: Noise) -> list[dict[str, Any]]:
        """PGD's point in each ball under `noise`, and x_0 itself."""
        found = []
        for radius in sorted({0.0, *self.settings.attack_radii}):
            x = self.in_ball(noise, radius) if radius else self.x
            columns = self.measured(noise, math.inf, x)
            columns["chosen_loss"] = self.measured(noise, math.inf, x, "select")["loss"]
            for i, image in enumerate(self.positions):
                row = {key: float(values[i]) for key, values in columns.items()}
                found.append({"image": image, "adversary": f"pgd_{name}", "radius": radius, **row})
        return found

    def _draws(self, noise: Noise, purpose: Purpose, *indices: int) -> Smoothed:
        device, seed = self.x.device, self.settings.seed
        draws = [generator(device, seed, purpose, i, *indices) for i in self.positions]
        return Smoothed(self.network, noise, draws)

    def _losses(self, x: Tensor, z: Tensor) -> Tensor:
        """Losses [B, S] for noise [B, S, C, H, W]."""
        samples = z.shape[1]
        logits = noisy_logits(self.network, x, z)
        return losses(self.settings, logits, self.y.repeat_interleave(samples)).unflatten(0, (-1, samples))  # type: ignore[no-any-return]

    def moved(self, noise: Noise, gamma: float) -> Tensor:
        """The end of the ascent, like x."""
        smoothed, settings = self._draws(noise, "attack"), self.settings
        return lagrangian_ascent(
            lambda at, z: self._losses(at, z).mean(1),
            lambda: smoothed.noise_like(self.x, settings.samples),
            *(self.x, gamma, settings.steps),
            noise_in_cost=False,
        )

    def in_ball(self, noise: Noise, radius: float) -> Tensor:
        """The end of PGD, like x."""
        smoothed, settings = self._draws(noise, "attack", 1), self.settings
        return pgd(
            lambda at: self._losses(at, smoothed.noise_like(self.x, settings.samples)).mean(1),
            *(self.x, radius, settings.steps, 2 * radius / settings.steps),
            box=None,
        )

    @torch.no_grad()
    def measured(
        self, noise: Noise, gamma: float, x: Tensor, purpose: Purpose = "judge"
    ) -> dict[str, Tensor]:
        """Squared distance, mean and mean square of the loss, product of gradients: each [B], float64."""
        smoothed, settings = self._draws(noise, purpose), self.settings
        shift = (x - self.x).double()
        drawn = 2 if smoothed.constant else settings.estimates
        sums, squares = (torch.zeros(len(x), dtype=torch.float64, device=x.device) for _ in range(2))
        bound, sigma = settings.bound, float(getattr(noise, "sigma", 0.0))
        scored = math.isfinite(bound) and math.isfinite(gamma) and sigma > 0
        gradients = []
        for _ in range(2):  # halves
            score = torch.zeros_like(shift)
            for done in range(0, drawn // 2, settings.samples):
                z = smoothed.noise_like(x, min(settings.samples, drawn // 2 - done))
                values = self._losses(x, z).double()
                sums, squares = sums + values.sum(1), squares + values.square().sum(1)
                if scored:
                    score += torch.einsum("bs,bschw->bchw", (values - bound / 2).float(), z)
            gradients.append(score / (sigma**2 * drawn / 2) - 2 * gamma * shift if scored else None)
        first, second = gradients
        product = torch.full_like(sums, math.nan)
        if first is not None and second is not None:
            product = (first * second).flatten(1).sum(1)
        found = {"squared_distance": shift.flatten(1).square().sum(1)}
        return found | {"loss": sums / drawn, "loss_square": squares / drawn, "gradient_product": product}
