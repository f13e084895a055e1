"""Reads a YAML file of a study in canonical form, and finds places in it: paths of keys and list positions.
Every error is one line that names file and place.
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rs.errors import UserError
from rs.provenance.digests import canonical
from rs.provenance.reading import STUDY, read_bytes
from rs.study.messages import dotted

_DEEPEST, _MOST_VALUES, _LONGEST_NUMBER = 50, 50_000, 100
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# line ends of ASCII and Unicode, other control characters, halves of surrogate pairs
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TEXT = "must be text without line breaks and other control characters"


class _Fault(yaml.MarkedYAMLError):
    """Valid YAML that does not say what its writer meant."""

    def __init__(self, problem: str, node: yaml.Node) -> None:
        super().__init__(None, None, problem, node.start_mark)


class _Loader(yaml.SafeLoader):
    """YAML 1.1, except that `1e-5` is a number, and that a key given twice is an error.

    Values that YAML 1.1 reads as something else than they look like are refused: `on` is true, `010` is 8,
    `1_0` is 10, `1:30` is 90, `2020-01-01` a date. So is a key that would not keep its spelling, such as
    1.50. The size of a document is measured before it is built, because aliases and merge keys can expand a
    few lines to gigabytes.
    """

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            self._measure(node, 1, {})
        return node

    def _measure(self, node: yaml.Node, depth: int, known: dict[int, int]) -> int:
        """The number of values in the node; an alias counts each time."""
        if isinstance(node, yaml.ScalarNode):
            return 1
        if known.get(id(node)) == 0:
            raise _Fault("an alias stands inside of what it names", node)
        if depth > _DEEPEST:
            raise _Fault(f"nested too deeply: at most {_DEEPEST} levels", node)
        if id(node) not in known:
            known[id(node)] = 0
            below = itertools.chain(*node.value) if isinstance(node, yaml.MappingNode) else node.value
            known[id(node)] = 1 + sum(self._measure(item, depth + 1, known) for item in below)
        if known[id(node)] > _MOST_VALUES:
            raise _Fault(f"more than {_MOST_VALUES} values, with aliases written out", node)
        return known[id(node)]

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise _Fault(f"a number of {len(node.value)} characters; at most {_LONGEST_NUMBER}", node)
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()  # no mapping: the parent refuses it
        for key_node, _ in pairs:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<`: the parent class resolves it, own keys win
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise _Fault(f"{key!r} is no key", key_node)
            if (text := str(key)) in seen:
                raise _Fault(f"key {text!r} is given twice", key_node)
            if not isinstance(key, str) and (text != key_node.value or isinstance(key, bool)):
                raise _Fault(f"YAML reads the key {key_node.value} as {_shown(key)}: quote it", key_node)
            seen.add(text)
        return super().construct_mapping(node, deep)


_WORDS = {"bool": "truth value", "int": "whole number", "float": "number", "timestamp": "date"}
# Spellings on which YAML 1.1, YAML 1.2 and a reader agree.
_PLAIN = {
    "bool": re.compile("true|True|TRUE|false|False|FALSE"),
    "int": re.compile("[-+]?(0|[1-9][0-9]*)"),
    "float": re.compile(
        r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
    "timestamp": re.compile("(?!)"),  # no key of a study is a date
}


def _plainly(kind: str) -> Callable[[yaml.SafeLoader, yaml.ScalarNode], Any]:
    """A constructor of scalars of this kind. It raises a YAML error at one not written plainly."""
    construct = getattr(yaml.SafeLoader, f"construct_yaml_{kind}")

    def plainly(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
        try:
            value = construct(loader, node)
        except (ValueError, OverflowError, LookupError, AttributeError) as error:
            raise _Fault(f"{_cut(node.value)!r} is no {_WORDS[kind]} that can be read", node) from error
        if not _PLAIN[kind].fullmatch(node.value):
            written, read = _cut(node.value), "a date" if kind == "timestamp" else _shown(value)
            meant = "write " if kind == "timestamp" else f"write {read}, or "
            raise _Fault(f"YAML reads {written} as {read}: {meant}'{written}' in quotes for the text", node)
        return value

    return plainly


def _shown(value: Any) -> str:
    return {"True": "true", "False": "false", "None": "nothing"}.get(str(value), _cut(str(value)))


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."


for _kind in _PLAIN:
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _plainly(_kind))
_EXPONENT = re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def of_snakemake(value: Any) -> Any:
    """What Snakemake read from YAML 1.1, in canonical form: `1e-5`, a text there, becomes a number."""
    if isinstance(value, dict):
        return {str(key): of_snakemake(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [of_snakemake(item) for item in value]
    return canonical(float(value) if isinstance(value, str) and _EXPONENT.match(value) else value)


@functools.lru_cache(maxsize=256)
def _read(text: str) -> Any:
    """What the text says. It takes longer than all else about a study, and verbs about all studies read the
    same files several times.
    """
    return yaml.load(text, _Loader)  # a SafeLoader


def read_yaml(path: Path) -> dict[str, Any]:
    """One file of a study in canonical form: text keys, and 1.0 read as 1, so neither changes an id."""
    joined = re.match(r"(.+?\.ya?ml)[+:]", str(path))
    if joined and not path.exists() and Path(joined[1]).is_file():
        raise UserError(f"{path}: no such file; here files of a study are separate words, without a label")
    try:
        text = read_bytes(path, STUDY).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    try:
        value = _read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        wrong = "" if isinstance(error, _Fault) else "not valid YAML: "
        raise UserError(f"{path}: {wrong}{where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply") from error
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a mapping of keys, not a {type(value).__name__}")
    plain: dict[str, Any] = canonical(value)  # a copy
    return plain


def check(file: Path, document: dict[str, Any]) -> None:
    """Raises UserError at a number that is not finite and at a text with a line break or another control
    character. Only `description` may have these.
    """
    texts = {key: value for key, value in document.items() if key != "description"}
    endless = _first(document, lambda one: isinstance(one, float) and not math.isfinite(one))
    broken = _first(texts, lambda one: isinstance(one, str) and bool(_CONTROL.search(one)))
    for place, allowed in ((endless, "must be a finite number"), (broken, _TEXT)):
        if place is not None:
            raise UserError(f"{file}: {dotted(place)}: {allowed}")


def _first(value: Any, is_wrong: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    """Path of the first wrong key or value of a document; None where there is none."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if is_wrong(key):
            return (key,)
        if (below := _first(item, is_wrong)) is not None:
            return (key, *below)
    return () if is_wrong(value) else None


def has(document: Any, path: tuple[Any, ...]) -> bool:
    """Whether the document has something at the path."""
    for key in path:
        index = isinstance(document, list) and isinstance(key, int) and key < len(document)
        if not index and not (isinstance(document, dict) and key in document):
            return False
        document = document[key]
    return True


def assign(target: dict[str, Any], keys: list[str], value: Any) -> bool:
    """Sets the value at a dotted path; returns False where something on the way is not a mapping of keys."""
    *parents, last = keys
    for key in parents:
        target = target.setdefault(key, {})
        if not isinstance(target, dict):
            return False
    target[last] = copy.deepcopy(value)
    return True
