"""Certification logs: what is written comes back, and what cannot be meant is named by file and line."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from rs.errors import UserError
from rs.study import certification_log as logs
from rs.study.certification_log import COLUMNS, Log, read_log, write_log

HEADER = "\t".join(COLUMNS)


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_both_forms_of_time_and_the_conventions_of_published_logs(tmp_path: Path) -> None:
    log = read_log(
        write(
            tmp_path / "log.tsv",
            "0\t3\t-1\t0.0\t0\t0:00:13.736080",
            "20\t7\t7\t0.0734\t1\t15.4",
            "40\t4\t5\t1.96\t0\t1 day, 2:02:32",
        )
    )
    assert log.idx.tolist() == [0, 20, 40]
    assert log.predict.tolist() == [-1, 7, 5]
    assert log.correct.tolist() == [False, True, False]
    assert log.radius.tolist() == [0.0, 0.0734, 1.96]  # a wrong prediction keeps its radius
    assert log.certified_radius().tolist() == [-1, 0.0734, -1]  # and is certified nowhere
    np.testing.assert_allclose(log.seconds, [13.73608, 15.4, 26 * 3600 + 152])


def test_columns_in_any_order_with_others_beside_and_blank_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.tsv",
        "x\t0.5\t2\t2\t0\t1\t3.5",
        "",
        header="note\tradius\tpredict\tlabel\tidx\tcorrect\ttime",
    )
    assert read_log(path).radius.tolist() == [0.5]


ROWS = ("0\t3\t3\t0.512\t1\t0:00:11.5", "20\t7\t-1\t0.0\t0\t0:00:11.1")


def test_what_spreadsheets_other_systems_and_archives_do_to_a_log(tmp_path: Path) -> None:
    """A byte-order mark, Windows line ends, a column more, no line end at the end, gzip by any name."""
    plain = "\n".join([HEADER, *ROWS])
    forms = {
        "bom": b"\xef\xbb\xbf" + plain.encode(),
        "crlf": plain.replace("\n", "\r\n").encode(),
        "pA": "\n".join([HEADER + "\tpA", *(row + "\t0.9" for row in ROWS)]).encode(),
        "gz": gzip.compress(plain.encode()),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        log = read_log(tmp_path / name)
        assert (log.idx.tolist(), log.radius.tolist()) == ([0, 20], [0.512, 0.0]), name


def test_damaged_and_endless_gzip_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gzip.compress("\n".join([HEADER, *ROWS]).encode())
    for content in (whole[:40], whole[:12] + b"\xff\xff" + whole[14:], whole[:-6] + b"\0" * 6):
        (tmp_path / "log.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"log\.gz: not a complete gzip file"):
            read_log(tmp_path / "log.gz")
    monkeypatch.setattr(logs, "LARGEST", 2**20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"0\t" * 2**20))
    with pytest.raises(UserError, match=r"bomb\.gz: more than 1 MiB of text"):
        read_log(tmp_path / "bomb.gz")


def test_a_header_in_the_middle_and_a_line_cut_off_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"log\.tsv:4: idx 'idx': must be an integer"):
        read_log(write(tmp_path / "log.tsv", *ROWS, HEADER, "40\t1\t1\t0.3\t1\t0:00:01"))
    with pytest.raises(UserError, match=r"log\.tsv:4: 5 fields instead of 6; is the line cut off"):
        read_log(write(tmp_path / "log.tsv", *ROWS, "40\t1\t1\t0.3\t1"))


def test_what_is_written_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label, predict = rng.integers(0, 3, 50), rng.integers(-1, 3, 50)
    radius = np.where(predict < 0, 0.0, rng.random(50) * 10.0 ** rng.integers(-8, 2, 50))
    seconds = np.round(rng.random(50) * 1e6, 6)
    log = Log(np.arange(50) * 7, label, predict, radius, predict == label, seconds)
    write_log(tmp_path / "out" / "log.tsv", log)
    back = read_log(tmp_path / "out" / "log.tsv")
    np.testing.assert_allclose(back.seconds, log.seconds, atol=1e-6)
    for name in ("idx", "label", "predict", "radius", "correct"):
        assert np.array_equal(getattr(back, name), getattr(log, name)), name


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("20\t7\t7\t0.1", "log.tsv:3: 4 fields instead of 6"),
        ("20\t7\t7\tbig\t1\t1", "log.tsv:3: radius 'big': must be a number from 0 to 1000000"),
        ("20\t7\t7\t1_0.5\t1\t1", "radius '1_0.5'"),
        ("2_0\t7\t7\t0.5\t1\t1", "idx '2_0'"),
        ("20\t7\t7\tnan\t1\t1", "radius 'nan'"),
        ("20\t7\t7\t-0.1\t1\t1", "radius '-0.1'"),
        ("20\t7\t7\tinf\t1\t1", "radius 'inf'"),
        ("20\t7\t7\t1e308\t1\t1", "radius '1e308'"),  # whose square is no number
        (f"20\t7\t7\t0.1\t1\t{400 * '9'} days, 0:00:00", "days, 0:00:00': must be H:MM:SS"),
        ("2.5\t7\t7\t0.1\t1\t1", "idx '2.5': must be an integer"),
        ("20\t-1\t-1\t0\t1\t1", "label '-1'"),
        ("20\t7\t-2\t0.1\t0\t1", "predict '-2'"),
        ("20\t7\t7\t0.1\tyes\t1", "correct 'yes': must be 0 or 1"),
        ("20\t7\t7\t0.1\t1\t0:99:00", "time '0:99:00': must be H:MM:SS"),
        ("20\t7\t7\t0.1\t0\t1", "correct is 0, but predict 7 and label 7 say otherwise"),
        ("20\t7\t6\t0.1\t1\t1", "correct is 1, but predict 6 and label 7 say otherwise"),
        ("20\t7\t-1\t0.1\t0\t1", "abstains"),
        ("0\t7\t7\t0.1\t1\t1", "idx 0 again, first on line 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        read_log(write(tmp_path / "log.tsv", "0\t1\t1\t0.5\t1\t1.0", line))
    assert says in str(error.value)
    assert "log.tsv:3" in str(error.value)


def test_missing_columns_empty_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"log\.tsv:1: lacks the column radius"):
        read_log(write(tmp_path / "log.tsv", header="idx\tlabel\tpredict\tcorrect\ttime"))
    with pytest.raises(UserError, match="no image below the header"):
        read_log(write(tmp_path / "log.tsv"))
    (tmp_path / "log.tsv").write_text("")
    with pytest.raises(UserError, match="lacks the columns idx, label"):
        read_log(tmp_path / "log.tsv")
    with pytest.raises(UserError, match="cannot be read"):
        read_log(tmp_path / "none.tsv")
    (tmp_path / "log.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_log(tmp_path / "log.tsv")
