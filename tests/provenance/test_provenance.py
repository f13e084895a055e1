"""Canonical specs, and files that are whole or not there."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs.errors import UserError
from rs.provenance import files as provenance
from rs.provenance.checksums import BLANK, lost, seal
from rs.provenance.digests import canonical, digest, dumps
from rs.provenance.files import read_json, read_provenance, read_table, whole_file, write_json, write_table

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_values_survive_json_and_key_order(value):
    assert json.loads(dumps(value)) == canonical(value)
    assert dumps(json.loads(dumps(value))) == dumps(value)
    if isinstance(value, dict):
        assert digest(dict(reversed(value.items()))) == digest(value)


def test_digests_of_equal_specs_are_equal_and_of_others_differ():
    assert digest({"a": 1, "b": [1.0, (2,)]}) == digest({"b": [1, [2.0]], "a": 1.0})
    assert digest({"a": 0.1}) != digest({"a": 0.2})
    assert digest({"a": True}) != digest({"a": 1})
    assert digest({"a": None}) != digest({})
    assert digest({"a": 1}) == "015abd7f", "digests are names of results on disk: they must never change"
    assert [dumps(x) for x in (2.0**53 - 1, 2.0**53)] == ["9007199254740991", "9007199254740992.0"]
    with pytest.raises(ValueError, match="Out of range"):
        digest({"a": float("nan")})


# --- whole files ---


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with whole_file(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), UserError("x")])
def test_an_exception_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line(tmp_path):
    path = tmp_path / "a.txt"
    with (
        pytest.raises(UserError, match=r"a.txt: cannot be written: No space left on device"),
        whole_file(path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_stops_in_the_middle_leaves_nothing(tmp_path, full_disk):
    numbers = np.random.default_rng(0).random(20_000)
    for write, name in (
        (lambda path: write_table(path, pa.table({"x": numbers}), {}), "a.parquet"),
        (lambda path: write_json(path, {"x": numbers.tolist()}), "a.json"),
    ):
        with full_disk(), pytest.raises(UserError) as caught:
            write(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written: ")
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []


def test_truncated_and_foreign_files_are_one_line(tmp_path):
    table, text = tmp_path / "a.parquet", tmp_path / "a.json"
    write_table(table, pa.table({"x": list(range(1000))}), {"spec": 1})
    write_json(text, {"a": [1, 2]})
    assert read_table(table, ("x",))[1]["spec"] == 1
    assert read_provenance(table) == read_table(table)[1]
    assert read_json(text)["a"] == [1, 2]
    for path in (table, text):
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    for read, path, says in (
        (read_table, table, "not a complete Parquet file"),
        (read_json, text, "not a complete JSON file"),
        (read_table, text, "not a complete Parquet file"),
        (read_provenance, table, "not a complete Parquet file"),
        (read_provenance, text, "not a complete Parquet file"),
        (read_provenance, tmp_path / "no.parquet", "cannot be read: No such file"),
        (read_table, tmp_path / "no.parquet", "cannot be read: No such file"),
        (read_json, tmp_path / "no.json", "cannot be read: No such file"),
    ):
        with pytest.raises(UserError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: {says}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_table, read_provenance])
def test_an_edited_byte_is_noticed_by_whoever_reads(tmp_path, read):
    path = tmp_path / "a.parquet"
    write_table(path, pa.table({"x": list(range(1000))}), {"spec": 1})
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1  # of the rows
    path.write_bytes(content)
    with pytest.raises(UserError, match="differs from its checksum"):
        read(path)


def test_missing_columns_are_named(tmp_path):
    write_table(tmp_path / "a.parquet", pa.table({"x": [1]}), {})
    with pytest.raises(UserError, match=r"a.parquet: lacks the columns y, z"):
        read_table(tmp_path / "a.parquet", ("x", "y", "z"))


def test_a_commit_is_marked_by_edits_of_code_alone(tmp_path, monkeypatch):
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    def edited() -> bool:
        provenance.commit.cache_clear()
        return provenance.commit().endswith("+")

    monkeypatch.setattr(provenance, "_CHECKOUT", tmp_path)
    (tmp_path / "rs").mkdir()
    for file in ("Snakefile", "README.md", "rs/errors.py"):
        (tmp_path / file).write_text("")
    git("init")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "first")
    assert len(provenance.commit.__wrapped__()) == 12
    assert not edited()
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    (tmp_path / "README.md").write_text("Mine.")
    assert not edited(), "a study is no code"
    for file in ("rs/errors.py", "rs/mine.py", "Snakefile", "workflow/rules/mine.smk"):
        git("reset", "--hard")
        git("clean", "-fd")
        assert not edited()
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).write_text("MINE = 1\n")
        assert edited(), file
    monkeypatch.undo()
    provenance.commit.cache_clear()


def committed(folder: Path, *files: str) -> None:
    """Makes the folder a repository that tracks these files."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("")
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("init",), ("add", *files), (*author, "commit", "-m", "first")):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("ignored", [True, False])
def test_the_repository_around_an_installed_package_is_not_its_checkout(tmp_path, monkeypatch, ignored):
    """As that of a project whose environment lies in it."""
    committed(tmp_path, "study.yaml")
    (tmp_path / ".gitignore").write_text(".venv\n" * ignored)
    installed = tmp_path / ".venv" / "site-packages"
    (installed / "rs").mkdir(parents=True)
    (installed / "rs" / "errors.py").write_text("")
    monkeypatch.setattr(provenance, "_CHECKOUT", installed)
    assert provenance.commit.__wrapped__() == ""


def test_a_checkout_inside_of_another_repository_has_its_commit(tmp_path, monkeypatch):
    committed(tmp_path, "theirs/rs/errors.py", "own.txt")
    monkeypatch.setattr(provenance, "_CHECKOUT", tmp_path / "theirs")
    assert re.fullmatch("[0-9a-f]{12}", provenance.commit.__wrapped__())


def test_looking_for_the_commit_writes_no_index(tmp_path, monkeypatch):
    """git status would, where times differ, under the lock that somebody's commit needs."""
    committed(tmp_path, "rs/errors.py")
    os.utime(tmp_path / "rs" / "errors.py", (1, 1))
    before = (tmp_path / ".git" / "index").read_bytes()
    monkeypatch.setattr(provenance, "_CHECKOUT", tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", provenance.commit.__wrapped__())
    assert (tmp_path / ".git" / "index").read_bytes() == before


def test_what_every_file_carries():
    made = provenance.provenance({"b": 1.0}, "abc", device="cpu")
    assert made["spec"] == {"b": 1}
    assert made["spec_digest"] == digest({"b": 1})
    assert (made["code_digest"], made["device"]) == ("abc", "cpu")
    assert {"python", "torch", "numpy"} <= made["versions"].keys()
    json.dumps(made)


@pytest.mark.parametrize(
    ("metadata", "content", "is_"),
    [
        ({"checksum": BLANK}, b"", True),  # its mark is broken
        ({"checksum": BLANK}, seal(BLANK.encode()), False),
        ({}, b"", False),  # of before there were checksums
        ({}, seal(BLANK.encode()), False),
        (["checksum"], b"", False),
    ],
)
def test_a_checksum_is_lost_where_it_is_told_of_and_not_found(metadata, content, is_):
    assert lost(content, metadata) is is_
