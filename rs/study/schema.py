"""The schema of a study, and what follows from it: facts, defaults, specs without defaults. No torch.

It is the committed schema, joined with the methods of other distributions (rs.settings.plugins).
"""

from __future__ import annotations

import ast
import copy
import functools
import json
import math
from pathlib import Path
from typing import Any

from rs.settings.plugins import KINDS, plug_ins
from rs.study.plugin_schema import schema_of
from rs.study.schema_document import document

SCHEMA = Path(__file__).parents[1] / "schema.json"
CONTENTS = SCHEMA.with_name("methods")  # whose packages hold tables of contents


@functools.lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON schema of a study. Raises UserError for a plug-in that breaks the protocol of its kind."""
    committed: dict[str, Any] = json.loads(SCHEMA.read_text())
    if not plug_ins():
        return committed
    methods = {kind: dict(committed["$defs"][kind]) for kind in KINDS}
    for plug_in in plug_ins():
        if plug_in.name in methods[plug_in.kind]:
            raise plug_in.fail("a method of rs has this name")
        methods[plug_in.kind][plug_in.name] = schema_of(plug_in, SCHEMA)
    return document(methods)


def is_unwritten(name: Any) -> bool:
    """Whether a table of contents of this package names a method that its schema lacks: `rs schema --write`
    would write it.
    """
    if not isinstance(name, str) or any(name in schema()["$defs"][kind] for kind in KINDS):
        return False
    tables = (ast.walk(ast.parse(file.read_bytes())) for file in CONTENTS.glob("*/__init__.py"))
    dicts = (node for nodes in tables for node in nodes if isinstance(node, ast.Dict))
    return any(isinstance(key, ast.Constant) and key.value == name for table in dicts for key in table.keys)


def section(key: str) -> dict[str, Any]:
    """The schema of one of a run's sections."""
    return _object_in(schema()["$defs"]["run"]["properties"][key])


def study_section(key: str) -> dict[str, Any]:
    """The schema of one of the study's own sections."""
    properties: dict[str, Any] = schema()["$defs"]["study"]["properties"][key]
    return properties


def method_schema(kind: str, name: str) -> dict[str, Any]:
    """The schema of a single method, with the method's required keys."""
    method: dict[str, Any] = schema()["$defs"][kind][name]
    return {**method, "required": method["x-required"]}


def class_of(kind: str, method: dict[str, Any]) -> str:
    """The "module:Class" that a method of a study executes: that of a switch that is on, else its own."""
    facts = method_schema(kind, method["name"])
    switched = (path for switch, path in facts.get("x-switches", {}).items() if method.get(switch))
    return str(next(switched, facts["x-class"]))


def noise_level(noise: dict[str, Any]) -> float:
    """The level of a noise, which each family marks by a parameter's type; NaN where it has none."""
    level: str | None = method_schema("noises", noise["name"]).get("x-level")
    return math.nan if level is None else float(noise.get(level, math.nan))


def at_most_unanimous(certificate: str, noise: dict[str, Any]) -> bool:
    """Whether a certificate's radius under a noise is at most that of CERTIFY with unanimous votes."""
    return noise["name"] in method_schema("certificates", certificate).get("x-capped", ())


def is_transfer(attack: dict[str, Any]) -> bool:
    """Whether an attack takes its examples from another run."""
    return bool(method_schema("attacks", attack["name"])["x-access"] == "transfer")


def data_facts(data: dict[str, Any]) -> dict[str, Any]:
    """The facts of a data set before it is read: those of its class, or of the study for a user's own."""
    stated = {f"x-{key}": data[key] for key in ("shape", "classes", "sizes") if key in data}
    return {**method_schema("datasets", data["name"]), **stated}


def prune(value: Any, section: dict[str, Any]) -> Any:
    """`value` without values that equal their default in the section: both spellings are one spec."""
    if not isinstance(value, dict):
        return value
    if "allOf" in section:  # a method: use the schema of its name
        chosen = next(
            (
                c["then"]["$ref"]
                for c in section["allOf"]
                if c["if"]["properties"]["name"]["const"] == value.get("name")
            ),
            None,
        )
        if chosen is None:
            return value
        _, _, kind, name = chosen.split("/")
        section = method_schema(kind, name)
    out = {}
    for key, item in value.items():
        sub = section.get("properties", {}).get(key, {})
        inner = _object_in(sub)
        full = defaults(inner, item) if isinstance(item, dict) and "allOf" not in inner else item
        if "default" in sub and sub["default"] == full:
            continue
        pruned = prune(item, inner)
        if pruned == {} and "default" not in sub and "properties" in inner:
            continue
        out[key] = pruned
    return out


def _object_in(sub: dict[str, Any]) -> dict[str, Any]:
    """The object among the alternatives of a schema, or the schema itself."""
    object_schema: dict[str, Any] = next((s for s in sub.get("anyOf", []) if "properties" in s), sub)
    return object_schema


def defaults(section: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """`value` with all defaults of the section filled in, also in the sections inside it."""
    out = dict(value)
    for key, sub in section.get("properties", {}).items():
        inner = _object_in(sub)
        if key not in out and "default" in sub:
            out[key] = copy.deepcopy(sub["default"])
        elif "properties" in inner and "allOf" not in inner and key not in section.get("required", []):
            inside = out.get(key, {})
            out[key] = defaults(inner, inside) if isinstance(inside, dict) else inside
    return out
