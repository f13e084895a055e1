"""`rs import-log`: accuracies of logs, one or a folder of thousands; what cannot be read is named last."""

from __future__ import annotations

import argparse
import gzip
import time
from pathlib import Path

import pandas as pd
import pytest

from rs.cli.logs import export_log
from rs.cli.main import main
from rs.errors import UserError

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime"
ROWS = ["0\t1\t1\t0.75\t1\t1.0", "1\t2\t1\t0.5\t0\t1.0", "2\t3\t-1\t0.0\t0\t1.0", "3\t3\t3\t0.25\t1\t1.0"]
TEXT = "\n".join([HEADER, *ROWS]) + "\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.tsv").write_text(TEXT)


@pytest.fixture
def folder() -> Path:
    """Two good logs, one of them deep and packed, one that holds only a header, and a text beside them."""
    Path("logs/sub").mkdir(parents=True)
    Path("logs/sigma_0.25").write_text(TEXT)
    Path("logs/sub/b.tsv.gz").write_bytes(gzip.compress(TEXT.encode()))
    Path("logs/header_only.tsv").write_text(HEADER + "\n")
    Path("logs/README.md").write_text("Logs of an experiment.\n")
    Path("logs/.hidden.tsv").write_text("idx\n")
    return Path("logs")


def test_intervals_are_printed_and_a_table_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("second.tsv").write_text(TEXT)
    arguments = ["import-log", "log.tsv", "second.tsv", "log.tsv", "--radii", "0", "0.5"]
    assert main([*arguments, "--out", "table.parquet"]) == 0
    out = capsys.readouterr().out
    assert out.count("images, 1 abstained") == 2  # a log that is given twice is one log
    assert "log.tsv: 4 images, 1 abstained" in out
    assert "average certified radius 0.250 [" in out
    assert "certified accuracy at 0.5   0.250 [0.045, 0.700]" in out  # Wilson, outwards
    table = pd.read_parquet("table.parquet")
    assert list(table) == ["log", "image", "label", "prediction", "radius", "seconds"]
    assert len(table) == 8


def test_the_name_of_the_table_says_its_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-log", "log.tsv", "--out", "t.csv"]) == 0
    assert main(["import-log", "log.tsv", "--out", "t.parquet"]) == 0
    pd.testing.assert_frame_equal(
        pd.read_csv("t.csv"), pd.read_parquet("t.parquet"), check_dtype=False, check_exact=True
    )
    capsys.readouterr()
    assert main(["import-log", "log.tsv", "--out", "t.xlsx"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "rs: import-log: --out t.xlsx: must end in .parquet or .csv\n")


def test_a_table_does_not_replace_a_log_that_it_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    log = Path("log.tsv").rename("log.csv").read_text()
    assert main(["import-log", "./log.csv", "--out", "log.csv"]) == 1
    line = (
        "rs: import-log: --out log.csv: is one of the files to read, which it would replace; name another\n"
    )
    assert capsys.readouterr() == ("", line)
    assert Path("log.csv").read_text() == log


def test_a_folder_is_read_and_what_holds_no_image_is_named_last(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import-log", "logs", "--out", "t.parquet"]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("4 images, 1 abstained") == 2
    passed, *faults = printed.err.splitlines()
    assert passed == "logs: passed over, no logs: README.md (1 file)"
    assert faults == [
        "rs: logs/header_only.tsv: no image below the header",
        "rs: import-log: 1 of 3 logs could not be read and is left out",
    ]
    assert set(pd.read_parquet("t.parquet")["log"]) == {"logs/sigma_0.25", "logs/sub/b.tsv.gz"}


def test_a_folder_without_logs_and_one_bad_file_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("none").mkdir()
    Path("none/notes.txt").write_text("nothing here\n")
    assert main(["import-log", "none"]) == 1
    assert capsys.readouterr().err == "rs: none: no certification log in this folder\n"
    assert main(["import-log", "none/notes.txt"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("rs: none/notes.txt:1: lacks the columns idx, label")
    assert printed.err.count("\n") == 1


def test_thousands_of_logs_in_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    Path("many").mkdir()
    for i in range(1600):
        Path(f"many/{i:04}.tsv").write_text(TEXT if i % 400 else "")  # an empty one: its job was killed
    start = time.perf_counter()
    assert main(["import-log", "many", "--radii", "0"]) == 1
    assert time.perf_counter() - start < 60
    printed = capsys.readouterr()
    assert printed.out.count("4 images, 1 abstained") == 1596
    assert printed.err.count("\n") == 5
    assert "4 of 1600 logs could not be read" in printed.err


def test_a_log_is_not_exported_under_the_name_of_a_table() -> None:
    for name in ("log.csv", "log.parquet", "log.tsv.gz"):
        with pytest.raises(UserError, match=r"a log is tab-separated text; name it \.tsv"):
            export_log(argparse.Namespace(out=Path(name)))


@pytest.mark.parametrize("radius", ["-1", "nan", "inf", "1e300"])
def test_radii_are_numbers_of_a_sensible_size(radius: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-log", "none.tsv", "--radii", radius]) == 1
    assert capsys.readouterr().err == "rs: import-log: --radii: must be numbers from 0 to 1000000\n"
