"""What a study's own runs can decide: the printed numbers and claims that they observe with the paper's
settings. No torch.

A study may also state numbers of runs that it leaves out (`active`), and a short version those of other
settings than its own: running it decides none of these. Whether there are seeds enough is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rs.study.claims import sides_of
from rs.study.paper_settings import Instrument, differences, stated
from rs.study.published import address_of
from rs.study.study import Study
from rs.tables.claims import other_settings
from rs.tables.printed import Number, numbers_of
from rs.tables.table import Row

MOST = 3  # differing settings that are told


def numbers(study: Study) -> Iterator[str]:
    """Addresses of the printed numbers that the study decides."""
    return (address for address, obstacle in _numbers(study) if not obstacle)


def claims(study: Study) -> Iterator[str]:
    """The claims that its runs decide, as `paper/id`."""
    return (f"{claim['paper']}/{claim['id']}" for claim, obstacle in _claims(study) if not obstacle)


def obstacle(study: Study, address: str) -> str:
    """Why running the study does not decide the number or claim at `address`; empty if it does."""
    obstacles = {f"{study.name}/claims/{claim['id']}": why for claim, why in _claims(study)}
    differing = {**obstacles, **dict(_numbers(study))}.get(address, "").split("; ")
    more = len(differing) - MOST
    return "; ".join([*differing[:MOST], f"and {more} more"] if more > 1 else differing)


def _numbers(study: Study) -> Iterator[tuple[str, str]]:
    known: dict[tuple[int, Instrument], str] = {}
    for number in numbers_of(study):
        key = number.index, number.instrument
        if key not in known:
            known[key] = _obstacle(study, number)
        why = "a training time on another machine has no verdict"
        address = address_of(study.name, number.entry, number.metric, number.radius)
        yield address, why if number.metric == "train_hours" else known[key]


def _obstacle(study: Study, number: Number) -> str:
    """A best of several runs needs all of them."""
    settings = stated(study, number.entry["paper"], number.entry["settings"])
    other = (differences(study, label, settings, number.instrument) for label in number.labels)
    return _left_out(study, number.labels) or "; ".join(dict.fromkeys(one for each in other for one in each))


def _claims(study: Study) -> Iterator[tuple[Row, str]]:
    for claim in study.claims:
        read = dict.fromkeys(side["run"] for c in claim["conditions"] for side in sides_of(c))
        if read:
            yield claim, _left_out(study, read) or "; ".join(other_settings(study, claim))


def _left_out(study: Study, labels: Iterable[str]) -> str:
    active = {run.label for run in study.runs}
    out = [label for label in labels if label not in active]
    return f"it leaves out (active): {', '.join(out)}" if out else ""
