"""From the inference form that a study requests to the first one that this machine can run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from rs.errors import UserError
from rs.machine.memory import ran_out
from rs.networks.audit import Audited
from rs.networks.inference import InferenceForm, form_of
from rs.networks.openvino_form import OpenVinoForm, for_noise
from rs.networks.openvino_program import unpacked
from rs.networks.transformations import one_line, warn
from rs.provenance.files import read_json
from rs.provenance.run_files import belongs
from rs.settings.sampling import FORM, by_openvino, requested_form

SMALLEST_BATCH = 16  # batches are multiples of it (rs.stages.voter)


def form_for(spec: dict[str, Any], file: Path | None, model: str | None = None) -> dict[str, Any]:
    """The form of a job: the one that the form stage fixed in `file`, or the one that its spec requests.

    Raises UserError for a file that is no form, or was fixed for another request or another network than
    `model`.
    """
    requested = requested_form(spec)
    if file is None:
        return requested
    stored = read_json(file)
    found = stored.get("form") if isinstance(stored, dict) else None
    if not isinstance(found, dict) or found not in list(ladder(requested)):
        raise UserError(f"{file}: not an inference form; remove it and run the form stage again")
    made_from = {**requested, "noise": spec["noise"]} if requested["precision"] == "int8" else requested
    belongs(file, stored.get("provenance"), made_from, model)
    return found


def fixed(
    audited: Audited, spec: dict[str, Any], file: Path | None, data: Path, device: torch.device
) -> InferenceForm:
    """The network in the form of a job. Raises UserError as `form_for` does."""
    form = form_for(spec, file, audited.manifest["sha256"])
    if not by_openvino(form):
        return form_of(audited, form, device)
    if file is None:
        raise UserError(f"{audited.run}: OpenVINO runs what the form stage has made, and there is no form")
    program = unpacked(read_json(file).get("program"), file)
    return OpenVinoForm(for_noise(audited, form, spec["noise"], data), form, device, program)


def ladder(requested: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The requested form, then its fallbacks: without the compiler, then in smaller batches."""
    form = requested_form(requested)
    yield form
    if by_openvino(form):
        return
    if form["compiled"]:
        form = {**form, "compiled": False}
        yield form
    while form["batch"] > SMALLEST_BATCH:
        form = {**form, "batch": max(form["batch"] // 4 // SMALLEST_BATCH, 1) * SMALLEST_BATCH}
        yield form


def resolve(
    audited: Audited, requested: dict[str, Any], device: torch.device, keep: bool = False
) -> tuple[dict[str, Any], str | None]:
    """The first form of `ladder` that runs and votes like the plain network, and why the earlier ones do not.
    With `keep`, its compiled code is kept for later jobs.

    Raises UserError for errors that no other form can avoid.
    """
    wrong: list[str] = []
    shape = audited.probes.shape[1:]
    for form in ladder(requested):
        settings = ", ".join(f"{key} {value}" for key, value in form.items())
        try:
            tried = form_of(audited, form, device)
            try_out(tried, shape)
        except UserError:
            raise
        except Exception as error:
            if not form["compiled"] and not ran_out(error):
                fails = f"{audited.run}: fails on images {list(shape)}: {one_line(error)}"
                raise UserError(fails) from error
            wrong.append(f"{settings}: {one_line(error)}")
            forget(device)
            continue
        if wrong:
            warn(audited.run, f"inference form falls back on {settings}; {'; '.join(wrong)}")
        if keep and (why := tried.keep(audited.probes)):
            problem = "its compiled form is not kept, so every job starts the compiler"
            print(f"{audited.run}: {problem}: {why}", file=sys.stderr)
        form = {key: tried.description[key] for key in FORM}
        return form, "; ".join([*wrong, *tried.fallbacks]) or None
    raise UserError(f"memory runs out even in the smallest batches: {wrong[-1]}")


def try_out(form: InferenceForm, shape: Sequence[int]) -> None:
    """Votes in two batches (CUDA graphs are recorded in the second), with noise and one softmax moment."""
    image = torch.zeros(tuple(shape), device=form.device)
    counts, _, _ = form.vote(
        image, 2 * form.batch, lambda rows: torch.zeros((rows, *shape), device=form.device), (1.0,)
    )
    counts.cpu()


def forget(device: torch.device) -> None:
    """Frees the memory and compiler state of a failed form."""
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
