"""What cannot work together, refused before any job starts: run and data, certificate, noise and votes.

Every function raises UserError at the key that has to change. The facts come from rs/schema.json: no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rs.spec import label_of
from rs.study import Run, Study, method_schema

Place = tuple[Any, ...]
NOISE_LEVELS = ("sigma", "scale")


def check_run(study: Study, run: Run, data_facts: dict[str, Any]) -> None:
    """Model and image shape, objective and training noise, images to select an epoch on, names used twice."""
    place, sections = run.place, run.sections
    model, objective, noise = (
        sections["model"]["name"],
        sections["objective"]["name"],
        sections["noise"]["name"],
    )
    check_shape(study, (*place, "model"), model, data_facts)
    allowed = method_schema("objectives", objective).get("x-noises", [noise])
    if noise not in allowed:
        study.fail((*place, "noise"), f"{objective} trains under {', '.join(allowed)}, not {noise}")
    training = sections["training"]
    if training["keep"] == "best_clean" and training["selection"] == "held_out":
        held, train = training["held_out"], data_facts["x-sizes"]["train"]
        if not 0 < held < train:
            where = (*place, "training", "held_out")
            study.fail(where, f"{held}: keep best_clean needs 1 to {train - 1} images to select on")
    check_names(study, run)


def check_shape(study: Study, place: Place, model: str, data_facts: dict[str, Any]) -> None:
    """The architecture takes the data set's images."""
    shape, shapes = data_facts["x-shape"], method_schema("models", model)["x-shapes"]
    if shape not in shapes:
        takes = " or ".join("x".join(map(str, s)) for s in shapes)
        study.fail(place, f"{model} takes {takes}; {study.data['name']} is {'x'.join(map(str, shape))}")


def check_names(study: Study, run: Run) -> None:
    """No two certificates or attacks have one name in the tables."""
    place, sections = run.place, run.sections
    for kind in ("certificates", "attacks"):
        seen: set[str] = set()
        for i, method in enumerate(sections[kind]):
            name = label_of(method)
            if name in seen:
                study.fail((*place, kind, i), f"another one is called {name}; give one of them a label")
            seen.add(name)


def check_imported(study: Study, run: Run, data_facts: dict[str, Any]) -> None:
    """One network is named, its file is there, and Cohen's format comes with its normalisation."""
    place, sections = run.place, run.sections
    if (sections["entry"] is None) == (sections["architecture"] is None):
        study.fail(place, "give one of entry (module:function) and architecture")
    if sections["architecture"] is not None:
        check_shape(study, (*place, "architecture"), sections["architecture"]["name"], data_facts)
    if sections["format"] == "cohen" and sections["normalization"] is None:
        study.fail(place, "format cohen holds no normalisation: give normalization (as it was trained with)")
    if not Path(sections["weights"]).is_file():
        study.fail((*place, "weights"), f"{sections['weights']}: no such file")
    check_names(study, run)


def check_certificate(
    study: Study, run: Run, i: int, certificate: dict[str, Any], noise: dict[str, Any], noise_place: Place
) -> None:
    """The certificate (with its defaults) has a theorem for the noise, and the sampling serves it."""
    place, sampling, name = run.place, run.sections["sampling"], certificate["name"]
    facts = method_schema("certificates", name)
    if noise["name"] not in facts["x-norms"]:
        allowed = ", ".join(facts["x-norms"])
        study.fail(
            noise_place, f"certificate {name} has no theorem for noise {noise['name']}; it has for {allowed}"
        )
    for level in NOISE_LEVELS:
        if noise.get(level) == 0:
            study.fail((*noise_place, level), f"0: certificate {name} needs it above 0")
    beta, betas = certificate.get("beta"), sampling["betas"]
    if "soft_moments" in facts["x-needs"] and beta not in betas:
        study.fail((*place, "certificates", i), f"beta {beta}: must be one of sampling.betas {list(betas)}")
    # n votes of one class are the best there is: their bound, alpha^(1/n), must exceed 1/2
    least = math.floor(math.log(certificate["alpha"]) / math.log(0.5)) + 1
    if "counts" in facts["x-needs"] and sampling["n"] < least:
        message = f"votes certify nothing at alpha = {certificate['alpha']}; at least {least}"
        study.fail((*place, "sampling", "n"), f"{sampling['n']} {message}")


def check_log(study: Study, label: str, entry: dict[str, Any]) -> None:
    """A log's label is no run's, and its certificate has a theorem for the noise that it is said to have."""
    if any(run.label == label for run in study.all_runs):
        study.fail(("logs", label), "a run has this label; give the log another one")
    noise, certificate = entry["noise"]["name"], entry["certificate"]
    norms = method_schema("certificates", certificate)["x-norms"]
    if noise not in norms:
        message = f"{certificate} has no theorem for noise {noise}; it has for {', '.join(norms)}"
        study.fail(("logs", label, "certificate"), message)


def check_blocks(study: Study, run: Run) -> None:
    n, block = run.sections["sampling"]["n"], run.sections["sampling"]["block"]
    if n % block:
        place = (*run.place, "sampling", "n")
        study.fail(place, f"{n} is not a multiple of the block size {block} (sampling.block)")


def check_smoothing(study: Study, run: Run, noises: Sequence[dict[str, Any]], shape: Sequence[int]) -> None:
    """No noise stands twice, its parameters fit the images, and no certificate waits for an absent one."""
    swept = run.sections["smoothing"] is not None
    for i, noise in enumerate(noises):
        place = (*run.place, "smoothing", i) if swept else (*run.place, "noise")
        if noise in noises[:i]:
            study.fail(place, "the same noise stands before it; each noise once")
        for key in method_schema("noises", noise["name"]).get("x-below_dimension", ()):
            limit = math.prod(shape) - (
                noise.get("match") == "paper"
            )  # the paper's formula divides by d - 1 - k
            if noise.get(key, 0) >= limit:
                study.fail((*place, key), f"{noise[key]}: must be below {limit} for these images")
    families = [noise["name"] for noise in noises]
    for i, certificate in enumerate(run.sections["certificates"]):
        for j, name in enumerate(certificate.get("noises") or ()):
            if name not in families:
                where = (*run.place, "certificates", i, "noises", j)
                study.fail(where, f"{name!r}: the run is smoothed with {', '.join(families)}")
