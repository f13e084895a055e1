"""Joins the tables of contents: builds methods from a study's objects, lists them, writes `rs/schema.json`.

The schema is generated from the dataclasses and committed, so that the workflow can check a study, name its
runs and refuse impossible pairs without importing torch. `rs schema --write` renews it; a test keeps the two
in step.
"""

from __future__ import annotations

import importlib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from rs import attacks, certificates, data, models, noise, objectives
from rs.interfaces import UserError
from rs.spec import AttackUse, CertificateUse
from rs.study_spec import ImportedSections, RunSections, StudySections, Sweep

TABLES: dict[str, dict[str, str]] = {
    "datasets": data.METHODS,
    "models": models.METHODS,
    "objectives": objectives.METHODS,
    "noises": noise.METHODS,
    "certificates": certificates.METHODS,
    "attacks": attacks.METHODS,
}
# The key of a study that names a method of this kind, and the facts that a class of it states about itself.
FACTS: dict[str, tuple[str, ...]] = {
    "datasets": ("shape", "classes", "sizes"),
    "models": ("shapes",),
    "objectives": ("noises", "calibrates"),
    "noises": ("below_dimension",),
    "certificates": ("norms", "needs", "rigorous", "anytime", "bound", "freedom", "parameters_only"),
    "attacks": ("norm", "access"),
}
USES: dict[str, type] = {"certificates": CertificateUse, "attacks": AttackUse}
SCHEMA = Path(__file__).with_name("schema.json")


def find(kind: str, name: str) -> type:
    """The class behind a name in one of the tables of contents."""
    table = TABLES[kind]
    if name not in table:
        raise UserError(f"{name!r} is none of the {kind}: {', '.join(sorted(table))}")
    module, _, attribute = table[name].partition(":")
    found: type = getattr(importlib.import_module(module), attribute)
    return found


def build(kind: str, method: dict[str, Any]) -> Any:
    """The method object for `{"name": ..., hyperparameters}`; keys that belong to its use in a study are left
    out.
    """
    use = {_key(f.name) for f in fields(USES[kind])} if kind in USES else set()
    parameters = {k: v for k, v in method.items() if k != "name" and k not in use}
    try:
        return TypeAdapter(find(kind, method["name"])).validate_python(parameters)
    except ValidationError as error:
        first, *others = error.errors()
        options = [first, *(e for e in others if e["loc"][:1] == first["loc"][:1])]  # of a union, one each
        place = first["loc"] if len(options) == 1 else first["loc"][:1]
        told = " or ".join(e["msg"] for e in options)
        raise UserError(f"{method['name']}.{'.'.join(map(str, place))}: {told}") from error


def build_use(kind: str, method: dict[str, Any]) -> Any:
    """How a study uses a certificate or an attack: its `CertificateUse` or `AttackUse`."""
    use = USES[kind]
    keys = {f.name for f in fields(use)}
    return TypeAdapter(use).validate_python({k: v for k, v in method.items() if k in keys})


def _key(field_name: str) -> str:
    return field_name.rstrip("_")


def _plain(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with references written out and without pydantic's titles; objects take no unknown keys."""
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


def dataclass_schema(cls: type) -> dict[str, Any]:
    """JSON schema of a dataclass: types, limits, defaults, no unknown keys."""
    full = TypeAdapter(cls).json_schema()
    plain: dict[str, Any] = _plain(full, full.get("$defs", {}))
    plain.setdefault("properties", {})
    plain["additionalProperties"] = False
    for f in fields(cls):
        if f.default_factory is not MISSING:  # pydantic leaves these out
            plain["properties"][_key(f.name)]["default"] = to_jsonable_python(f.default_factory())
    return plain


def _fact(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_fact(v) for v in value]
    if isinstance(value, dict):
        return {k: _fact(v) for k, v in value.items()}
    return "inf" if value == float("inf") else value


def _method_schema(kind: str, name: str) -> dict[str, Any]:
    cls = find(kind, name)
    own = dataclass_schema(cls)
    uses = dataclass_schema(USES[kind]) if kind in USES else {"properties": {}}
    return {
        "type": "object",
        "description": (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "),
        "properties": {"name": {"const": name}, **own["properties"], **uses["properties"]},
        "required": ["name", *own.get("required", []), *uses.get("required", [])],
        "additionalProperties": False,
        "x-source": cls.source,  # type: ignore[attr-defined]
        "x-class": TABLES[kind][name],
        "x-parameters": sorted(own["properties"]),
        **{f"x-{fact}": _fact(getattr(cls, fact)) for fact in FACTS[kind] if hasattr(cls, fact)},
    }


def _choice(kind: str) -> dict[str, Any]:
    """An object whose `name` picks which of the kind's schemas it must meet."""
    return {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": sorted(TABLES[kind])}},
        "allOf": [
            {"if": {"properties": {"name": {"const": name}}}, "then": {"$ref": f"#/$defs/{kind}/{name}"}}
            for name in sorted(TABLES[kind])
        ],
    }


def _length(section: dict[str, Any]) -> dict[str, Any]:
    """What holds for a list before it is merged."""
    return {"maxItems": section["maxItems"]} if "maxItems" in section else {}


def schema() -> dict[str, Any]:
    """The schema of a study file. `$defs/run` is that of one run after defaults, overlays and sweeps are
    merged.
    """
    run, imported = dataclass_schema(RunSections), dataclass_schema(ImportedSections)
    for key, kind in {"model": "models", "objective": "objectives"}.items():
        run["properties"][key] = _choice(kind)
    imported["properties"]["architecture"]["anyOf"][0] = _choice("models")
    for sections in (run, imported):
        sections["properties"]["noise"] = _choice("noises")
        for kind in ("certificates", "attacks"):
            sections["properties"][kind]["items"] = _choice(kind)
        sections["properties"]["smoothing"]["anyOf"][0]["items"] = _choice("noises")
    study = dataclass_schema(StudySections)
    study["properties"]["data"] = _choice("datasets")
    # Inside a study the runs' sections may be partial: they are checked once merged.
    partial: dict[str, Any] = {key: _length(s) for key, s in run["properties"].items()}
    within_run = {**partial, "sweep": dataclass_schema(Sweep)}
    study["properties"] |= partial
    study["properties"]["runs"] |= {
        "additionalProperties": {"type": "object", "properties": within_run, "additionalProperties": False},
    }
    study["properties"]["imported"] |= {
        "additionalProperties": {
            "type": "object",
            "properties": {key: _length(s) for key, s in imported["properties"].items()},
            "additionalProperties": False,
        },
    }
    log = study["properties"]["logs"]["additionalProperties"]["properties"]
    log |= {"noise": _choice("noises")}
    log["certificate"] |= {"enum": sorted(TABLES["certificates"])}
    study["properties"]["override"] = {
        "type": "object",
        "properties": partial,
        "additionalProperties": False,
        "default": {},
    }
    methods = {kind: {name: _method_schema(kind, name) for name in sorted(TABLES[kind])} for kind in TABLES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of randomized smoothing",
        **study,
        "$defs": {"run": run, "imported": imported, **methods},
    }


def listing() -> dict[str, list[dict[str, Any]]]:
    """Every method that a study can name, by kind: name, source, what it is, and its hyperparameters'
    defaults.
    """
    methods = schema()["$defs"]
    return {
        kind: [
            {
                "name": name,
                "source": methods[kind][name]["x-source"],
                "description": methods[kind][name]["description"],
                "parameters": {
                    p: methods[kind][name]["properties"][p].get("default", "required")
                    for p in methods[kind][name]["x-parameters"]
                },
            }
            for name in sorted(TABLES[kind])
        ]
        for kind in TABLES
    }
