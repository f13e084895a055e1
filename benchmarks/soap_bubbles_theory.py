"""Whether `spherical` and `mixed_norm` certify more than Gaussian noise of the same norm, by the theory
alone.

For every radius: the least p_A that certifies it, under N(0, sigma_0^2 I) and under each family with `match:
paper` and `match: mean`. Smaller is better. The l2 family and the Gaussian are exact (quadrature, closed
form); the mixed norm is a Monte Carlo estimate with its standard error. No network is involved. Writes a CSV
and prints Markdown tables; the last one is the toy of Figure 4 (d = 5, linf shift 0.1).

    python -m benchmarks.soap_bubbles_theory docs/evidence/soap-bubbles-theory.csv
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch
from scipy import special

from rs.methods.certificates.radius_table import required_quantile
from rs.methods.certificates.ratio_laws import MixedNormLaw, Ratios, SphericalLaw, SupNormLaw
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.spherical import Spherical
from rs.methods.noise.sup_norm import SupNorm

D = 3072
K = (0, 100, 250, 500, 1000, 1500, 2000)
SIGMA = 0.5
L2 = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
LINF = tuple(i / 255 for i in (2, 4, 6, 8))
DRAWS = 100_000


def mixed(ratios: Ratios, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate of the needed p_A at sigma = 1, and its standard error over 10 equal parts of the sample."""
    needed, error = [], []
    for r in radii:
        t = ratios(float(r))
        parts = [np.mean(part <= -np.median(part)) for part in np.split(t, 10)]
        needed.append(np.mean(t <= -np.median(t)))
        error.append(np.std(parts, ddof=1) / np.sqrt(10))
    return np.array(needed), np.array(error)


def table() -> pd.DataFrame:
    rows = []
    for k in K:
        ratios = MixedNormLaw(D, k).sample(DRAWS, torch.Generator().manual_seed(0))
        for match in ("paper", "mean"):
            noises = (
                ("spherical", 2, L2, Spherical(SIGMA, k, match).scale(D)),
                ("mixed_norm", np.inf, LINF, MixedNorm(SIGMA, k, match).scale(D)),
            )
            for name, norm, radii, scale in noises:
                r = np.array(radii)
                if name == "spherical":
                    needed, error = special.ndtr(required_quantile(SphericalLaw(D, k), r / scale)[0]), 0 * r
                else:
                    needed, error = mixed(ratios, r / scale)
                gaussian = special.ndtr(r / SIGMA * (1 if norm == 2 else np.sqrt(D)))
                rows += [
                    dict(zip(COLUMNS, (name, norm, k, match, SIGMA, *values), strict=True))
                    for values in zip(r, needed, error, gaussian, strict=True)
                ]
    return pd.DataFrame(rows)


COLUMNS = ("noise", "norm", "k", "match", "sigma_0", "radius", "needed_p", "standard_error", "gaussian_p")


def divergence(law: SphericalLaw | SupNormLaw, r: float, multiplier: float) -> float:
    """D(lambda q || q_delta) = lambda F(t) - 1 + F(-t) at t = log lambda."""
    t = np.log(multiplier) * np.array([1.0, -1.0])
    below, beyond = law.distribution(np.array([r, r]), t)[0] + 0.5
    return float(multiplier * below - 1 + beyond)


def toy() -> pd.DataFrame:
    """Least D over k per accuracy of f = 1{|x|_2 <= 0.65} and lambda: the Pareto frontier of Figure 4."""
    d, shift, draws = 5, 0.1, 2_000_000
    cases = [(m, a) for m in (0.5, 1.0, 3.0) for a in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)]
    best = {case: {"spherical": np.inf, "mixed_norm": np.inf, "sup_norm": np.inf} for case in cases}
    for k in np.arange(0, 5, 0.5):
        generator = torch.Generator().manual_seed(0)
        mixed_ratios = MixedNormLaw(d, k).sample(draws, generator)
        norms = SupNorm(1.0, k).sample((draws, 1, 1, d), generator).flatten(1).norm(dim=1).numpy()
        for (multiplier, accuracy), least in best.items():
            # |z|_2 is scale * chi(d - k) for the first two families
            scale = 0.65 / np.sqrt(2 * special.gammaincinv((d - k) / 2, accuracy))
            sup_scale = 0.65 / float(np.quantile(norms, accuracy))
            sampled = np.maximum(multiplier - np.exp(mixed_ratios(shift / scale)), 0).mean()
            divergences = {
                "spherical": divergence(SphericalLaw(d, k), np.sqrt(d) * shift / scale, multiplier),
                "mixed_norm": float(sampled),
                "sup_norm": divergence(SupNormLaw(d, k), shift / sup_scale, multiplier),
            }
            least.update({name: min(least[name], value) for name, value in divergences.items()})
    return pd.DataFrame([{"lambda": m, "accuracy": a, **least} for (m, a), least in best.items()])


def show(heads: list[str], rows: list[list[str]]) -> None:
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main(path: str) -> None:
    torch.set_num_threads(1)
    frame = table()
    frame.to_csv(path, index=False, float_format="%.6g")
    for (name, match), part in frame.groupby(["noise", "match"], sort=False):
        unit, suffix = (255, "/255") if name == "mixed_norm" else (1, "")
        wide = part.pivot(index="k", columns="radius", values="needed_p")
        wide.loc["Gaussian"] = part.drop_duplicates("radius").set_index("radius")["gaussian_p"]
        print(f"\n{name}, match {match}")
        show(
            ["k", *(f"{r * unit:.4g}{suffix}" for r in wide.columns)],
            [[str(k), *(f"{p:.5f}" for p in row)] for k, row in wide.iterrows()],
        )
        print(f"\nlargest standard error {part['standard_error'].max():.1g}")
    print("\ntoy, least D")
    small = toy()
    show(list(small.columns), [[f"{v:.4f}" for v in row] for row in small.to_numpy()])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", help="the file to write")
    main(parser.parse_args().csv)
