"""Reproduction pipeline for randomized smoothing: observations are stored, claims are derived from them.

`rs.smooth`, `rs.certify_counts`, `rs.radius`, `rs.attack`, `rs.compare` and `rs.read` are the pipeline from
Python (docs/python.md). They are imported when they are first used, so that `import rs` loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rs.api.attacking import Attacked as Attacked
    from rs.api.attacking import attack as attack
    from rs.api.certification import Certification as Certification
    from rs.api.certification import certify_counts as certify_counts
    from rs.api.certification import radius as radius
    from rs.api.comparing import compare as compare
    from rs.api.counts import Counts as Counts
    from rs.api.smoothed import SmoothedClassifier as SmoothedClassifier
    from rs.api.smoothed import smooth as smooth
    from rs.api.tables import read as read
    from rs.errors import UserError as UserError

__version__ = "0.1.0"

_PLACES = {
    "Attacked": "rs.api.attacking",
    "Certification": "rs.api.certification",
    "Counts": "rs.api.counts",
    "SmoothedClassifier": "rs.api.smoothed",
    "UserError": "rs.errors",
    "attack": "rs.api.attacking",
    "certify_counts": "rs.api.certification",
    "compare": "rs.api.comparing",
    "radius": "rs.api.certification",
    "read": "rs.api.tables",
    "smooth": "rs.api.smoothed",
}
__all__ = [
    "Attacked",
    "Certification",
    "Counts",
    "SmoothedClassifier",
    "UserError",
    "__version__",
    "attack",
    "certify_counts",
    "compare",
    "radius",
    "read",
    "smooth",
]

if not TYPE_CHECKING:  # a checker that saw this function would take every misspelt name

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'rs' has no attribute {name!r}")
        import importlib

        value: object = getattr(importlib.import_module(_PLACES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)  # not the modules: what an editor offers is what is promised
