"""Acceptances of several processes at the same time."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from rs.provenance import accepted_code

PROCESSES, EACH = 4, 15


def accept(folder: Path, process: int) -> None:
    for i in range(EACH):
        accepted_code.add(folder, [{"from": f"{process}-{i}", "to": "now"}])


def test_none_is_lost_where_several_accept_at_the_same_time(tmp_path: Path) -> None:
    fresh = multiprocessing.get_context("spawn")
    processes = [fresh.Process(target=accept, args=(tmp_path, i)) for i in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    entries = [entry["from"] for entry in accepted_code.read(tmp_path)]
    assert sorted(entries) == sorted(f"{i}-{j}" for i in range(PROCESSES) for j in range(EACH))
    assert [path.name for path in tmp_path.iterdir()] == [accepted_code.NAME]
