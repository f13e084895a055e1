"""Derives a claim from a noise, a certificate and votes, and checks all three. Loads no torch.

`rs radius` and the functions of `import rs` both use this module, so they say the same of the same votes.
"""

from __future__ import annotations

import math
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.interfaces import Certified
from rs.statistics.draws import Draws
from rs.statistics.paired_draws import PairedDraws
from rs.statistics.rounded_normal import left_of
from rs.study.feasibility import with_theorem
from rs.study.messages import Validator, dotted, explain
from rs.study.schema import defaults, method_schema, noise_level, schema

KINDS = {"noise": "noises", "certificate": "certificates"}
HARDLY_EVER = 1e-6
# In place of the number of coordinates where the radius does not depend on it: a law on a sphere needs two.
ANY_DIMENSION = 2
Method = dict[str, Any]  # {"name": ..., parameters}, as a study writes it
Facts = dict[str, Any]  # a method's schema


def facts_of(verb: str, names: dict[str, str], dashes: str = "") -> dict[str, Facts]:
    """The schema of each method in `names` (role -> method name). Raises UserError for an unknown method, and
    for a certificate without a theorem for the named noise. `dashes` precede the role in messages ("--" for
    options).
    """
    for role, name in names.items():
        if (known := schema()["$defs"][KINDS[role]]) and name not in known:
            allowed = ", ".join(known)
            raise UserError(f"{verb}: {dashes}{role} {name}: no such {role}; allowed: {allowed}")
    found = {role: method_schema(KINDS[role], name) for role, name in names.items()}
    if len(names) == len(KINDS) and names["noise"] not in found["certificate"]["x-norms"]:
        allowed, certificate = ", ".join(found["certificate"]["x-norms"]), names["certificate"]
        problem = f"certificate {certificate} has no theorem for noise {names['noise']}; it has for {allowed}"
        raise UserError(f"{verb}: {problem}{with_theorem(names['noise'])}")
    return found


def check_parameters(
    verb: str, chosen: dict[str, Method], facts: dict[str, Facts], level: bool = True
) -> None:
    """Raises UserError for unknown keys and for values out of range; with `level`, for a noise level of 0
    too.
    """
    for role, method in chosen.items():
        errors = list(Validator(facts[role]).iter_errors(method))
        if errors:
            path, message = explain(errors[0])
            raise UserError(f"{verb}: {method['name']}{'.' * bool(path)}{dotted(path)}: {message}")
        for key, value in method.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"{verb}: {method['name']}.{key}: {value}: must be finite")
    noise = chosen.get("noise")
    if level and noise is not None and noise_level(noise) == 0:
        place = f"{noise['name']}.{facts['noise']['x-level']}"
        raise UserError(f"{verb}: {place}: 0: must be greater than 0 to certify")


def claim(verb: str, draws: Draws, noise: Method, certificate: Method, alpha: float) -> Certified:
    """What a checked certificate claims from the draws. Raises UserError for a radius that is not finite."""
    left = left_of(alpha, noise, draws.dimension, most_votes(draws))
    if left == 0:
        problem = f"the law of {most_votes(draws)} votes' noise is off by more than alpha = {alpha:g}"
        raise UserError(f"{verb}: {noise['name']}, exact: {problem}")
    method = catalog.build("certificates", certificate)
    with np.errstate(over="ignore"):
        certified = checked(method.certify(draws, described(noise, certificate), left), draws, method)
    if not np.all(np.isfinite(certified.radius)):
        problem = "the noise is so large that the radius is no finite number"
        raise UserError(f"{verb}: {noise['name']}: {problem}")
    return certified


def checked(found: Certified, draws: Draws, certificate: Any) -> Certified:
    """What a certificate returned for `draws`. Raises UserError where it breaks the contract
    (rs.methods.interfaces): tables would count a radius that is none.
    """
    name = f"certificate {type(certificate).__name__}"
    if not isinstance(found, Certified):
        raise UserError(f"{name}: returned {type(found).__name__}, not Certified")
    for what, values in (("predictions", found.prediction), ("radii", found.radius)):
        if np.shape(values) != (len(draws),):
            raise UserError(f"{name}: {what} of shape {np.shape(values)}, not ({len(draws)},)")
    classes = draws.estimation.counts.shape[1]
    unknown, none = (found.prediction < -1) | (found.prediction >= classes), ~(found.radius >= 0)
    loose = (found.prediction < 0) & (found.radius > 0)
    if (wrong := unknown | none | loose).any():
        i = int(wrong.argmax())
        answer = f"prediction {found.prediction[i]}, radius {found.radius[i]}"
        allowed = f"allowed: -1 with radius 0, or 0 to {classes - 1} with a radius of at least 0"
        raise UserError(f"{name}: image {draws.images[i]}: {answer}; {allowed}")
    return found


def check_rule(verb: str, certificate: Method, stop: dict[str, Any] | None = None) -> None:
    """Raises UserError where the certificate needs votes that its own stopping rule stopped, and these were
    stopped by another rule or their number was fixed. `stop` is the draws' record of their rule.
    """
    rule = method_schema("certificates", certificate["name"]).get("x-rule")
    if rule is not None and (stop or {}).get("rule") != rule:
        needed = f"needs votes that its rule stopped, as a study draws them by sampling.rule: {rule}"
        raise UserError(f"{verb}: certificate {certificate['name']} {needed}; use cohen, or a study")


def check_separate(verb: str, selection: np.ndarray, estimation: np.ndarray, same: bool = False) -> None:
    """Raises UserError where selection and estimation votes [N, classes] are not separate draws: `same` says
    that they are one object; otherwise they are equal for all images, which separate draws would hardly ever
    be.

    For any class probabilities, an image's second draw equals its first with at most the multinomial
    probability of the first under its own frequencies.
    """
    problem = f"{verb}: the estimation votes are the selection votes; draw separate ones"
    if same:
        raise UserError(problem)
    if not np.array_equal(selection, estimation):
        return
    k, n = estimation.astype(np.float64), estimation.sum(1)
    chance = special.gammaln(n + 1) - special.gammaln(k + 1).sum(1)
    chance += special.xlogy(k, k / n[:, None]).sum(1)
    if (total := float(chance.sum())) < math.log(HARDLY_EVER):
        raise UserError(f"{problem} (that separate ones agree has a chance of {math.exp(total):.1g} at most)")


def most_votes(draws: Draws) -> int:
    """The most votes of one image: selection, estimation and, for paired draws, the first network's. Votes
    that a rule stopped count with the rule's maximum.
    """
    own = int(draws.selection.n.max()) + int(draws.stop.get("n", draws.estimation.n.max()))
    if not isinstance(draws, PairedDraws):
        return own
    return own + int(draws.first_stop.get("n", draws.first.n.max()))


def confidence(alpha: float) -> float:
    """1 - alpha as a decimal number; always below 1."""
    return min(float(1 - Decimal(repr(alpha))), math.nextafter(1, 0))


def described(noise: Method, certificate: Method) -> Any:
    """The noise family; a description of its parameters, without loading torch, if the certificate reads no
    more.
    """
    if not method_schema("certificates", certificate["name"]).get("x-parameters_only"):
        return catalog.build("noises", noise)
    facts = method_schema("noises", noise["name"])
    parameters = {k: v for k, v in defaults(facts, noise).items() if k in facts["x-parameters"]}
    return SimpleNamespace(family=noise["name"], **parameters)


def needs_dimension(noise: Method, norm: float | str) -> bool:
    """Whether the radius in this norm depends on the number of coordinates."""
    free = method_schema("noises", noise["name"]).get("x-free_norm")
    return bool(noise.get("exact")) or free != norm
