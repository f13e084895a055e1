"""What the measurement of a GPU says of processes that end, and of files that it cannot take."""

from __future__ import annotations

import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
from benchmark_modules import load_benchmark


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return load_benchmark("gpu")


def test_a_process_that_ended_is_told_with_its_exit_code(gpu):
    process = SimpleNamespace(join=lambda: None, exitcode=-9)
    here, there = Pipe()
    assert gpu.answer(process, here, 0.0, "late") == "late"
    there.close()
    why = {"why": "its process ended with exit code -9"}
    assert gpu.answer(process, here, 60.0, "late") == why["why"]
    assert gpu.result(process, here, 0, 400, time.monotonic() + 60) == why


@pytest.mark.parametrize(
    ("option", "content", "says"),
    [
        ("--tables", None, "--tables: rows.jsonl: no rows of a measurement: FileNotFoundError"),
        ("--tables", "5", "--tables: rows.jsonl: no rows of a measurement: TypeError"),
        ("--rows", "{}", "--rows: rows.jsonl: is there already; name another file"),
    ],
)
def test_files_that_are_refused(gpu, option, content, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("rows.jsonl").write_text(content)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", option, "rows.jsonl"])
    with pytest.raises(SystemExit) as caught:
        gpu.main()
    assert caught.value.code == 2
    assert says in capsys.readouterr().err
