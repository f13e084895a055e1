"""Files of kept forms: whole or absent whoever writes and is killed, the user's alone; why not is said."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest
import torch
from tiny_networks import audited, small

from rs.networks import forms, kept_forms

ASKED = {"precision": "bfloat16", "batch": 32, "compiled": True}
CPU, SHAPE = torch.device("cpu"), (1, 8, 8)
BATCH = torch.zeros(32, *SHAPE, dtype=torch.bfloat16)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rs-smoothing" / "compiled"


@pytest.mark.parametrize(
    ("factor", "reason"),
    [(1.0, None), (1.01, "it rounds otherwise"), (None, "RuntimeError: no compiler")],
)
def test_only_the_same_function_is_kept(factor, reason, own_cache, monkeypatch):
    """Nothing half-written stays where it is not, or where the compiler fails."""

    def package(exported, package_path, inductor_configs):
        if factor is None:
            raise RuntimeError("no compiler\nand more")
        with open(package_path, "wb") as file:
            file.write(b"code")

    network = small().bfloat16()
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", package)
    monkeypatch.setattr(kept_forms, "_loaded", lambda file: lambda x: network(x) * factor)
    batches = [torch.rand_like(BATCH), torch.randn_like(BATCH)]
    assert kept_forms.keep(network, network, batches) == reason
    assert len(list(own_cache.iterdir())) == (reason is None)
    assert (kept_forms.find(network, batches[0]) is not None) == (reason is None)


@pytest.fixture
def kept(own_cache, monkeypatch):
    """A network with a kept form, made where files of other users' groups are writable by these."""

    def package(exported, package_path, inductor_configs):
        with open(package_path, "wb") as file:
            file.write(b"code")

    network = small().bfloat16()
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", package)
    monkeypatch.setattr(kept_forms, "_loaded", lambda file: network)
    before = os.umask(0o002)
    try:
        assert kept_forms.keep(network, network, [BATCH]) is None
    finally:
        os.umask(before)
    return network


def test_kept_code_is_the_users_alone(kept, own_cache):
    assert own_cache.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in own_cache.iterdir()] == [0o600]
    assert kept_forms.find(kept, BATCH) is kept


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("which", [".pt2", "folder"])
def test_what_others_can_write_to_is_not_loaded(kept, own_cache, which, mode):
    place = own_cache if which == "folder" else next(own_cache.glob(f"*{which}"))
    place.chmod(place.stat().st_mode | mode)
    with pytest.warns(RuntimeWarning) as caught:
        assert kept_forms.find(kept, BATCH) is None
    assert [str(each.message).split(": ")[0] for each in caught] == [str(own_cache)]
    with pytest.warns(RuntimeWarning, match="must be yours"):
        reason = kept_forms.keep(kept, kept, [BATCH])
    if which == "folder":
        assert str(reason).startswith(f"{own_cache}: ")
    else:  # it is made anew
        assert reason is None
        assert kept_forms.find(kept, BATCH) is kept


def test_another_users_code_is_not_loaded(kept, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.warns(RuntimeWarning, match="must be yours"):
        assert kept_forms.find(kept, BATCH) is None


def test_two_that_keep_at_once_leave_whole_files(kept, own_cache, monkeypatch):
    """The second one begins before the first one is done, and its code is other bytes of the same form."""
    names = iter((b"one", b"another"))

    def package(exported, package_path, inductor_configs):
        content = next(names)
        with open(package_path, "wb") as file:
            file.write(content)
        if content == b"one":
            assert kept_forms.keep(network, network, [BATCH]) is None

    network = small(slope=0.3).bfloat16()
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", package)
    monkeypatch.setattr(kept_forms, "_loaded", lambda file: network)
    assert kept_forms.keep(network, network, [BATCH]) is None
    made = [path.read_bytes() for path in own_cache.glob(f"{kept_forms.name_of(network, BATCH)}.*")]
    assert sorted(made) == [b"another", b"one"]
    assert kept_forms.find(network, BATCH) is network


class Killed(BaseException):
    """No error: what ends a process."""


def test_what_a_killed_process_leaves_is_no_form(kept, own_cache, monkeypatch):
    """Whatever step it was killed at, the next one keeps a whole one."""
    network = small(slope=0.4).bfloat16()
    monkeypatch.setattr(kept_forms, "_loaded", lambda file: network)
    for step in ("chmod", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(kept_forms.Path, "unlink", lambda path, missing_ok: None)  # nor does it clear up
            patched.setattr(kept_forms.Path, step, _killed)
            with pytest.raises(Killed):
                kept_forms.keep(network, network, [BATCH])
        assert kept_forms.find(network, BATCH) is None
    assert kept_forms.keep(network, network, [BATCH]) is None
    assert kept_forms.find(network, BATCH) is network


def _killed(*_):
    raise Killed


def test_a_damaged_file_is_said_and_replaced(kept, own_cache):
    (file,) = own_cache.iterdir()
    file.write_bytes(b"cod")
    with pytest.warns(RuntimeWarning, match=f"{file}: damaged, so the compiler starts"):
        assert kept_forms.keep(kept, kept, [BATCH]) is None
    assert [path.read_bytes() for path in own_cache.iterdir()] == [b"code"]
    assert kept_forms.find(kept, BATCH) is kept


def test_why_a_form_is_not_kept_is_said_in_the_log(capsys, monkeypatch):
    monkeypatch.setattr(forms, "form_of", lambda *_: Unkept())
    monkeypatch.setattr(forms, "try_out", lambda *_: None)
    given = audited(small(), SHAPE, 3)
    forms.resolve(given, ASKED, CPU, keep=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is not kept, so every job starts the compiler: torch.fx does not see all of it")
    forms.resolve(given, ASKED, CPU)
    assert capsys.readouterr().err == ""


class Unkept:
    description: ClassVar = {**ASKED}
    fallbacks: ClassVar = []

    def keep(self, probes):
        return "torch.fx does not see all of it"


def test_what_a_killed_process_left_is_removed_after_a_day(kept, own_cache):
    left, young = own_cache / ".0badcafe.pt2", own_cache / ".0badf00d.pt2"
    for file in (left, young):
        file.write_bytes(b"co")
    os.utime(left, (0, 0))
    kept_forms.clear()
    assert not left.exists()
    assert young.exists()
    assert kept_forms.find(kept, BATCH) is kept
