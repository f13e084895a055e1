"""Checks the tests and pages by which theory decides a claim (`proven`, `impossible`). No torch.

They are looked for in the folders above the study's files, in the working directory, and in the checkout that
`rs` is imported from. What is in none of them is refused where one of them is a checkout of this project.
Elsewhere, as with an installed package alone, there are no tests to look for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rs.study.claims import Place
from rs.study.study import Study

CHECKOUT = Path(__file__).resolve().parents[2]
_PARTS = ("Snakefile", "rs/__init__.py", "tests")  # what a checkout of this project has
_TEST = re.compile(r"^(?:async )?def (test_\w+)|^class (Test\w+)", re.MULTILINE)


def check_reference(study: Study, place: Place, reference: str) -> None:
    """Raises UserError where the page or test (`tests/FILE.py::TEST`) does not exist."""
    path, _, test = reference.partition("::")
    folders = list(dict.fromkeys(_folders(study)))
    files = [folder / path for folder in folders if (folder / path).is_file()]
    checkout = next((one for one in folders if all((one / part).exists() for part in _PARTS)), None)
    if not files and checkout is not None:
        allowed = "a test (tests/FILE.py, tests/FILE.py::TEST) or page (docs/FILE.md) of it"
        study.fail(place, f"{path} is not in {checkout}; allowed: {allowed}")
    if files and test and all(test not in _tests(file) for file in files):
        names = ", ".join(_tests(files[0])) or "none"
        study.fail(place, f"{path} has no test {test}; its tests: {names[:300]}")


def _folders(study: Study) -> Iterator[Path]:
    for file in study.files:
        yield from file.resolve().parents
    yield from (Path.cwd(), CHECKOUT)


def _tests(file: Path) -> list[str]:
    """The tests of a file, in its order."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return [function or group for function, group in _TEST.findall(text)]
