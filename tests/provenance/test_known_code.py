"""Digests of code that are kept: what is read back is what would be found, whatever happened to the file."""

from __future__ import annotations

import os

import pytest
from edited_code import EditedCode

from rs.provenance import code as digests
from rs.provenance import known_code, user_cache
from rs.provenance.code import code_digest
from rs.provenance.known_code import known_digest

CERTIFY = ("rs.stages.certify:certify", "rs.methods.certificates.cohen:Cohen")


@pytest.fixture
def taken(tmp_path, monkeypatch) -> list[tuple[str, ...]]:
    """An empty cache; the entries that digests are taken over from now on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    known_code._known.cache_clear()
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        known_code, "code_digest", lambda entries: (found.append(entries), code_digest(entries))[1]
    )
    return found


def another_process() -> None:
    known_code._known.cache_clear()


def test_a_digest_is_taken_once_and_read_by_later_processes(taken):
    assert known_digest(CERTIFY) == known_digest(CERTIFY) == code_digest(CERTIFY)
    another_process()
    assert known_digest(CERTIFY) == code_digest(CERTIFY)
    assert known_digest(CERTIFY[:1]) == code_digest(CERTIFY[:1]) != code_digest(CERTIFY)
    assert taken == [CERTIFY, CERTIFY[:1]]
    assert len(list(user_cache.folder("code").iterdir())) == 1


def test_another_line_anywhere_is_another_file_even_of_the_same_length_and_time(taken, tmp_path, monkeypatch):
    made = EditedCode(tmp_path)
    monkeypatch.setattr(digests, "ROOT", made.root)
    file = made.root / "stages/certified_rows.py"
    before, text, at = known_digest(CERTIFY), file.read_text(), file.stat()
    edited = text.replace("return", "yield ", 1)
    file.write_text(edited)
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    another_process()
    digests._read_packages.cache_clear()
    assert known_digest(CERTIFY) == code_digest(CERTIFY) != before
    file.write_text(text)
    assert known_digest(CERTIFY) == before
    assert len(taken) == 2


def test_an_editor_s_lock_is_no_code(taken, tmp_path, monkeypatch):
    """Emacs marks a file with unsaved changes by a link to nothing beside it."""
    made = EditedCode(tmp_path)
    monkeypatch.setattr(digests, "ROOT", made.root)
    before = known_digest(CERTIFY)
    (made.root / "stages" / ".#certify.py").symlink_to("user@host.123:456")
    another_process()
    assert known_digest(CERTIFY) == before


@pytest.mark.parametrize("content", ["", "{}", '{"digests": []}', '{"digests": {"%s": "no digest"}}', "\0"])
def test_a_damaged_file_is_made_again(taken, content):
    right = known_digest(CERTIFY)
    (file,) = user_cache.folder("code").iterdir()
    file.write_text(content.replace("%s", digests.digest(CERTIFY, 16)))
    another_process()
    assert known_digest(CERTIFY) == right
    another_process()
    assert known_digest(CERTIFY) == right
    assert len(taken) == 2


def test_of_two_writers_neither_undoes_what_it_can_see(taken):
    first = known_digest(CERTIFY)
    mine = dict(known_code._known.__wrapped__(next(user_cache.folder("code").iterdir())))
    another_process()
    known_digest(CERTIFY[:1])
    another_process()
    (file,) = user_cache.folder("code").iterdir()
    assert mine.items() < known_code._read(file).items()
    assert first in known_code._read(file).values()


def test_without_a_place_to_write_digests_are_taken_each_time(taken, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert known_digest(CERTIFY) == code_digest(CERTIFY)
    another_process()
    assert known_digest(CERTIFY) == code_digest(CERTIFY)
    assert len(taken) == 2
