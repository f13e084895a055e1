"""Places in the content of a YAML file: paths of keys and list positions. No torch."""

from __future__ import annotations

import copy
from typing import Any


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
