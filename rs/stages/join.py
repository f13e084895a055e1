"""The join stage: the networks of other runs become one model of ours, and later stages run unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rs.errors import UserError
from rs.methods import catalog
from rs.networks import audit as network_audit
from rs.networks import checkpoints
from rs.networks.denoised import check_images
from rs.provenance.files import ADVICE, provenance
from rs.provenance.prepared import read_manifest
from rs.stages import network_draws
from rs.stages.import_weights import check_logits

if TYPE_CHECKING:
    from rs.plan.jobs import Job


def run_job(job: Job, device: None, code: str) -> None:
    def make(outputs: dict[str, Path]) -> None:
        join(job.spec, job.inputs["parts"], job.inputs["data"], outputs, code)

    if "chance" in job.spec:
        network_draws.checked(make, job.outputs, job.inputs["data"])
    else:
        make(job.outputs)


def join(
    spec: dict[str, Any], parts: dict[str, Path], data_manifest: Path, outputs: dict[str, Path], code: str
) -> None:
    """Writes the weights of all parts, read through their manifests, and a manifest with the digest of each.

    Raises UserError where a part is not the named network, was trained on other data, or its output does not
    fit the next part.
    """
    data, run = read_manifest(data_manifest, spec["data"]), outputs["manifest"].parent.name
    model, chance = checkpoints.build_model(spec["model"], data), False
    state, digests = dict[str, torch.Tensor](), dict[str, str]()
    for key, manifest in parts.items():
        network, stored = checkpoints.load(manifest, data_manifest)
        if stored.get("run") != (named := _named(spec["model"], key)):
            raise UserError(f"{manifest}: is run {stored.get('run')}, not {named}; {ADVICE}")
        state |= {f"{key}.{name}": value for name, value in network.state_dict().items()}
        digests[key] = stored["sha256"]
        chance |= bool(stored.get("audit", {}).get("chance", False))
    checkpoints.load_state(model, state, outputs["weights"], spec["model"]["name"])
    shape = tuple(data["shape"])
    gives = getattr(catalog.find("models", spec["model"]["name"]), "networks", {})
    for key in (key for key in parts if gives.get(key) == "image"):
        check_images(model.eval().get_submodule(key), f"{key} {_named(spec['model'], key)}", shape)
    check_logits(model.eval(), run, shape, data["classes"])
    probes = network_audit.probes(data_manifest, torch.device("cpu"))
    audit = network_audit.audit(model, probes, run, ["chance"] if chance else [])
    origin = provenance(spec, code, parts=digests)
    checkpoints.save(outputs, state, {"provenance": origin, "classes": data["classes"], "audit": audit})


def _named(model: dict[str, Any], key: str) -> str:
    """The run that is the part `key` of a model's spec; `members.1` is an item of a list there."""
    name, _, number = key.partition(".")
    part = model[name][int(number)] if number else model[name]
    return str(part["run"])
