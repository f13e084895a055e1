"""Methods as Python callers name them: a name and keywords, or a mapping as in a study. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rs.errors import UserError


def method_of(method: str | Mapping[str, Any], role: str, verb: str) -> dict[str, Any]:
    """`{"name": ..., parameters}` from a name or such a mapping."""
    if isinstance(method, str):
        return {"name": method}
    if isinstance(method, Mapping) and isinstance(method.get("name"), str):
        return {str(key): plain(value) for key, value in method.items()}
    raise UserError(f"{verb}: {role}: {method!r}: give a name, or a mapping with name and parameters")


def owned(
    verb: str,
    parameters: Mapping[str, Any],
    chosen: dict[str, dict[str, Any]],
    facts: dict[str, dict[str, Any]],
    fixed: Iterable[str] = (),
) -> dict[str, dict[str, Any]]:
    """The methods, with each of `parameters` assigned to the method that has it; methods of roles in `fixed`
    are fixed. Raises UserError for a parameter that no method or more than one has, or that is given twice.
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
            known = ", ".join(p for role in open_roles for p in facts[role]["x-parameters"])
            raise UserError(f"{verb}: {key}: no such parameter; allowed: {known or 'none'}")
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
        raise UserError(f"{verb}: {place}: {first.get('input')!r}: {problem}") from error
