"""The certify stage of votes that group sequential tests stopped (rs.stages.sample_group_sequential).

It is rs.stages.certify except for which claims decide the radii that the votes were drawn for: only those of
the certificate of the same tests. Other certificates bound the same votes by a confidence sequence and claim
less.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from rs.methods import catalog
from rs.methods.certificates.group_sequential import GroupSequential
from rs.methods.interfaces import Certified
from rs.provenance.files import provenance, write_table
from rs.stages.certified_rows import Decided, claims, drawn, facts_of, made_for_this, warn_of_versions
from rs.statistics.draws import Draws


def certify(
    spec: dict[str, Any],
    selection: list[Path],
    estimation: list[list[Path]],
    output: Path,
    code: str,
    model: Path | None = None,
) -> None:
    """Writes rows as rs.stages.certify does."""
    draws, folder = drawn(spec, selection, estimation), selection[0].parents[1]
    made_for_this(draws, spec, model, folder)
    warn_of_versions(draws, folder)
    votes = spec["n0"] + spec["n"]
    tables = [claims(method, draws, spec, votes, decided=_decided(method)) for method in spec["certificates"]]
    write_table(output, pa.concat_tables(tables), provenance(spec, code, stop=draws.stop, **facts_of(draws)))


def _decided(method: dict[str, Any]) -> Decided:
    """Whether a claim at an alpha decides the radii: it does for the tests' own certificate at the tests' own
    alpha.
    """
    tested = isinstance(catalog.build("certificates", method), GroupSequential)

    def decided(draws: Draws, noise: Any, norm: float, certified: Certified, alpha: float) -> bool:
        return tested and bool(alpha == draws.stop["alpha"])

    return decided
