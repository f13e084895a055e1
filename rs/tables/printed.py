"""The numbers that papers print, as a study states them under `published`, with their digits. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from rs.study.claims import METRICS as MEASURES
from rs.study.paper_settings import Instrument, instrument_of
from rs.study.published import labels_of
from rs.study.study import Study
from rs.tables.table import Row

METRICS = {**MEASURES, "train_hours": ("runs", "train_seconds")}  # table and column of each
ACCURACIES = ("certified_accuracy", "empirical_accuracy")


@dataclass(frozen=True)
class Number:
    """One printed number of the entry `published[index]`."""

    index: int
    entry: Row
    metric: str
    radius: float | None
    printed: str
    unit: float

    @property
    def value(self) -> float:
        return float(self.printed)

    @property
    def labels(self) -> list[str]:
        return labels_of(self.entry)

    @property
    def instrument(self) -> Instrument:
        return instrument_of(self.metric, self.entry)

    @property
    def certificate(self) -> str | None:
        return self.instrument.certificate


def numbers_of(study: Study) -> Iterator[Number]:
    """Every number under `published`, with its printed text. YAML reads 0.30 as 0.3, but all numbers of a
    list have as many digits as its longest one.
    """
    for i, entry in enumerate(study.published):
        for metric in ("epsilon", "acr", "train_hours"):
            if entry[metric] is not None:
                digits = _digits([entry[metric]])
                yield Number(i, entry, metric, None, _text(entry[metric], digits), _unit(digits))
        for metric in ACCURACIES:
            digits = _digits(entry[metric])
            for radius, value in zip(entry["radii"] if entry[metric] else (), entry[metric], strict=True):
                yield Number(i, entry, metric, float(radius), _text(value, digits), _unit(digits))


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else format(Decimal(repr(value)), "f")


def _text(value: float | str, digits: int) -> str:
    """The number with its digits; a 0 may be printed without."""
    return _plain(value) if isinstance(value, str) or value == 0 else f"{Decimal(repr(value)):.{digits}f}"


def _digits(values: list[float | str]) -> int:
    """Digits behind the point of the longest number."""
    return max((len(_plain(v).partition(".")[2]) for v in values), default=0)


def _unit(digits: int) -> float:
    """Half a unit of the last digit."""
    return 0.5 * 10.0**-digits
