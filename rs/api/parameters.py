"""Methods as Python callers name them: a name and keywords, or a mapping as in a study. No torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rs.errors import UserError, guess

# The words of others for ours.
MEANT = {
    **dict.fromkeys(("N", "num_samples", "n_samples"), "n"),
    **dict.fromkeys(("N0", "num_samples_0"), "n0"),
    **dict.fromkeys(("eps", "epsilon", "epsilons"), "radii"),
    **dict.fromkeys(("noise_sd", "std", "stddev"), "sigma"),
    "batch_size": "batch",
}


def keywords(call: Callable[..., Any]) -> tuple[str, ...]:
    """The keywords that a call has beside the parameters of methods."""
    parameters = inspect.signature(call).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def no_such(
    verb: str, key: str, allowed: Sequence[str], elsewhere: Mapping[str, Iterable[str]] | None
) -> UserError:
    """The error of a keyword that is none of `allowed`. It names the one that is meant: by its name elsewhere
    in the field, by its letters, or as one of another call (`elsewhere`: call -> its keywords).
    """
    meant = MEANT.get(key, key)
    owners = [call for call, of in (elsewhere or {}).items() if meant in of]
    hint = f" (did you mean {meant}?)" if meant in allowed else guess(key, allowed)
    if owners and meant not in allowed:
        hint = f"; {meant} is a keyword of {owners[0]}"
    return UserError(f"{verb}: {key}: no such parameter{hint}; allowed: {', '.join(allowed) or 'none'}")


def method_of(method: str | Mapping[str, Any], role: str, verb: str) -> dict[str, Any]:
    """`{"name": ..., parameters}` from a name or such a mapping."""
    if isinstance(method, str):
        return {"name": method}
    if isinstance(method, Mapping) and isinstance(method.get("name"), str):
        return {str(key): plain(value) for key, value in method.items()}
    hint = f"; its level is a keyword: sigma={method}" if role == "noise" and _is_number(method) else ""
    advice = f"give a name, or a mapping with name and parameters{hint}"
    raise UserError(f"{verb}: {role}: {method!r}: {advice}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def owned(
    verb: str,
    parameters: Mapping[str, Any],
    chosen: dict[str, dict[str, Any]],
    facts: dict[str, dict[str, Any]],
    fixed: Iterable[str],
    beside: Sequence[str],
    elsewhere: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, dict[str, Any]]:
    """The methods, with each of `parameters` assigned to the method that has it; methods of roles in `fixed`
    are fixed. Raises UserError for a parameter that no method or more than one has, or that is given twice;
    the line lists the call's keywords `beside` them, and names the call `elsewhere` that has it (`no_such`).
    """
    open_roles = [role for role in chosen if role not in set(fixed)]
    for role in open_roles:
        unknown = [key for key in chosen[role] if key not in ("name", *facts[role]["x-parameters"])]
        if unknown:
            known = ", ".join(facts[role]["x-parameters"]) or "none"
            raise UserError(f"{verb}: {role}: {unknown[0]}: no such parameter; allowed: {known}")
    methods = {role: dict(method) for role, method in chosen.items()}
    for key, value in parameters.items():
        owners = [role for role in open_roles if key in facts[role]["x-parameters"]]
        if len(owners) > 1:
            raise UserError(f"{verb}: {key}: both methods have it; give one as a mapping: {{'name': ...}}")
        if not owners:
            own = [p for role in open_roles for p in facts[role]["x-parameters"]]
            raise no_such(verb, key, [*dict.fromkeys([*own, *beside])], elsewhere)
        if key in methods[owners[0]]:
            raise UserError(f"{verb}: {key}: given twice")
        methods[owners[0]][key] = plain(value)
    return methods


def plain(value: Any) -> Any:
    """A value as YAML would give it; the schema knows neither numpy's numbers nor tuples."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def array_of(value: Any, where: str, allowed: str, kind: type | None = None) -> np.ndarray:
    """An array of what numpy takes, or of a torch tensor on any device. Raises UserError for anything else:
    rows of several lengths, or values that cannot be of this `kind`.
    """
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, kind)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        several = kind is None and isinstance(error, ValueError)
        problem = "rows of several lengths" if several else f"a {type(value).__name__} that is no array"
        raise UserError(f"{where}: {problem}; {allowed}") from error


def path_of(path: Any, verb: str) -> Path:
    """A path from text or a path. Raises UserError for anything else."""
    try:
        return Path(path)
    except TypeError as error:
        raise UserError(f"{verb}: a {type(path).__name__}; give the path of a file") from error


def radius_list(radii: Any, verb: str) -> list[float]:
    """Radii from a sequence or an array [R]. Raises UserError for anything else, also for a single number."""
    where, allowed = f"{verb}: radii: {radii!r}", "give a list of numbers from 0"
    try:
        array = array_of(radii, where, allowed, float)
    except UserError:
        array = np.asarray(np.nan)
    if array.ndim != 1 or not bool((np.isfinite(array) & (array >= 0)).all()):
        hint = f": [{radii}]" if isinstance(radii, float | int) else ""
        raise UserError(f"{where}: {allowed}{hint}")
    return [float(r) for r in array]


def settings_of(kind: Any, verb: str, **settings: Any) -> Any:
    """A dataclass of rs.settings from keywords. The UserError names the first value that is out of range."""
    try:
        return TypeAdapter(kind).validate_python({k: plain(v) for k, v in settings.items()})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = first["msg"].replace("Input should be", "must be").partition(" or an instance of ")[0]
        problem = problem.replace("a valid tuple", "a list")
        raise UserError(f"{verb}: {place}: {first.get('input')!r}: {problem}") from error
