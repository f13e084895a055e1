"""The calibrate stage: rho and epsilon of a trained NAL or WRM run (NAL eq. 8), so that other methods can be
compared with it.

Adversarial points x come from `steps` of Lagrangian ascent at the run's gamma and step size, on its training
images. Then rho_with_noise = E ||x + z - x_0||^2 with fresh z, as eq. (8) is written, and rho_without_noise =
E ||x - x_0||^2; epsilon = sqrt(rho). rho_with_noise contains d sigma^2 (1.96 for MNIST at sigma = 0.05),
which is impossible for the epsilons of NAL's Table 1 (0.21 to 0.84). So both are stored, and a study says
which it uses. Standard errors are over images.

Eq. (8) can also be read with the noise of the ascent's last step, as line 8 of Algorithm 1 can. If that noise
is in the cost, x_K = x_0 - mean_j z_j + grad l/(2 gamma), and over the draws ||x_K + z_j - x_0||^2 has the
mean ||grad l||^2 / (4 gamma^2) + mean_j ||z_j - mean_i z_i||^2. The second term is d sigma^2 (1 - 1/r) in
expectation. At r = 1 it is 0 and epsilon = ||grad l|| / (2 gamma) exactly, so a published epsilon may include
this noise. At r = 4, which the paper takes by default (section 5.1), it could not be below 1.21 for MNIST.
This reading is rho_reused_noise; it makes sense for `noise_in_cost: true` and the `samples` r of the
training.

The cost that the ascent pays is the expectation over z, ||x - x_0||^2 + d sigma^2. NAL's Algorithm 1 averages
over the r draws of a step instead (`noise_in_cost: true` here, whatever the run was trained with). With its
step of 0.5/gamma the point then carries minus the mean of the last r draws, which adds d sigma^2/r to
rho_without_noise: 0.49 for MNIST at r = 4, an epsilon of at least 0.7 for any gamma. Table 1 has 0.34 and
0.21 for MNIST, so it is not ||x - x_0|| of such points either.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter

from rs.machine.devices import device_name, generator
from rs.machine.progress import follow
from rs.methods import catalog
from rs.networks import audit as network_audit
from rs.networks.differentiable import Differentiable
from rs.networks.images import open_split
from rs.provenance.files import provenance, write_json
from rs.settings.calibration import Calibration
from rs.settings.images import Subset
from rs.settings.training import Training, trained_positions
from rs.smoothing.ascent import lagrangian_ascent
from rs.smoothing.noise import Noise
from rs.smoothing.smoothed import Smoothed, mean_cross_entropy

if TYPE_CHECKING:
    from rs.plan.jobs import Job

COPIES_PER_BATCH = 512


def run_job(job: Job, device: torch.device, code: str) -> None:
    model, data = job.inputs["model"], job.inputs["data"]
    calibrate(job.spec, model, data, job.outputs["calibration"], device, code)


def calibrate(
    spec: dict[str, Any], model_manifest: Path, data: Path, output: Path, device: torch.device, code: str
) -> None:
    """Writes rho and epsilon with fresh noise, with the last step's noise, and without, with standard
    errors.
    """
    settings = TypeAdapter(Calibration).validate_python(spec)
    audited = network_audit.load(model_manifest, data, device)
    manifest, label = audited.manifest, f"calibrate {audited.run}"
    differentiable = Differentiable(audited, {"precision": "float32"}, device)
    trained = manifest["provenance"]["spec"]
    objective = catalog.build("objectives", trained["objective"])
    noise: Noise = catalog.build("noises", trained["noise"])
    split = open_split(data, "train", device)
    training = vars(TypeAdapter(Training).validate_python(trained["training"]))
    used = trained_positions(Subset(**trained.get("train", {})), training, len(split))
    positions = [used[i] for i in settings.images.positions(len(used))]
    together = max(1, COPIES_PER_BATCH // settings.samples)
    pieces = [positions[i : i + together] for i in range(0, len(positions), together)]
    costs: dict[str, list[torch.Tensor]] = {"with_noise": [], "without_noise": [], "reused_noise": []}
    for batch in follow(pieces, len(pieces), label, f"batches of {together} images"):
        x0, y = split.take(batch)
        generators = [generator(device, settings.seed, "calibrate", i) for i in batch]
        smoothed = Smoothed(differentiable, noise, generators)
        last: list[torch.Tensor] = []

        def draw(
            x0: torch.Tensor = x0, smoothed: Smoothed = smoothed, last: list[torch.Tensor] = last
        ) -> torch.Tensor:
            last[:] = [smoothed.noise_like(x0, settings.samples)]
            return last[0]

        worst = lagrangian_ascent(
            lambda at, z, y=y: mean_cross_entropy(differentiable, at, z, y),  # type: ignore[misc]
            draw,
            *(x0, objective.gamma, settings.steps, objective.step_size),
            noise_in_cost=settings.noise_in_cost,
        )
        moved, fresh = (worst - x0).double(), smoothed.noise_like(x0, settings.samples).double()
        costs["without_noise"].append(moved.flatten(1).square().sum(1))
        for cost, z in (("with_noise", fresh), ("reused_noise", last[0].double())):
            costs[cost].append((moved.unsqueeze(1) + z).flatten(2).square().sum(2).mean(1))
    result: dict[str, Any] = {"gamma": objective.gamma, "images": len(positions)}
    for cost, parts in costs.items():
        result |= radii_of(cost, torch.cat(parts))
    run = model_manifest.parent.name
    origin = provenance(spec, code, run=run, model=manifest["sha256"], device=device_name(device))
    origin |= {"compared": differentiable.compared}
    write_json(output, {**result, "noise_in_cost": settings.noise_in_cost, "provenance": origin})


def radii_of(cost: str, values: torch.Tensor) -> dict[str, float]:
    """rho (the mean of the squared distances [N]), epsilon (its root), and their standard errors."""
    rho = float(values.mean())
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {
        f"rho_{cost}": rho,
        f"rho_{cost}_se": error,
        f"epsilon_{cost}": math.sqrt(rho),
        f"epsilon_{cost}_se": error / (2 * math.sqrt(rho)) if rho else 0.0,
    }
