"""What all ways of certifying share: draws that are those asked for, and a certificate's claims as rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import special

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.claims import checked
from rs.methods.interfaces import Certificate, Certified
from rs.provenance.digests import canonical
from rs.provenance.files import ADVICE
from rs.provenance.run_files import read_model_manifest
from rs.settings.images import Subset
from rs.settings.labels import certificate_label
from rs.smoothing.noise import Noise
from rs.stages.draw_files import merge
from rs.statistics.draws import Draws, Votes
from rs.statistics.rounded_normal import left_of
from rs.statistics.seeding import stored_uniform
from rs.statistics.sequences import upper

Largest = Callable[[Certificate, Draws, Noise, float, int], float]
Decided = Callable[[Draws, Any, float, Certified, float], bool]


def drawn(spec: dict[str, Any], selection: list[Path], estimation: list[list[Path]]) -> Draws:
    """The draws of the images that `spec` asks for."""
    positions = np.asarray(Subset(**spec["test"]).positions(spec["data_size"]), np.int64)
    uniform = np.array([stored_uniform(spec["seed"], int(i)) for i in positions])
    return merge(selection, estimation, positions, uniform)


def facts_of(draws: Draws) -> dict[str, Any]:
    """The facts about the draws that certified files repeat."""
    return {key: draws.origin.get(key) for key in ("model", "form", "content", "drawn")}


def claims(
    method: dict[str, Any],
    draws: Draws,
    spec: dict[str, Any],
    votes: int,
    largest: Largest | None = None,
    decided: Decided | None = None,
) -> pa.Table:
    """One certificate's claim for each image. An image's claim rests on `votes` votes. `largest` and
    `decided` default to `largest_radius` and `answers`.
    """
    noise = catalog.build("noises", spec["noise"])
    certificate, use = catalog.build("certificates", method), catalog.build_use("certificates", method)
    alpha = left_of(use.alpha, spec["noise"], draws.dimension, votes)
    certified = checked(certificate.certify(draws, noise, alpha), draws, certificate)
    norm = float(certificate.norms[spec["noise"]["name"]])
    same = {
        "certificate": certificate_label(method),
        "norm": norm,
        "alpha": use.alpha,
        "largest_radius": (largest or largest_radius)(certificate, draws, noise, alpha, spec["n"]),
        "decided": (decided or answers)(draws, noise, norm, certified, use.alpha),
        "rigorous": bool(certificate.rigorous),
        "factor": accuracy_factor(certificate, use.alpha),
    }
    found = {"n": draws.estimation.n, "image": draws.images, "label": draws.labels}
    found |= {"prediction": certified.prediction.astype(np.int64)}
    found |= {"radius": certified.radius.astype(np.float64), **leading(draws)}
    return pa.table({key: [value] * len(draws) for key, value in same.items()} | found)


def warn_of_versions(draws: Draws, folder: Path) -> None:
    """Warns where the draws in `folder` are of several versions of torch (rs.stages.draw_files)."""
    if len(versions := draws.origin.get("drawn", {}).get("torch", ())) > 1:
        mixture = f"draws of torch {' and '.join(versions)}: radii are of the classifiers' mixture"
        warnings.warn(f"{folder}: {mixture}", RuntimeWarning, 2)


def leading(draws: Draws) -> dict[str, np.ndarray]:
    """int64 [N] each: the class that the selection draws chose and its estimation votes; the other class with
    the most estimation votes, and its votes.
    """
    rows, counts = np.arange(len(draws)), draws.estimation.counts
    voted = draws.selection.counts.argmax(1)
    others = counts.copy()
    others[rows, voted] = -1
    second = others.argmax(1)
    first = {"voted": voted, "votes": counts[rows, voted]}
    return first | {"runner_up": second, "runner_up_votes": counts[rows, second]}


def made_for_this(draws: Draws, spec: dict[str, Any], model: Path | None, folder: Path) -> None:
    """Raises UserError where the draws in `folder` are of another network, noise, seed or number of votes."""
    expected = {key: canonical(spec[key]) for key in ("noise", "seed")}
    if model is not None:
        expected["model"] = read_model_manifest(model)["sha256"]
    for key, value in expected.items():
        if draws.origin[key] != value:
            raise UserError(f"{folder}: draws of the {key} {draws.origin[key]}, not {value}; {ADVICE}")
    fixed = draws.stopping == "fixed"
    for votes, n in ((draws.selection, spec["n0"]), *(((draws.estimation, spec["n"]),) if fixed else ())):
        if (votes.n != n).any():
            image = draws.images[votes.n != n][0]
            raise UserError(
                f"{folder}: image {image} has {votes.n[votes.n != n][0]} votes, not {n}; {ADVICE}"
            )


def accuracy_factor(certificate: Any, alpha: float) -> float:
    """The factor on certified accuracies: for STN's certificate 1 - alpha unless it is given another one;
    else 1.
    """
    if not hasattr(certificate, "accuracy_factor"):
        return 1.0
    factor: float | None = certificate.accuracy_factor
    return 1 - alpha if factor is None else factor


def largest_radius(certificate: Certificate, draws: Draws, noise: Noise, alpha: float, n: int) -> float:
    """The radius from unanimous votes: `n` estimation votes and all selection votes for one class, with all
    of its softmax. A proven certificate gives no larger radius from that many votes. For randomised bounds,
    the better end of the uniform number.
    """

    def unanimous(votes: Votes, number: int) -> Votes:
        counts = np.zeros((2, votes.counts.shape[1]), np.int64)
        counts[:, 0] = number
        scores = {beta: counts.astype(np.float64) for beta in votes.sums}
        return Votes(counts, scores, dict(scores))

    ends = np.array([0.0, np.nextafter(1.0, 0.0)])
    selection = unanimous(draws.selection, int(draws.selection.n.max()))
    same = (draws.dimension, ends, draws.stopping, draws.stop)
    best = Draws(np.arange(2), np.zeros(2, np.int64), selection, unanimous(draws.estimation, n), *same)
    return float(certificate.certify(best, noise, alpha).radius.max())


def answers(draws: Draws, noise: Any, norm: float, certified: Certified, alpha: float) -> bool:
    """Whether the votes decide the radii that they were drawn for: always if their number was fixed.

    Votes stopped by a rule do so for l2 radii no smaller than the rule's own, which come from one bound at
    its alpha. At a larger alpha they do not: radii that the rule gave up might have been certified.
    """
    if draws.stopping == "fixed":
        return True
    if norm != 2 or alpha > draws.stop["alpha"]:
        return False
    n, top = draws.estimation.n, draws.selection.counts.argmax(1)
    failures = n - draws.estimation.counts[np.arange(len(draws)), top]
    own = -noise.sigma * special.ndtri(upper(failures, n, draws.stop["alpha"]))
    return bool(np.all(certified.radius >= np.maximum(own, 0.0) * (1 - 1e-9)))
