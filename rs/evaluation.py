"""The certify stage: every certificate of a study from stored draws, in seconds; no network is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import special

from rs import catalog
from rs.draws import Draws, merge
from rs.interfaces import Certified
from rs.provenance import provenance, write_table
from rs.seeding import stored_uniform
from rs.sequences import upper
from rs.spec import Subset, label_of


def certify(
    spec: dict[str, Any], selection: list[Path], estimation: list[list[Path]], output: Path, code: str
) -> None:
    """One row per certificate and image: prediction (-1 abstains), radius, whether the claim is rigorous."""
    positions = np.asarray(Subset(**spec["test"]).positions(spec["data_size"]), np.int64)
    uniform = np.array([stored_uniform(spec["seed"], int(i)) for i in positions])
    draws = merge(selection, estimation, positions, uniform)
    noise = catalog.build("noises", spec["noise"])
    tables = []
    for method in spec["certificates"]:
        certificate, use = catalog.build("certificates", method), catalog.build_use("certificates", method)
        certified = certificate.certify(draws, noise, use.alpha)
        mark = " (randomised)" if method.get("randomised") and use.label else ""
        norm = float(certificate.norms[spec["noise"]["name"]])
        tables.append(
            pa.table(
                {
                    "certificate": [label_of(method) + mark] * len(draws),
                    "norm": [norm] * len(draws),
                    "alpha": [use.alpha] * len(draws),
                    "n": draws.estimation.n,
                    "decided": [answers(draws, noise, norm, certified, use.alpha)] * len(draws),
                    "rigorous": [bool(certificate.rigorous)] * len(draws),
                    "factor": [accuracy_factor(certificate, use.alpha)] * len(draws),
                    "image": draws.images,
                    "label": draws.labels,
                    "prediction": certified.prediction.astype(np.int64),
                    "radius": certified.radius.astype(np.float64),
                }
            )
        )
    write_table(output, pa.concat_tables(tables), provenance(spec, code, stop=draws.stop))


def accuracy_factor(certificate: Any, alpha: float) -> float:
    """What certified accuracies are multiplied by: STN's by the confidence, unless it is given another."""
    if not hasattr(certificate, "accuracy_factor"):
        return 1.0
    given: float | None = certificate.accuracy_factor
    return 1 - alpha if given is None else given


def answers(draws: Draws, noise: Any, norm: float, certified: Certified, alpha: float) -> bool:
    """Whether the votes decide the radii that they were drawn for: always if their number was fixed.

    Votes that a rule stopped do for l2 radii no smaller than its own, which come from one bound at its alpha;
    at a larger alpha, what it gave up might have been certified.
    """
    if draws.stopping == "fixed":
        return True
    if norm != 2 or alpha > draws.stop["alpha"]:
        return False
    n, top = draws.estimation.n, draws.selection.counts.argmax(1)
    failures = n - draws.estimation.counts[np.arange(len(draws)), top]
    own = -noise.sigma * special.ndtri(upper(failures, n, draws.stop["alpha"]))
    return bool(np.all(certified.radius >= np.maximum(own, 0.0) * (1 - 1e-9)))
