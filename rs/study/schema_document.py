"""Builds the schema of a study from the schemas of all methods. No torch.

The root describes a file as it is written, for editors and `rs.study`. It checks every key wherever it stands
but requires none, since a key may come from the top of the study, an overlay, a sweep or a default.
`$defs/study`, `$defs/run` and `$defs/imported` describe the merged study and require what is necessary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_args

from rs.settings.claims import Side
from rs.settings.limits import MOST_ENTRIES, MOST_METHODS
from rs.settings.method_schema import dataclass_schema
from rs.settings.published import PaperSettings
from rs.settings.study import FigureKey, ImportedSections, RunSections, StudySections, Sweep

IN_RUNS = ("model", "objective", "noise", "training")  # sections that are columns of the table `runs`
Methods = dict[str, dict[str, dict[str, Any]]]  # kind -> name -> schema


def document(methods: Methods) -> dict[str, Any]:
    """The schema of a study that can name these methods."""
    run, imported = _merged_run(methods), _merged_imported(methods)
    study = _merged_study(methods, [*run["properties"], "override"])
    whole = {f"#/$defs/{kind}/{name}": one for kind in methods for name, one in methods[kind].items()}
    partial = {ref: part for ref, one in whole.items() if (part := _part(one, {})) != one}
    parts = {key: _part(s, partial) for key, s in (imported["properties"] | run["properties"]).items()}
    anything = {kind: _any(methods[kind], partial) for kind in methods}
    _sides(study["properties"]["claims"])
    definitions = {
        "side": dataclass_schema(Side),
        "run": run,
        "imported": imported,
        "study": study,
        "any": anything,
        **methods,
    }
    sections = {key: {"$ref": f"#/$defs/parts/properties/{key}"} for key in run["properties"]}
    sweep = dataclass_schema(Sweep)
    paths = _swept(sections, {"parts": {"properties": parts}, **definitions})
    sweep["properties"] = {how: {"$ref": "#/$defs/swept"} for how in sweep["properties"]}
    swept = _grid(paths)
    names = _figure_keys(study["properties"]["report"], paths)
    entry = {"type": "object", "additionalProperties": False}
    file = _part(study, partial)
    file["properties"] |= sections
    file["properties"]["override"] = {**entry, "properties": sections, "default": {}}
    own = {key: {"$ref": f"#/$defs/parts/properties/{key}"} for key in imported["properties"]}
    for key, allowed in {"runs": {**sections, "sweep": sweep}, "imported": own}.items():
        file["properties"][key]["additionalProperties"] = {**entry, "properties": allowed}
    settings = {
        **sections,
        "data": file["properties"]["data"],
        "certificate": {"$ref": "#/$defs/any/certificates"},
        "attack": {"$ref": "#/$defs/any/attacks"},
    }
    for key in ("papers", "published"):
        _as_runs_have(file["properties"][key], settings)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of randomized smoothing",
        **file,
        # a file with data is no overlay, so it has a name
        "if": {"required": ["data"]},
        "then": {"required": ["name"]},
        "$defs": {"parts": {"properties": parts}, "swept": swept, "figure_key": names, **definitions},
    }


def _figure_keys(schema: Any, paths: Iterable[str]) -> dict[str, Any]:
    """What a figure can distinguish: FigureKey, and the settings of runs that are columns of `runs`."""
    settings = [path for path in paths if path.partition(".")[0] in IN_RUNS and "." in path]
    known = {"type": "string", "enum": [*get_args(FigureKey), *settings]}

    def refer(one: Any) -> None:
        if isinstance(one, dict) and one.get("enum") == list(get_args(FigureKey)):
            one.clear()
            one["$ref"] = "#/$defs/figure_key"
        for item in one if isinstance(one, list) else one.values() if isinstance(one, dict) else ():
            refer(item)

    refer(schema)
    return known


def _grid(paths: dict[str, Any]) -> dict[str, Any]:
    """Lists of values by dotted key."""
    lists = {path: {"type": "array", "maxItems": MOST_ENTRIES, "items": one} for path, one in paths.items()}
    bounds = {"maxProperties": MOST_METHODS, "additionalProperties": False}
    return {"type": "object", "properties": lists, **bounds}


def _as_runs_have(schema: Any, sections: dict[str, Any]) -> None:
    """Gives a paper's settings the schemas of a run's sections."""
    if isinstance(schema, list):
        for item in schema:
            _as_runs_have(item, sections)
    elif isinstance(schema, dict):
        properties = schema.get("properties", {})
        if {f.name for f in fields(PaperSettings)} == set(properties):
            properties |= {key: one for key, one in sections.items() if key in properties}
        for item in schema.values():
            _as_runs_have(item, sections)


def _sides(schema: Any) -> None:
    """Makes every run of a claim's condition that is a mapping a Side."""
    for item in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        _sides(item)
    if isinstance(schema, dict) and {"better", "than"} <= schema.get("properties", {}).keys():
        for key, one in schema["properties"].items():
            if key != "where":
                _refer(one)


def _refer(schema: Any) -> None:
    """Replaces every mapping of any keys by a reference to Side."""
    if isinstance(schema, dict) and schema.get("type") == "object":
        schema.clear()
        schema |= {"type": "object", "$ref": "#/$defs/side"}
    for item in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        _refer(item)


# --- the merged study ---


def _merged_run(methods: Methods) -> dict[str, Any]:
    run = dataclass_schema(RunSections)
    for key, kind in {"model": "models", "objective": "objectives"}.items():
        run["properties"][key] = _choice(kind, methods)
    return _observed(run, methods)


def _merged_imported(methods: Methods) -> dict[str, Any]:
    imported = dataclass_schema(ImportedSections)
    imported["properties"]["architecture"]["anyOf"][0] = _choice("models", methods)
    return _observed(imported, methods)


def _observed(sections: dict[str, Any], methods: Methods) -> dict[str, Any]:
    sections["properties"]["noise"] = _choice("noises", methods)
    for kind in ("certificates", "attacks"):
        sections["properties"][kind]["items"] = _choice(kind, methods)
    sections["properties"]["smoothing"]["anyOf"][0]["items"] = _choice("noises", methods)
    return sections


def _merged_study(methods: Methods, of_runs: list[str]) -> dict[str, Any]:
    """The study after merging; its sections of runs are checked as part of `$defs/run`."""
    study = dataclass_schema(StudySections)
    study["properties"]["data"] = _choice("datasets", methods)
    study["properties"] |= {key: {} for key in of_runs}
    study["properties"]["override"]["default"] = {}
    log = study["properties"]["logs"]["additionalProperties"]["properties"]
    log["noise"] = _choice("noises", methods)
    log["certificate"]["enum"] = sorted(methods["certificates"])
    return study


def _choice(kind: str, methods: Methods) -> dict[str, Any]:
    """An object whose `name` selects the schema of the kind that it must meet."""
    offered = methods[kind]
    return {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": sorted(offered)}},
        "allOf": [
            {
                "if": _named(name),
                "then": {
                    "$ref": f"#/$defs/{kind}/{name}",
                    "required": offered[name]["x-required"],
                    # lets a message describe a missing key
                    "properties": {k: offered[name]["properties"][k] for k in offered[name]["x-required"]},
                },
            }
            for name in sorted(offered)
        ],
    }


def _named(name: str) -> dict[str, Any]:
    return {"required": ["name"], "properties": {"name": {"const": name}}}


# --- a file ---


def _part(schema: Any, partial: dict[str, Any]) -> Any:
    """The schema of something that may be merged with more: nothing is required, and a mapping may stand for
    a list, to be merged over each of its items.
    """
    if isinstance(schema, list):
        return [_part(s, partial) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if "allOf" in schema:
        return _part_of_method(schema, partial)
    kept = {k: v for k, v in schema.items() if k != "required"}
    out = {k: v if k == "default" or k.startswith("x-") else _part(v, partial) for k, v in kept.items()}
    if "properties" in schema:
        out["properties"] = {key: _part(s, partial) for key, s in schema["properties"].items()}
    if "anyOf" in out:
        options = [o for s in out["anyOf"] for o in (s["anyOf"] if s.keys() == {"anyOf"} else [s])]
        out["anyOf"] = options
    items = out.get("items")
    if isinstance(items, dict) and items.get("type") == "object":
        default = {"default": out.pop("default")} if "default" in out else {}
        return {"anyOf": [out, items], **default}
    return out


def _part_of_method(choice: dict[str, Any], partial: dict[str, Any]) -> dict[str, Any]:
    """A method by name, or the keys of any method of its kind where the name stands elsewhere.

    `partial` holds, without requirements, the methods that require keys further inside.
    """
    refs = [(c["if"], c["then"]["$ref"]) for c in choice["allOf"]]
    by_name = [{"if": named, "then": partial.get(ref, {"$ref": ref})} for named, ref in refs]
    kind = refs[0][1].split("/")[-2]
    nameless = {"if": {"not": {"required": ["name"]}}, "then": {"$ref": f"#/$defs/any/{kind}"}}
    rest = {k: v for k, v in choice.items() if k not in ("required", "allOf")}
    return {**rest, "allOf": [*by_name, nameless]}


def _any(offered: dict[str, dict[str, Any]], partial: dict[str, Any]) -> dict[str, Any]:
    """An object whose keys are those of any of these methods."""
    options: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(offered):
        for key, one in _part(offered[name]["properties"], partial).items():
            plain = {k: v for k, v in one.items() if k != "default"}
            for option in plain.get("anyOf", [plain]):
                if key != "name" and option not in options.setdefault(key, []):
                    options[key].append(option)
    properties = {
        key: schemas[0] if len(schemas) == 1 else {"anyOf": schemas} for key, schemas in options.items()
    }
    return {
        "type": "object",
        "properties": {"name": {"enum": sorted(offered)}, **properties},
        "additionalProperties": False,
    }


def _swept(sections: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema at each dotted path through mappings of keys that a sweep can assign to."""
    paths: dict[str, Any] = {}

    def walk(path: str, schema: dict[str, Any]) -> None:
        paths[path] = {k: v for k, v in schema.items() if k != "default"}
        for inside in _insides(schema, definitions):
            for key, below in inside.get("properties", {}).items():
                walk(f"{path}.{key}", below)

    for key, schema in sections.items():
        walk(key, schema)
    return paths


def _insides(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """The mappings of keys that a schema allows; for a method, the keys of all methods of its kind."""
    if "$ref" in schema:
        place: Any = {"$defs": definitions}
        for key in schema["$ref"].split("/")[1:]:
            place = place[key]
        return _insides(place, definitions)
    if "allOf" in schema:
        return _insides(schema["allOf"][-1]["then"], definitions)
    if "anyOf" in schema:
        options = schema["anyOf"]
        if any(o.get("type") == "array" for o in options):  # a list is swept as a whole
            return []
        return [inside for option in options for inside in _insides(option, definitions)]
    return [schema] if schema.get("type") == "object" else []
