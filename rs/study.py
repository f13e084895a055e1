"""Reads a study: YAML files and overlays -> merged, swept, checked runs. Whole before any job starts.

Every error is one line: file, key, what is allowed. Overlays and a run's own keys are merged deep; a list
replaces a list, and a method with another `name` replaces the method. No torch.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import yaml

from rs.explain import dotted, explain, short
from rs.interfaces import UserError
from rs.provenance import canonical

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
    "distributional",
)
# of them, those that an imported model has too
OBSERVED_KEYS = ("noise", "smoothing", "sampling", "certificates", "attacks", "distributional")
RESERVED = ("runs", "data", "mlflow")


def _wrong_key(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-5` as a string; numbers are numbers here. A key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise _wrong_key(f"{key!r} is no key", key_node)
            if key in seen:
                raise _wrong_key(f"key {key!r} is given twice", key_node)
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


def section(key: str) -> dict[str, Any]:
    """The schema of one of a run's sections (of its items, where it is a list of methods)."""
    return _object_in(schema()["$defs"]["run"]["properties"][key])


def method_schema(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema()["$defs"][kind][name]
    return found


def data_facts(data: dict[str, Any]) -> dict[str, Any]:
    """What is known of a data set before it is read: what its class says, or of a user's own the study."""
    stated = {f"x-{key}": data[key] for key in ("shape", "classes", "sizes") if key in data}
    return {**method_schema("datasets", data["name"]), **stated}


def read_yaml(path: Path) -> dict[str, Any]:
    """One file of a study in canonical form: text keys, and 1.0 read as 1, so that neither changes an id."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    try:
        value = yaml.load(text, _Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UserError(f"{path}: not valid YAML: {where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: a study is a mapping of keys, not a {type(value).__name__}")
    plain: dict[str, Any] = canonical(value)
    return plain


def not_finite(value: Any) -> tuple[Any, ...] | None:
    """Path of the first number that is infinite or not a number."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        below = not_finite(item)
        if below is not None:
            return (key, *below)
    return () if isinstance(value, float) and not math.isfinite(value) else None


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
    """`value` without what equals its default in the section's schema: both spellings are one spec."""
    if not isinstance(value, dict):
        return value
    if "allOf" in section:  # a method: follow its name
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
    """One labelled run with one seed, merged, swept and checked; `sections` holds all of RUN_KEYS.

    One of the study's `imported` models is a run too, with the sections of `ImportedSections`.
    """

    label: str
    seed: int
    sections: dict[str, Any]
    kind: str = "runs"

    @property
    def place(self) -> tuple[str, str]:
        """Where the study holds it."""
        return self.kind, self.label


class Study:
    """A checked study. `runs` are the active ones, in the file's order, one per label and seed."""

    def __init__(self, files: Sequence[Path], overrides: dict[str, Any] | None = None) -> None:
        self.files = [Path(f) for f in files]
        self._documents = [read_yaml(f) for f in self.files]
        if overrides:
            self.files.append(Path("--config"))
            self._documents.append(canonical(overrides))
        for file, document in zip(self.files, self._documents, strict=True):
            place = not_finite(document)
            if place is not None:
                raise UserError(f"{file}: {dotted(place)}: must be a finite number")
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
        self.logs: dict[str, dict[str, Any]] = {
            label: defaults(schema()["properties"]["logs"]["additionalProperties"], entry)
            for label, entry in top["logs"].items()
        }
        self.published: list[dict[str, Any]] = [
            defaults(schema()["properties"]["published"]["items"], entry) for entry in top["published"]
        ]
        self.data_dir: str | None = top["data_dir"]
        self.description: str = top["description"]
        expanded = self._expand()
        active = top["active"]
        chosen = expanded if active is None else [r for r in expanded if _named(r.label, active)]
        for i, label in enumerate(active or ()):
            if not any(_named(r.label, [label]) for r in expanded):
                names = _some(r.label for r in expanded)
                self.fail(("active", i), f"no run is labelled {label!r}; runs: {names}")
        self.all_runs = expanded
        self.runs = chosen
        if not chosen and not top["logs"]:
            self.fail(("runs",), "the study has no active run")

    # --- sweeps ---

    def _expand(self) -> list[Run]:
        top = {k: v for k, v in self.text.items() if k in RUN_KEYS}
        out: list[Run] = []
        labels: set[str] = set()
        for label, text in self.text.get("runs", {}).items():
            own = {k: v for k, v in text.items() if k != "sweep"}
            sweep = text.get("sweep", {})
            for suffix, assignment in self._sweep(label, sweep):
                if label + suffix in labels:
                    self.fail(("runs", label, "sweep"), f"gives {label + suffix} twice; each value once")
                labels.add(label + suffix)
                sections = merge(top, own)
                for key, value in assignment.items():
                    if not _assign(sections, key.split("."), value):
                        kind = "product" if key in sweep.get("product", {}) else "zip"
                        place = ("runs", label, "sweep", kind, key)
                        self.fail(place, "a swept key is a path through mappings of keys, as in noise.sigma")
                sections = merge(sections, self.text.get("override", {}))
                self._check(sections, schema()["$defs"]["run"], ("runs", label), note=suffix)
                sections = defaults(schema()["$defs"]["run"], sections)
                for i, seed in enumerate(sections["seeds"]):
                    if seed in sections["seeds"][:i]:
                        self.fail(("runs", label, "seeds"), f"{seed} is given twice")
                    out.append(Run(label + suffix, seed, sections))
        imported = self.text.get("imported", {})
        return out + [self._imported(label, own, labels) for label, own in imported.items()]

    def _imported(self, label: str, own: dict[str, Any], labels: set[str]) -> Run:
        """An imported model: of the defaults and the override, what says how a model is observed."""
        place = ("imported", label)
        if label in labels:
            self.fail(place, "a run has this label; give the model another one")
        sections = merge({k: v for k, v in self.text.items() if k in OBSERVED_KEYS}, own)
        override = self.text.get("override", {})
        sections = merge(sections, {k: v for k, v in override.items() if k in OBSERVED_KEYS})
        self._check(sections, schema()["$defs"]["imported"], place)
        sections = defaults(schema()["$defs"]["imported"], sections)
        machine = {"training": {"device": sections["sampling"]["device"], "threads": 1}}
        return Run(label, 0, {**sections, **machine, "calibration": None}, "imported")

    def _sweep(self, label: str, sweep: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        product, together = sweep.get("product", {}), sweep.get("zip", {})
        for kind, grid in (("product", product), ("zip", together)):
            for key, values in grid.items():
                place = ("runs", label, "sweep", kind, key)
                if key.split(".")[0] not in RUN_KEYS:
                    self.fail(place, f"a swept key begins with one of {', '.join(RUN_KEYS)}")
                if not values:
                    self.fail(place, "the list is empty")
        both = sorted(product.keys() & together.keys())
        if both:
            self.fail(("runs", label, "sweep", "zip", both[0]), "is in `product` too; a key is swept once")
        if len({len(v) for v in together.values()}) > 1:
            lengths = ", ".join(f"{k}: {len(v)}" for k, v in together.items())
            self.fail(("runs", label, "sweep", "zip"), f"its lists must have the same length ({lengths})")
        rows = list(zip(*together.values(), strict=True)) if together else [()]
        for crossed in itertools.product(*product.values()):
            for row in rows:
                assignment = dict(zip([*product, *together], [*crossed, *row], strict=True))
                names = [f"{k.split('.')[-1]}={short(v)}" for k, v in assignment.items()]
                yield (f"[{','.join(names)}]" if names else ""), assignment

    # --- errors ---

    def fail(self, path: tuple[Any, ...], message: str) -> NoReturn:
        """Raises UserError at `path`; a run's key that stands in an override or at the top is named there."""
        lacks = message.startswith("lacks")
        places = [path]
        if path[:1] in (("runs",), ("imported",)) and len(path) > 2:
            places = [path, path[2:]] if lacks else [("override", *path[2:]), path, path[2:]]
        for candidate in places:
            for name, document in reversed(list(zip(self.files, self._documents, strict=True))):
                if candidate and _has(document, candidate[:-1] if lacks else candidate):
                    raise UserError(f"{name}: {dotted(candidate)}: {message}")
        raise UserError(f"{self.files[0]}: {dotted(path)}: {message}")

    def _check(self, value: Any, against: dict[str, Any], place: tuple[Any, ...], note: str = "") -> None:
        resolved = {**against, "$defs": schema()["$defs"]}
        found = jsonschema.Draft202012Validator(resolved).iter_errors(value)
        errors = sorted(found, key=lambda e: (list(map(str, e.absolute_path)), str(e.validator)))
        if errors:
            path, message = explain(errors[0])
            self.fail((*place, *path), message + (f" (in {note})" if note else ""))


def _some(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:12]) + (", ..." if len(unique) > 12 else "")


def _named(label: str, wanted: Iterable[str]) -> bool:
    """A label or the label of the sweep it came from."""
    return any(label == w or label.startswith(f"{w}[") for w in wanted)


def _has(document: Any, path: tuple[Any, ...]) -> bool:
    for key in path:
        index = isinstance(document, list) and isinstance(key, int) and key < len(document)
        if not index and not (isinstance(document, dict) and key in document):
            return False
        document = document[key]
    return True


def _assign(target: dict[str, Any], keys: list[str], value: Any) -> bool:
    """Sets the value at a dotted path; False where something on the way is not a mapping of keys."""
    *parents, last = keys
    for key in parents:
        target = target.setdefault(key, {})
        if not isinstance(target, dict):
            return False
    target[last] = copy.deepcopy(value)
    return True
