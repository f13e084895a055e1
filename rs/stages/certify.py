"""The certify stage: every certificate of a study from stored draws, in seconds; no network runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rs.plan.draw_paths import shards_of
from rs.provenance.files import provenance, write_table
from rs.stages import certify_group_sequential, certify_incremental
from rs.stages.certified_rows import claims, drawn, facts_of, made_for_this, warn_of_versions

if TYPE_CHECKING:
    from rs.plan.jobs import Job

WAYS = {  # key of a spec -> way of certifying; the first key that the spec has decides (rs.plan.stages)
    "rule": certify_group_sequential.certify,
    "source": certify_incremental.certify,
}


def run_job(job: Job, device: None, code: str) -> None:
    way = next((WAYS[key] for key in WAYS if key in job.spec), certify)
    draws = shards_of(job.spec, job.inputs)
    way(job.spec, *draws, job.outputs["certified"], code, job.inputs.get("model"))


def certify(
    spec: dict[str, Any],
    selection: list[Path],
    estimation: list[list[Path]],
    output: Path,
    code: str,
    model: Path | None = None,
) -> None:
    """One row per certificate and image: prediction (-1 abstains), radius, whether the claim is rigorous, the
    largest radius that the certificate could give, and the votes that it saw. `model` is the manifest of the
    network that should have made the draws.
    """
    draws, folder = drawn(spec, selection, estimation), selection[0].parents[1]
    made_for_this(draws, spec, model, folder)
    warn_of_versions(draws, folder)
    tables = [claims(method, draws, spec, spec["n0"] + spec["n"]) for method in spec["certificates"]]
    write_table(output, pa.concat_tables(tables), provenance(spec, code, stop=draws.stop, **facts_of(draws)))
