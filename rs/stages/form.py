"""The form stage: fixes the inference form of a run before its first vote.

The study requests a form. If its compilation fails or memory runs out, the run falls back on the next form,
with a warning, and every vote, judgement and prediction of the run uses that one. Sample and attack jobs read
the form from this stage's file. So with a new form all of a run's draws start again, and draws of two forms
are never merged. A form without the compiler needs no such job, unless the study requests a GPU, whose memory
may run out; elsewhere lack of memory is one line in the job.

OpenVINO's program is always made here, once, and stored in the file. int8 is calibrated on training images
under the noise of the votes (rs.networks.openvino_program), so each noise has its own form, without fallback.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rs.machine.devices import device_name
from rs.networks import audit as network_audit
from rs.networks import kept_forms
from rs.networks.forms import resolve, try_out
from rs.networks.openvino_form import made_here
from rs.provenance.files import provenance, write_json
from rs.settings.sampling import by_openvino, requested_form

if TYPE_CHECKING:
    from rs.plan.jobs import Job


def run_job(job: Job, device: torch.device, code: str) -> None:
    kept_forms.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("once", RuntimeWarning)  # a damaged file is reported twice: by find and by keep
        fix(job.spec, job.inputs["model"], job.inputs["data"], job.outputs["form"], device, code)


def fix(
    spec: dict[str, Any], model_manifest: Path, data: Path, output: Path, device: torch.device, code: str
) -> None:
    """Writes the model's `form`, and why it is not the requested one (`fallback`)."""
    audited = network_audit.load(model_manifest, data, device)
    record: dict[str, Any]
    if by_openvino(spec):
        form = requested_form(spec)
        voting = made_here(audited, form, spec.get("noise", {}), data, device)
        try_out(voting, audited.probes.shape[1:])
        record = {"form": form, "fallback": None, "program": voting.program.packed()}
    else:
        form, fallback = resolve(audited, spec, device, keep=True)
        record = {"form": form, "fallback": fallback}
    origin = provenance(spec, code, model=audited.manifest["sha256"], device=device_name(device))
    write_json(output, {**record, "provenance": origin})
