"""Where files go: blocked places, modes, half files of killed verbs, names made of labels."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name
from tiny_study import write_study

from rs.cli.certify_checkpoint import name_of
from rs.cli.main import main
from rs.errors import UserError
from rs.machine.worker import become_worker, log_to
from rs.plan.jobs import slug
from rs.provenance.digests import file_digest
from rs.provenance.files import whole_file, write_json, write_text
from rs.report.tracking.numbers import metric_key

FULL = Path("/dev/full")


@pytest.fixture
def masked() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda mask: os.umask(mask) and None
    os.umask(before)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o027, 0o640)])
def test_modes_follow_the_umask(tmp_path: Path, masked: Callable[[int], None], mask: int, mode: int) -> None:
    masked(mask)
    path = tmp_path / "a.json"
    for text in ({"a": 1}, {"a": 2}):  # new, and in place of an older file
        write_json(path, text)
        assert path.stat().st_mode & 0o777 == mode


def forbidden(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "results")


def blocked(tmp_path: Path, how: str) -> str:
    """Puts something in the way of results/; returns what the refusal says of it."""
    results = tmp_path / "results"
    if how == "file":
        results.write_text("mine")
        return "results is not a folder"
    if how == "link":
        results.symlink_to(tmp_path / "gone" / "away")
        return "results is a link to something that is not there"
    if how == "long":
        return "File name too long"
    return "Permission denied"


@pytest.mark.parametrize("how", ["file", "link", "long", "locked"])
def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch, how) -> None:
    monkeypatch.chdir(tmp_path)
    says = blocked(tmp_path, how)
    if how == "locked":  # by hand: root may write anywhere
        monkeypatch.setattr(Path, "mkdir", forbidden)
    path = Path("results/tiny") / ("x" * 300 if how == "long" else "a.json")
    for write in (lambda: write_json(path, {}), lambda: write_text(path, ""), lambda: become_worker(path)):
        with pytest.raises(UserError) as caught:
            write()
        assert str(caught.value) == f"{path}: cannot be written: {says}"


def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(UserError, match=r"a\.json: cannot be written: Is a directory"):
        write_json(tmp_path / "a.json", {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_verb_says_so_too(tmp_path, tiny, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "study.yaml", tiny)
    (tmp_path / "results").write_text("mine")
    assert main(["data", "--study", "study.yaml"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        "rs: results/data/digits/test.safetensors: cannot be written: results is not a folder"
    ] or errors == ["rs: results/data/digits/train.safetensors: cannot be written: results is not a folder"]
    assert (tmp_path / "results").read_text() == "mine"


def test_clean_removes_half_files_that_nobody_writes_any_more(tmp_path, tiny, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_study(tmp_path / "study.yaml", tiny)
    left = []

    def killed(path: Path) -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            os.link(temporary, tmp_path / "kept")
        os.replace(tmp_path / "kept", temporary)  # as if the process had died before it was renamed
        path.unlink()
        left.append(temporary)

    for place in (
        "results/tiny/tables/runs.parquet",
        "results/runs/x/model.json",
        "results/tiny/report.html",
    ):
        killed(Path(place))
    old = time.time() - 3 * 3600
    for path in left[:2]:
        os.utime(path, (old, old))
    (tmp_path / "results/runs/x").rename(tmp_path / "results/y")
    left[1] = Path("results/y") / left[1].name
    assert main(["clean", "--study", str(file)]) == 0
    listed = capsys.readouterr().out
    assert [str(path) in listed for path in left] == [True, True, False], "the third may still be written"
    assert main(["clean", "--study", str(file), "--delete", "--yes"]) == 0
    assert [path.exists() for path in left] == [False, False, True]


# --- names made of labels ---


@given(st.text(max_size=400), st.text(max_size=400))
@example("..", ".")
@example("a/../b", "")
@example("x" * 400, "x" * 400)
@example("\n$π\\", "a\tb")
def test_metric_keys_are_what_mlflow_takes(certificate: str, smoothing: str) -> None:
    key = f"{metric_key('certified_accuracy', certificate, smoothing)}/high"
    _validate_metric_name(key)
    assert len(key) <= MAX_ENTITY_KEY_LENGTH


def test_labels_that_differ_have_keys_that_differ() -> None:
    taken: dict[str, tuple[str, ...]] = {}
    labels = ["a=1", "a 1", "a:1", "x" * 300 + "1", "x" * 300 + "2", "..", "."]
    keys = [metric_key("certified_accuracy", label, "none", taken=taken) for label in labels]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "certified_accuracy/a 1/none"
    assert [metric_key("certified_accuracy", label, "none", taken=taken) for label in labels[:1]] == keys[:1]


@given(st.text(max_size=600))
def test_slugs_are_file_names(text: str) -> None:
    assert re.fullmatch(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?)?", slug(text))
    assert len(f".{slug(text)}-12345678-12345678.parquet.12345678.part") <= 255


def test_checkpoints_of_one_name_have_places_of_their_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    here, there = name_of(Path("x/best.pt")), name_of(Path("y/best.pt"))
    assert here != there
    assert (
        here
        == name_of(Path("x/best.pt"))
        == name_of(tmp_path / "x" / "best.pt")
        == name_of(Path("./x/best.pt"))
    )
    assert here.startswith("certify-best-")
    assert len(name_of(Path("x" * 240 + ".pt"))) < 200


def test_a_log_takes_every_text(tmp_path, monkeypatch):
    """Also names of files that are no UTF-8: else the line that says what is wrong is a traceback."""
    monkeypatch.setattr(
        "sys.stderr", io.TextIOWrapper(io.BytesIO(), errors="backslashreplace")
    )  # as Python's
    log_to(tmp_path / "log.txt")
    print("rs: data-\udcff: no such folder, \u03b5", file=sys.stderr)
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "rs: data-\\udcff: no such folder, \u03b5\n"


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full, a file on a full disk")
@pytest.mark.parametrize("takes", ["log", "screen"])
def test_a_line_is_in_the_log_or_on_the_screen_where_the_other_takes_nothing(tmp_path, takes):
    """As the line on a full disk, which is full for the log too."""
    log = tmp_path / "log.txt" if takes == "log" else FULL
    code = """
import sys
from pathlib import Path
from rs.machine.worker import log_to
log_to(Path(sys.argv[1]))
print("rs: cannot be written", file=sys.stderr, flush=True)
print("rs: 1/4 epochs", file=sys.stderr, flush=True)
"""
    with open(FULL, "w") as full:
        screen = full if takes == "log" else subprocess.PIPE
        done = subprocess.run([sys.executable, "-c", code, str(log)], stderr=screen, text=True, check=False)
    assert (done.stderr or log.read_text()) == "rs: cannot be written\nrs: 1/4 epochs\n"
    assert takes == "log" or done.returncode == 0


def test_a_file_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "weights.pt").touch()
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UserError, match=r"weights\.pt: cannot be read: Permission denied"):
        file_digest(tmp_path / "weights.pt")
