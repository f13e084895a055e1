"""The numbers come from a pilot: two contestants, named as for `rs compare`. With one contestant, its spread
is assumed for both sides.

With --difference D (default: the pilot's own): the number of images that detect D with probability --power,
paired and unpaired; the number of training seeds; and, where the radii determine p_A, the effect of the votes
per image. With --images or --seeds: the smallest difference that these numbers detect. The pilot's spread is
assumed to be the true one. Formulas: rs/statistics/power.py.
"""

from __future__ import annotations

import argparse
import itertools
import json
from typing import Any

from rs.cli.compare import CONTESTANT, NAMED, add_choices, find, parse
from rs.errors import UserError, plural
from rs.settings import limits
from rs.settings.certificates import CertificateUse
from rs.settings.limits import LARGEST
from rs.statistics import power as size
from rs.statistics.agreement import FEWEST_SEEDS
from rs.tables.comparisons import refuse_other_conditions
from rs.tables.contestants import Contestant
from rs.tables.pilot import Pilot, at_votes, pilot_of

VOTES = (100, 1_000, 10_000, 100_000)
LOGS_VOTES = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contestants", nargs="+", metavar=NAMED, help=CONTESTANT)
    add_choices(parser)
    parser.add_argument("--difference", type=float, metavar="D", help="difference to detect")
    help_text = "which difference this many images detect"
    parser.add_argument("--images", type=int, metavar="N", help=help_text)
    help_text = "which difference this many training seeds detect"
    parser.add_argument("--seeds", type=int, metavar="S", help=help_text)
    help_text = "a difference in certified accuracy at radius R (default: in ACR)"
    parser.add_argument("--at", type=float, metavar="R", help=help_text)
    help_text = "probability of detecting the difference (default: 0.8)"
    parser.add_argument("--power", type=float, default=0.8, metavar="P", help=help_text)
    help_text = "1 minus the test's error rate (default: 0.95)"
    parser.add_argument("--level", type=float, default=0.95, metavar="P", help=help_text)
    parser.add_argument(
        "--seed-deviation",
        type=float,
        metavar="S",
        help="standard deviation of the difference over training seeds, if the pilot has fewer than 3",
    )
    help_text = f"error rate of the certificates of logs (default: {CertificateUse.alpha:g})"
    parser.add_argument("--alpha", type=float, metavar="A", help=help_text)
    help_text = f"votes per image of logs (default: {LOGS_VOTES})"
    parser.add_argument("--votes", type=int, metavar="N", help=help_text)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    check(args)
    contestants, _ = find(args)
    if len(contestants) > 2:
        raise UserError(f"power: {len(contestants)} contestants; a pilot is one or two")
    differences = refuse_other_conditions(itertools.pairwise(contestants), "")
    drawn = conditions(contestants, "n", "votes", args.votes, LOGS_VOTES)
    alphas = conditions(contestants, "alpha", "alpha", args.alpha, CertificateUse.alpha)
    pilot = pilot_of(contestants, args.at)
    result = answer(pilot, args) | {"conditions": differences}
    result["votes"] = votes(contestants, pilot, result["difference"], drawn, alphas, args)
    result["price"] = price(result, args)
    print(json.dumps(result, indent=1) if args.json else text(result))


def check(args: argparse.Namespace) -> None:
    for name in ("level", "power", "alpha"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1:
            raise UserError(f"power: --{name} {value:g}: must be between 0 and 1")
    if args.difference is not None and not 0 < abs(args.difference) <= LARGEST:
        must = f"must be a number other than 0, of at most {LARGEST}"
        raise UserError(f"power: --difference {args.difference:g}: {must}")
    if args.seed_deviation is not None and not 0 < args.seed_deviation <= LARGEST:
        must = f"must be a number above 0 and at most {LARGEST}"
        raise UserError(f"power: --seed-deviation {args.seed_deviation:g}: {must}")
    for name, least, most in (
        ("images", 2, size.MOST_IMAGES),
        ("seeds", FEWEST_SEEDS, size.MOST_SEEDS),
        ("votes", 1, limits.MOST_VOTES),
    ):
        value = getattr(args, name)
        if value is not None and not least <= value <= most:
            raise UserError(f"power: --{name} {value}: must be {least} to {most}")
    if args.at is not None and not 0 <= args.at <= LARGEST:
        raise UserError(f"power: --at: must be a number from 0 to {LARGEST}")


def conditions(
    contestants: list[Contestant], key: str, option: str, value: float | None, default: float
) -> list[Any]:
    """A condition of each contestant: its own one; where it states none, as a log, that of the option. Raises
    UserError where the option is given and contradicts what all contestants state.
    """
    own = [c.conditions.get(key) for c in contestants]
    if value is not None and None not in own and own != [value] * len(own):
        stated = " and ".join(map(str, dict.fromkeys(own)))
        raise UserError(f"power: --{option} {value:g}: the pilot's own is {stated}; this option is for logs")
    return [(default if value is None else value) if mine is None else mine for mine in own]


def answer(pilot: Pilot, args: argparse.Namespace) -> dict[str, Any]:
    """The answer, for the pilot's own difference where none is given; None for unknown values."""
    difference = abs(args.difference if args.difference is not None else pilot.difference or 0.0)
    if difference == 0 and args.images is None and args.seeds is None:
        raise UserError("power: the pilot shows no difference; give the one to detect with --difference")
    if pilot.metric == "certified_accuracy" and difference > 1:
        raise UserError(f"power: --difference {difference:g}: accuracies differ by at most 1")
    rule = {"level": args.level, "power": args.power}
    deviation = args.seed_deviation if args.seed_deviation is not None else pilot.seed_deviation
    result: dict[str, Any] = {"a": pilot.names[0], "b": pilot.names[1] if len(pilot.names) > 1 else None}
    result |= {"metric": pilot.metric, "radius": pilot.radius, "pilot_images": pilot.images}
    result |= {"pilot_difference": pilot.difference, "difference": difference or None, **rule}
    result |= {
        "correlation": pilot.correlation,
        "paired_deviation": pilot.paired,
        "seed_deviation": deviation,
    }
    result |= {"unpaired_deviation": pilot.unpaired, "discordant": pilot.discordant}
    if difference:
        result["paired_images"] = _paired(pilot, difference, rule)
        unpaired = max(pilot.unpaired, _least(pilot, difference))
        result["unpaired_images"] = size.images(unpaired, difference, **rule)
        result["seeds"] = None if deviation is None else size.seeds(deviation, difference, **rule)
    shown: dict[str, Any] = {}
    if args.images is not None:
        shown["images"] = args.images
        least = size.difference if pilot.metric == "acr" else size.accuracy_difference
        shown["unpaired"] = least(pilot.unpaired, args.images, **rule)
        if pilot.discordant is not None:
            shown["paired"] = size.discordant_difference(pilot.discordant, args.images, **rule)
        elif pilot.paired is not None:
            shown["paired"] = least(pilot.paired, args.images, **rule)
    if args.seeds is not None:
        if deviation is None:
            few = f"the pilot has {plural(pilot.seeds, 'training seed')}, at least 3 are needed"
            raise UserError(f"power: --seeds: {few}; or give --seed-deviation")
        shown |= {"seeds": args.seeds, "methods": size.seed_difference(deviation, args.seeds, **rule)}
    return result | {"shown": shown}


def _paired(pilot: Pilot, difference: float, rule: dict[str, float]) -> int | None:
    if pilot.discordant is not None:
        return size.discordant_images(pilot.discordant, difference, **rule)
    if pilot.paired is None:
        return None
    return size.images(max(pilot.paired, _least(pilot, difference)), difference, **rule)


def _least(pilot: Pilot, difference: float) -> float:
    """The least deviation of images that are `difference` apart; 0 for radii, where none is known."""
    return 0.0 if pilot.metric == "acr" else size.least_deviation(difference)


def votes(
    contestants: list[Contestant],
    pilot: Pilot,
    difference: float | None,
    drawn: list[Any],
    alphas: list[float],
    args: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Paired images for an ACR at other numbers of votes than the `drawn` ones; empty where the radii do not
    determine p_A.
    """
    known = [c.sigma is not None for c in contestants]
    if pilot.metric != "acr" or len(contestants) < 2 or not all(known) or not difference:
        return []
    rows = []
    if not all(isinstance(n, int | float) for n in drawn):
        return []  # stopped early: no single number of votes
    numbers = [int(n) for n in drawn]
    now = at_votes(contestants, numbers, max(numbers), alphas)
    for n in VOTES:
        deviation, kept = at_votes(contestants, numbers, n, alphas)
        if kept <= 0:
            continue
        expected = difference * kept / now[1]
        images = size.images(deviation, expected, args.level, args.power)
        rows.append({"n": n, "difference": expected, "paired_deviation": deviation, "paired_images": images})
    return rows


def price(result: dict[str, Any], args: argparse.Namespace) -> dict[str, Any] | None:
    """The price of certifying the paired images anew here (`rs price`), if studies are given, with their own
    votes, for both sides. None for logs, and where more images are needed than the test split has.
    """
    named = [parse(name) for name in args.contestants]
    images = result.get("paired_images")
    if images is None or images > limits.MOST_IMAGES or not all(files and label for files, label in named):
        return None
    from rs.plan import price as pricing
    from rs.plan.plan import Plan
    from rs.study.study import Study

    prices: list[pricing.Price] = []
    for files, label in named:
        plan = Plan(Study(files, {"test": {"first": 0, "max": images, "skip": 1}}))
        if images > plan.data_facts["x-sizes"]["test"]:
            return None
        jobs = (job for p in plan.runs if p.run.label == label for job in plan.of_run(p.id))
        cost = pricing.hours(plan, [job for job in jobs if job.stage in ("form", "sample")])
        if cost is None:
            return None
        prices.append(cost)
    total = {"images": images, "hours": sum(p.hours for p in prices), "unit": prices[0].unit}
    return total | {"machine": prices[0].machine, "assumed": any(p.assumed for p in prices)}


def text(result: dict[str, Any]) -> str:
    """The answer as text."""
    what = "ACR" if result["metric"] == "acr" else f"certified accuracy at {result['radius']:g}"
    pair = result["a"] if result["b"] is None else f"{result['a']} − {result['b']}"
    lines = [f"pilot: {pair}, {plural(result['pilot_images'], 'image')}, {what}"]
    if result["pilot_difference"] is not None:
        spread = "" if result["correlation"] is None else f"; correlation {result['correlation']:.3f}"
        lines[0] += f": difference {result['pilot_difference']:+.4f}{spread}"
    for unlike in result["conditions"]:
        lines.append(f"not under the same conditions, which are part of the difference: {unlike}")
    rule = f"{100 * result['power']:g} % power at {100 * result['level']:g} %"
    if result["difference"]:
        paired = result["paired_images"]
        lines.append(f"a difference of {result['difference']:g} takes, with {rule}:")
        shown = "unknown (one contestant) images" if paired is None else _images(paired)
        lines.append(f"  {shown}, paired")
        lines.append(f"  {_images(result['unpaired_images'])} on each side, unpaired")
        seeds = (
            "unknown (the pilot has fewer than 3; --seed-deviation)"
            if result["seed_deviation"] is None
            else None
        )
        lines.append(
            f"  {seeds or result['seeds'] or f'more than {size.MOST_SEEDS}'} training seeds on each side"
        )
    for row in result["votes"]:
        becomes = f"the difference becomes {row['difference']:.4f}, {_images(row['paired_images'])}"
        lines.append(f"  {plural(row['n'], 'vote')} an image: {becomes}")
    shown = result["shown"]
    if "images" in shown:
        paired = f"{shown['paired']:.4f} paired, " if "paired" in shown else ""
        lines.append(f"{shown['images']} images show, with {rule}: {paired}{shown['unpaired']:.4f} unpaired")
    if "seeds" in shown:
        lines.append(f"{shown['seeds']} training seeds show, with {rule}: {shown['methods']:.4f}")
    if result["price"]:
        cost = result["price"]
        note = ", assumed rates" if cost["assumed"] else ""
        both = f"{plural(cost['images'], 'image')} on both sides"
        lines.append(f"votes for {both}: {cost['hours']:.3g} {cost['unit']}{note}")
    return "\n".join(lines)


def _images(number: int) -> str:
    """A number of images; the largest one is where the search ends, and no answer."""
    return f"more than {number} images" if number >= size.MOST_IMAGES else plural(number, "image")
