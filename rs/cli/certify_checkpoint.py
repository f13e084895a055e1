"""`rs certify --checkpoint`: certifies the user's own classifier on a data set without a handwritten study.

The options become a study with one imported model, written to results/<name>/study.yaml and run in this
process: data, import, draws, certified radii. Existing results from the same inputs and code are kept, so an
interrupted call continues and more votes draw only what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rs.cli import radius, study_stages
from rs.errors import UserError
from rs.plan.jobs import RESULTS, slug
from rs.plan.plan import Plan
from rs.plan.staleness import job_is_current
from rs.provenance.digests import digest
from rs.provenance.files import write_text
from rs.provenance.reading import parse_json
from rs.settings.limits import MOST_VOTES
from rs.settings.sampling import Sampling
from rs.settings.study import Report
from rs.stages import execution
from rs.study.schema import schema
from rs.study.study import Study

N = "10000"  # estimation votes per image
FORMATS = "plain (default), or cohen: {arch, state_dict} of Sequential(norm, net)"


def add_arguments(own: argparse._ArgumentGroup) -> None:
    """The options that only belong to --checkpoint."""
    own.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights in a torch or safetensors file")
    own.add_argument(
        "--entry", metavar="MODULE:FUNCTION", help="your function that returns the network, without weights"
    )
    own.add_argument("--architecture", metavar="NAME", help="instead of --entry: an architecture of rs list")
    own.add_argument("--format", default="plain", metavar="NAME", help=FORMATS)
    help_text = 'none, center, standardize, or JSON {"mean": [..], "std": [..]}'
    own.add_argument("--normalization", metavar="NAME", help=help_text)
    own.add_argument("--data-dir", metavar="FOLDER", help="folder of the data set's files")
    own.add_argument("--skip", default="1", metavar="N", help="take every N-th test image (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Prints certified accuracy, ACR and the places of the results."""
    from rs.cli.overview import certified_accuracy_text, slips
    from rs.foreign.recognised import check_weights

    name = name_of(args.checkpoint)
    file = RESULTS / name / "study.yaml"
    text = yaml.safe_dump(study_of(args, name), sort_keys=False)
    check_study(text, args)
    check_weights(args.checkpoint)
    with as_before_if_refused(file):
        write_text(file, text)
        plan = Plan(Study([file]))
        _run_jobs(plan, args.data_dir)
    print(certified_accuracy_text(plan.tables), *slips(plan), sep="\n")
    print(f"study    {file}\ntables   {plan.tables}")
    for path in (o.certified for planned in plan.runs for o in planned.observations):
        print(f"radii    {path}")


def _run_jobs(plan: Plan, data_dir: str | None) -> None:
    for stage, by_target in plan.jobs.items():
        jobs = list(by_target.values())
        for number, job in enumerate(jobs, start=1):
            if stage in ("data", "sample") and job_is_current(job):
                continue
            print(f"{stage} {number}/{len(jobs)}", file=sys.stderr)
            execution.execute(stage, execution.as_dict(job), data_dir)
    study_stages.aggregate(plan)


@contextlib.contextmanager
def as_before_if_refused(file: Path) -> Iterator[None]:
    """Where a job refuses the network, the study's file is again what it was: it describes the tables beside
    it. If there was none, there is none, nor its empty folder.
    """
    before = file.read_text("utf-8") if file.is_file() else None
    try:
        yield
    except UserError:
        if before is not None:
            write_text(file, before)
        else:
            file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds tables of an earlier call
                file.parent.rmdir()
        raise


def check_study(text: str, args: argparse.Namespace) -> None:
    """Raises UserError, in the words of the options, for a study that is refused, before it is in results/:
    there it would stay, perhaps in place of a good one.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "study.yaml")
        write_text(file, text)
        try:
            Plan(Study([file]))
        except UserError as error:
            problem = in_options(str(error).removeprefix(f"{file}: "), f"imported.{args.checkpoint.stem}")
            raise UserError(f"certify: {problem}") from error


def in_options(problem: str, own: str) -> str:
    """The problem of a place of the study, in the words of the option that it comes from."""
    options = {f"{own}.{key}": f"--{key}" for key in ("entry", "normalization", "format", "key", "allow")}
    places = {f"{own}.architecture.name": "--architecture", f"{own}.sampling.": "--", "data.name": "--data"}
    for place, option in {**options, **places, f"{own}.weights: ": "", f"{own}: ": ""}.items():
        if problem.startswith(place):
            return option + problem.removeprefix(place)
    return problem


def methods(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Noise and certificate of the options; --sigma is short for --set sigma=."""
    settings = [*args.set, *([f"sigma={args.sigma}"] if args.sigma is not None else [])]
    named = {setting.partition("=")[0] for setting in settings}
    if args.noise == "gaussian" and not named & {"sigma", "noise.sigma"}:
        raise UserError("certify: give --sigma S, of the noise in [0, 1], as --sigma 0.25")
    return radius.methods(args.noise, args.certificate, settings, verb="certify")


def name_of(checkpoint: Path) -> str:
    """A study's name for this file: the same at every call, another one for a file of the same name
    elsewhere.
    """
    place = os.path.relpath(checkpoint)  # relative to the folder that results/ lies in
    return f"{slug('certify', checkpoint.stem)}-{digest(place)}"


def study_of(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """The study that the options describe. Raises UserError where they describe none."""
    if not args.data:
        raise UserError("certify: --checkpoint needs --data NAME (see rs list)")
    noise, certificate = methods(args)
    n = whole("--n", args.n or N)
    sampling: dict[str, Any] = {"n0": whole("--n0", args.n0), "n": n}
    images = whole("--images", args.images) if args.images else None
    if images and images <= 10 * Sampling.images_per_shard:  # small shards draw few images in excess
        sampling["images_per_shard"] = min(images, 10)
    own = {"weights": str(args.checkpoint), "format": args.format, "noise": noise, "sampling": sampling}
    options = {"entry": args.entry, "architecture": args.architecture and {"name": args.architecture}}
    options |= {"normalization": _normalization(args.normalization)}
    options |= {"key": args.key, "allow": args.allow}
    test = {"skip": whole("--skip", args.skip)}
    test |= {"max": images} if images else {}
    certificate |= {"alpha": alpha(args.alpha)}
    return {
        "name": name,
        "description": f"Made by rs certify --checkpoint {args.checkpoint}",
        "data": {"name": args.data},
        "test": test,
        "certificates": [certificate],
        "report": {"radii": radii_up_to(highest(args.data, noise, certificate, sampling))},
        "imported": {args.checkpoint.stem: own | {k: v for k, v in options.items() if v is not None}},
    }


def highest(
    data: str, noise: dict[str, Any], certificate: dict[str, Any], sampling: dict[str, Any]
) -> float | None:
    """The radius that all votes for one class certify; None where votes alone do not determine it."""
    known = schema()["$defs"]["datasets"].get(data, {})
    if not {"x-shape", "x-classes"} <= known.keys():
        return None
    others = [0] * (known["x-classes"] - 1)
    votes = [([sampling["n0"], *others], [sampling["n"], *others])]
    method = {k: v for k, v in certificate.items() if k != "alpha"}
    arguments = (str(certificate["alpha"]), str(math.prod(known["x-shape"])), "0.5")
    try:
        return float(radius.radii(noise, method, votes, *arguments)[0]["radius"])
    except (UserError, KeyError):  # the study's check reports what is wrong; soft moments are no votes
        return None


def radii_up_to(top: float | None) -> list[float]:
    """At most ten round steps from 0 to `top`; a study's default radii where it is unknown."""
    if top is None or not 0 < top < math.inf:
        return list(Report.radii)
    power = 10.0 ** math.floor(math.log10(top / 10))
    step = next(s for s in (power, 2 * power, 2.5 * power, 5 * power, 10 * power) if top / s < 10)
    return [float(f"{i * step:.6g}") for i in range(int(top / step + 1e-9) + 1)]


def _normalization(text: str | None) -> Any:
    if text is None or not text.lstrip().startswith("{"):
        return text
    return parse_json(text, f"certify: --normalization {text}: not JSON")


def whole(option: str, text: str, least: int = 1, most: int = MOST_VOTES) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or not least <= int(text) <= most:
        raise UserError(f"certify: {option} {text}: must be a whole number from {least} to {most}")
    return int(text)


def alpha(text: str) -> float:
    return radius.number("certify: --alpha", text, "a number strictly between 0 and 1", lambda v: 0 < v < 1)
