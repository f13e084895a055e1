"""Reads from the workflow's rules, without running them, how Snakemake judges finished files. No torch."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from rs.errors import UserError

SNAKEFILE = Path("Snakefile")
# Digest of the Snakefile and the rules with which rs.plan.pending was compared with Snakemake. With others,
# Snakemake is asked. After an edit, tests/workflow/test_pending.py must pass; it tells the new value.
COMPARED = "ffd86ad7545f9664"


@dataclass(frozen=True)
class Rule:
    """A rule. `shell` is its command before anything is filled in. `inputs` are the names in order ("" for
    one without a name), each with whether the input only has to exist (`ancient`).
    """

    shell: str
    inputs: tuple[tuple[str, bool], ...]


def require(verb: str) -> None:
    """Raises UserError in another working directory than the workflow's."""
    if not SNAKEFILE.is_file():
        raise UserError(f"{SNAKEFILE}: is not here; run rs {verb} in the folder of the workflow")


def _files() -> list[Path]:
    return [SNAKEFILE, *sorted(Path("workflow/rules").glob("*.smk"))]


def digest_here() -> str:
    """Digest of the workflow in the working directory; that of nothing where there is none."""
    texts = [path.read_bytes() for path in _files() if path.is_file()]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def read() -> dict[str, Rule]:
    """The rules in the working directory that have a command, by name."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in _files()[1:])
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)
    return {name: _rule(body) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _rule(body: str) -> Rule:
    directives = dict(re.findall(r"^    (\w+):(.*\n(?: {8}.*\n)+)", f"{body}\n", re.MULTILINE))
    inputs = re.findall(r"^ {8}(?:(\w+)=)?(ancient\()?\S", directives.get("input", ""), re.MULTILINE)
    return Rule(ast.literal_eval(f"({directives['shell']})"), tuple((name, bool(a)) for name, a in inputs))
