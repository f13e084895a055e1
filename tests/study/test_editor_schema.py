"""What an editor tells of a study's file with the exported schema alone: what the program tells of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tiny_study import TINY

from rs.study.schema import SCHEMA
from rs.study.yaml_file import read_yaml

ROOT = Path(__file__).parents[2]
STUDIES = [f for f in sorted((ROOT / "config").rglob("*.yaml")) if f.parent.name != "gpu"]
EDITOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
MODELINE = "# yaml-language-server: $schema="


def problems(document: Any) -> list[tuple[tuple[Any, ...], str]]:
    """Place and message of everything that is wrong, the reasons inside of alternatives too."""

    def flat(errors: Any) -> Iterator[jsonschema.ValidationError]:
        for error in errors:
            yield error
            yield from flat(error.context or ())

    return [(tuple(e.absolute_path), e.message) for e in flat(EDITOR.iter_errors(document))]


@pytest.mark.parametrize("file", STUDIES, ids=lambda f: str(f.relative_to(ROOT)))
def test_shipped_files_pass_and_name_the_schema(file):
    assert problems(read_yaml(file)) == []
    lines = [line for line in file.read_text().splitlines() if line.startswith(MODELINE)]
    assert len(lines) == 1
    assert (file.parent / lines[0].removeprefix(MODELINE)).resolve() == SCHEMA


def typos(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every key that is not one's own to choose."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        chosen = path in (("runs",), ("imported",), ("logs",), ("data", "sizes"), ("papers",))
        if isinstance(key, str) and not chosen:
            yield path, key
        yield from typos(inside, (*path, key))


def one_of_each(document: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """The typos of a document, without those that differ only in which entries of lists they stand in: the
    same keys are held against the same schema there.
    """
    seen = set()
    for path, key in typos(document):
        holders, holder = [], document
        for step in path:
            holder = holder[step]
            names = holder if isinstance(holder, dict) else {}
            holders.append((step if isinstance(step, str) else "", names.get("name"), *names))
        if (place := (*holders, key)) not in seen:
            seen.add(place)
            yield path, key


RICH: dict[str, Any] = {
    **copy.deepcopy(TINY),
    "override": {
        "training": {"epochs": 1},
        "attacks": {"steps": 1, "judge": {"n": 9}},
        "noise": {"sigma": 1},
    },
    "logs": {"theirs": {"file": "a", "noise": {"name": "gaussian", "sigma": 1}, "alpha": 0.1, "n": 9}},
    "imported": {"net": {"weights": "a", "entry": "a:b", "noise": {"name": "none"}, "sampling": {"n": 9}}},
    "published": [{"paper": "a", "table": "b", "run": "nal", "acr": 1}],
    "smoothing": [{"name": "spherical", "sigma": 0.5, "k": 2}],
    "distributional": {"gammas": [1], "images": {"max": 2}},
}
RICH["runs"]["nal"] |= {
    "objective": {"gamma": 1.5},
    "sweep": {"product": {"noise.sigma": [1]}, "zip": {"training.optimizer.learning_rate": [1]}},
    "certificates": {"alpha": 0.1},
}
RICH["runs"]["smoothadv"] = {"objective": {"name": "smoothadv", "epsilon": {"calibrated": "nal"}}}


@pytest.mark.slow
def test_every_misspelled_key_is_told_where_it_stands():
    documents = [RICH, *(read_yaml(ROOT / "config" / f) for f in ("nal.yaml", "scales/quick.yaml"))]
    assert [problems(document) for document in documents] == [[], [], []]
    seen = 0
    for document in documents:
        for path, key in one_of_each(document):
            wrong = copy.deepcopy(document)
            holder = wrong
            for step in path:
                holder = holder[step]
            holder[f"{key[:-1]}xx"] = holder.pop(key)
            assert any(p == path and f"'{key[:-1]}xx'" in m for p, m in problems(wrong)), (*path, key)
            seen += 1
    assert seen > 150


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training/epochs", "many"),
        ("training/optimizer/name", "sdg"),
        ("noise/sigma", -1),
        ("noise/name", "gausian"),
        ("runs/gaussian/objective/name", "nall"),
        ("runs/nal/objective/gamma", "big"),
        ("runs/nal/sweep/product/objective.gama", [1]),
        ("runs/nal/sweep/product/noise.sigma", 0.5),
        ("runs/nal/sweep/product/training.epochs", ["many"]),
        ("certificates/0/alpha", 2),
        ("certificates/0/name", "cohn"),
        ("attacks/0/judge", "bases"),
        ("override/objective/gamma", "big"),
        ("report/radii", 0.5),
        ("report/panels", ["runs"]),
        ("seeds", [-1]),
        ("name", "A b"),
        ("tracking/url", "x"),
    ],
)
def test_what_the_program_refuses_the_editor_shows(refusal, path, value):
    wrong = copy.deepcopy(RICH)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    holder: Any = wrong
    for step in parents:
        holder = holder.setdefault(step, {}) if isinstance(holder, dict) else holder[step]
    holder[last] = value
    place = (*parents, last)
    places = [
        p
        for p, m in problems(wrong)
        if p[: len(place)] == place or (p == tuple(parents) and f"'{last}'" in m)
    ]
    assert places
    dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    assert f"study0.yaml: {dotted}" in refusal(wrong)


def test_a_study_with_data_has_a_name_and_an_overlay_needs_neither():
    assert problems({"name": "a", "data": {"name": "mnist"}}) == []
    assert problems({"override": {"seeds": [1]}}) == []
    assert problems({"data": {"name": "mnist"}}) == [((), "'name' is a required property")]
