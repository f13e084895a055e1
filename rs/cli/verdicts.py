"""`rs verdicts`: the verdicts on every printed number and claim of the papers, over all studies.

Studies with tables in results/ count with these, those of evidence/tables.yaml with tables derived from their
kept observations (nothing is drawn), and shipped studies in config/ with neither as not run; the demo counts
nowhere. Neither do tables that are not of their study as its files are now, nor invalid studies: a line tells
of each. A printed number or a claim of several studies counts once, by the study that measured it best
(`_strength`, `_joint`), whatever its verdict there; a claim is undecided where studies contradict each other.
`rs why ADDRESS` shows where one comes from. Verdicts by other people's logs of their own networks are shown
apart (rs.cli.from_logs), as is what a paper's own numbers say of its claims (rs.tables.own_numbers).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rs.cli import from_logs
from rs.cli.rederive import certified, read_list
from rs.cli.tabled_studies import current, is_demo, readable, shipped
from rs.cli.text_table import between_marks
from rs.cli.verdicts_text import page, text, totals
from rs.errors import UserError
from rs.plan import rules
from rs.plan.jobs import RESULTS
from rs.plan.plan import Plan
from rs.provenance.files import read_table, write_text
from rs.report.numerals import naturally
from rs.statistics.agreement import FEWEST_SEEDS
from rs.study.rerun import stated
from rs.study.study import Study
from rs.study.yaml_file import read_yaml
from rs.tables import reading
from rs.tables.aggregate import rows_of
from rs.tables.claims import judged
from rs.tables.own_numbers import by_own_numbers
from rs.tables.published import beside
from rs.tables.table import Row

KEPT = Path("evidence/tables.yaml")
OBSERVATIONS = Path("evidence/runs")
HEAD = ("address", "id", "paper", "place", "claim", "verdict", "settings")  # shared by a claim's rows
AT_PAPERS_SETTINGS = ("agrees", "consistent", "differs", "undecided", "bounded")
WITHOUT_VERDICT = ("not run", "other settings", "zero by construction")  # the strongest last
CLAIMS_SAYING_MOST = ("fails", "holds", "undecided", *reversed(WITHOUT_VERDICT))


@dataclass(frozen=True)
class StudyResults:
    """The results of one study: its files, their source, its numbers and the conditions of its claims."""

    files: list[Path]
    source: str  # results, evidence or none
    numbers: list[Row]
    claims: list[Row]
    overrides: Row = field(default_factory=dict)  # from the command line
    study: Study | None = None  # where it was read for the results

    @property
    def data(self) -> str:
        """The data set: papers print the same row of the same method for several."""
        found = [read_yaml(file).get("data") for file in self.files if file.is_file()]
        found.append(self.overrides.get("data"))
        names = [data["name"] for data in found if isinstance(data, dict) and "name" in data]
        return str(names[-1]) if names else ""

    def own_numbers(self) -> dict[str, Row]:
        """Verdict and conditions by printed numbers, by paper and claim; none where a file is gone."""
        files, study = stated(self.files), self.study
        if study is None:
            if not all(file.is_file() for file in files):
                return {}
            study = Study(files, self.overrides)
        papers = {claim["id"]: claim["paper"] for claim in study.claims}
        return {
            f"{papers[claim]}/{claim}": {"verdict": verdict, "conditions": rows}
            for claim, (verdict, rows) in by_own_numbers(study).items()
        }


def run(args: argparse.Namespace) -> None:
    rules.require("verdicts")
    for path in args.write:  # before the minutes of work
        between_marks(path, "verdicts", "")
    if args.from_logs:
        from_logs.keep()
    results = list(everything(args.kept, args.paper))
    numbers, claims = numbers_of(results), claims_of(results)
    papers = sorted({row["paper"] for row in (*numbers, *claims)})
    if args.paper:
        if args.paper not in papers:
            there = ", ".join(sorted({*papers, *_named(readable(shipped()))})) or "none in this folder"
            raise UserError(f"--paper {args.paper}: no number or claim of it; there are: {there}")
        papers = [args.paper]
    numbers, claims = ([r for r in rows if r["paper"] in papers] for rows in (numbers, claims))
    others = from_logs.kept(papers)
    for path in args.write:
        whole = len(args.write) == 1 or path != args.write[-1]
        write_text(
            path,
            between_marks(path, "verdicts", page(numbers, claims, whole) + from_logs.page(others, whole)),
        )
    if args.write:
        return
    if args.json:
        document = {"totals": totals(numbers, claims), "numbers": numbers, "claims": claims}
        document["from_logs"] = {"numbers": others.numbers, "claims": others.claims}
        print(json.dumps(document, indent=1, default=str))
        return
    print(text(numbers, claims), from_logs.summary(others), sep="\n")


def everything(kept_only: bool = False, paper: str | None = None) -> Iterator[StudyResults]:
    """The results of every study in this folder; a study without published numbers or claims (of `paper`, if
    it is given) is left out.
    """

    def is_concerned(study: Study) -> bool:
        named = _named([study])
        return bool(named) if paper is None else paper in named

    others = [*readable(shipped())]
    seen: set[str] = set()
    for table in [] if kept_only else naturally(RESULTS.glob("*/tables/published.parquet")):
        numbers, provenance = read_table(table)
        if not {"address", "status"} <= {*numbers.column_names} or not provenance.get("files"):
            problem = "made by another version, and not counted; run the study again"
            print(f"rs: {table}: {problem}", file=sys.stderr)
            continue
        files = [Path(file) for file in provenance["files"]]
        if any(map(is_demo, files)) or current(table) is None:
            continue
        claims = table.with_name("claims.parquet")
        seen.add(table.parents[1].name)
        judged_claims = _plain(claims) if claims.is_file() else []
        overrides = provenance.get("overrides") or {}
        yield StudyResults(files, "results", _plain(table), judged_claims, overrides)
    for files in kept():
        plan = Plan(Study(files))
        if plan.study.name not in seen and is_concerned(plan.study):
            seen.add(plan.study.name)
            with certified(plan, OBSERVATIONS, plan.runs):
                rows = rows_of(plan)
            yield StudyResults(files, "evidence", rows["published"], rows["claims"], study=plan.study)
    for study in others:
        if study.name not in seen and is_concerned(study):
            yield StudyResults(study.files, "none", beside(study, {}), judged(study, {}), study=study)


def kept() -> Iterable[list[Path]]:
    """The files of each study with kept observations."""
    return read_list(KEPT).values() if KEPT.is_file() else ()


def _named(studies: Iterable[Study]) -> set[str]:
    """The papers that the studies have numbers or claims of."""
    return {str(entry["paper"]) for study in studies for entry in (*study.published, *study.claims)}


def _plain(table: Path) -> list[Row]:
    frame = read_table(table)[0].to_pandas().astype(object)
    return list(reading.rows_of(frame.where(frame.notna(), None)))


def numbers_of(results: Iterable[StudyResults]) -> list[Row]:
    """Every printed number once, from the study that measured it best."""
    return list(by_key(results).values())


def by_key(results: Iterable[StudyResults]) -> dict[str, Row]:
    """The same by `key_of`."""
    best: dict[str, Row] = {}
    for study in results:
        data = study.data
        for row in study.numbers:
            mine = {**row, "source": study.source, "files": [str(file) for file in study.files]}
            key = key_of(data, row["address"])
            if key not in best or _strength(mine) > _strength(best[key]):
                best[key] = mine
    return best


def _strength(row: Row) -> tuple[float, ...]:
    """How well a study measured a number, by its design alone: the choice among studies by their verdicts
    would err more often than any of them.
    """
    if row["status"] not in AT_PAPERS_SETTINGS:
        return (WITHOUT_VERDICT.index(row["status"]),)
    seeds, images = row["seeds"] or 0, row["images"] or 0
    design = (seeds >= FEWEST_SEEDS, not row["lower_bound"], bool(row["shared_images"]), seeds, images)
    return (len(WITHOUT_VERDICT), *map(float, design))


def key_of(data: str, address: str) -> str:
    """What one printed number has in common in all studies: the data set, and its address in the study."""
    return f"{data}/{address.partition('/')[2]}"


def claims_of(results: Iterable[StudyResults]) -> list[Row]:
    """Every claim once, with its conditions and their evidence, and what its paper's own numbers say."""
    found: dict[str, list[Row]] = {}
    printed: dict[str, Row] = {}
    for study in results:
        printed |= study.own_numbers()
        for address in dict.fromkeys(row["address"] for row in study.claims):
            rows = [row for row in study.claims if row["address"] == address]
            head = {key: rows[0][key] for key in HEAD}
            own = [{k: v for k, v in row.items() if k not in head} for row in rows]
            head |= {"source": study.source, "files": [str(file) for file in study.files], "conditions": own}
            found.setdefault(f"{head['paper']}/{head['id']}", []).append(head)
    return [_joint(rows) | {"own_numbers": printed.get(key)} for key, rows in found.items()]


def _joint(found: list[Row]) -> Row:
    """What several studies say of a claim: the verdict of the one that measured most of its conditions, with
    most seeds, or that they contradict each other.
    """

    def design(row: Row) -> tuple[int, ...]:
        """By design first: to choose among studies by verdict would err more often than any of them."""
        verdict, conditions = row["verdict"], row["conditions"]
        strength = len(WITHOUT_VERDICT)
        if verdict in WITHOUT_VERDICT:
            strength = WITHOUT_VERDICT.index(verdict)
        measured = sum(condition["value"] is not None for condition in conditions)
        rests_on = sum(len((condition["evidence"] or "").split(", ")) for condition in conditions)
        return strength, measured, rests_on, -CLAIMS_SAYING_MOST.index(verdict)

    first = max(found, key=design)
    decided = {row["address"].partition("/")[0]: row["verdict"] for row in found}
    if not {"holds", "fails"} <= {*decided.values()}:
        return first
    verdicts = [
        f"{verdict} in {study}" for study, verdict in decided.items() if verdict in ("holds", "fails")
    ]
    return first | {
        "verdict": "undecided",
        "settings": f"studies contradict each other: {', '.join(verdicts)}",
    }
