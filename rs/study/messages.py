"""One-line messages for faults of a study file: where, what is wrong there, what is allowed. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema

from rs.errors import guess
from rs.settings.sampling import DEVICE_CLASS
from rs.study.schema import is_unwritten

_MANY = 60  # keys in one message


def _pattern(
    validator: Any, pattern: str, value: Any, schema: dict[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """A schema's $ matches only the end of the text; Python's also matches before a final line end."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})


# what a pattern of the schema allows, in words
PATTERNS = {
    "^[a-z0-9][a-z0-9-]*$": "lower-case letters, digits and hyphens, as my-study",
    DEVICE_CLASS: "a device class, as 'cuda 9.0' or 'cpu avx512-bf16'",
}


def first(errors: Iterable[jsonschema.ValidationError]) -> jsonschema.ValidationError:
    """The error to report: the first by its place."""
    return min(errors, key=lambda e: (list(map(str, e.absolute_path)), str(e.validator)))


def explain(error: jsonschema.ValidationError) -> tuple[tuple[Any, ...], str]:
    """Path and one-line message of a schema error: what is wrong there and what is allowed."""
    path, rule = tuple(error.absolute_path), error.validator
    value: Any = error.instance
    limit: Any = error.validator_value
    assert isinstance(error.schema, dict)
    if rule == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        unknown = sorted(k for k in value if k not in allowed)[0]
        near = ", ".join(_near(unknown, allowed))
        return (*path, unknown), f"unknown key{guess(unknown, allowed)}; allowed: {near}"
    if rule == "required":
        missing = next(k for k in limit if k not in value)
        message = "lacks this key" + _kind_of(error.schema, missing)
        # an overlay has no data of its own, and is often given without its study
        overlay = "; an overlay stands after its study: STUDY.yaml OVERLAY.yaml"
        return (*path, missing), message + (overlay if (*path, missing) == ("data",) else "")
    if rule == "enum" and path[-1:] == ("name",) and is_unwritten(value):
        return path, f"{value!r}: rs/schema.json lacks this method yet; run `rs schema --write`"
    if rule == "enum":
        near = ", ".join(_near(str(value), [str(one) for one in limit]))
        return path, f"{value!r}{guess(value, limit)}; allowed: {near}"
    if rule == "anyOf":
        options = [describe(s) for s in limit]
        # compare a mapping with the alternative that is a mapping, and a list likewise
        kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else None
        own = [e for e in error.context or () if limit[e.relative_schema_path[0]].get("type") == kind]
        if kind and own:
            return explain(first(own))
        return path, f"{_typed(value)}: must be {' or '.join(options)}"
    if rule in ("maxItems", "maxProperties"):
        return path, f"{len(value)} entries; at most {limit}"
    if rule == "pattern":
        rest = f"be {PATTERNS[limit]}" if limit in PATTERNS else f"match {limit}"
        return path, f"{short(repr(value))}: must {rest}"
    if rule == "maxLength":
        return path, f"{short(value)}: {len(value)} characters; at most {limit}"
    return path, f"{_typed(value)}: must be {describe(error.schema)}"


def _typed(value: Any) -> str:
    """The value, text in quotes: '0.25' is no number, and would look like one."""
    return short(repr(value) if isinstance(value, str) else value)


def describe(s: dict[str, Any]) -> str:
    words = {"number": "a number", "integer": "a whole number", "string": "a string"}
    words |= {
        "boolean": "true or false",
        "array": "a list",
        "object": "a mapping of keys",
        "null": "left out",
    }
    if "const" in s:
        return repr(s["const"])
    if "enum" in s:
        return f"one of {', '.join(map(str, s['enum']))}"
    if "anyOf" in s:
        return " or ".join(describe(o) for o in s["anyOf"])
    if s.get("pattern") in PATTERNS:
        return PATTERNS[s["pattern"]]
    text = words.get(s.get("type", ""), "another value")
    limits = {"minimum": "at least", "exclusiveMinimum": "above"}
    limits |= {"maximum": "at most", "exclusiveMaximum": "below"}
    more = [f"{word} {s[key]}" for key, word in limits.items() if key in s]
    more += [f"that matches {s['pattern']}"] if "pattern" in s else []
    more += [f"a multiple of {s['multipleOf']}"] if "multipleOf" in s else []
    lengths = {"minItems": "of at least", "maxItems": "of at most"}
    more += [f"{word} {s[key]}" for key, word in lengths.items() if key in s]
    return f"{text} {' and '.join(more)}".strip()


def _kind_of(s: dict[str, Any], key: str) -> str:
    sub = s.get("properties", {}).get(key, {})
    return f"; it is {describe(sub)}" if sub.keys() & {"type", "enum", "anyOf"} else ""


def _near(unknown: str, allowed: list[str]) -> list[str]:
    """The allowed keys to show. Of many dotted keys (those of a sweep): keys at the level of the unknown one,
    or else the first parts of all keys.
    """
    if len(allowed) <= _MANY:
        return allowed
    while "." in unknown:
        unknown = unknown.rpartition(".")[0]
        beside = [a for a in allowed if a.rpartition(".")[0] == unknown]
        if beside:
            return beside
    return sorted({a.partition(".")[0] for a in allowed})


def short(value: Any) -> str:
    """The value on one line, cut to 60 characters."""
    text = str(value) if isinstance(value, (str, int, float)) else json.dumps(value, default=str)
    text = " ".join(text.split())
    return text if len(text) < 60 else text[:57] + "..."


def dotted(path: tuple[Any, ...]) -> str:
    joined = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return " ".join(joined.split()).lstrip(".") or "the study"
