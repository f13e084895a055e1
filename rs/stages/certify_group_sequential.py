"""The certify stage of votes that group sequential tests stopped (rs.stages.sample_group_sequential).

As rs.stages.certify, but for which claims decide the radii that the votes were drawn for: those of the
certificate of the same tests. Others, which bound the same votes by a confidence sequence, claim less.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rs.methods import catalog
from rs.methods.certificates.group_sequential import GroupSequential
from rs.provenance.files import provenance, write_table
from rs.settings.images import Subset
from rs.settings.labels import label_of
from rs.stages.certify import accuracy_factor, largest_radius, leading, made_for_this, warn_of_versions
from rs.stages.draw_files import merge
from rs.statistics.rounded_normal import left_of
from rs.statistics.seeding import stored_uniform


def certify(
    spec: dict[str, Any],
    selection: list[Path],
    estimation: list[list[Path]],
    output: Path,
    code: str,
    model: Path | None = None,
) -> None:
    """Rows as rs.stages.certify writes them."""
    positions = np.asarray(Subset(**spec["test"]).positions(spec["data_size"]), np.int64)
    uniform = np.array([stored_uniform(spec["seed"], int(i)) for i in positions])
    draws = merge(selection, estimation, positions, uniform)
    made_for_this(draws, spec, model, selection[0].parents[1])
    warn_of_versions(draws, selection[0].parents[1])
    noise, size, tables = catalog.build("noises", spec["noise"]), len(draws), []
    for method in spec["certificates"]:
        certificate, use = catalog.build("certificates", method), catalog.build_use("certificates", method)
        alpha = left_of(use.alpha, spec["noise"], draws.dimension, spec["n0"] + spec["n"])
        found = certificate.certify(draws, noise, alpha)
        same = {
            "certificate": label_of(method),
            "norm": float(certificate.norms[spec["noise"]["name"]]),
            "alpha": use.alpha,
            "largest_radius": largest_radius(certificate, draws, noise, alpha, spec["n"]),
            "decided": isinstance(certificate, GroupSequential) and use.alpha == draws.stop["alpha"],
            "rigorous": bool(certificate.rigorous),
            "factor": accuracy_factor(certificate, use.alpha),
        }
        own = {"n": draws.estimation.n, "image": draws.images, "label": draws.labels, **leading(draws)}
        claims = {"prediction": found.prediction.astype(np.int64), "radius": found.radius.astype(np.float64)}
        tables.append(pa.table({**{k: [v] * size for k, v in same.items()}, **own, **claims}))
    told = {key: draws.origin.get(key) for key in ("model", "form", "content", "drawn")}
    write_table(output, pa.concat_tables(tables), provenance(spec, code, stop=draws.stop, **told))
