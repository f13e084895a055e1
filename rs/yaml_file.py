"""One YAML file of a study, in canonical form. Every error is one line that names the file and the place."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from rs.interfaces import UserError
from rs.provenance import canonical


def _wrong_key(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-5` as a string; numbers are numbers here. A key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<`, which the parent resolves: own keys win
                continue
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
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply") from error
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: a study is a mapping of keys, not a {type(value).__name__}")
    try:
        plain: dict[str, Any] = canonical(value)
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply, or an alias stands inside of what it names") from error
    return plain


def not_finite(value: Any) -> tuple[Any, ...] | None:
    """Path of the first number that is infinite or not a number."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        below = not_finite(item)
        if below is not None:
            return (key, *below)
    return () if isinstance(value, float) and not math.isfinite(value) else None
