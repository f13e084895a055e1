"""Pairs of contestants as rows: A minus B, image by image, of average certified radius, median radius,
certified accuracy and accuracy under attack. No torch.

Wrong and abstained images have radius 0. Two questions are kept apart:
- About `networks`: would these networks differ on other test images? With one network on each side the tests
  are exact; with several seeds they compare each side's mean over its networks.
- About `methods`: would training with other seeds differ, on these images? Undecided below three seeds.

Holm's adjustment counts all rows of one question, metric and condition. Values that stopped votes leave open
(`lower_bound` of either side) have no test and are undecided; their interval is that of the bounds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rs.errors import UserError
from rs.statistics.bounds import Floats
from rs.statistics.paired import Difference, holm, of_means, of_medians, of_proportions, over_seeds, verdict
from rs.tables.contestants import Contestant, Outcomes, common_images, every, refuse_other_norms, unlike
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

METRICS = ("acr", "certified_accuracy", "empirical_accuracy", "median_radius")
COLUMNS = (
    *("a", "b", "about", "metric", "certificate", "attack", *SMOOTHING, "radius", "images", "seeds"),
    *("difference", "low", "high", "p", "adjusted_p", "verdict", "lower_bound"),
)
TURNED = {"better": "worse", "worse": "better"}  # verdicts, for the pair with its sides exchanged
MOST_PAIRS = 2000  # of a study by default: all pairs of 63 runs


@dataclass(frozen=True)
class PairSettings:
    """How pairs are compared. Without `radii`, at those of `usual` at which either side certifies anything.
    At others they cannot differ, whatever the data (Tarone 1990), which would only raise the adjusted
    p-values.
    """

    usual: Sequence[float]
    radii: Sequence[float] | None = None
    level: float = 0.95
    margins: Mapping[str, float] = field(default_factory=dict)
    named: bool = True  # whether the study or user named the pair, so that its images must be paired

    def at(self, a: Floats, b: Floats) -> list[float]:
        if self.radii is not None:
            return list(self.radii)
        largest = max(a.max(), b.max())
        return [r for r in self.usual if r <= largest]


def compare(pairs: Iterable[tuple[Contestant, Contestant, PairSettings]], adjusted: bool = True) -> list[Row]:
    """Rows of all pairs, in COLUMNS; p-values and verdicts are adjusted over all rows, or for each alone."""
    rows = [row for pair in pairs for row in _Pair(*pair).rows()]
    families: dict[Any, list[Row]] = {}
    for i, row in enumerate(rows):
        key = tuple(row[column] for column in ("about", "metric", "certificate", "smoothing"))
        families.setdefault(key if adjusted else i, []).append(row)
    for family in families.values():
        apart = holm([row["found"].p for row in family])
        equivalent = holm([row["found"].equivalence for row in family])
        for row, p, equivalence in zip(family, apart, equivalent, strict=True):
            difference: Difference = row.pop("found")
            row |= {"difference": difference.value, "low": difference.low, "high": difference.high}
            row |= {"p": difference.p}
            row |= {"adjusted_p": p, "verdict": verdict(difference, p, equivalence, row.pop("level"))}
    return rows


@dataclass(frozen=True)
class _Pair:
    """Two sides and how they are compared. Rows have a Difference, `found`, in the place of its numbers."""

    a: Contestant
    b: Contestant
    settings: PairSettings

    def rows(self) -> Iterator[Row]:
        for row in self._certified() + self._attacked():
            row["lower_bound"] = row["metric"] != "empirical_accuracy" and any(
                side.is_lower_bound(row["radius"]) for side in (self.a, self.b)
            )
            if row["lower_bound"]:  # no test: all votes could give another result
                row["found"] = replace(row["found"], p=math.nan, equivalence=math.nan)
            yield row | {"level": self.settings.level}

    def _certified(self) -> list[Row]:
        if (both := self._common(self.a.certified, self.b.certified)) is None:
            return []
        first, second = both
        head, rows = self._head(first.shape[1]), []
        radius_a, radius_b = first.clip(min=0), second.clip(min=0)
        for metric, over, of in (("acr", of_means, np.mean), ("median_radius", of_medians, np.median)):
            margin = self.settings.margins.get(metric)
            difference = over(radius_a.mean(axis=0), radius_b.mean(axis=0), self.settings.level, margin)
            columns = head | {"metric": metric, "radius": None}
            rows.append(
                columns | {"about": "networks", "seeds": min(len(first), len(second)), "found": difference}
            )
            each = [of(values, axis=1) for values in (radius_a, radius_b)]
            step = max(_step(metric, values) for values in (radius_a, radius_b))
            rows.append(self._methods(columns, each[0], each[1], step))
        radii, columns = self.settings.at(first, second), head | {"metric": "certified_accuracy"}
        at = np.array(radii).reshape(-1, 1, 1)
        right_a, right_b = (
            np.where(radius >= at, side.factor, 0.0)
            for radius, side in zip(both, (self.a, self.b), strict=True)
        )
        return rows + self._accuracies(columns, right_a, right_b, radii)

    def _attacked(self) -> list[Row]:
        """Rows at each radius of each attack that both have with the same settings."""
        rows: list[Row] = []
        for key in self.a.attacked:
            if key not in self.b.attacked or (
                self.settings.radii is not None and key[2] not in self.settings.radii
            ):
                continue
            if (both := self._common(self.a.attacked[key], self.b.attacked[key])) is None:
                continue
            first, second = both
            columns = self._head(first.shape[1]) | {"metric": "empirical_accuracy", "attack": key[0]}
            columns["certificate"] = None
            rows += self._accuracies(columns, first[None], second[None], [key[2]])
        return rows

    def _accuracies(
        self, columns: Row, right_a: Floats, right_b: Floats, radii: Sequence[float]
    ) -> list[Row]:
        """Rows at R radii, from the values [R, S, N] that each image counts for the accuracy of each network
        of A and B: 0 where the network is wrong, else 1 or the certificate's factor.
        """
        rows: list[Row] = []
        networks, n = min(right_a.shape[1], right_b.shape[1]), right_a.shape[2]
        level, margin = self.settings.level, self.settings.margins.get(columns["metric"])
        if right_a.shape[1] == right_b.shape[1] == 1 and self.a.factor == self.b.factor == 1:
            only_a, only_b = ((x > y).sum(axis=(1, 2)) for x, y in ((right_a, right_b), (right_b, right_a)))
            differences = of_proportions(only_a, only_b, n, level, margin)
        else:
            means = zip(right_a.mean(axis=1), right_b.mean(axis=1), strict=True)
            differences = [of_means(x, y, level, margin, largest=1.0) for x, y in means]
        for i, radius in enumerate(radii):
            row = columns | {"radius": float(radius)}
            rows.append(row | {"about": "networks", "seeds": networks, "found": differences[i]})
            rows.append(self._methods(row, right_a[i].mean(axis=1), right_b[i].mean(axis=1), 1 / n))
        return rows

    def _methods(self, columns: Row, of_a: Any, of_b: Any, resolution: float) -> Row:
        """The row about methods, from a value of each network."""
        both = ((self.a, of_a), (self.b, of_b))
        seeds_a, seeds_b = (dict(zip(side.seeds, map(float, v), strict=True)) for side, v in both)
        margin = self.settings.margins.get(columns["metric"])
        difference, seeds = over_seeds(seeds_a, seeds_b, self.settings.level, margin, resolution)
        return columns | {"about": "methods", "seeds": seeds, "found": difference}

    def _common(self, of_a: Outcomes | None, of_b: Outcomes | None) -> tuple[Floats, Floats] | None:
        """The values of each side on the common images, [S, N]. None where one side has no such values.
        Images that cannot be paired raise UserError, or give None where nobody named the pair.
        """
        if of_a is None or of_b is None:
            return None
        names = (self.a.name, self.b.name)
        try:
            images, first, second, _ = common_images(of_a, of_b, names)
            if len(images) < 2:
                raise UserError(f"{' and '.join(names)}: only one image in common; at least 2 are needed")
        except UserError:
            if self.settings.named:
                raise
            return None
        return first, second

    def _head(self, images: int) -> Row:
        known = max(self.a, self.b, key=lambda side: len(side.conditions))
        columns = {"certificate": known.conditions.get("certificate"), **known.smoothing}
        return dict.fromkeys(COLUMNS) | {"a": self.a.name, "b": self.b.name, "images": images} | columns


def _step(metric: str, radii: Floats) -> float:
    """The most by which one image may move the average or the median of one network of `radii` [S, N]."""
    n: int = radii.shape[1]
    if metric == "acr":
        return float(radii.max()) / n
    ordered, middle = np.sort(radii, axis=1), np.median(radii, axis=1)
    beside = ordered[:, max((n - 1) // 2 - 1, 0)], ordered[:, min(n // 2 + 1, n - 1)]
    return max(float(np.abs(values - middle).max()) for values in beside)


def refuse_other_conditions(pairs: Iterable[tuple[Contestant, Contestant]], hint: str) -> list[str]:
    """The conditions in which contestants of a pair differ, as sentences. Raises the first as a UserError
    with `hint`, unless that is empty; and radii in two norms in any case. Conditions that a log does not
    state are not compared.
    """
    sentences = []
    for a, b in pairs:
        refuse_other_norms((a, b))
        for key in unlike((a, b)):
            sentences.append(f"{a.name} and {b.name}: {key} {a.stated[key]} and {b.stated[key]}")
            if hint:
                raise UserError(f"{sentences[0]}: not under the same conditions; {hint}")
    return sentences


def of_study(
    contestants: Sequence[Contestant], comparisons: Sequence[Row], radii: Sequence[float]
) -> list[Row]:
    """The table of a study: the pairs that `comparisons` names, or all pairs under the same noise and
    certificate with as many votes, and for attacks under the same noise. If these exceed MOST_PAIRS, each is
    paired with the first of its group. Of these, pairs without two common images are left out.
    """
    certified: dict[tuple[str, ...], list[Contestant]] = {}
    attacked: dict[str, list[Contestant]] = {}
    for contestant in contestants:
        if contestant.certified is not None:
            certified.setdefault(contestant.place, []).append(replace(contestant, attacked={}))
        under = attacked.setdefault(str(contestant.conditions["smoothing"]), [])
        if contestant.attacked and contestant.name not in {one.name for one in under}:
            under.append(replace(contestant, certified=None))  # attacks belong to no certificate
    groups = [*certified.values(), *attacked.values()]
    if not comparisons:
        pairs = [*_pairs(list(certified.values())), *_pairs(list(attacked.values()))]
        return compare((a, b, PairSettings(radii, named=False)) for a, b in pairs)
    chosen = []
    for entry in comparisons:
        margins = dict.fromkeys(METRICS, float(entry["margin"])) if entry["margin"] else {}
        at = PairSettings(radii, entry["at"] or None, margins=margins)
        for group in groups:
            named = {contestant.name: contestant for contestant in group}
            if entry["better"] in named and entry["than"] in named:
                pair = (named[entry["better"]], named[entry["than"]])
                chosen += [(*pair, at)] * _selected_alike(*pair)
    return compare(chosen)


def _pairs(groups: list[list[Contestant]]) -> list[tuple[Contestant, Contestant]]:
    pairs = [pair for group in groups for pair in itertools.combinations(group, 2)]
    if len(pairs) > MOST_PAIRS:
        pairs = [(other, group[0]) for group in groups for other in group[1:]]
    return [pair for pair in pairs if _selected_alike(*pair)]


def _selected_alike(a: Contestant, b: Contestant) -> bool:
    """Whether both chose their classes by as many votes, as far as is known; attacks rest on none of them."""
    return a.certified is None or None in (a.n0, b.n0) or a.n0 == b.n0


def turned(row: Mapping[str, Any]) -> Row:
    """The same comparison as B minus A."""
    ends = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
    verdict_of_b = TURNED.get(str(row["verdict"]), str(row["verdict"]))
    return {**row, **ends, "a": row["b"], "b": row["a"], "verdict": verdict_of_b}


def as_json(row: Row) -> Row:
    """A row of `rs compare --json`: without the columns of its conditions, and with NaN as null."""
    kept = {key: value for key, value in row.items() if key not in ("certificate", "attack", *SMOOTHING)}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in kept.items()}


def rows(stored: Stored) -> list[Row]:
    study = stored.plan.study
    radii = [float(radius) for radius in study.report["radii"]]
    return of_study(stored.once(every), study.comparisons, radii)


TABLE = Table("comparisons", COLUMNS, rows)
