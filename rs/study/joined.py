"""Checks of runs that name the networks of other runs: the outputs of these networks, the noise of a
denoiser, and the settings of a run that is not trained or not observed. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rs.settings.labels import describe
from rs.study.schema import method_schema, prune, section
from rs.study.study import Run, Study

OF_TRAINING = ("objective", "training", "calibration")
OF_OBSERVING = ("smoothing", "certificates", "attacks", "distributional")


def networks_of(kind: str, method: dict[str, Any]) -> dict[str, str]:
    """Parameters of a model or an objective that name other runs, and the output of each such network."""
    networks: dict[str, str] = method_schema(kind, method["name"]).get("x-networks", {})
    return networks


def output_of(run: Run) -> str:
    """The output of the run's network: `logits`, an `image`, or, for a diffusion model, the `noise`."""
    model = run.sections["model"] if run.kind == "runs" else run.sections["architecture"]
    if run.sections.get("output", "logits") != "logits":
        return str(run.sections["output"])
    return (
        "logits" if model is None else str(method_schema("models", model["name"]).get("x-output", "logits"))
    )


def labelled(study: Study, place: tuple[Any, ...], label: str, key: str = "") -> list[Run]:
    """The runs with this label, one per seed."""
    runs = [run for run in study.all_runs if run.label == label]
    if label in study.replaced:
        study.fail(place, f"{key}a log stands in the place of run {label!r}, and has no network")
    if not runs:
        labels = ", ".join(dict.fromkeys(run.label for run in study.all_runs))
        study.fail(place, f"{key}no run is labelled {label!r}; runs: {labels}")
    return runs


def members(
    study: Study, place: tuple[Any, ...], entries: Sequence[str | dict[str, Any]]
) -> list[tuple[tuple[Any, ...], Run]]:
    """The runs that a list of networks names, in order, with their places: all seeds of a label, or some."""
    named: list[tuple[tuple[Any, ...], Run]] = []
    for i, entry in enumerate(entries):
        label, where = entry if isinstance(entry, str) else entry["run"], (*place, i)
        runs = {run.seed: run for run in labelled(study, where, label)}
        seeds = list(runs) if isinstance(entry, str) else entry["seeds"]
        for seed in seeds:
            if seed not in runs:
                offered = ", ".join(map(str, runs))
                study.fail(where, f"run {label!r} has no seed {seed}; its seeds: {offered}")
            if any(runs[seed] is known for _, known in named):
                study.fail(where, f"run {label!r} with seed {seed} is given twice; each network once")
            named.append((where, runs[seed]))
    return named


def check_members(study: Study, run: Run, parts: dict[str, Run]) -> None:
    """Raises UserError unless the networks of a list are for the noise of the run that joins them, none of
    them is an ensemble itself, and there are at least `consensus` of them. `parts` are all joined runs by
    their place.
    """
    own, law = run.sections["model"], _law(run.sections["noise"])
    listed = {key: part for key, part in parts.items() if "." in key}
    for key, part in listed.items():
        place = (*run.place, "model", key.partition(".")[0])
        noise = _law(part.sections["noise"])
        if part.sections.get("model") and part.sections["model"]["name"] == own["name"]:
            study.fail(place, f"run {part.label!r} is an {own['name']} itself; name its members")
        if noise != law:
            problem = f"run {part.label!r} is for {describe(noise)}; this run's noise is {describe(law)}"
            study.fail(place, f"{problem}, and all must be for one")
    consensus = own.get("consensus")
    if listed and consensus is not None and consensus > len(listed):
        study.fail((*run.place, "model", "consensus"), f"{consensus}: at most {len(listed)}, the members")


def check_own(study: Study, run: Run) -> None:
    """Raises UserError for settings of a run itself that cannot apply to it. Those at the study's top are
    also for other runs.
    """
    own = study.text.get(run.kind, {}).get(run.label.partition("[")[0], {})
    name = run.sections["model"]["name"] if run.kind == "runs" else run.label
    if run.kind == "runs" and not run.trained:
        for key in OF_TRAINING:
            if key in own:
                study.fail(
                    (*run.place, key),
                    f"model {name} is joined of other networks and not trained; leave it out",
                )
        if run.sections["calibration"] is not None:
            study.fail((*run.place, "calibration"), f"model {name} has no objective to calibrate with")
    elif output_of(run) != "logits":
        for key in OF_OBSERVING:
            if own.get(key):
                message = f"{name} gives an image: runs of model denoised that name it are observed instead"
                study.fail((*run.place, key), message)


def check_not_joined(study: Study, run: Run, model: str) -> None:
    """Raises UserError for an imported architecture that joins other networks: a file holds one."""
    if method_schema("models", model).get("x-networks"):
        problem = (
            f"{model} is joined of other networks: import these, and let a run of model {model} name them"
        )
        study.fail((*run.place, "architecture"), problem)


def check_output(study: Study, place: tuple[Any, ...], run: Run, gives: str, whose: str) -> None:
    """Raises UserError unless the network of `run` gives what is needed at `place`, or by an objective
    (`whose`).
    """
    words = {"logits": "logits (a classifier)", "image": "an image (a denoiser)"}
    words["noise"] = "noise (a diffusion model)"
    output = output_of(run)
    if gives not in (output, {"noise": "image"}.get(output)):
        study.fail(
            place, f"run {run.label!r} gives {words[output]}; {whose} is of one that gives {words[gives]}"
        )


def check_denoiser(study: Study, run: Run, denoiser: Run) -> None:
    """Raises UserError unless a run is smoothed with the noise of its denoiser."""
    own = _law(denoiser.sections["noise"])
    if output_of(denoiser) == "noise" and own["name"] != "gaussian":
        study.fail((*denoiser.place, "noise"), f"a diffusion model is for gaussian, not {own['name']}")
    for place, noise in run.noises:
        if (law := _law(noise)) != own:
            study.fail(place, f"{describe(law)}: its denoiser {denoiser.label!r} is for {describe(own)}")


def _law(noise: dict[str, Any]) -> dict[str, Any]:
    """A noise without settings that equal their defaults, and without those of how it is drawn."""
    switches = method_schema("noises", noise["name"]).get("x-switches", {})
    return {key: value for key, value in prune(noise, section("noise")).items() if key not in switches}
