"""Bad input of the user, reported in one line, and the grammar of counts and guesses in such lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 2000  # characters of a message with its quotations


class UserError(Exception):
    """Bad input. The message is one line that names the file, the place and what is allowed; control
    characters that it quotes are escaped.
    """

    def __init__(self, message: str) -> None:
        half = _LONGEST // 2
        short = message if len(message) <= _LONGEST else f"{message[:half]} ... {message[-half:]}"
        super().__init__("".join(c if c.isprintable() else _escaped(c) for c in short))


def plural(n: float, one: str, several: str = "", spec: str = "") -> str:
    """`1 image`, `2 images`: a count in the format `spec`, and `several` if that is not `one` and an s."""
    return f"{n:{spec}} {one if n == 1 else several or one + 's'}"


def guess(name: object, known: Iterable[object]) -> str:
    """` (did you mean training?)`, of the known names the nearest one; empty where none is near."""
    close = difflib.get_close_matches(str(name), list(map(str, known)), 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
