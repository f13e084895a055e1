"""Verdicts on printed numbers and claims from other people's certification logs, which cannot be kept
themselves.

`evidence/logs.yaml` lists studies in which logs replace runs. `rs verdicts --from-logs` derives their
verdicts where the logs lie in the folder of the data sets, and keeps only these verdicts, with each log's
name and digest. They are shown apart from verdicts by the project's own observations, since the logs'
networks are unknown here.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rs.cli.rederive import read_list
from rs.cli.text_table import markdown
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.digests import file_digest
from rs.provenance.files import read_json, write_json
from rs.report.claims import rests_on
from rs.report.html_table import down
from rs.report.numerals import printed
from rs.report.verdict_words import counted, verdict_words
from rs.study.study import Study
from rs.tables.aggregate import rows_of
from rs.tables.claims import COLUMNS
from rs.tables.table import Row

LIST = Path("evidence/logs.yaml")
SAYS_NOTHING = ("not run", "zero by construction")  # verdicts that do not depend on the log


@dataclass(frozen=True)
class FromLogs:
    """The results of studies with logs: numbers, and the conditions of claims."""

    numbers: list[Row]
    claims: list[Row]


def keep() -> None:
    """Derives and writes every verdict of the list from its logs. Raises UserError for a missing log."""
    if not (listed := _listed()):  # a list that is there and empty is refused as it is read
        raise UserError(f"{LIST}: --from-logs: no such file; it lists the studies with logs")
    for path, files in listed.items():
        plan = Plan(Study(files))
        rows = rows_of(plan)
        logs = {log.label: {"file": log.path.name, "sha256": file_digest(log.path)} for log in plan.logs}
        numbers = [row for row in rows["published"] if row["status"] not in SAYS_NOTHING]
        read = {row["id"] for row in rows["claims"] if row["value"] is not None}  # theory decides the others
        claims = [row for row in rows["claims"] if row["id"] in read and row["verdict"] not in SAYS_NOTHING]
        for row in numbers:
            row |= logs[row["label"]]
        verdicts = {"numbers": [_plain(row) for row in numbers], "claims": [_plain(row) for row in claims]}
        write_json(path, {**verdicts, "files": [str(file) for file in files], "logs": logs})


def kept(papers: Collection[str]) -> FromLogs:
    """The kept verdicts of the listed studies on these papers. Raises UserError for an invalid file."""
    numbers, claims = [], []
    for path in _listed():
        stored = read_json(path) if path.is_file() else None
        if not isinstance(stored, dict) or not {"numbers", "claims"} <= {*stored}:
            raise UserError(f"{path}: numbers and claims are expected; rs verdicts --from-logs writes them")
        numbers += [row for row in stored["numbers"] if row["paper"] in papers]
        claims += [row for row in stored["claims"] if row["paper"] in papers]
    return FromLogs(numbers, claims)


def summary(others: FromLogs) -> str:
    """A sentence or two; empty where no log has a verdict."""
    if not others.numbers:
        return ""
    claims = {row["address"]: row["verdict"] for row in others.claims}
    sentence = counted((row["status"] for row in others.numbers), "numbers")
    sentence += f" {counted(claims.values(), 'claims')}" if claims else ""
    return (
        "Compared apart, with published certification logs of other people's networks, whose training the "
        f"logs do not state: {sentence[0].lower()}{sentence[1:]}"
    )


def page(others: FromLogs, whole: bool) -> str:
    """The summary as Markdown; if `whole`, with each number and each condition of a claim."""
    parts = [summary(others)]
    if whole and others.numbers:
        shown = []
        for row in others.numbers:
            cells = [f"`{row['address']}`", row["printed"], down(row["reproduced"])]
            shown.append([*cells, printed(verdict_words(row)), row["file"]])
        parts.append(markdown(["number", "printed", "the log", "verdict", "log"], shown))
        shown = []
        for address in dict.fromkeys(row["address"] for row in others.claims):
            rows = [dict.fromkeys(COLUMNS) | row for row in others.claims if row["address"] == address]
            verdict = str(rows[0]["verdict"])
            shown.append([rows[0]["claim"], verdict, printed(rests_on(rows, verdict))])
        parts += [markdown(["claim", "verdict", "rests on"], shown)] if shown else []
    return "".join(f"\n{part}\n" for part in parts if part)


def _listed() -> dict[Path, list[Path]]:
    return read_list(LIST, "verdicts", "JSON FILE") if LIST.is_file() else {}


def _plain(row: Row) -> Row:
    """The row without nan and None: JSON has no nan."""
    finite = {k: v for k, v in row.items() if not (isinstance(v, float) and math.isnan(v))}
    return {k: v for k, v in finite.items() if v is not None}
