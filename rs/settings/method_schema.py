"""The schema of one method: its hyperparameters as JSON schema, and the facts that its class states. Loads no
torch beyond the imports of the class itself.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from rs.settings.attacks import AttackUse
from rs.settings.certificates import CertificateUse
from rs.settings.method_facts import OPTIONAL, REQUIRED

# For each kind of method, the facts of its class that its schema holds. The family of a noise is its name.
FACTS: dict[str, tuple[str, ...]] = {
    kind: (
        *(fact for fact in REQUIRED[kind] if fact != "family"),
        *(name for name, fact in OPTIONAL[kind].items() if fact.in_schema),
    )
    for kind in REQUIRED
}
USES: dict[str, type] = {"certificates": CertificateUse, "attacks": AttackUse}


def key_of(field_name: str) -> str:
    """The key of a field in a study: `lambda_` is `lambda`."""
    return field_name.rstrip("_")


def method_schema_of(kind: str, name: str, cls: Any, path: str) -> dict[str, Any]:
    """The schema of a method of this kind; `path` is its class as "module:Class".

    Required keys stand under "x-required", because in a study's file they may come from elsewhere.
    """
    own = dataclass_schema(cls)
    level = _level(own["properties"])
    uses = dataclass_schema(USES[kind]) if kind in USES else {"properties": {}}
    return {
        "type": "object",
        "description": (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "),
        "properties": {"name": {"const": name}, **own["properties"], **uses["properties"]},
        "additionalProperties": False,
        "x-required": ["name", *own.get("required", []), *uses.get("required", [])],
        "x-source": cls.source,
        "x-class": path,
        "x-parameters": sorted(own["properties"]),
        **({"x-level": level} if level else {}),
        **{f"x-{fact}": _fact(getattr(cls, fact)) for fact in FACTS[kind] if hasattr(cls, fact)},
    }


def add_switch(schema: dict[str, Any], switch: str, cls: Any, path: str) -> None:
    """Adds to a method's schema a parameter, false by default, that selects the class at `path`."""
    summary = (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
    schema["properties"][switch] = {"type": "boolean", "default": False, "description": summary}
    schema["x-parameters"] = sorted([*schema["x-parameters"], switch])
    schema["x-switches"] = {**schema.get("x-switches", {}), switch: path}


def dataclass_schema(cls: type) -> dict[str, Any]:
    """JSON schema of a dataclass: types, limits, defaults, no unknown keys."""
    full = TypeAdapter(cls).json_schema()
    plain: dict[str, Any] = _plain(full, full.get("$defs", {}))
    plain.setdefault("properties", {})
    plain["additionalProperties"] = False
    for f in fields(cls):
        if f.default_factory is not MISSING:  # pydantic leaves these out
            plain["properties"][key_of(f.name)]["default"] = to_jsonable_python(f.default_factory())
    return plain


def _plain(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with references expanded and without pydantic's titles; objects take no unknown keys."""
    if isinstance(schema, list):
        return [_plain(s, definitions) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        return {**_plain(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions), **rest}
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: _plain(s, definitions) for name, s in value.items()}
        elif key == "default":
            out[key] = value
        elif key not in ("title", "$defs"):
            out[key] = _plain(value, definitions)
    if "properties" in out and "additionalProperties" not in out:
        out["additionalProperties"] = False
    return out


def _level(properties: dict[str, Any]) -> str | None:
    """The parameter of type Level, whose mark is removed; None where there is none."""
    level = None
    for key, parameter in properties.items():
        for option in (parameter, *parameter.get("anyOf", ())):
            level = key if option.pop("x-level", False) else level
    return level


def _fact(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_fact(v) for v in value]
    if isinstance(value, dict):
        return {k: _fact(v) for k, v in value.items()}
    return "inf" if value == float("inf") else value
