"""How often the verdicts on claims are wrong, by simulation.

python benchmarks/claim_verdicts.py    prints the tables on claims of docs/evidence/decided-wrongly.md, in a
                                       few minutes

The certified accuracy of a method falls on a line from r = 0, so that its average certified radius is known
too; training moves the line up and down, half of it alike for runs of one seed. Networks are observed on the
same images. Rows and verdicts come from rs.tables, as a study's do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from simulated_verdicts import LAWS, MARGIN, SHARED, Floats, Row, interval, share, table

from rs.study.study import Study
from rs.tables.certified import Claim, accuracy_rows
from rs.tables.claims import judged
from rs.tables.contestants import Contestant, Outcomes
from rs.tables.pairs import between

START, SLOPE = 0.8, 0.8  # certified accuracy 0.8 - 0.8 r: an average certified radius of 0.4
RADII = (0.0, 0.25, 0.5, 0.75)
ACR, AT = {"metric": "acr"}, {"metric": "certified_accuracy", "radii": [0.25]}
VERDICTS = ("holds", "fails", "undecided")


@dataclass(frozen=True)
class Line:
    """Certified accuracy start - slope r."""

    start: float = START
    slope: float = SLOPE


@dataclass(frozen=True)
class Setting:
    spread: float = 0.02
    seeds: int = 3
    images: int = 1000
    law: str = "normal"
    alike: bool = True  # whether all runs have the same seeds

    @property
    def words(self) -> str:
        own = "" if self.alike else ", each its own"
        law = "" if self.law == "normal" else f", {self.law}"
        if self.seeds == 1:
            return f"1 network on {self.images} images"
        return f"{self.seeds} seeds{own}, spread {self.spread:g}{law}"


@dataclass(frozen=True)
class Statement:
    """A claim about methods of which the lines are known, and which verdicts on it are wrong."""

    words: str
    lines: Sequence[Line]
    conditions: Sequence[Row]
    wrong: Sequence[str] = ()
    join: str = "all"
    settings: Sequence[Setting] = (Setting(0.005), Setting())


def above(by: float) -> Line:
    """A line whose certified accuracy is higher by this much at every radius."""
    return Line(START + by)


def farther(by: float) -> Line:
    """A line whose average certified radius is higher by this share."""
    return Line(START * float(np.sqrt(1 + by)))


def study_of(statement: Statement, seeds: int) -> Study:
    claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so", "join": statement.join}
    text = {
        "name": "simulated",
        "data": {"name": "cifar10"},
        "test": {"max": 1000},
        "seeds": list(range(seeds)),
    }
    text |= {"model": {"name": "resnet20"}, "noise": {"name": "gaussian", "sigma": 0.5}}
    text |= {"training": {"epochs": 1, "batch_size": 128, "optimizer": {"learning_rate": 0.05}}}
    text |= {
        "sampling": {"n0": 100, "n": 1000, "block": 100},
        "certificates": [{"name": "cohen", "alpha": 0.001}],
    }
    text |= {"runs": {f"run{i}": {"objective": {"name": "gaussian"}} for i in range(len(statement.lines))}}
    text |= {"report": {"radii": list(RADII)}, "claims": [claim | {"conditions": list(statement.conditions)}]}
    return Study([], text)


def radii_of(lines: Sequence[Line], setting: Setting, generator: np.random.Generator) -> Floats:
    """Certified radii [runs, S, N] of freshly trained networks on fresh images, -1 where they are wrong."""
    shape = (len(lines), setting.seeds)
    common, own = (LAWS[setting.law](generator, each) for each in ((1, setting.seeds), shape))
    luck = np.sqrt(0.5) * (common + own) if setting.alike and setting.law == "normal" else own
    start = np.array([line.start for line in lines])[:, None] + setting.spread * luck
    latent = np.sqrt(SHARED) * generator.normal(size=setting.images)
    latent = latent + np.sqrt(1 - SHARED) * generator.normal(size=(*shape, setting.images))
    slope = np.array([line.slope for line in lines])[:, None, None]
    radius = (start[..., None] - special.ndtr(latent)) / slope
    return np.where(radius < 0, -1.0, radius)


def tables_of(study: Study, radii: Floats, alike: bool = True) -> dict[str, Sequence[Row]]:
    """The tables that claims read, from the certified radii [runs, S, N]."""
    smoothing = {"smoothing": "gaussian", "smoothing_level": 0.5}
    claims, contestants = [], []
    for i, networks in enumerate(radii):
        head = {"label": f"run{i}", **smoothing, "certificate": "cohen", "images": networks.shape[1]}
        head |= {"largest_radius": float(radii.max())}
        claims += [
            Claim(head | {"run": f"run{i}-{k}"}, pd.DataFrame(), radius, 1.0, None)
            for k, radius in enumerate(networks)
        ]
        images = np.arange(networks.shape[1])
        seeds = tuple(range(len(networks)) if alike else range(100 * i, 100 * i + len(networks)))
        conditions = {"smoothing": "gaussian", "certificate": "cohen"}
        outcomes = Outcomes(images, np.zeros(len(images), np.int64), networks)
        contestants.append(Contestant(f"run{i}", seeds, outcomes, conditions, smoothing, noise="the same"))
    return {
        "certified_accuracy": [row for claim in claims for row in accuracy_rows(claim, RADII)],
        "average_certified_radius": [claim.columns | claim.average() for claim in claims],
        "comparisons": between(study, contestants),
    }


def verdicts(statement: Statement, setting: Setting, repeats: int, seed: int) -> dict[str, tuple[int, int]]:
    """For each verdict how many experiments give it, and of how many."""
    study, generator = study_of(statement, setting.seeds), np.random.default_rng(seed)
    each = []
    for _ in range(repeats):
        tables = tables_of(study, radii_of(statement.lines, setting, generator), setting.alike)
        each.append(judged(study, tables)[0]["verdict"])
    assert set(each) <= set(VERDICTS), set(each)
    return {verdict: (each.count(verdict), repeats) for verdict in VERDICTS}


# --- claims ---


def better(of: Row = ACR, **more: Any) -> Row:
    return {"better": "run0", "than": "run1", **of, **more}


def trend(runs: int) -> list[Row]:
    return [{"trend": [f"run{i}" for i in range(runs)], "goes": "rising", **ACR}]


def rising(runs: int, step: float) -> list[Line]:
    return [farther(i * step) for i in range(runs)]


CURVES = {"metric": "certified_accuracy", "radii": [0.0, 0.25, 0.5]}
CROSSES = [{"crosses": ["run0", "run1"], "small": 0.25, "large": 0.75, "metric": "certified_accuracy"}]
FOUR = [better(AT | {"radii": [r]}) for r in (0.0, 0.25, 0.5)] + [better()]
EQUIVALENT = {"equivalent": "run0", "than": "run1", **ACR}
DIFFERENCE = {"difference": ["run0", "run1"], "at_least": 0.02, **AT}
RATIO = {"ratio": ["run0", "run1"], "at_least": 1.05, **ACR}
VALUE = {"value": "run0", "at_least": 0.6, **AT}
ALIKE = (Line(), Line())
BOTH = ("holds", "fails")  # a hair's breadth to either side of the boundary
MARGIN_ACR = 0.05


def crossing(small: float, large: float) -> tuple[Line, Line]:
    """The first line is higher by `small` at 0.25 and lower by `large` at 0.75."""
    slope = 2 * (small + large)
    return Line(START + small + 0.25 * slope, SLOPE + slope), Line()


UNLIKE = (Setting(alike=False), Setting(law="1 of 10 collapses"), Setting(law="1 of 10 collapses", seeds=5))
ONE = (Setting(0.0, 1), Setting(0.0, 1, 200))

AT_THE_BOUNDARY = (
    Statement("ACR better; they are equal", ALIKE, [better()], ["holds"]),
    Statement("ACR better; it is, by the margin", (farther(MARGIN_ACR), Line()), [better()], ["fails"]),
    Statement("accuracy better; equal", ALIKE, [better(AT)], ["holds"]),
    Statement("accuracy better; by the margin", (above(MARGIN), Line()), [better(AT)], ["fails"]),
    Statement(
        "accuracy better at 3 radii; by the margin", (above(MARGIN), Line()), [better(CURVES)], ["fails"]
    ),
    Statement("ACR equivalent; equal", ALIKE, [EQUIVALENT], ["fails"]),
    Statement("ACR equivalent; a margin apart", (farther(MARGIN_ACR), Line()), [EQUIVALENT], ["holds"]),
    Statement("accuracies differ by 0.02 at least; by 0.02", (above(0.02), Line()), [DIFFERENCE], BOTH),
    Statement("accuracy at least 0.6; it is 0.6", [Line()], [VALUE], BOTH),
    Statement("ratio of ACRs at least 1.05; it is 1.05", (farther(0.05), Line()), [RATIO], BOTH),
    *(Statement(f"ACR rising over {n} runs; all equal", rising(n, 0), trend(n), BOTH) for n in (3, 6)),
    Statement("ACR rising over 3 runs; by 0.5 % a step", rising(3, 0.005), trend(3), ["fails"]),
    Statement("ACR rising over 6 runs; by 0.5 % a step", rising(6, 0.005), trend(6), ["fails"]),
    Statement("curves cross; equal at the larger radius", crossing(0.06, 0.0), CROSSES, ["holds"]),
    Statement("curves cross; by the margin at both", crossing(MARGIN, MARGIN), CROSSES, ["fails"]),
    Statement("any of 4; none is better", ALIKE, FOUR, ["holds"], "any"),
    Statement("all of 4; each by the margin", (above(MARGIN), Line()), FOUR, ["fails"]),
    Statement(
        "all of 2; one is clear, the other equal",
        (above(0.08), above(0.08), Line()),
        [better(AT), {"better": "run1", "than": "run2", **AT}],
        ["holds"],
    ),
)
OTHERS = (
    Statement("ACR better; they are equal", ALIKE, [better()], ["holds"], settings=UNLIKE),
    Statement(
        "ACR better; by the margin", (farther(MARGIN_ACR), Line()), [better()], ["fails"], settings=UNLIKE
    ),
    Statement("networks: ACR better; equal", ALIKE, [better(about="networks")], ["holds"], settings=ONE),
    Statement(
        "networks: accuracy better; equal", ALIKE, [better(AT, about="networks")], ["holds"], settings=ONE
    ),
    Statement(
        "networks: accuracy better; by the margin",
        (above(MARGIN), Line()),
        [better(AT, about="networks")],
        ["fails"],
        settings=ONE,
    ),
    *(
        Statement(
            f"ACR rising over 3 runs; +10 %, then {words}",
            [Line(), farther(0.1), farther(0.1 - back)],
            trend(3),
            ["holds"],
        )
        for back, words in ((0.025, "−2.5 %"), (0.05, "−5 %"))
    ),
)
CLEAR = (
    Statement("ACR better; worse by the margin", (farther(-MARGIN_ACR), Line()), [better()]),
    *(
        Statement(f"ACR better; by {k:g} margins", (farther(k * MARGIN_ACR), Line()), [better()])
        for k in (2, 4)
    ),
    Statement("accuracy better at 3 radii; worse by the margin", (above(-MARGIN), Line()), [better(CURVES)]),
    *(
        Statement(
            f"accuracy better at 3 radii; by {k:g} margins", (above(k * MARGIN), Line()), [better(CURVES)]
        )
        for k in (2, 4)
    ),
    *(Statement(f"ACR rising over {n} runs; by 5 % a step", rising(n, 0.05), trend(n)) for n in (3, 6)),
    *(
        Statement(f"ACR rising over {n} runs; falls by 5 % a step", rising(n, -0.05), trend(n))
        for n in (3, 6)
    ),
    Statement("ratio of ACRs at least 1.05; it is 1.2", (farther(0.2), Line()), [RATIO]),
    Statement("curves cross; by 3 margins at both", crossing(0.06, 0.06), CROSSES),
    Statement("curves cross; never, 3 margins apart", (above(0.06), Line()), CROSSES),
    Statement("any of 4; by 2 margins", (above(0.04), Line()), FOUR, join="any"),
    Statement("all of 4; by 2 margins", (above(0.04), Line()), FOUR),
)


def boundary(statements: Sequence[Statement], repeats: int) -> str:
    rows = []
    for i, (one, setting) in enumerate((a, s) for a in statements for s in a.settings):
        found = verdicts(one, setting, repeats, i)
        wrong = [interval(found[verdict]) if verdict in one.wrong else "" for verdict in VERDICTS[:2]]
        rows.append([one.words, setting.words, *wrong, share(found["undecided"])])
    return table(["claim; truth", "training", "`holds`, wrongly", "`fails`, wrongly", "undecided"], rows)


def power(statements: Sequence[Statement], repeats: int) -> str:
    rows, settings = [], (Setting(0.005), Setting())
    for i, one in enumerate(statements):
        each = [verdicts(one, setting, repeats, 1000 + 10 * i + j) for j, setting in enumerate(settings)]
        rows.append([one.words, *(f"{share(v['holds'])} / {share(v['fails'])}" for v in each)])
    return table(["claim; truth", *(setting.words for setting in settings)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=300)
    repeats = parser.parse_args().repeats
    print(boundary(AT_THE_BOUNDARY, repeats), flush=True)
    print(boundary(OTHERS, repeats), flush=True)
    print(power(CLEAR, max(repeats // 3, 1)))


if __name__ == "__main__":
    main()
