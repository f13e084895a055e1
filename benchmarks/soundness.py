"""The cost of exact Gaussian noise, and its purpose: the tables of docs/evidence/soundness.md.

    python benchmarks/soundness.py [--votes 20480]

Cost: seconds per vote of LeNet (28x28, one thread) in three inference forms, under plain and exact noise of
sigma = 0.25, alternately; the minimum of five rounds. The counterexample: a network that reads the last
digits of its input (tests/methods/test_exact_gaussian.py), certified at a grey image under either noise,
beside its answer at the black image.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from scipy import special, stats

import rs
from rs.methods import catalog
from rs.networks.audit import Audited
from rs.networks.inference import InferenceForm
from rs.statistics.bounds import clopper_pearson_upper

SHAPE, SIGMA, ROUNDS = (1, 28, 28), 0.25, 5
FORMS = (("float32", False), ("bfloat16", False), ("bfloat16", True))


def last_digits(x: torch.Tensor) -> torch.Tensor:
    """Class 1 where every pixel near 0 is a multiple of 2^-25."""
    x = x.flatten(1).double()
    coarse = ((x * 2**25).frac() == 0) | (x.abs() > 0.2)
    dark = coarse.all(1).double()
    return torch.stack([1 - dark, dark], 1)


def seconds_per_vote(form: InferenceForm, noise: Any, votes: int) -> float:
    draws = torch.Generator().manual_seed(0)
    image = (torch.arange(784) % 256).reshape(SHAPE).float() / 255
    start = time.perf_counter()
    form.vote(image, votes, lambda rows: noise.sample((rows, *SHAPE), draws))[0].sum().item()
    return (time.perf_counter() - start) / votes


def cost(votes: int) -> None:
    torch.set_num_threads(1)
    network = catalog.build("models", {"name": "lenet"}).build(SHAPE, 10, [0.13], [0.31]).eval()
    audited = Audited(network, {"classes": 10}, torch.rand(128, *SHAPE), "lenet", False)
    noises = {
        name: catalog.build("noises", {"name": "gaussian", "sigma": SIGMA, "exact": name == "exact"})
        for name in ("plain", "exact")
    }
    print(f"{'form':<20} {'plain, us':>10} {'exact, us':>10} {'more':>6}")
    for precision, compiled in FORMS:
        settings = {"precision": precision, "batch": 512, "compiled": compiled}
        form = InferenceForm(audited, settings, torch.device("cpu"))
        least = dict.fromkeys(noises, float("inf"))
        for _ in range(ROUNDS):
            for name, noise in noises.items():
                least[name] = min(least[name], seconds_per_vote(form, noise, votes))
        plain, exact = (1e6 * least[name] for name in noises)
        title = f"{precision}{', compiled' if compiled else ''}"
        print(f"{title:<20} {plain:>10.1f} {exact:>10.1f} {exact / plain - 1:>6.0%}")


def counterexample() -> None:
    grey, black = torch.full((1, 1, 4, 4), 128.0).div_(255), torch.zeros(1, 1, 4, 4)
    print(
        f"\ngrey and black lie {float((grey - black).norm()):.3f} apart; sigma = 1, n = 4000, alpha = 0.001"
    )
    for exact in (False, True):
        for name, image in (("grey", grey), ("black", black)):
            smoothed = rs.smooth(last_digits, sigma=1.0, exact=exact, batch=256, device="cpu")
            certified = smoothed.certify(image, n=4000, progress=False)
            claim = f"class {certified.prediction[0]}, l2 radius {certified.radius[0]:.3f}"
            print(f"{'exact' if exact else 'plain'} noise, {name:<6} {claim}")


def closeness() -> None:
    """Cohen et al.'s radius as a share of the true one, for a linear network at the median votes."""
    sizes, distances = (100, 1000, 10_000, 100_000), (0.25, 0.5, 1.0, 2.0, 3.0)
    print("\ntrue radius / sigma" + "".join(f"  n = {n:>6}" for n in sizes) + "   (alpha = 0.001)")
    for distance in distances:
        failures = [stats.binom.median(n, special.ndtr(-distance)) for n in sizes]
        radii = [
            -special.ndtri(clopper_pearson_upper(k, n, 0.001)) for k, n in zip(failures, sizes, strict=True)
        ]
        print(f"{distance:>19}" + "".join(f"  {max(float(r), 0) / distance:>10.0%}" for r in radii))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--votes", type=int, default=20_480)
    cost(parser.parse_args().votes)
    counterexample()
    closeness()
