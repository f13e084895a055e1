"""Certification logs in the format that the field has used since Cohen et al. (2019). No torch.

Tab-separated, one line per image: `idx label predict radius correct time`. `predict` -1 abstains with radius
0, a wrong prediction keeps its radius, `time` is H:MM:SS.ffffff or seconds. Columns may come in any order and
beside others. The reader accepts a byte-order mark and gzip. Published radii are rounded to three digits,
sometimes up; logs written here keep all digits.
"""

from __future__ import annotations

import datetime
import gzip
import math
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from rs.errors import UserError
from rs.provenance.files import write_text
from rs.provenance.reading import as_number, check_file
from rs.settings import limits

COLUMNS = ("idx", "label", "predict", "radius", "correct", "time")
_DURATION = re.compile(r"(?:(\d+) days?, )?(\d+):([0-5]\d):([0-5]\d(?:\.\d*)?)")
_GZIP = b"\x1f\x8b"
_OTHERS = (".parquet", ".csv", ".gz")  # endings of other kinds of files
LARGEST = 2**28  # bytes of text
_Value = TypeVar("_Value", int, float)
_Row = tuple[int, int, int, float, int, float]


class LogFault(UserError):
    """A value or line that no log can have; `name` is the name of the fault in `rs audit`."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Log:
    """N images: index, label, prediction int64 [N], radius, seconds float64 [N], correct bool [N]."""

    idx: np.ndarray
    label: np.ndarray
    predict: np.ndarray
    radius: np.ndarray
    correct: np.ndarray
    seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.idx)

    def certified_radius(self) -> np.ndarray:
        """Radius where the prediction is correct, else -1, float64 [N]: `>= r` is certified at r."""
        return np.where(self.correct, self.radius, -1.0)


def _integer(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:  # range of int64
    def read(text: str) -> int:
        value = int(text)
        if "_" in text or not least <= value <= most:
            raise ValueError
        return value

    return read


def _radius(text: str) -> float:
    if not 0 <= (value := as_number(text)) <= limits.LARGEST:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        seconds = as_number(text)
    else:
        days, hours, minutes, rest = (float(part or 0) for part in match.groups())
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _field(where: str, name: str, text: str, read: Callable[[str], _Value], allowed: str) -> _Value:
    try:
        return read(text)
    except ValueError:
        raise LogFault("impossible-value", f"{where}: {name} {text!r}: must be {allowed}") from None


def _read_row(where: str, cells: list[str]) -> _Row:
    idx = _field(where, "idx", cells[0], _integer(0), "an integer, 0 or more")
    label = _field(where, "label", cells[1], _integer(0), "an integer, 0 or more")
    predict = _field(where, "predict", cells[2], _integer(-1), "an integer, 0 or more, or -1 to abstain")
    radius = _field(where, "radius", cells[3], _radius, f"a number from 0 to {limits.LARGEST}")
    correct = _field(where, "correct", cells[4], _integer(0, 1), "0 or 1")
    seconds = _field(where, "time", cells[5], _seconds, "H:MM:SS.ffffff or seconds")
    if correct != (predict == label):
        problem = f"{where}: correct is {correct}, but predict {predict} and label {label} say otherwise"
        raise LogFault("wrong-correct", problem)
    if predict == -1 and radius > 0:
        problem = f"{where}: abstains (predict -1) with radius {cells[3]}; must be 0"
        raise LogFault("abstention-with-radius", problem)
    return idx, label, predict, radius, correct, seconds


def log_path(file: str, data_dir: str | None) -> Path:
    """The path of a study's log: relative to the working directory, else to the folder of the data sets."""
    path = Path(file)
    in_data = Path(data_dir or os.environ.get("RS_DATA_DIR") or "data") / path
    return in_data if not path.exists() and in_data.exists() else path


def _text(path: Path) -> str:
    check_file(path)
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path) if packed else open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: not a complete gzip file ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST:
        raise UserError(f"{path}: more than {LARGEST >> 20} MiB of text; no log is that long")
    try:
        return content.decode("utf-8-sig")  # spreadsheets write a byte-order mark first
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8") from error


def columns_of(line: str) -> list[str]:
    """The columns that a header line names."""
    return [cell.strip() for cell in line.split("\t")]


def logs_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The logs in a folder and its subfolders, and the other files, which have none of the columns.

    Hidden files are left out. An unreadable file counts as a log, so that it is reported and not passed over.
    """
    logs: list[Path] = []
    others: list[Path] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            first = _text(path).partition("\n")[0]
        except UserError:
            (logs if path.suffix in ("", ".tsv", ".txt", ".log", ".gz") else others).append(path)
            continue
        foreign = first and not set(COLUMNS) & set(columns_of(first))
        (others if foreign else logs).append(path)
    return logs, others


def lines_of(path: Path) -> Iterator[_Row | LogFault]:
    """Each line below the header, in the order of COLUMNS, or the fault of the line.

    Raises UserError for a file that is no log.
    """
    lines = _text(path).splitlines()
    header = columns_of(lines[0]) if lines else []
    if missing := [c for c in COLUMNS if c not in header]:
        needs = f"needs {' '.join(COLUMNS)}, tab-separated"
        raise UserError(f"{path}:1: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; {needs}")
    if not any(line.strip() for line in lines[1:]):
        raise UserError(f"{path}: no image below the header")
    place = [header.index(c) for c in COLUMNS]
    seen: dict[int, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(header):
            problem = f"{where}: {len(cells)} fields instead of {len(header)}; is the line cut off?"
            yield LogFault("cut-line", problem)
            continue
        try:
            row = _read_row(where, [cells[p].strip() for p in place])
        except LogFault as fault:
            yield fault
            continue
        if row[0] in seen:
            yield LogFault("image-again", f"{where}: idx {row[0]} again, first on line {seen[row[0]]}")
            continue
        seen[row[0]] = number
        yield row


def log_of(rows: Iterable[_Row]) -> Log:
    """The log of these rows."""
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    return Log(
        np.array(columns[0], np.int64),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.int64),
        np.array(columns[3], np.float64),
        np.array(columns[4], np.bool_),
        np.array(columns[5], np.float64),
    )


def read_log(path: Path) -> Log:
    """Reads one log. Raises UserError with file and line at the first fault."""
    rows: list[_Row] = []
    for line in lines_of(path):
        if isinstance(line, LogFault):
            raise line
        rows.append(line)
    return log_of(rows)


def write_log(path: Path, log: Log) -> None:
    """Writes `log` whole, radii with all their digits and times as H:MM:SS.ffffff."""
    lines = ["\t".join(COLUMNS)]
    for i in range(len(log)):
        time = datetime.timedelta(seconds=float(log.seconds[i]))
        cells = (log.idx[i], log.label[i], log.predict[i], float(log.radius[i]), int(log.correct[i]), time)
        lines.append("\t".join(map(str, cells)))
    write_text(path, "\n".join(lines) + "\n")


# --- as rows of certified files ---


def images(log: Log) -> dict[str, np.ndarray]:
    """One entry per image, [N], under the column names of certified files."""
    return {"image": log.idx, "label": log.label, "prediction": log.predict, "radius": log.radius}


def check_name(path: Path, where: str) -> None:
    """Raises UserError for the name of another kind of file."""
    if path.suffix in _OTHERS:
        raise UserError(f"{where} {path}: a log is tab-separated text; name it .tsv")


def write_claims(path: Path, claims: Mapping[str, np.ndarray]) -> None:
    """Writes claims, with the columns of `images`, as a log. Radii keep all their digits; times are 0."""
    image, label, prediction, radius = (claims[k] for k in ("image", "label", "prediction", "radius"))
    write_log(path, Log(image, label, prediction, radius, prediction == label, np.zeros(len(image))))
