"""The certify stage of a run that starts from another run's answers (rs.stages.sample_incremental).

It is rs.stages.certify with draws of two networks: the run's own, those of its source on the same draws, and
all votes of the source. Certificates other than `incremental` see only the run's own, which a rule stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rs.errors import UserError
from rs.methods.certificates.incremental import Incremental, answers
from rs.methods.interfaces import Certificate, Certified
from rs.provenance.digests import canonical
from rs.provenance.files import ADVICE, provenance, read_table, write_table
from rs.stages.answers import read_columns
from rs.stages.certified_rows import claims, drawn, facts_of, largest_radius, made_for_this, warn_of_versions
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired_draws import PairedDraws


def certify(
    spec: dict[str, Any],
    selection: list[Path],
    estimation: list[list[Path]],
    output: Path,
    code: str,
    model: Path | None = None,
) -> None:
    """Writes rows as rs.stages.certify does; `n` are the run's own votes, `source_n` those of its source."""
    draws, source = paired(spec, selection, estimation)
    folder = selection[0].parents[1]
    made_for_this(draws, spec, model, folder)
    warn_of_versions(draws, folder)
    votes = spec["n0"] + spec["n"] + spec["source"]["n"]
    tables = [
        claims(method, draws, spec, votes, unanimous_radius, _decided) for method in spec["certificates"]
    ]
    both = [table.append_column("source_n", pa.array(draws.first.n)) for table in tables]
    stop = {key: value for key, value in draws.stop.items() if key != "share"}
    origin = provenance(spec, code, stop=stop, source=source, **facts_of(draws))
    write_table(output, pa.concat_tables(both), origin)


def paired(
    spec: dict[str, Any], selection: list[Path], estimation: list[list[Path]]
) -> tuple[PairedDraws, dict[str, Any]]:
    """The draws of both networks, and the files' record of the source. Raises UserError where the files
    disagree about the source, or name another one than `spec` does.
    """
    draws = drawn(spec, selection, estimation)
    expected, sources, parts = canonical(spec["source"]), list[dict[str, Any]](), []
    for path in (path for blocks in estimation for path in blocks):
        table, origin = read_table(path, needs=("image",))
        source = origin.get("source")
        if not isinstance(source, dict) or any(source.get(key) != expected[key] for key in expected):
            raise UserError(f"{path}: starts from {source}, not {expected}; {ADVICE}")
        if sources and source != sources[0]:
            raise UserError(f"{path}: starts from {source}, but others from {sources[0]}; {ADVICE}")
        sources.append(source)
        parts.append((table.column("image").to_numpy(), *read_columns(path, ("first", "beside", "both"))))
    images, first, beside, both = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(images, kind="stable")
    at = order[np.searchsorted(images, draws.images, sorter=order)]
    _check(draws.estimation, beside[at], both[at], estimation[0][0].parent)
    known: dict[str, Any] = {**vars(draws), "stop": {**draws.stop, "share": spec["source"]["share"]}}
    return PairedDraws(**known, first=Votes(first[at]), beside=beside[at], both=both[at]), sources[0]


def _check(own: Votes, beside: np.ndarray, both: np.ndarray, folder: Path) -> None:
    """Raises UserError for counts that two networks cannot have on the same draws."""
    least = own.counts + beside - own.n[:, None]
    wrong = (beside.sum(1) != own.n) | (both > np.minimum(own.counts, beside)).any(1) | (both < least).any(1)
    if wrong.any():
        raise UserError(f"{folder}: holds counts that are not of the same draws; {ADVICE}")


def unanimous_radius(certificate: Certificate, draws: Draws, noise: Any, alpha: float, n: int) -> float:
    """The radius from `n` unanimous votes, of certificates on the draws of one network or of two."""
    if isinstance(certificate, Incremental):
        return certificate.largest(noise, alpha, n)
    return largest_radius(certificate, draws, noise, alpha, n)


def _decided(draws: Draws, noise: Any, norm: float, found: Certified, alpha: float) -> bool:
    return norm == 2 and answers(draws, noise, found, alpha)
