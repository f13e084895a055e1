"""The import stage: somebody else's checkpoint becomes a model of ours, and later stages run unchanged.

Formats. `plain`: the network's own state dict, alone or in a checkpoint (`rs.networks.state_dicts` finds it),
as a torch file or safetensors. `cohen` (Cohen et al. 2019, Salman et al. 2019): {"arch", "state_dict"} of
`Sequential(norm, net)`, with keys `1.*` or, from a DataParallel net, `1.module.*`. The normalisation of this
format has no stored weights, so the user states it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rs.errors import UserError
from rs.networks import audit as network_audit
from rs.networks import checkpoints, misfit, state_dicts
from rs.networks import imported as entries
from rs.networks.denoised import check_images
from rs.networks.one_shot import schedule_of
from rs.networks.transformations import apart, one_line
from rs.provenance.digests import file_digest
from rs.provenance.files import provenance
from rs.provenance.prepared import read_manifest
from rs.provenance.reading import WEIGHTS, check_file
from rs.stages import network_draws

if TYPE_CHECKING:
    from rs.plan.jobs import Job


def run_job(job: Job, device: None, code: str) -> None:
    def make(outputs: dict[str, Path]) -> None:
        convert(job.spec, job.inputs["weights"], job.inputs["data"], outputs, code)

    if "chance" in job.spec:
        network_draws.checked(make, job.outputs, job.inputs["data"])
    else:
        make(job.outputs)


def convert(
    spec: dict[str, Any], weights: Path, data_manifest: Path, outputs: dict[str, Path], code: str
) -> None:
    """Writes the network's weights and manifest. Raises UserError where the weights do not fit the named
    network.
    """
    check_file(weights, WEIGHTS)
    if file_digest(weights) != spec["sha256"]:
        raise UserError(f"{weights}: changed since the study was read; run again")
    data = read_manifest(data_manifest, spec["data"])
    model, imported = checkpoints.build_model(spec["model"], data), spec["model"]["imported"]
    name = spec["model"]["name"]
    found = state_dicts.read(weights, imported.get("key"))
    state, arch = found.state, found.arch
    own_names = imported["format"] == "cohen" or "entry" in imported
    if imported["format"] == "cohen":
        state = state_dicts.from_cohen(weights, state)
        name = f"{name} (the file says {arch})" if arch else name
    target = entries.net_of(model) if own_names else model
    own = target.state_dict()
    fitted = state_dicts.fitted(state, own)
    if not own_names:  # the normalisation's constants are not weights
        for key in (key for key in own if key.startswith("0.")):
            fitted.setdefault(key, own[key])
    try:
        checkpoints.load_state(target, fitted, weights, name)
    except UserError as error:
        theirs = imported["format"] == "plain" and state_dicts.is_cohens(state)
        raise UserError(f"{error} (try format cohen)" if theirs else str(error)) from error
    except Exception as error:  # modules convert older files and fail with any exception
        raise UserError(f"{weights}: {name}: {one_line(error)}") from error
    bad = [k for k, v in target.state_dict().items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise UserError(f"{weights}: {bad[0]} holds values that are not finite")
    if "output" in imported:
        check_denoiser(model.eval(), spec["model"], data, name)
        audit = {"chance": bool(imported.get("allow"))}  # audited with the classifier behind it
        probes: Tensor | None = None
    else:
        check_logits(model.eval(), name, tuple(data["shape"]), data["classes"])
        run = f"{outputs['manifest'].parent.name} ({name})"
        probes = network_audit.probes(data_manifest, torch.device("cpu"))
        audit = network_audit.audit(model, probes, run, imported.get("allow", ()))
    clones = {k: v.clone() for k, v in model.state_dict().items()}  # safetensors refuses shared memory
    check_kept(model, clones, spec["model"], data, None if audit["chance"] else probes)
    origin = provenance(spec, code, source=str(weights), key=found.key)
    manifest = {"provenance": origin, "classes": data["classes"], "audit": audit}
    checkpoints.save(outputs, clones, manifest)


def check_kept(
    model: torch.nn.Module,
    state: dict[str, Tensor],
    spec: dict[str, Any],
    data: dict[str, Any],
    images: Tensor | None,
) -> None:
    """Refuses a network that later jobs would load differently. Our files do not keep versions of modules; a
    module that converts weights without a version would convert them a second time. The check compares the
    weights `state`, and the outputs for `images`, if any.
    """
    problem = f"{spec['name']}: loads weights by versions of its modules, which files of ours do not keep"
    advice = "allowed are networks that load by names alone (rs certify --model takes others)"
    again = checkpoints.build_model(spec, data).eval()
    try:
        checkpoints.load_state(again, state, Path("weights"), spec["name"])
    except Exception as error:  # modules fail with any exception
        raise UserError(f"{problem} ({one_line(error)}); {advice}") from error
    found = again.state_dict()
    same = found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in found)
    if same and images is not None:
        with torch.no_grad():
            same = apart(again(images), model(images)) <= network_audit.NARROW[torch.float32]
    if not same:
        raise UserError(f"{problem}, or changes its input in place; {advice}")


def check_denoiser(model: torch.nn.Module, spec: dict[str, Any], data: dict[str, Any], name: str) -> None:
    """Checks that a denoiser returns images, and that a diffusion model's file has the time steps of its
    code, by which a step is chosen. (A diffusion model's output at that step is checked where it is joined.)
    """
    if spec["imported"]["output"] == "image":
        check_images(model, name, data["shape"])
        return
    rebuilt, imported = (schedule_of(entries.net_of(m)) for m in (checkpoints.build_model(spec, data), model))
    if not torch.equal(rebuilt, imported):
        raise UserError(f"{name}: the file has other alphas_cumprod than the network of the entry")


def check_logits(model: torch.nn.Module, name: str, shape: tuple[int, ...], classes: int) -> None:
    """One forward pass: images of the data set in, one logit per class out."""
    try:
        with torch.no_grad():
            out = model(torch.zeros(2, *shape))
    except Exception as error:  # a user's network may fail with any exception
        size, reason = "x".join(map(str, shape)), " ".join(str(error).split())[:200]
        raise UserError(
            f"{name}: fails on images of {size}: {reason}"
            f"{misfit.narrow(model) or misfit.hint(model, torch.zeros(2, *shape))}"
        ) from error
    if not isinstance(out, Tensor) or tuple(out.shape) != (2, classes):
        got = "x".join(map(str, out.shape[1:])) if isinstance(out, Tensor) else type(out).__name__
        raise UserError(f"{name}: returns {got or 'one number'} per image, not {classes} logits")
