"""Records the claims made from the same votes. A claim holds for settings chosen before its votes were seen;
trying several and showing the best breaks this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rs.errors import UserError, plural
from rs.provenance.digests import canonical, dumps
from rs.provenance.files import read_json, write_json
from rs.provenance.reading import is_number


def read_choices(file: Path) -> dict[str, Any]:
    """What was wished, chosen and claimed; empty without a file. Raises UserError for another file."""
    stored = read_json(file) if file.exists() else {}
    if not isinstance(stored, dict) or not (stored == {} or _chosen(stored)):
        raise UserError(
            f"{file}: does not hold the choices of a certification; remove it and run again (votes are kept)"
        )
    return stored


def _chosen(stored: dict[str, Any]) -> bool:
    """Whether `stored` has the entries that `note` and `choose` write, each of its type."""
    claims = stored.get("claimed")
    return (
        isinstance(stored.get("wishes"), dict)
        and isinstance(claims, list)
        and all(map(_positive, [stored, *claims]))
        and all(is_number(c.get("alpha")) and isinstance(c.get("certificate"), dict) for c in claims)
        and all(isinstance(c["certificate"].get("name"), str) for c in claims)
    )


def _positive(entry: Any) -> bool:
    """Whether the numbers of votes and images are valid."""
    return isinstance(entry, dict) and all(
        type(entry.get(key)) is int and entry[key] > 0 for key in ("n", "images")
    )


def note(file: Path, n: int, images: int, alpha: float, certificate: dict[str, Any]) -> list[str]:
    """Records this claim in `file`, and returns for each other claim there how it differs. `certificate`
    includes its defaults.
    """
    stored = read_choices(file)
    claim = canonical({"n": n, "alpha": alpha, "certificate": certificate, "images": images})
    before = [canonical(other) for other in stored.get("claimed", [])]
    if claim not in before:
        write_json(file, {**stored, "claimed": [*before, claim]})
    return [_apart(other, claim) for other in before if other != claim]


def _apart(other: dict[str, Any], claim: dict[str, Any]) -> str:
    """The difference as text: `n = 1,000, alpha = 0.01`, `cohen (randomised = true)`, `5 images`."""
    words = []
    if other["n"] != claim["n"]:
        words.append(f"n = {other['n']:,}")
    if other["alpha"] != claim["alpha"]:
        words.append(f"alpha = {other['alpha']:g}")
    there, here = other["certificate"], claim["certificate"]
    if there != here:
        own = [f"{k} = {dumps(v)}" for k, v in sorted(there.items()) if k != "name" and here.get(k) != v]
        words.append(there["name"] + f" ({', '.join(own)})" * bool(own))
    if other["images"] != claim["images"]:
        words.append(plural(other["images"], "image", spec=","))
    return ", ".join(words)
