"""The calibrate stage: rho and epsilon of a trained NAL or WRM run (NAL eq. 8), so that other methods can be
compared.

Adversarial points x come from `steps` of the run's own Lagrangian ascent on the training set. Then
rho_with_noise = E ||x + z - x_0||^2 with fresh z, as eq. (8) is written, and rho_without_noise = E ||x -
x_0||^2; epsilon = sqrt(rho). The first contains d sigma^2 (1.96 for MNIST at sigma = 0.05), which the
epsilons of NAL's Table 1 (0.21 to 0.84) cannot, so both are stored and a study says which it uses. Standard
errors are over images.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from rs import catalog, checkpoints
from rs.ascent import lagrangian_ascent
from rs.devices import device_name, generator
from rs.preparation import load_split
from rs.progress import follow
from rs.provenance import provenance, write_json
from rs.smoothing import Smoothed, evaluation_mode, mean_cross_entropy
from rs.spec import Calibration

IMAGES_PER_BATCH = 200


def calibrate(
    spec: dict[str, Any], model_manifest: Path, data: Path, output: Path, device: torch.device, code: str
) -> None:
    """Writes rho and epsilon, with and without the noise term, with standard errors."""
    settings = TypeAdapter(Calibration).validate_python(spec)
    network, manifest = checkpoints.load(model_manifest, data)
    network = network.to(device)
    trained = manifest["provenance"]["spec"]
    objective = catalog.build("objectives", trained["objective"])
    noise = catalog.build("noises", trained["noise"])
    x, y = load_split(data, "train", device)
    positions = list(settings.images.positions(len(x)))
    batches = [positions[i : i + IMAGES_PER_BATCH] for i in range(0, len(positions), IMAGES_PER_BATCH)]
    costs: dict[str, list[torch.Tensor]] = {"with_noise": [], "without_noise": []}
    label, unit = f"calibrate {model_manifest.parent.name}", f"batches of {IMAGES_PER_BATCH}"
    for batch in follow(batches, len(batches), label, unit):
        x0, labels = x[batch], y[batch]
        smoothed = Smoothed(network, noise, [generator(device, settings.seed, "calibrate", i) for i in batch])
        with evaluation_mode(network):
            worst = lagrangian_ascent(
                lambda at, z, labels=labels: mean_cross_entropy(network, at, z, labels),  # type: ignore[misc]
                lambda x0=x0, smoothed=smoothed: smoothed.noise_like(x0, settings.samples),  # type: ignore[misc]
                x0,
                objective.gamma,
                settings.steps,
                objective.step_size,
                getattr(objective, "noise_in_cost", False),
            )
        moved = (worst - x0).double()
        fresh = smoothed.noise_like(x0, settings.samples).double()
        costs["without_noise"].append(moved.flatten(1).square().sum(1))
        costs["with_noise"].append((moved.unsqueeze(1) + fresh).flatten(2).square().sum(2).mean(1))
    result: dict[str, Any] = {"gamma": objective.gamma, "images": len(positions)}
    for cost, parts in costs.items():
        values = torch.cat(parts)
        rho = float(values.mean())
        error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        result[f"rho_{cost}"], result[f"rho_{cost}_se"] = rho, error
        result[f"epsilon_{cost}"] = math.sqrt(rho)
        result[f"epsilon_{cost}_se"] = error / (2 * math.sqrt(rho)) if rho else 0.0
    made = provenance(spec, code, model=manifest["sha256"], device=device_name(device))
    write_json(output, {**result, "provenance": made})
