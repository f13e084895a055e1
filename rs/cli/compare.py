"""A minus B on the same test images: runs of studies and certification logs, in any mixture.

A contestant is FILE, a certification log (FILE@SIGMA with the standard deviation of its noise) or the
images.parquet of `rs certify --model` (or its folder); or STUDY.yaml:LABEL, a run with all its seeds
(overlays are joined with +, as in a.yaml+b.yaml:LABEL); STUDY.yaml alone stands for all of its runs. Every
pair is compared, in the order given. Wrong and abstained images have radius 0.

Each interval holds by itself; verdicts count all rows of one question, metric, certificate and noise (Holm).
`networks` asks whether these networks differ on other test images, `methods` whether training with other
seeds would, which takes at least 3 seeds each. A verdict `equivalent` needs a margin that you state.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.cli.compared_text import short_names, text
from rs.errors import UserError
from rs.provenance.reading import as_number
from rs.settings.limits import LARGEST, LEVELS, is_level
from rs.settings.study import Report
from rs.tables.behind_averages import curve, on_hard_images, probabilities
from rs.tables.comparisons import METRICS, PairSettings, as_json, compare, refuse_other_conditions
from rs.tables.contestants import Contestant, common_images, of_logs, of_runs
from rs.tables.file_contestants import IMAGES, has_images, of_file, remarks

NAMED = "FILE|STUDY.yaml:LABEL"
CONTESTANT = f"a certification log, an {IMAGES} of `rs certify --model`, or a run of a study"
MOST = 20  # contestants of one call: 190 pairs with their bands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contestants", nargs="+", metavar=NAMED, help=CONTESTANT)
    add_choices(parser)
    parser.add_argument(
        "--at", nargs="+", type=float, metavar="R", help="radii to compare at (default: the study's)"
    )
    parser.add_argument(
        "--margin",
        nargs="+",
        default=[],
        metavar="[METRIC=]M",
        help=f"largest difference that counts as none: M for all metrics, or METRIC=M ({', '.join(METRICS)})",
    )
    help_text = "confidence level of the intervals (default: 0.95)"
    parser.add_argument("--level", type=float, default=0.95, metavar="P", help=help_text)
    parser.add_argument(
        "--across", action="store_true", help="also compare contestants with different noise or votes"
    )
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="images that it does not certify are the hard ones (default: the last)",
    )
    parser.add_argument("--json", action="store_true", help="print the pairs as JSON")
    parser.add_argument(
        "--details",
        action="store_true",
        help="with --json: also the images, the bands of the curves, p_A and hard images",
    )


def add_choices(parser: argparse.ArgumentParser) -> None:
    """The options that select contestants, for this verb, `rs board` and `rs power`."""
    help_text = "which certificate, if a run has several: its name in the tables"
    parser.add_argument("--certificate", metavar="NAME", help=help_text)
    help_text = "which smoothing noise, if a run has several: 'gaussian sigma=0.25'"
    parser.add_argument("--smoothing", metavar="TEXT", help=help_text)
    help_text = "standard deviation of the Gaussian noise of the logs, which p_A needs; of one log: FILE@S"
    parser.add_argument("--sigma", type=float, metavar="S", help=help_text)
    parser.add_argument(
        "--observations",
        type=Path,
        metavar="FOLDER",
        help="read runs from these kept observations (evidence/runs) instead of results/",
    )


def run(args: argparse.Namespace) -> None:
    if not 0 < args.level < 1:
        raise UserError(f"compare: --level {args.level:g}: must be between 0 and 1")
    if args.details and not args.json:
        raise UserError("compare: --details: needs --json; what people read holds them anyway")
    if args.at is not None and any(not 0 <= r <= LARGEST for r in args.at):
        raise UserError(f"compare: --at: must be numbers from 0 to {LARGEST}")
    margins = read_margins(args.margin)
    contestants, radii = find(args)
    if len(contestants) < 2:
        raise UserError(f"compare: {contestants[0].name} alone; name at least two contestants")
    if len(contestants) > MOST:
        raise UserError(f"compare: {len(contestants)} contestants; at most {MOST} in one call")
    reference = _named(contestants, args.reference)
    pairs = list(itertools.combinations(contestants, 2))
    hint = "" if args.across else "give --across to compare them all the same"
    differences = refuse_other_conditions(pairs, hint)
    settings = PairSettings(radii, args.at, args.level, margins)
    rows = compare((a, b, settings) for a, b in pairs)
    if not rows:
        raise UserError("compare: nothing to compare: no two contestants share certified radii or an attack")
    if args.json and not args.details:
        print(json.dumps({"pairs": [as_json(row) for row in rows]}, indent=1))
        return
    details: dict[str, Any] = {"images": [_images(a, b) for a, b in pairs], "conditions": differences}
    details["remarks"] = remarks(contestants, {} if args.json else short_names([c.name for c in contestants]))
    details["curves"] = [curve(a, b, args.level) for a, b in pairs if a.certified and b.certified]
    details["p_a"] = {c.name: shares for c in contestants if (shares := probabilities(c, args.level))}
    details["hard_images"] = on_hard_images(contestants, reference, args.level)
    if args.json:
        print(json.dumps({"pairs": [as_json(row) for row in rows], **details}, indent=1))
    else:
        print(text([c.name for c in contestants], rows, details, args.level))


def read_margins(entries: list[str]) -> dict[str, float]:
    """`0.01` for every metric, `acr=0.02` for one; named margins replace general ones."""
    general: dict[str, float] = {}
    named: dict[str, float] = {}
    for entry in entries:
        metric, equals, number = entry.rpartition("=")
        if not 0 < (value := as_number(number)) <= LARGEST:
            problem = f"must be a number above 0 and at most {LARGEST}"
            raise UserError(f"compare: --margin {entry}: {problem}")
        if equals and metric not in METRICS:
            raise UserError(f"compare: --margin {entry}: no metric {metric!r}; allowed: {', '.join(METRICS)}")
        (named if equals else general).update({metric: value} if equals else dict.fromkeys(METRICS, value))
    return general | named


def find(args: argparse.Namespace) -> tuple[list[Contestant], list[float]]:
    """The named contestants, each once, by however many names and paths it was given; and the radii of the
    first study, or the default ones.
    """
    if args.sigma is not None and not is_level(args.sigma):
        raise UserError(f"--sigma {args.sigma:g}: must be {LEVELS}")
    parsed = [(name, *parse(name)) for name in args.contestants]
    labels: dict[tuple[str, ...], list[str | None]] = {}
    for _, files, label in parsed:
        labels.setdefault(_place(files), []).append(label)
    contestants: dict[tuple[str, ...], Contestant] = {}
    studies: dict[tuple[str, ...], _Observed] = {}
    radii: list[float] = []
    for name, files, label in parsed:
        if not files:
            file, sigma = at_sigma(name)
            place = _place([file / IMAGES if file.is_dir() else file])
            if place not in contestants:
                contestants[place] = of_file(file, sigma or args.sigma)
            elif sigma is not None and sigma != contestants[place].sigma:
                raise UserError(f"{file}: named twice, with other sigmas")
            continue
        place, named = _place(files), "+".join(map(str, files))
        if place not in studies:  # once for all of its labels
            studies[place] = _observed(files, labels[place], args)
        radii = radii or studies[place].radii
        for contestant in studies[place].contestants(named, label, args):
            contestants.setdefault((*place, contestant.name.removeprefix(named)), contestant)
    return list(contestants.values()), radii or [float(r) for r in Report().radii]


def files_read(names: list[str]) -> list[Path]:
    """The files that contestants are read from: studies, overlays, logs, tables of `rs certify --model`."""
    found: list[Path] = []
    for name in names:
        file, _ = at_sigma(name)
        found += parse(name)[0] or [file / IMAGES if file.is_dir() else file]
    return found


def _place(files: list[Path]) -> tuple[str, ...]:
    return tuple(str(file.resolve()) for file in files)


def at_sigma(name: str) -> tuple[Path, float | None]:
    """A file and the sigma of FILE@SIGMA; a name that exists is a file whatever it has in it."""
    file, _, number = name.rpartition("@")
    if Path(name).exists() or not Path(file).exists() or not file:
        return Path(name), None
    if has_images(Path(file)) or Path(file).suffix in (".yaml", ".yml"):
        raise UserError(f"{name}: @ is the sigma of a log; {file} states its own noise")
    if not is_level(sigma := as_number(number)):
        raise UserError(f"{name}: @{number}: sigma must be {LEVELS}, as in {file}@0.25")
    return Path(file), sigma


def parse(contestant: str) -> tuple[list[Path], str | None]:
    """Study files and the label of a run, if one is named; no files for a log or an images.parquet."""
    file, _ = at_sigma(contestant)
    if file.is_dir() or (file.is_file() and file.suffix not in (".yaml", ".yml")):
        return [], None
    places = [i for i, letter in enumerate(contestant) if letter == ":"]
    for end in [*places, len(contestant)]:
        files = [Path(name) for name in contestant[:end].split("+")]
        if all(file.suffix in (".yaml", ".yml") for file in files):
            return files, contestant[end + 1 :] if end < len(contestant) else None
    if places:
        raise UserError(f"{contestant}: neither an existing log nor STUDY.yaml:LABEL")
    return [], None


@dataclass(frozen=True)
class _Observed:
    """A study: the labels that stand for all of it, contestants of the labels asked for, and its radii."""

    labels: list[str]
    candidates: list[Contestant]
    radii: list[float]

    def contestants(self, named: str, label: str | None, args: argparse.Namespace) -> Iterator[Contestant]:
        """Of one label or of all, under the name by which the study was given."""
        for name in self.labels if label is None else [label]:
            own = [c for c in self.candidates if c.name == name]
            for key in ("smoothing", "certificate"):
                own = _chosen(own, key, getattr(args, key), f"{named}:{name}")
            yield from (dataclasses.replace(c, name=f"{named}:{name}") for c in own)


def _observed(files: list[Path], requested: list[str | None], args: argparse.Namespace) -> _Observed:
    """Reads the runs and logs of the labels that are asked for; None asks for all."""
    from rs.plan.plan import Plan
    from rs.study.study import Study

    plan, named = Plan(Study(files)), "+".join(map(str, files))
    runs = plan.labels
    labels = [*runs, *(log.label for log in plan.logs)]
    for label in requested:
        if label is not None and label not in labels:
            problem = f"no active run or log is labelled {label!r}; there is: {', '.join(labels)}"
            raise UserError(f"{named}: {problem}")
    observed = {p.run.label for p in plan.runs if p.observations}  # denoisers are not observed
    every = [name for name in labels if name in observed or name not in runs]
    names = [name for name in labels if name in requested or (None in requested and name in every)]
    place: Any = contextlib.nullcontext()
    if args.observations:
        from rs.cli.rederive import certified

        place = certified(plan, args.observations, [p for p in plan.runs if p.run.label in names])
    logs = of_logs(plan, names)
    with place:
        candidates = of_runs(plan, names) + logs
    return _Observed(every, candidates, [float(r) for r in plan.study.report["radii"]])


def _chosen(candidates: list[Contestant], key: str, requested: str | None, where: str) -> list[Contestant]:
    """The contestants with the requested noise or certificate, which must be a single one."""
    offered = list(dict.fromkeys(str(c.conditions.get(key)) for c in candidates))
    kept = [c for c in candidates if requested is None or str(c.conditions.get(key)) == requested]
    if len(candidates) == 0:
        raise UserError(f"{where}: has neither certificates nor attacks")
    if requested is not None and not kept:
        raise UserError(f"{where}: --{key} {requested!r}: not there; it has {', '.join(offered)}")
    if requested is None and len(offered) > 1:
        raise UserError(f"{where}: give one with --{key}; it has {', '.join(offered)}")
    return kept


def _named(contestants: list[Contestant], name: str | None) -> Contestant:
    for contestant in contestants:
        if name is not None and contestant.name in (name, str(at_sigma(name)[0])):
            return contestant
    if name is not None:
        raise UserError(f"compare: --reference {name}: none of {', '.join(c.name for c in contestants)}")
    return contestants[-1]


def _images(a: Contestant, b: Contestant) -> dict[str, Any]:
    """How many images are compared, which are left out on each side, and whether both saw the same noise."""
    entry: dict[str, Any] = {"a": a.name, "b": b.name, "noise": _noise(a, b)}
    if a.certified is None or b.certified is None:
        return entry | {"images": None, "only_a": [], "only_b": []}
    common = set(common_images(a.certified, b.certified, (a.name, b.name))[0].tolist())
    for side, own in (("only_a", a.certified), ("only_b", b.certified)):
        entry[side] = [i for i in own.images.tolist() if i not in common]
    return entry | {"images": len(common)}


def _noise(a: Contestant, b: Contestant) -> str:
    if a.noise is None or b.noise is None:
        return "not known"
    return "shared" if a.noise == b.noise else "other draws"
