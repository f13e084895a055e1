"""`rs radius` needs no study and no files.

Votes are whole numbers per class, separated by commas, from two separate draws: `--selection` chooses the
class, `--estimation` bounds its probability. Without the two options each line of standard input is one image
(selection, white space, estimation): `90,10 86300,13700`. The output is one line per image: text with
the radius rounded down to the digits shown, or JSON (`--json`) with its full float64.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any, TextIO

import numpy as np

from rs.api.counts import MOST_VOTES
from rs.errors import UserError, plural
from rs.methods import claims
from rs.provenance.digests import canonical
from rs.provenance.reading import as_number
from rs.settings.certificates import CertificateUse
from rs.statistics.draws import Draws
from rs.study.messages import short
from rs.study.schema import method_schema

LARGEST = 2**26  # characters of standard input
DIGITS = 5
# Numbers as people and YAML write them and JSON does not. `010` is none: YAML 1.1 reads an 8.
NUMBER = re.compile(r"[+-]?([0-9]*\.[0-9]+|[0-9]+\.|0|[1-9][0-9]*)([eE][+-]?[0-9]+)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--certificate", default="cohen", metavar="NAME", help="default: cohen")
    parser.add_argument("--noise", default="gaussian", metavar="NAME", help="default: gaussian")
    parser.add_argument(
        *("--set", "-s"),
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="parameter of the noise or certificate; if both have it: noise.KEY or certificate.KEY",
    )
    parser.add_argument(
        "--dimension", metavar="D", help="number of input coordinates: 3072 for 3x32x32 images"
    )
    parser.add_argument("--selection", metavar="N,N,...", help="votes per class that choose the class")
    parser.add_argument("--estimation", metavar="N,N,...", help="votes per class that bound its probability")
    alpha = f"{CertificateUse.alpha:g}"
    parser.add_argument("--alpha", default=alpha, help=f"error rate of the claim (default: {alpha})")
    parser.add_argument(
        "--uniform",
        metavar="U",
        help="number drawn from [0, 1) before the votes, for certificates with randomised=true",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per image")


def run(args: argparse.Namespace) -> None:
    """Prints one line per image. Raises UserError for votes, parameters or pairs that allow no claim."""
    if (args.selection is None) != (args.estimation is None):
        raise UserError(
            "radius: give both --selection and --estimation, or neither and lines on standard input"
        )
    if args.selection is None:
        votes = list(_piped(_lines(sys.stdin)))
    else:
        pair = (_counts("--selection", args.selection), _counts("--estimation", args.estimation))
        votes = [_same_classes("--selection and --estimation", *pair)]
    noise, certificate = methods(args.noise, args.certificate, args.set)
    for answer in radii(noise, certificate, votes, args.alpha, args.dimension, args.uniform):
        print(json.dumps(answer) if args.json else as_text(answer))


def radii(
    noise: dict[str, Any],
    certificate: dict[str, Any],
    votes: list[tuple[list[int], list[int]]],
    alpha: str,
    dimension: str | None = None,
    uniform: str | None = None,
) -> list[dict[str, Any]]:
    """The answers for N images: prediction (-1 abstains), radius, norm, confidence, whether it is proven.

    `noise` and `certificate` as a study writes them, checked by `methods`; `votes` are pairs of selection and
    estimation counts of the same classes; the other values are as typed.
    """
    facts = method_schema("certificates", certificate["name"])
    norm = facts["x-norms"][noise["name"]]
    level = number("radius: --alpha", alpha, "a number strictly between 0 and 1", lambda v: 0 < v < 1)
    d = _dimension(dimension, noise, norm)
    u = None
    if certificate.get("randomised"):
        if uniform is None:
            raise UserError(
                "radius: randomised=true needs --uniform U, a number in [0, 1) drawn before the votes"
            )
        u = np.full(
            len(votes), number("radius: --uniform", uniform, "a number in [0, 1)", lambda v: 0 <= v < 1)
        )
    draws = Draws.from_counts([s for s, _ in votes], [e for _, e in votes], d, uniform=u)
    claims.check_separate("radius", draws.selection.counts, draws.estimation.counts)
    certified = claims.claim("radius", draws, noise, certificate, level)
    claim = {
        "norm": canonical(norm),
        "confidence": claims.confidence(level),
        "rigorous": bool(facts["x-rigorous"]),
    }
    return [
        {"prediction": int(prediction), "radius": float(radius), **claim}
        for prediction, radius in zip(certified.prediction, certified.radius, strict=True)
    ]


def as_text(answer: dict[str, Any]) -> str:
    """The answer as text, such as `class 0, l2 radius 0.49343, confidence 0.999`."""
    proof = "" if answer["rigorous"] else ", an estimate and no proof"
    confidence = f"confidence {answer['confidence']!r}{proof}"
    if answer["prediction"] < 0:
        return f"abstains, {confidence}"
    return f"class {answer['prediction']}, l{answer['norm']} radius {floored(answer['radius'])}, {confidence}"


def floored(radius: float) -> str:
    """Five significant digits, never rounded up."""
    return str(Context(prec=DIGITS, rounding=ROUND_FLOOR).create_decimal(Decimal(radius)))


# --- methods ---


def methods(
    noise: str, certificate: str, settings: Iterable[str], verb: str = "radius"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The noise and the certificate as a study writes them, from their names and `key=value` settings.

    A key belongs to the method that has a parameter of that name. Raises UserError for unknown names and
    keys, values out of range, a pair without a theorem, and certificates that need more than votes.
    """
    chosen: dict[str, dict[str, Any]] = {"noise": {"name": noise}, "certificate": {"name": certificate}}
    facts = claims.facts_of(verb, {role: method["name"] for role, method in chosen.items()}, "--")
    claims.check_rule(verb, chosen["certificate"])
    if facts["certificate"]["x-needs"] == ["paired_counts"]:
        raise UserError(f"{verb}: certificate {certificate} needs votes of two networks on the same draws")
    if facts["certificate"]["x-needs"] != ["counts"]:
        raise UserError(
            f"{verb}: certificate {certificate} needs softmax moments, which votes do not hold; "
            "give its study sampling.betas and run that"
        )
    for setting in settings:
        role, key, value = _setting(verb, setting, facts)
        if key in chosen[role]:
            raise UserError(f"{verb}: --set {setting}: {key} is set twice")
        chosen[role][key] = value
    claims.check_parameters(verb, chosen, facts)
    return chosen["noise"], chosen["certificate"]


def _setting(verb: str, setting: str, facts: dict[str, dict[str, Any]]) -> tuple[str, str, Any]:
    """Role, key and value of `key=value`, `noise.key=value` or `certificate.key=value`."""
    name, equals, text = setting.partition("=")
    if not equals or not text:
        raise UserError(f"{verb}: --set {setting}: must be KEY=VALUE, as sigma=0.5")
    prefix, dot, key = name.rpartition(".")
    roles = [prefix] if dot else list(facts)
    owners = [role for role in roles if role in facts and key in facts[role]["x-parameters"]]
    if len(owners) > 1:
        raise UserError(f"{verb}: --set {setting}: both have {key}; write noise.{key} or certificate.{key}")
    if not owners:
        known = ", ".join(f"{role}.{p}" for role, fact in facts.items() for p in fact["x-parameters"])
        raise UserError(f"{verb}: --set {setting}: no such parameter; allowed: {known}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = float(text) if NUMBER.fullmatch(text) else text
    return owners[0], key, value


# --- votes and numbers as typed ---


def _lines(stream: TextIO) -> Iterator[str]:
    """Lines of a stream that may not end. Raises UserError where it is too long or not text."""
    left = LARGEST
    for number in itertools.count(1):
        try:
            line = stream.readline(left + 1)
        except UnicodeDecodeError as error:
            raise UserError(f"radius: standard input, line {number}: not a text in UTF-8") from error
        left -= len(line)
        if left < 0:
            problem = f"more than {LARGEST} characters; give it in parts"
            raise UserError(f"radius: standard input, line {number}: {problem}")
        if not line:
            return
        yield line


def _piped(lines: Iterable[str]) -> Iterator[tuple[list[int], list[int]]]:
    """The pairs of counts on lines of standard input, all of the same classes; blank lines are skipped."""
    classes = 0
    for number, line in enumerate(lines, start=1):
        where, cells = f"standard input, line {number}", line.split()
        if not cells:
            continue
        if len(cells) != 2:
            raise UserError(f"radius: {where}: must be SELECTION ESTIMATION, as 90,10 86300,13700")
        pair = _same_classes(where, *(_counts(where, cell) for cell in cells))
        classes = classes or len(pair[0])
        if len(pair[0]) != classes:
            count = plural(len(pair[0]), "class", "classes")
            raise UserError(f"radius: {where}: {count}; the lines before have {classes}")
        yield pair
    if not classes:
        raise UserError("radius: give --selection and --estimation, or lines of both on standard input")


def _same_classes(where: str, selection: list[int], estimation: list[int]) -> tuple[list[int], list[int]]:
    if len(selection) != len(estimation):
        raise UserError(
            f"radius: {where}: {len(selection)} selection and {len(estimation)} estimation counts"
        )
    return selection, estimation


def _counts(where: str, text: str) -> list[int]:
    counts = []
    for cell in text.split(","):
        if not re.fullmatch(r"\s*-?[0-9]{1,400}\s*", cell):
            raise UserError(
                f"radius: {where}: {short(cell)!r} is no count; must be whole numbers as 86300,13700"
            )
        if (count := int(cell)) < 0:
            raise UserError(f"radius: {where}: {count} is negative; counts are 0 or more")
        counts.append(count)
    if len(counts) < 2:
        raise UserError(f"radius: {where}: one class only; at least 2 counts, as 86300,13700")
    if not 0 < sum(counts) <= MOST_VOTES:
        raise UserError(f"radius: {where}: {sum(counts)} votes in all; must be 1 to {MOST_VOTES}")
    return counts


def number(option: str, text: str, allowed: str, fits: Callable[[float], bool]) -> float:
    """The number that was typed after `option`. Raises UserError where it is no number or does not fit."""
    if not fits(value := as_number(text)):
        raise UserError(f"{option} {text}: must be {allowed}")
    return value


def _dimension(text: str | None, noise: dict[str, Any], norm: float | str) -> int:
    if text is None:
        if not claims.needs_dimension(noise, norm):
            return claims.ANY_DIMENSION
        reason = f"the l{canonical(norm)} radius under {noise['name']} noise depends on it"
        raise UserError(f"radius: give --dimension: {reason}")
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise UserError(f"radius: --dimension {text}: must be a whole number from 1 to 999999999, as 3072")
    return int(text)
