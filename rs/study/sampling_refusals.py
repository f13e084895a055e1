"""Refuses `sampling` settings of a run that cannot work, and runs that it cannot start from
(`sampling.source`), before any job starts. No torch.

Every function raises UserError at the key that has to change; docstrings state the condition that it checks.
"""

from __future__ import annotations

from typing import Any

from rs.settings.certificates import is_for
from rs.settings.images import Subset
from rs.settings.labels import describe
from rs.settings.limits import MOST_IN_FOLDER, MOST_JOBS, MOST_VOTES
from rs.settings.sampling import Sampling, Stop, by_openvino
from rs.study.schema import method_schema, prune, schema, section
from rs.study.study import Run, Study

LEAST_PIECE = 16  # votes: in multiples of 16, torch draws the same normal numbers as all at once
SAME = ("seed", "batch", "images_per_shard")  # keys as in the source: the draws, how they lie in files


def check_engine(study: Study, run: Run) -> None:
    """OpenVINO votes on processors."""
    sampling = run.sections["sampling"]
    if by_openvino(sampling) and sampling["device"] == "cuda":
        what = "precision: int8" if sampling["precision"] == "int8" else "engine: openvino"
        study.fail(
            (*run.place, "sampling", "device"), f"cuda: {what} votes on processors; must be cpu or auto"
        )


def check_blocks(study: Study, run: Run) -> None:
    n, block = run.sections["sampling"]["n"], run.sections["sampling"]["block"]
    if run.sections["sampling"]["source"] is not None:
        return  # its batches are those of its source's blocks
    if block > n:
        study.fail((*run.place, "sampling", "block"), f"{block} is larger than n = {n} (sampling.n)")
    if n % block:
        place = (*run.place, "sampling", "n")
        study.fail(place, f"{n} is not a multiple of the block size {block} (sampling.block)")


def check_draw_files(study: Study, run: Run, size: int, images_per_shard: int, drawn: bool) -> None:
    """A run's draws lie in no more files than Snakemake can handle, nor a folder in more than it holds well.

    A run that is `drawn` already keeps its shards.
    """
    sampling, images = run.sections["sampling"], len(Subset(**study.test).positions(size))
    sampling = {**sampling, "images_per_shard": images_per_shard}
    blocks = 1 if sampling["mode"] == "sequential" else sampling["n"] // sampling["block"]
    shards = -(-images // sampling["images_per_shard"])
    files = shards * (1 + blocks)
    if files > MOST_JOBS:
        key = "block" if blocks > shards else "images_per_shard"
        problem = (
            f"{shards} shards of images and {blocks} blocks of votes are {files} files; at most {MOST_JOBS}"
        )
        study.fail((*run.place, "sampling", key), f"{sampling[key]}: {problem}")
    if shards * blocks > MOST_IN_FOLDER and not drawn:
        key = "block" if blocks > MOST_IN_FOLDER else "images_per_shard"
        enough = -(-images // (MOST_IN_FOLDER // blocks)) if blocks <= MOST_IN_FOLDER else 0
        least = f"; {enough} are enough" if enough else ""
        problem = (
            f"{shards} shards of images and {blocks} blocks of votes are {shards * blocks} files in a folder"
        )
        study.fail(
            (*run.place, "sampling", key), f"{sampling[key]}: {problem}; at most {MOST_IN_FOLDER}{least}"
        )


def check_stopping(study: Study, run: Run, noise: dict[str, Any]) -> None:
    """A sequential run has one goal, under Gaussian noise, and n votes can decide it."""
    sampling, place = run.sections["sampling"], (*run.place, "sampling")
    if sampling["rule"] != "tests" and sampling["resolution"] != Sampling.resolution:
        message = "only tests give up by it; leave it out, or set sampling.rule to tests"
        study.fail((*place, "resolution"), f"{sampling['resolution']:g}: {message}")
    if sampling["mode"] == "fixed":
        if sampling["rule"] != "confidence_sequence":
            study.fail((*place, "rule"), f"{sampling['rule']} stop votes; set sampling.mode to sequential")
        return
    if sampling["rule"] == "tests":
        check_tests(study, run, noise)
        return
    if sampling["source"] is None and sampling["block"] % sampling["batch"]:
        message = f"sequential draws whole batches; must be a multiple of batch = {sampling['batch']}"
        study.fail((*place, "block"), f"{sampling['block']}: {message}")
    stop = Stop(**sampling["stop"])
    if bool(stop.radii) == (stop.width is not None):
        study.fail((*place, "stop"), "give one of radii and width")
    if noise["name"] != "gaussian":
        message = f"sequential asks for radii under gaussian noise; this run is smoothed with {noise['name']}"
        study.fail((*place, "mode"), message)
    if sampling["source"] is not None:
        return  # checked in check_votes
    from rs.statistics.stopping import StoppingRule

    least = StoppingRule(stop, noise["sigma"], sampling["n"], sampling["block"]).first_decision()
    _check_first(study, run, stop, noise["sigma"], least)


def check_tests(study: Study, run: Run, noise: dict[str, Any]) -> None:
    """Group sequential tests are of l2 radii under Gaussian noise, and n votes can decide the smallest."""
    from rs.statistics.group_sequential import GroupSequentialRule

    sampling, place = run.sections["sampling"], (*run.place, "sampling")
    stop = Stop(**sampling["stop"])
    if not stop.radii:
        study.fail((*place, "stop"), "tests are of radii; give some, and no width")
    for key in ("width", "futility"):
        if getattr(stop, key) != getattr(Stop, key):
            study.fail((*place, "stop", key), f"tests give up by sampling.resolution; leave {key} out")
    if sampling["block"] % LEAST_PIECE:
        message = f"tests draw pieces of batches; must be a multiple of {LEAST_PIECE}"
        study.fail((*place, "block"), f"{sampling['block']}: {message}")
    if noise["name"] != "gaussian":
        message = f"tests are of radii under gaussian noise; this run is smoothed with {noise['name']}"
        study.fail((*place, "rule"), message)
    least = GroupSequentialRule(
        stop, noise["sigma"], sampling["n"], sampling["block"], sampling["resolution"]
    ).first_decision()
    _check_first(study, run, stop, noise["sigma"], least)


def _check_first(study: Study, run: Run, stop: Stop, sigma: float, least: float) -> None:
    """n votes can certify the smallest radius, for which `least` votes are needed."""
    n, place = run.sections["sampling"]["n"], (*run.place, "sampling")
    if least > MOST_VOTES and stop.radii:
        message = f"certifies radius {min(stop.radii):g} at sigma {sigma:g}; n is at most {MOST_VOTES}"
        study.fail((*place, "stop", "radii"), f"no allowed n {message}")
    if n < least:
        message = f"votes decide nothing at alpha = {stop.alpha:g}; the first decision needs {least:.15g}"
        study.fail((*place, "n"), f"{n} {message}")


# --- votes that start from another run's ---


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
        under = " or ".join(map(describe, known)) or "no noise"
        problem = f"{source.label!r} is certified under {under}, this run under {describe(noise)}"
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
    noises = [prune(noise, section("noise")) for _, noise in run.noises]
    return [n for n in noises if any(is_for(c, n["name"]) for c in run.sections["certificates"])]
