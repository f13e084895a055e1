"""Microseconds to draw one noisy copy of an image on one core, for every noise, beside Gaussian noise.

  python benchmarks/noises.py

CPU time, the best of 15 batches of 512. `rs price` measures the speed of networks with Gaussian noise alone.
"""

from __future__ import annotations

import time

import torch

from rs.methods import catalog

NOISES = [
    {"name": "gaussian", "sigma": 0.5},
    {"name": "gaussian", "sigma": 0.5, "exact": True},
    {"name": "laplace", "scale": 0.5},
    {"name": "uniform", "width": 0.5},
    *({"name": name, "sigma": 0.5, "k": 10.0} for name in ("spherical", "sup_norm", "mixed_norm")),
]
SHAPES = (1, 28, 28), (3, 32, 32)
BATCH, ROUNDS = 512, 15


def microseconds(noise: dict[str, object], shape: tuple[int, int, int]) -> float:
    built, draws = catalog.build("noises", noise), torch.Generator().manual_seed(0)
    image, times = torch.randint(0, 256, shape, generator=draws) / 255, []
    for _ in range(ROUNDS):
        started = time.process_time()
        built.sample((BATCH, *shape), draws).add_(image)
        times.append(time.process_time() - started)
    return 1e6 * min(times) / BATCH


def main() -> None:
    torch.set_num_threads(1)
    print("| noise | " + " | ".join("x".join(map(str, shape)) for shape in SHAPES) + " |\n|---|---|---|")
    for noise in NOISES:
        name = " exact".join([str(noise["name"]), *[""] * ("exact" in noise)])
        print(f"| {name} | " + " | ".join(f"{microseconds(noise, shape):.1f}" for shape in SHAPES) + " |")


if __name__ == "__main__":
    main()
