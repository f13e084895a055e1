"""Reads a study: YAML files and overlays -> merged, swept, checked runs. Whole before any job starts. No torch.

Every error is one line: file, key, what is allowed. Overlays and a run's own keys are merged deep; a list replaces a
list, and a method with another `name` replaces the method.
"""

from __future__ import annotations

import copy
import difflib
import functools
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from rs.interfaces import UserError

SCHEMA = Path(__file__).with_name("schema.json")
RUN_KEYS = (
    "model",
    "objective",
    "noise",
    "smoothing",
    "training",
    "seeds",
    "sampling",
    "certificates",
    "attacks",
    "calibration",
)
RESERVED = ("runs", "data", "mlflow")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-5` as a string; numbers are numbers here. A key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@functools.lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The committed JSON schema of a study (see rs.catalog)."""
    loaded: dict[str, Any] = json.loads(SCHEMA.read_text())
    return loaded


def method_schema(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema()["$defs"][kind][name]
    return found


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        value = yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: a study is a mapping of keys, not a {type(value).__name__}")
    return value


def merge(base: Any, over: Any) -> Any:
    """`over` merged onto `base`; neither is changed."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return copy.deepcopy(over)
    if isinstance(base.get("name"), str) and over.get("name", base["name"]) != base["name"]:
        return copy.deepcopy(over)
    out = copy.deepcopy(base)
    for key, value in over.items():
        out[key] = merge(out[key], value) if key in out else copy.deepcopy(value)
    return out


def prune(value: Any, section: dict[str, Any]) -> Any:
    """`value` without what equals its default in the section's schema, so that both spellings are one spec."""
    if not isinstance(value, dict):
        return value
    if "allOf" in section:  # a method: follow its name
        chosen = next(
            (c["then"]["$ref"] for c in section["allOf"] if c["if"]["properties"]["name"]["const"] == value.get("name")),
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
    found: dict[str, Any] = next((s for s in sub.get("anyOf", []) if "properties" in s), sub)
    return found


def defaults(section: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """`value` with all defaults of the section filled in, those of the sections inside it too."""
    out = dict(value)
    for key, sub in section.get("properties", {}).items():
        inner = _object_in(sub)
        if key not in out and "default" in sub:
            out[key] = copy.deepcopy(sub["default"])
        elif "properties" in inner and "allOf" not in inner and key not in section.get("required", []):
            given = out.get(key, {})
            out[key] = defaults(inner, given) if isinstance(given, dict) else given
    return out


@dataclass(frozen=True)
class Run:
    """One labelled run with one seed, after merging and sweeping; `sections` holds what the study gave, checked."""

    label: str
    seed: int
    sections: dict[str, Any]


class Study:
    """A checked study. `runs` are the active ones, in the file's order, one per label and seed."""

    def __init__(self, files: Sequence[Path], overrides: dict[str, Any] | None = None) -> None:
        self.files = [Path(f) for f in files]
        self._documents = [read_yaml(f) for f in self.files]
        if overrides:
            self.files.append(Path("--config"))
            self._documents.append(overrides)
        merged: dict[str, Any] = {}
        for document in self._documents:
            merged |= {key: merge(merged.get(key), value) for key, value in document.items()}
        self._check(merged, schema(), ())
        self.text = merged
        self.name: str = merged["name"]
        if self.name in RESERVED:
            self.fail(("name",), f"{self.name!r} is reserved; choose another name than {', '.join(RESERVED)}")
        top = defaults(schema(), merged)
        self.data: dict[str, Any] = prune(top["data"], schema()["properties"]["data"])
        self.test: dict[str, Any] = top["test"]
        self.report: dict[str, Any] = top["report"]
        self.tracking: dict[str, Any] = top["tracking"]
        self.data_dir: str | None = top["data_dir"]
        self.description: str = top["description"]
        expanded = self._expand()
        active = top["active"]
        chosen = expanded if active is None else [r for r in expanded if _named(r.label, active)]
        for i, label in enumerate(active or ()):
            if not any(_named(r.label, [label]) for r in expanded):
                self.fail(("active", i), f"no run is labelled {label!r}; runs: {_some(r.label for r in expanded)}")
        self.all_runs = expanded
        self.runs = chosen
        if not chosen and not top["logs"]:
            self.fail(("runs",), "the study has no active run")

    # --- sweeps ---

    def _expand(self) -> list[Run]:
        top = {k: v for k, v in self.text.items() if k in RUN_KEYS}
        out: list[Run] = []
        for label, text in self.text.get("runs", {}).items():
            own = {k: v for k, v in text.items() if k != "sweep"}
            for suffix, assignment in self._sweep(label, text.get("sweep", {})):
                sections = merge(top, own)
                for key, value in assignment.items():
                    _assign(sections, key.split("."), value)
                sections = merge(sections, self.text.get("override", {}))
                self._check(sections, schema()["$defs"]["run"], ("runs", label), note=suffix)
                sections = defaults(schema()["$defs"]["run"], sections)
                for i, seed in enumerate(sections["seeds"]):
                    if seed in sections["seeds"][:i]:
                        self.fail(("runs", label, "seeds"), f"{seed} is given twice")
                    out.append(Run(label + suffix, seed, sections))
        return out

    def _sweep(self, label: str, sweep: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        product, together = sweep.get("product", {}), sweep.get("zip", {})
        for kind, grid in (("product", product), ("zip", together)):
            for key, values in grid.items():
                place = ("runs", label, "sweep", kind, key)
                if key.split(".")[0] not in RUN_KEYS:
                    self.fail(place, f"a swept key begins with one of {', '.join(RUN_KEYS)}")
                if not values:
                    self.fail(place, "the list is empty")
        if len({len(v) for v in together.values()}) > 1:
            self.fail(("runs", label, "sweep", "zip"), "lists that are walked together must have the same length")
        rows = list(zip(*together.values(), strict=True)) if together else [()]
        for crossed in itertools.product(*product.values()):
            for row in rows:
                assignment = dict(zip([*product, *together], [*crossed, *row], strict=True))
                names = [f"{k.split('.')[-1]}={_short(v)}" for k, v in assignment.items()]
                yield (f"[{','.join(names)}]" if names else ""), assignment

    # --- errors ---

    def fail(self, path: tuple[Any, ...], message: str) -> None:
        """Raises UserError at `path`; a run's key that stands at the top of the study (or in an overlay) is named there."""
        for candidate in (path, ("override", *path[2:]), path[2:]) if path[:1] == ("runs",) and len(path) > 2 else (path,):
            for name, document in reversed(list(zip(self.files, self._documents, strict=True))):
                if candidate and _has(document, candidate[:-1] if message.startswith("lacks") else candidate):
                    raise UserError(f"{name}: {_dotted(candidate)}: {message}")
        raise UserError(f"{self.files[-1] if len(self.files) == 1 else self.files[0]}: {_dotted(path)}: {message}")

    def _check(self, value: Any, against: dict[str, Any], place: tuple[Any, ...], note: str = "") -> None:
        resolved = {**against, "$defs": schema()["$defs"]}
        validator = jsonschema.Draft202012Validator(resolved)
        errors = sorted(validator.iter_errors(value), key=lambda e: (list(map(str, e.absolute_path)), str(e.validator)))
        if errors:
            path, message = explain(errors[0])
            self.fail((*place, *path), message + (f" (in {note})" if note else ""))


def explain(error: jsonschema.ValidationError) -> tuple[tuple[Any, ...], str]:
    """Path and one-line message of a schema error: what is wrong there and what is allowed."""
    path, value, rule, limit = tuple(error.absolute_path), error.instance, error.validator, error.validator_value
    assert isinstance(error.schema, dict)
    if rule == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        unknown = sorted(k for k in value if k not in allowed)[0]
        return (*path, unknown), f"unknown key{_guess(unknown, allowed)}; allowed: {', '.join(allowed)}"
    if rule == "required":
        missing = next(k for k in limit if k not in value)
        return (*path, missing), "lacks this key" + _kind_of(error.schema, missing)
    if rule == "enum":
        return path, f"{value!r}{_guess(value, limit)}; allowed: {', '.join(map(str, limit))}"
    if rule == "anyOf":
        options = [_describe(s) for s in limit]
        deeper = [e for e in error.context or () if len(e.relative_path) or e.validator != "type"]
        if isinstance(value, dict) and deeper:
            return explain(deeper[0])
        return path, f"{_short(value)}: must be {' or '.join(options)}"
    if rule == "pattern":
        return path, f"{value!r}: must match {limit}"
    return path, f"{_short(value)}: must be {_describe(error.schema)}"


def _describe(s: dict[str, Any]) -> str:
    words = {"number": "a number", "integer": "a whole number", "string": "a string", "boolean": "true or false"}
    words |= {"array": "a list", "object": "a mapping of keys", "null": "left out"}
    if "const" in s:
        return repr(s["const"])
    if "enum" in s:
        return f"one of {', '.join(map(str, s['enum']))}"
    if "anyOf" in s:
        return " or ".join(_describe(o) for o in s["anyOf"])
    text = words.get(s.get("type", ""), "another value")
    limits = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
    more = [f"{word} {s[key]}" for key, word in limits.items() if key in s]
    more += [f"a multiple of {s['multipleOf']}"] if "multipleOf" in s else []
    return f"{text} {' and '.join(more)}".strip()


def _kind_of(s: dict[str, Any], key: str) -> str:
    sub = s.get("properties", {}).get(key, {})
    return f"; it is {_describe(sub)}" if sub.get("type") or sub.get("enum") else ""


def _guess(value: Any, allowed: Iterable[Any]) -> str:
    close = difflib.get_close_matches(str(value), [str(a) for a in allowed], 1, 0.6)
    return f" (did you mean {close[0]}?)" if close else " is not known" if not isinstance(value, (int, float)) else ""


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, (str, int, float)) else json.dumps(value, default=str)
    return text if len(text) < 60 else text[:57] + "..."


def _some(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:12]) + (", ..." if len(unique) > 12 else "")


def _named(label: str, wanted: Iterable[str]) -> bool:
    """A label or the label of the sweep it came from."""
    return any(label == w or label.startswith(f"{w}[") for w in wanted)


def _dotted(path: tuple[Any, ...]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "the study"


def _has(document: Any, path: tuple[Any, ...]) -> bool:
    for key in path:
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and isinstance(key, int) and key < len(document):
            document = document[key]
        else:
            return False
    return True


def _assign(target: dict[str, Any], keys: list[str], value: Any) -> None:
    *parents, last = keys
    for key in parents:
        target = target.setdefault(key, {})
    target[last] = copy.deepcopy(value)
