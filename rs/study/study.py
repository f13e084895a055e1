"""Reads a study: YAML files and overlays -> merged, swept, checked runs, all before any job starts.

Every error is one line: file, key, what is allowed. Overlays and a run's own keys are merged deeply. A list
replaces a list, a mapping over a list is merged over each of its items, and a method with another `name`
replaces the method. No torch.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from rs.errors import UserError
from rs.settings.limits import MOST_RUNS
from rs.settings.study import ImportedSections, RunSections
from rs.study.messages import Validator, dotted, explain, first, short
from rs.study.moments import put_moments
from rs.study.schema import defaults, method_schema, prune, schema, study_section
from rs.study.yaml_file import assign, check, has, of_snakemake, read_yaml

RUN_KEYS = tuple(field.name for field in fields(RunSections))
# those that an imported model has too
OBSERVED_KEYS = tuple(field.name for field in fields(ImportedSections) if field.name in RUN_KEYS)
# keys that a run uses only where it has them: an override changes them but does not add them
OPTIONAL = ("certificates", "attacks", "calibration", "distributional")
RESERVED = ("runs", "data", "mlflow")


def merge(base: Any, over: Any) -> Any:
    """`over` merged onto `base`; neither is changed."""
    if isinstance(base, list) and isinstance(over, dict):
        return [merge(item, over) for item in base]
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return copy.deepcopy(over)
    if isinstance(base.get("name"), str) and over.get("name", base["name"]) != base["name"]:
        return copy.deepcopy(over)
    out = copy.deepcopy(base)
    for key, value in over.items():
        out[key] = merge(out[key], value) if key in out else copy.deepcopy(value)
    return out


CALLED = "--config"  # stands for the command line among the files


@dataclass(frozen=True)
class Run:
    """One labelled run with one seed, merged, swept and checked; `sections` holds all of RUN_KEYS.

    An `imported` model of the study is a run too, with the sections of `ImportedSections`.
    """

    label: str
    seed: int
    sections: dict[str, Any]
    kind: str = "runs"

    @property
    def place(self) -> tuple[str, str]:
        """The run's place in the study."""
        return self.kind, self.label

    @property
    def noises(self) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The noises that it is smoothed with, by default that of its training, each behind its place."""
        if (smoothing := self.sections["smoothing"]) is None:
            return [((*self.place, "noise"), self.sections["noise"])]
        return [((*self.place, "smoothing", i), noise) for i, noise in enumerate(smoothing)]

    @property
    def trained(self) -> bool:
        """Whether the study trains the run's network, which is then neither imported nor joined."""
        model = self.sections.get("model")
        return model is not None and "x-networks" not in method_schema("models", model["name"])


class Study:
    """A checked study. `runs` are the active runs in the file's order, one per label and seed; `stated_runs`
    are all that its text states.

    `overrides` are merged over the files, or are the whole study without files; errors name them `called`.
    """

    def __init__(
        self, files: Sequence[Path], overrides: dict[str, Any] | None = None, called: str = CALLED
    ) -> None:
        self.files, self.overrides = [Path(f) for f in files], overrides or {}
        self._documents = [read_yaml(f) for f in self.files]
        if overrides or not files:
            self.files.append(Path(called))
            try:
                self._documents.append(of_snakemake(overrides or {}))
            except RecursionError as error:
                raise UserError(f"{called}: nested too deeply") from error
        self._check_files()
        self.text = self._merged()
        self.name: str = self.text["name"]
        if self.name in RESERVED:
            self.fail(("name",), f"{self.name!r} is reserved; choose another name than {', '.join(RESERVED)}")
        top = defaults(schema()["$defs"]["study"], self.text)
        self.data: dict[str, Any] = prune(top["data"], study_section("data"))
        self.train: dict[str, Any] = top["train"]
        self.test: dict[str, Any] = top["test"]
        self.report: dict[str, Any] = top["report"]
        self.tracking: dict[str, Any] = top["tracking"]
        self.agreement: dict[str, Any] = top["agreement"]
        self.data_dir: str | None = top["data_dir"]
        self.description: str = top["description"]
        self._complete_entries(top)
        self.all_runs = self.stated_runs = self._expand()
        self.runs = self._active(top["active"])
        # a log with the label of an inactive run replaces the run
        idle = [run for run in self.all_runs if run not in self.runs and run.label in self.logs]
        self.replaced: dict[str, Run] = {run.label: run for run in idle}
        self.all_runs = [run for run in self.all_runs if run not in idle]
        if not self.runs and not top["logs"]:
            self.fail(("runs",), "the study has no active run")

    def _check_files(self) -> None:
        # a key that one file requires may stand in another
        whole = {key: value for key, value in schema().items() if key not in ("if", "then")}
        for file, document in zip(self.files, self._documents, strict=True):
            check(file, document)
            if (wrong := _first_error(document, whole)) is not None:
                raise UserError(f"{file}: {dotted(wrong[0])}: {wrong[1]}")

    def _merged(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for document in self._documents:
            merged |= {key: merge(merged.get(key), value) for key, value in document.items()}
        self._check(merged, schema()["$defs"]["study"], ())
        return merged

    def _complete_entries(self, top: dict[str, Any]) -> None:
        """Fills in the defaults of logs, published numbers, comparisons, papers, claims and groups."""
        log, paper = (study_section(key)["additionalProperties"] for key in ("logs", "papers"))
        number, claim = (study_section(key)["items"] for key in ("published", "claims"))
        condition = claim["properties"]["conditions"]["items"]
        self.logs: dict[str, dict[str, Any]] = {k: defaults(log, entry) for k, entry in top["logs"].items()}
        self.published: list[dict[str, Any]] = [defaults(number, entry) for entry in top["published"]]
        group = study_section("report")["properties"]["groups"]["items"]
        self.report["groups"] = [defaults(group, entry) for entry in self.report["groups"]]
        pair = study_section("comparisons")["items"]
        self.comparisons: list[dict[str, Any]] = [defaults(pair, entry) for entry in top["comparisons"]]
        self.papers: dict[str, dict[str, Any]] = {k: defaults(paper, p) for k, p in top["papers"].items()}
        self.claims: list[dict[str, Any]] = [
            {**defaults(claim, c), "conditions": [defaults(condition, each) for each in c["conditions"]]}
            for c in top["claims"]
        ]

    def _active(self, labels: list[str] | None) -> list[Run]:
        """The runs with these labels; all runs where there are no labels."""
        if labels is None:
            return self.all_runs
        for i, label in enumerate(labels):
            if not any(named(run.label, [label]) for run in self.all_runs):
                names = some(run.label for run in self.all_runs)
                self.fail(("active", i), f"no run is labelled {label!r}; runs: {names}")
        return [run for run in self.all_runs if named(run.label, labels)]

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
                    if not assign(sections, key.split("."), value):
                        kind = "product" if key in sweep.get("product", {}) else "zip"
                        place = ("runs", label, "sweep", kind, key)
                        self.fail(place, "a swept key is a path through mappings of keys, as in noise.sigma")
                sections = merge(sections, self._override(sections))
                self._check(sections, schema()["$defs"]["run"], ("runs", label), note=suffix)
                sections = defaults(schema()["$defs"]["run"], sections)
                put_moments(sections, ("runs", label), self.fail)
                if len(out) + len(sections["seeds"]) > MOST_RUNS:
                    self.fail(("runs", label), f"more than {MOST_RUNS} runs and seeds up to this one")
                for i, seed in enumerate(sections["seeds"]):
                    if seed in sections["seeds"][:i]:
                        self.fail(("runs", label, "seeds"), f"{seed} is given twice")
                    out.append(Run(label + suffix, seed, sections))
        imported = self.text.get("imported", {})
        return out + [self._imported(label, own, labels) for label, own in imported.items()]

    def _override(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The study's `override`, without attacks and the like for a run that has none, and without
        parameters that a run's method does not have.
        """
        override: dict[str, Any] = {}
        for key, value in self.text.get("override", {}).items():
            methods = sections.get(key)
            if key in ("attacks", "certificates") and isinstance(value, dict) and isinstance(methods, list):
                override[key] = [merge(method, _of_method(key, method, value)) for method in methods]
            elif key in sections or key not in OPTIONAL or not isinstance(value, dict):
                override[key] = value
        return override

    def _imported(self, label: str, own: dict[str, Any], labels: set[str]) -> Run:
        """An imported model. It takes the defaults and overrides on how a model is observed."""
        place = ("imported", label)
        if label in labels:
            self.fail(place, "a run has this label; give the model another one")
        sections = merge({k: v for k, v in self.text.items() if k in OBSERVED_KEYS}, own)
        override = self._override(sections)
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
                if not values:
                    self.fail(place, "the list is empty")
        both = sorted(product.keys() & together.keys())
        if both:
            self.fail(("runs", label, "sweep", "zip", both[0]), "is in `product` too; a key is swept once")
        if len({len(v) for v in together.values()}) > 1:
            lengths = ", ".join(f"{k}: {len(v)}" for k, v in together.items())
            self.fail(("runs", label, "sweep", "zip"), f"its lists must have the same length ({lengths})")
        rows = list(zip(*together.values(), strict=True)) if together else [()]
        size = math.prod(map(len, product.values())) * len(rows)
        if size > MOST_RUNS:
            self.fail(("runs", label, "sweep"), f"{size} runs; at most {MOST_RUNS} in a study")
        for crossed in itertools.product(*product.values()):
            for row in rows:
                assignment = dict(zip([*product, *together], [*crossed, *row], strict=True))
                names = [f"{k.split('.')[-1]}={short(v)}" for k, v in assignment.items()]
                yield (f"[{','.join(names)}]" if names else ""), assignment

    # --- errors ---

    def fail(self, path: tuple[Any, ...], message: str) -> NoReturn:
        """Raises UserError at `path`."""
        raise UserError(self.located(path, message))

    def located(self, path: tuple[Any, ...], message: str) -> str:
        """`file: path: message`. A run's key that stands in an override or at the top is named there."""
        lacks = message.startswith("lacks")
        places = [path]
        if path[:1] in (("runs",), ("imported",)) and len(path) > 2:
            places = [path, path[2:]] if lacks else [("override", *path[2:]), path, path[2:]]
        for candidate in places:
            for name, document in reversed(list(zip(self.files, self._documents, strict=True))):
                if candidate and has(document, candidate[:-1] if lacks else candidate):
                    return f"{name}: {dotted(candidate)}: {message}"
        return f"{self.files[0]}: {dotted(path)}: {message}"

    def _check(self, value: Any, against: dict[str, Any], place: tuple[Any, ...], note: str = "") -> None:
        if (wrong := _first_error(value, against)) is not None:
            self.fail((*place, *wrong[0]), wrong[1] + (f" (in {note})" if note else ""))


def _first_error(value: Any, against: dict[str, Any]) -> tuple[tuple[Any, ...], str] | None:
    """Path and message of the first schema error by its place; None where there is none."""
    errors = list(Validator({**against, "$defs": schema()["$defs"]}).iter_errors(value))
    return explain(first(errors)) if errors else None


def _of_method(kind: str, method: Any, over: dict[str, Any]) -> dict[str, Any]:
    """The keys of `over` that a method takes. Keys that no method of its kind takes stay, for the check."""
    offered = schema()["$defs"][kind]
    name = over.get("name", method.get("name") if isinstance(method, dict) else None)
    own = offered.get(name, {}).get("properties", over)
    known = {key for one in offered.values() for key in one["properties"]}
    return {key: value for key, value in over.items() if key in own or key not in known}


def some(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:12]) + (", ..." if len(unique) > 12 else "")


def named(label: str, names: Iterable[str]) -> bool:
    """Whether the label, or the label of the sweep it came from, is among `names`."""
    return any(label == w or label.startswith(f"{w}[") for w in names)
