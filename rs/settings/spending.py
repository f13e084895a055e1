"""How a certificate spends alpha in the best case, from which the least number of votes follows. No torch.

In the best case all votes, or all of every score, fall to one class; p_A and p_B then have their best bounds.
p_A takes the part `alpha_share` of alpha (all of it without such a parameter), p_B the rest. A certificate
that spends otherwise states `spends`: rules, each a dict of

    when     parameters -> the values at which the rule holds (default: always)
    noise    the noise family under which it holds (default: all)
    share    the part of alpha for p_A, instead of alpha_share
    aside    the parameter that is the part of alpha for something else than votes
    divided  the number that alpha is divided by beforehand
    pooled   True: the bounds use the selection votes too
    any      True: a single vote can certify

Rules that hold are applied in order, later ones over earlier ones. rs.study.feasibility counts the votes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Spends: TypeAlias = tuple[dict[str, Any], ...]

_NUMBER, _TRUE = "a number above 0", "True or False"
_VALUES = {"when": "a dict", "noise": "a text", "aside": "one of its parameters"}
_VALUES |= {"share": _NUMBER, "divided": _NUMBER, "pooled": _TRUE, "any": _TRUE}


def spending(spends: Any, certificate: Mapping[str, Any], noise: str) -> dict[str, Any]:
    """The rules that hold, merged, for a certificate with all its parameters under noise of this family."""
    merged: dict[str, Any] = {"share": certificate.get("alpha_share", 1.0)}
    for rule in spends:
        if rule.get("noise", noise) == noise and all(
            certificate.get(key) == value for key, value in rule.get("when", {}).items()
        ):
            merged |= rule
    return merged


def wrong_spends(spends: Any, parameters: set[str]) -> str:
    """What is wrong with stated rules, for a method with these parameters; empty where nothing is."""
    if not (isinstance(spends, tuple) and all(isinstance(rule, dict) for rule in spends)):
        return "its `spends` must be a tuple of dicts"
    for rule in spends:
        for key, value in rule.items():
            if key not in _VALUES:
                return f"its `spends` hold {key!r}; allowed: {', '.join(_VALUES)}"
            if not _allowed(key, value, parameters):
                return f"its `spends` hold {key} = {value!r}; it must be {_VALUES[key]}"
        for named in rule.get("when", ()):
            if named not in parameters:
                return f"its `spends` name {named!r}, which is none of its parameters"
    return ""


def _allowed(key: str, value: Any, parameters: set[str]) -> bool:
    allowed = _VALUES[key]
    if allowed == _NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    if allowed == _TRUE:
        return isinstance(value, bool)
    if key == "aside":
        return isinstance(value, str) and value in parameters
    return isinstance(value, dict if key == "when" else str)
