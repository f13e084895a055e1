"""Refuses runs that another run cannot start from (`sampling.source`), before any job starts. No torch.

Every function raises UserError at the key that has to change; docstrings state the condition that it checks.
"""

from __future__ import annotations

from typing import Any

from rs.settings.certificates import is_for
from rs.settings.limits import MOST_VOTES
from rs.settings.sampling import Stop
from rs.study.schema import method_schema, prune, schema, section
from rs.study.study import Run, Study

SAME = ("seed", "batch", "images_per_shard")  # keys that must be equal: the draws, and how they lie in files


def check_answers(study: Study, run: Run) -> None:
    """Answers are stored for a fixed number of votes, and without softmax moments."""
    sampling, place = run.sections["sampling"], (*run.place, "sampling", "answers")
    if sampling["answers"] is None:
        return
    if sampling["mode"] != "fixed":
        study.fail(place, "votes that stop early leave a second network nothing; it goes with mode: fixed")
    if sampling["betas"]:
        study.fail(place, "softmax moments are not stored beside answers; leave sampling.betas out")


def check_source(study: Study, run: Run, source: Run) -> None:
    """The source stores answers to draws that this run can use, and this run's certificates use them."""
    own, theirs = run.sections["sampling"], source.sections["sampling"]
    place, label = (*run.place, "sampling", "source"), source.label

    def fail(why: str) -> None:
        study.fail(place, f"{label!r} {why}")

    if theirs["source"] is not None:
        if label == run.label:
            fail("is the run itself; name the one that it starts from")
        fail(f"starts from {theirs['source']!r} itself, and a chain is not offered; name that one")
    if theirs["mode"] != "fixed":
        fail("stops its votes early, which leaves a second network nothing; its mode must be fixed")
    if theirs["answers"] is None:
        fail(f"stores no answers; set sampling.answers there (the most votes of an image here, {own['n']})")
    if own["mode"] != "sequential":
        study.fail((*run.place, "sampling", "mode"), "with source, votes stop: it must be sequential")
    if own["rule"] != "confidence_sequence":
        problem = f"{own['rule']}: with source, differences stop the draws; leave it out"
        study.fail((*run.place, "sampling", "rule"), problem)
    for key in SAME:
        if own[key] != theirs[key]:
            fail(f"has sampling.{key} {theirs[key]}, this run {own[key]}; they must be the same")
    if not of_two(run):
        allowed = ", ".join(name for name in schema()["$defs"]["certificates"] if _is_of_two(name))
        fail(f"is for certificates of two networks' votes, of which the run has none; there are: {allowed}")


def of_two(run: Run) -> list[dict[str, Any]]:
    """The run's certificates that also use another network's votes."""
    return [c for c in run.sections["certificates"] if _is_of_two(c["name"])]


def _is_of_two(certificate: str) -> bool:
    return "paired_counts" in method_schema("certificates", certificate)["x-needs"]


def check_votes(study: Study, run: Run, noise: dict[str, Any], source: Run, share: float) -> None:
    """The source has votes under this noise, and its votes together with this run's can decide something.
    Both samplings are in blocks.
    """
    own, theirs, place = run.sections["sampling"], source.sections["sampling"], (*run.place, "sampling")
    if noise not in (known := _certified(source)):
        under = " or ".join(" ".join(map(str, one.values())) for one in known) or "no noise"
        here = " ".join(map(str, noise.values()))
        problem = f"{source.label!r} is certified under {under}, this run under {here}"
        study.fail((*place, "source"), f"{problem}; they must be the same")
    if own["n"] > theirs["answers"]:
        problem = f"{own['n']}: {source.label} stores answers of {theirs['answers']} votes (sampling.answers)"
        study.fail((*place, "n"), f"{problem}; at most as many")
    from rs.statistics.paired_stopping import PairedRule

    rule = PairedRule(Stop(**own["stop"]), noise["sigma"], own["n"], own["block"], share)
    most = PairedRule(rule.stop, rule.sigma, MOST_VOTES, rule.block, share)
    if rule.stop.radii and not most.can_decide(MOST_VOTES):
        problem = (
            f"certifies radius {min(rule.stop.radii):g} at sigma {rule.sigma:g}; n is at most {MOST_VOTES}"
        )
        study.fail((*place, "stop", "radii"), f"no allowed n {problem}")
    if not rule.can_decide(theirs["n"]):
        problem = f"{own['n']} draws beside {theirs['n']} votes of {source.label}"
        problem += f" decide nothing at alpha = {rule.stop.alpha:g}; more of either are needed"
        study.fail((*place, "n"), problem)


def _certified(run: Run) -> list[dict[str, Any]]:
    """The noises under which a run has certificates, and so draws votes."""
    smoothing, certificates = run.sections["smoothing"], run.sections["certificates"]
    stated = [run.sections["noise"]] if smoothing is None else smoothing
    noises = [prune(noise, section("noise")) for noise in stated]
    return [n for n in noises if any(is_for(c, n["name"]) for c in certificates)]
