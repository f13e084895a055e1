"""Refuses settings that cannot work together, before any job starts: run and data, certificate, noise, votes.

Every function raises UserError at the key that has to change; docstrings state the condition that it checks.
The facts come from rs/schema.json. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.provenance.reading import WEIGHTS, check_file
from rs.settings.certificates import CertificateUse, is_for
from rs.settings.distributional import NOISES
from rs.settings.images import Subset
from rs.settings.labels import attack_label, certificate_label, is_called, label_of, norm_text
from rs.settings.training import trained_positions
from rs.statistics.rounded_normal import SIGMAS, left_of
from rs.study.certification_log import Log
from rs.study.feasibility import grid_fault, least_votes, with_theorem
from rs.study.joined import check_not_joined, check_output, check_own, output_of
from rs.study.messages import short
from rs.study.schema import at_most_unanimous, is_transfer, method_schema, noise_level
from rs.study.study import Run, Study

Place = tuple[Any, ...]


def check_run(study: Study, run: Run, data_facts: dict[str, Any]) -> None:
    """The model fits the image shape, the training is possible, and no name is used twice."""
    place, sections = run.place, run.sections
    check_own(study, run)
    check_shape(study, (*place, "model"), sections["model"]["name"], data_facts)
    check_exact(study, (*place, "noise"), sections["noise"])
    if run.trained:
        check_training(study, run, data_facts)
    check_observed(study, run, data_facts)


def check_training(study: Study, run: Run, data_facts: dict[str, Any]) -> None:
    """The objective fits the model's output and the noise, and there are images to select an epoch on."""
    place, sections = run.place, run.sections
    if "objective" not in sections:
        study.fail((*place, "objective"), "lacks this key; it is a mapping of keys")
    objective, noise = sections["objective"]["name"], sections["noise"]["name"]
    facts = method_schema("objectives", objective)
    check_output(study, (*place, "model"), run, facts.get("x-output", "logits"), f"objective {objective}")
    allowed = facts.get("x-noises", [noise])
    if noise not in allowed:
        study.fail((*place, "noise"), f"{objective} trains under {', '.join(allowed)}, not {noise}")
    ball = sections["objective"]
    if ball.get("norm") == "linf" and isinstance(ball.get("epsilon"), dict):
        study.fail((*place, "objective", "epsilon"), "a calibrated epsilon is an l2 radius: norm must be l2")
    training, size = sections["training"], data_facts["x-sizes"]["train"]
    if training["batch_size"] < training["processes"]:
        where = (*place, "training", "processes")
        study.fail(where, f"{training['processes']}: at most training.batch_size ({training['batch_size']})")
    if training["keep"] == "best_clean" and output_of(run) != "logits":
        study.fail((*place, "training", "keep"), "best_clean selects by accuracy, which a denoiser has not")
    if training["keep"] == "best_clean" and training["selection"] == "held_out":
        held, train = training["held_out"], len(Subset(**study.train).positions(size))
        if not 0 < held < train:
            where = (*place, "training", "held_out")
            study.fail(where, f"{held}: keep best_clean needs 1 to {train - 1} images to select on")
    if sections["calibration"]:
        images = sections["calibration"].get("images", {})
        used = len(trained_positions(Subset(**study.train), training, size))
        check_subset(study, (*place, "calibration", "images"), images, used, "the run trains on")


def check_shape(study: Study, place: Place, model: str, data_facts: dict[str, Any]) -> None:
    """The architecture takes the data set's images."""
    shape, shapes = data_facts["x-shape"], method_schema("models", model)["x-shapes"]
    if shapes and shape not in shapes:
        takes = " or ".join("x".join(map(str, s)) for s in shapes)
        study.fail(place, f"{model} takes {takes}; {study.data['name']} is {'x'.join(map(str, shape))}")


def check_subset(study: Study, place: Place, images: dict[str, Any], size: int, of: str) -> None:
    """The first image of a subset is among `size` images; `of` says in words which ones."""
    if images.get("first", 0) >= size:
        study.fail((*place, "first"), f"{images['first']}: {of} {size} images")


def check_observed(study: Study, run: Run, data_facts: dict[str, Any]) -> None:
    """The data set has the images, and no two certificates or attacks have the same name in the tables."""
    place, sections, test = run.place, run.sections, (data_facts["x-sizes"]["test"], "the test split has")
    for i, attack in enumerate(sections["attacks"]):
        check_subset(study, (*place, "attacks", i, "images"), attack.get("images", {}), *test)
    if sections["distributional"]:
        images = sections["distributional"].get("images", {})
        check_subset(study, (*place, "distributional", "images"), images, *test)
    for kind in ("certificates", "attacks"):
        seen: set[str] = set()
        for i, method in enumerate(sections[kind]):
            name = label_of(kind, method)
            if name in seen:
                study.fail((*place, kind, i), f"another one is called {name}; give one of them a label")
            seen.add(name)


def check_imported(study: Study, run: Run, data_facts: dict[str, Any]) -> None:
    """One network is named, its file exists, Cohen's format has a normalisation, no mean is above 1."""
    place, sections = run.place, run.sections
    if (sections["entry"] is None) == (sections["architecture"] is None):
        study.fail(place, "give one of entry (module:function) and architecture")
    check_own(study, run)
    if sections["output"] != "logits" and sections["entry"] is None:
        study.fail((*place, "output"), "goes with entry; an architecture says itself what it gives")
    if sections["output"] == "noise" and sections["normalization"] is not None:
        study.fail((*place, "normalization"), "a diffusion model takes images in [-1, 1]; leave it out")
    if isinstance(sections["normalization"], dict) and max(sections["normalization"]["mean"]) > 1:
        study.fail((*place, "normalization", "mean"), "above 1, and images are in [0, 1]: divide it by 255")
    if sections["architecture"] is not None:
        check_not_joined(study, run, sections["architecture"]["name"])
        check_shape(study, (*place, "architecture"), sections["architecture"]["name"], data_facts)
    if sections["format"] == "cohen" and sections["normalization"] is None:
        study.fail(place, "format cohen holds no normalisation: give normalization (as it was trained with)")
    try:
        check_file(Path(sections["weights"]), WEIGHTS)
    except UserError as error:
        study.fail((*place, "weights"), str(error))
    check_observed(study, run, data_facts)


def check_certificate(
    study: Study, run: Run, i: int, certificate: dict[str, Any], noise: dict[str, Any], noise_place: Place
) -> None:
    """The certificate (with its defaults) has a theorem for the noise, and the sampling serves it."""
    place, sampling, name = run.place, run.sections["sampling"], certificate["name"]
    facts = method_schema("certificates", name)
    if noise["name"] not in facts["x-norms"]:
        allowed = ", ".join(facts["x-norms"])
        why = f"certificate {name} has no theorem for noise {noise['name']}; it has for {allowed}"
        study.fail(noise_place, why + with_theorem(noise["name"]))
    if noise_level(noise) == 0:
        level = method_schema("noises", noise["name"])["x-level"]
        study.fail((*noise_place, level), f"0: certificate {name} needs it above 0")
    if sampling["mode"] == "sequential" and (not facts.get("x-anytime") or certificate.get("randomised")):
        needs = "needs a fixed number of votes, and sampling.mode is sequential"
        study.fail((*place, "certificates", i), f"{certificate_label(certificate)} {needs}")
    if facts.get("x-rule"):
        _check_rule(study, run, i, certificate, facts["x-rule"])
    if "paired_counts" in facts["x-needs"] and sampling["source"] is None:
        why = f"{name} needs votes of two networks on the same draws; name the other run in sampling.source"
        study.fail((*place, "certificates", i), why)
    beta, betas = certificate.get("beta"), sampling["betas"]
    if "soft_moments" in facts["x-needs"] and beta not in betas:
        study.fail((*place, "certificates", i), f"beta {beta}: must be one of sampling.betas {list(betas)}")
    if "lambda_step" in certificate:
        grid = (certificate[f"lambda_{end}"] for end in ("start", "end", "step"))
        if fault := grid_fault(*grid):
            study.fail((*place, "certificates", i, fault[0]), fault[1])
    least = least_votes(certificate, facts, noise["name"], sampling["n0"])
    if sampling["n"] < least:
        message = f"votes certify nothing at alpha = {certificate['alpha']}; at least {least} for {name}"
        study.fail((*place, "sampling", "n"), f"{sampling['n']} {message}")


def _check_rule(study: Study, run: Run, i: int, certificate: dict[str, Any], rule: str) -> None:
    """The certificate gets votes that its rule stopped, and its error rate is not below the rule's."""
    place, sampling = (*run.place, "certificates", i), run.sections["sampling"]
    if sampling["mode"] != "sequential" or sampling["rule"] != rule:
        why = f"needs votes that its rule stopped; set sampling.mode to sequential and rule to {rule}"
        study.fail(place, f"{certificate['name']} {why}")
    if certificate["alpha"] < sampling["stop"]["alpha"]:
        why = f"is below that of its rule (sampling.stop.alpha = {sampling['stop']['alpha']:g})"
        study.fail((*place, "alpha"), f"{certificate['alpha']:g}: {why}")


def check_attack(
    study: Study, run: Run, i: int, norm: float | str, noise: dict[str, Any], noise_place: Place
) -> None:
    """The certificate that an attack is compared with is one of the run's, concerns the classifier that the
    judge uses, and has the attack's norm. Only gradients are compiled.
    """
    attack = run.sections["attacks"][i]
    if attack.get("compiled") and method_schema("attacks", attack["name"])["x-access"] == "gradient-free":
        why = f"{attack['name']} takes no gradients, and only gradients are compiled; leave it out"
        study.fail((*run.place, "attacks", i, "compiled"), why)
    if noise.get("exact"):
        why = "attacks move images off its grid; attack under the same noise without it (smoothing)"
        study.fail((*noise_place, "exact"), why)
    place, name = (*run.place, "attacks", i, "certificate"), attack.get("certificate")
    if name is None:
        return
    offered = run.sections["certificates"]
    matching = [c for c in offered if is_called(c, name)]
    if not matching:
        names = ", ".join(map(certificate_label, offered)) or "none"
        study.fail(place, f"the run has no certificate {name!r}; its certificates: {names}")
    voted = [c for c in offered if "soft_moments" not in method_schema("certificates", c["name"])["x-needs"]]
    if matching[0] not in voted:
        names = ", ".join(map(certificate_label, voted)) or "none"
        why = f"{name} certifies mean scores, and votes judge attacks; certificates of votes: {names}"
        study.fail(place, why)
    if attack.get("judge") == "base":
        why = f"{name} is about the smoothed classifier, and judge is base; judge by votes or leave it out"
        study.fail(place, why)
    certified = method_schema("certificates", matching[0]["name"])["x-norms"].get(noise["name"], norm)
    if certified != norm:
        own, attacked = norm_text(float(certified)), norm_text(float(norm))
        why = f"{name} is for {own} radii, the attack moves in an {attacked} ball"
        study.fail(place, f"{why}; the norms must be the same")


def check_distributional(study: Study, noise: dict[str, Any], noise_place: Place) -> None:
    """The theorem covers the run's smoothing noise."""
    if noise["name"] not in NOISES:
        message = f"the distributional certificate has no theorem for noise {noise['name']}"
        study.fail(noise_place, f"{message}; it has for {', '.join(NOISES)}")


def find_attack(study: Study, place: Place, run: Run, name: str) -> dict[str, Any]:
    """The attack of `run` that a transfer attack names, by label or name."""
    offered = [a for a in run.sections["attacks"] if not is_transfer(a)]
    matching: list[dict[str, Any]] = [a for a in offered if attack_label(a) == name]
    matching = matching or [a for a in offered if a["name"] == name]
    if len(matching) != 1:
        names = ", ".join(map(attack_label, offered)) or "none"
        number = "no attack" if not matching else f"{len(matching)} attacks named"
        study.fail(place, f"run {run.label!r} has {number} {name!r} that sees a network; it has: {names}")
    return matching[0]


def check_log(study: Study, label: str, entry: dict[str, Any]) -> None:
    """No active run has the log's label, its noise is that of the run that it replaces, and its certificate
    has a theorem for this noise.
    """
    if any(run.label == label for run in study.all_runs):
        study.fail(("logs", label), "an active run has this label; give the log another one")
    if label in study.replaced:
        meant = [noise for _, noise in study.replaced[label].noises]
        if entry["noise"] not in meant:
            problem = f"{short(entry['noise'])}: the run in whose place it stands is smoothed with"
            study.fail(("logs", label, "noise"), f"{problem} {', '.join(map(short, meant))}")
    noise, certificate = entry["noise"]["name"], entry["certificate"]
    norms = method_schema("certificates", certificate)["x-norms"]
    if noise not in norms:
        message = f"{certificate} has no theorem for noise {noise}; it has for {', '.join(norms)}"
        study.fail(("logs", label, "certificate"), message + with_theorem(noise))


def check_log_radii(study: Study, label: str, entry: dict[str, Any], log: Log) -> None:
    """CERTIFY can give the log's largest radius with the stated votes and alpha."""
    from rs.study.log_audit import above_cap  # loads scipy, which a study without logs does not need

    level = noise_level(entry["noise"])
    if at_most_unanimous(entry["certificate"], entry["noise"]) and level > 0:
        for finding in above_cap(log, level, entry["n"], entry["alpha"]):
            study.fail(("logs", label, "alpha"), f"{entry['alpha']:g}: {entry['file']}: {finding.what}")


def check_exact(study: Study, place: Place, noise: dict[str, Any]) -> None:
    """Exact noise has a grid for the level."""
    if noise.get("exact") and not SIGMAS[0] <= noise["sigma"] <= SIGMAS[1]:
        allowed = f"from {SIGMAS[0]:g} to {SIGMAS[1]:g} where exact is true"
        study.fail((*place, "sigma"), f"{noise['sigma']:g}: must be {allowed}")


def check_smoothing(study: Study, run: Run, noises: Sequence[dict[str, Any]], shape: Sequence[int]) -> None:
    """No noise stands twice, its parameters fit the images, and no certificate names an absent noise."""
    dimension = math.prod(shape)
    for i, (noise, (place, _)) in enumerate(zip(noises, run.noises, strict=True)):
        check_exact(study, place, noise)
        for certificate in _for_noise(run, noise["name"]):
            votes = run.sections["sampling"]["n0"] + run.sections["sampling"]["n"]
            alpha = certificate.get("alpha", CertificateUse.alpha)
            if left_of(alpha, noise, dimension, votes) == 0:
                problem = f"leaves nothing of alpha = {alpha:g} with {votes} votes of {dimension} coordinates"
                study.fail((*place, "exact"), problem)
        if noise in noises[:i]:
            study.fail(place, "the same noise stands before it; each noise once")
        facts = method_schema("noises", noise["name"])
        less = (values.get(noise.get(key), 0) for key, values in facts.get("x-dimension_less", {}).items())
        room = dimension - sum(less)
        for key in facts.get("x-below_dimension", ()):
            limit, why = room, ""
            for certificate in _for_noise(run, noise["name"]):
                free = method_schema("certificates", certificate["name"]).get("x-freedom", 0)
                if dimension - free < limit:
                    limit, why = dimension - free, f" and certificate {certificate['name']}"
            if noise.get(key, 0) >= limit:
                study.fail((*place, key), f"{noise[key]}: must be below {limit} for these images{why}")
    families = [noise["name"] for noise in noises]
    for i, certificate in enumerate(run.sections["certificates"]):
        for j, name in enumerate(certificate.get("noises") or ()):
            if name not in families:
                where = (*run.place, "certificates", i, "noises", j)
                study.fail(where, f"{name!r}: the run is smoothed with {', '.join(families)}")


def _for_noise(run: Run, noise: str) -> list[dict[str, Any]]:
    """The run's certificates that are for this family of its smoothing noises."""
    return [c for c in run.sections["certificates"] if is_for(c, noise)]
