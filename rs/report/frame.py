"""The frame of all pages: a template of this folder, with its styles and scripts inside the file."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_HERE = Path(__file__).parent
_STYLES = ("page.css",)
_SCRIPTS = ("elements.js", "formats.js", "tables.js")


def render(template: str, styles: Sequence[str] = (), scripts: Sequence[str] = (), **values: Any) -> str:
    """The page of a template that extends base.html; `styles` and `scripts` are its files beyond those of
    every page. Raises jinja2.UndefinedError for a value that the template uses and the call does not give.
    """
    inside = {"styles": _inline(*_STYLES, *styles), "scripts": _inline(*_SCRIPTS, *scripts)}
    return _environment().get_template(template).render(**inside, **values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(text: str, after: str = "[,") -> Markup:
    """A run's label, or an address, with possible line breaks after these signs (elements.js does the same
    for labels).
    """
    return Markup("<wbr>").join(re.split(rf"(?<=[{re.escape(after)}])(?=\w)", text))


def _inline(*names: str) -> Markup:
    """Files of this folder as text for the page."""
    return Markup("\n".join(_HERE.joinpath(name).read_text(encoding="utf-8") for name in names))
