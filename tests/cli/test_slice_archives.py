"""The archives of a slice: order, size, what does not fit, and what may be written over."""

from __future__ import annotations

import fcntl
import os
import shutil
import tarfile
import threading
from pathlib import Path

import pytest

from rs.cli import slice_archives, time_slice
from rs.cli.slice_archives import MANIFEST, archives, pack, take_manifest, unpack
from rs.errors import UserError
from rs.plan.jobs import RESULTS
from rs.provenance.files import read_json, write_json

RUN = RESULTS / "runs" / "r"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name: str, content: str = "0", when: float = 200) -> Path:
    path = RUN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (when, when))
    return path


def names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return [Path(name).name for name in archive.getnames()]


def test_observations_come_before_networks_and_those_before_checkpoints(monkeypatch):
    sizes = {
        "diverged.parquet": 1,
        "model.safetensors": 39,
        "resume-1.pt": 10,
        "draws/a.parquet": 30,
        "certified/a.parquet": 20,
    }
    for name, size in sizes.items():
        write(name, "0" * size)
    write("draws/.half.parquet.part")
    monkeypatch.setattr(slice_archives, "LARGEST", 3 * 2048 + 60)
    (first, second), left = pack(Path("out"))
    assert names(first) == ["a.parquet", "a.parquet"]
    assert names(second) == ["model.safetensors", "diverged.parquet", "resume-1.pt"]
    assert left == []


def test_what_an_earlier_slice_brought_home_is_packed_last(monkeypatch):
    monkeypatch.setattr(slice_archives, "LARGEST", 2048)  # an archive for each file
    monkeypatch.setattr(slice_archives, "MOST", 1)
    old, new = write("draws/old.parquet", when=100), write("resume-new.pt", when=300)
    for since, first, last in ((200, new, old), (0, old, new)):
        (archive,), left = pack(Path("out"), since)
        assert names(archive) == [first.name]
        assert left == [last]


@pytest.mark.parametrize("count", [1, 20])
def test_what_does_not_fit_is_a_short_line_and_listed(monkeypatch, capsys, count):
    monkeypatch.setattr(slice_archives, "LARGEST", 2048)
    monkeypatch.setattr(slice_archives, "MOST", 1)
    write("draws/a.parquet")
    left = [write(f"{'long-name-of-a-run-' * 5}{i}/model.safetensors", "0" * 150_000) for i in range(count)]
    if count > 1:
        left[-1] = left[-1].rename(left[-1].with_name("resume-1.pt"))
    time_slice._pack(Path("out"), 0, [])
    errors = capsys.readouterr().err
    one = f"1 file not packed (0.1 MB): {left[0]}"
    many = "20 files not packed (3.0 MB): 19 networks, 1 checkpoint; out/slice.json lists them"
    assert errors == f"rs: the archives are full: {one if count == 1 else many}\n"
    assert set(read_json(Path("out/slice.json"))["not_packed"]) == set(map(str, left))


def test_archives_of_an_earlier_pack_do_not_come_back(monkeypatch):
    monkeypatch.setattr(slice_archives, "LARGEST", 2048)  # an archive for each file
    out = Path("out")
    for name in ("a.parquet", "b.parquet", "resume-1.pt"):
        write(name, "old")
    assert len(pack(out)[0]) == 3
    (out / "runs-mine.tar").touch()
    (RUN / "a.parquet").unlink()
    (RUN / "b.parquet").unlink()
    write("resume-1.pt", "new", 300)
    assert pack(out) == ([out / "runs-0.tar"], [])
    unpack(out)
    assert [(path.name, path.read_text()) for path in RUN.iterdir()] == [("resume-1.pt", "new")]
    (RUN / "resume-1.pt").unlink()
    assert pack(out) == ([], [])
    assert {path.name for path in out.iterdir()} == {"runs-0.tar", "runs-mine.tar"}, "nothing replaces it"


def test_unpacking_leaves_what_is_newer_and_keeps_times():
    older, newer, gone = (
        write("a.parquet", "packed"),
        write("b.parquet", "packed"),
        write("c.parquet", "packed"),
    )
    os.utime(gone, (200.123456, 200.123456))
    pack(Path("out"))
    gone.unlink()
    write("a.parquet", "before", 100)
    write("b.parquet", "after", 300)
    unpack(Path("out"))
    assert [path.read_text() for path in (older, newer, gone)] == ["packed", "after", "packed"]
    assert [path.stat().st_mtime for path in (older, newer, gone)] == [200, 300, pytest.approx(200.123456)]


def test_a_full_disk_leaves_no_half_file(full_disk):
    path = write("a.parquet", "packed" * 2000)
    pack(Path("out"))
    path.unlink()
    with full_disk(), pytest.raises(UserError, match=r"a\.parquet: cannot be written"):
        unpack(Path("out"))
    assert list(RUN.iterdir()) == []


def test_slices_pack_into_a_folder_one_after_another():
    write("a.parquet")
    out = Path("out")
    out.mkdir()
    other = os.open(out, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    waiting = [threading.Thread(target=target, args=(out,)) for target in (pack, unpack)]
    for thread in waiting:
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    assert archives(out) == []
    os.close(other)
    for thread in waiting:
        thread.join(30)
    assert len(archives(out)) == 1


def test_what_another_process_removes_meanwhile_is_left_out(monkeypatch):
    write("a.parquet")
    gone = write("resume-1.pt")
    inside = slice_archives.parts_of

    def parts(sizes):
        yield from inside(sizes)
        gone.unlink()

    monkeypatch.setattr(slice_archives, "parts_of", lambda sizes: iter(list(parts(sizes))))
    (archive,), left = pack(Path("out"))
    assert (names(archive), left) == (["a.parquet"], [])


def manifest(folder: Path, name: str, seconds: float, **more: str) -> Path:
    path = folder / RESULTS / "data" / "digits" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance = {"spec_digest": "s", "code_digest": "c", "inputs": "i", "seconds": seconds, **more}
    write_json(path, {"name": "digits", "provenance": provenance})
    return path


def test_data_that_are_made_again_keep_the_manifest_that_checkpoints_were_made_from(tmp_path):
    """A checkpoint's name holds the digest of the whole manifest, in which the seconds differ."""
    first = manifest(Path(), "manifest.json", 1.0)
    text = first.read_bytes()
    write("resume-1.pt")
    (archive,), _ = pack(Path("out"))
    assert names(archive) == [MANIFEST, "resume-1.pt"]
    for there, code, taken in ((False, "c", True), (True, "c", True), (True, "other", False)):
        folder = tmp_path / f"{there}{code}"
        folder.mkdir()
        os.chdir(folder)
        if there:
            os.utime(manifest(Path(), "manifest.json", 2.0, code_digest=code), (100, 100))
        unpack(tmp_path / "out")
        assert first.is_file() is there, "the data's tensors are not packed"
        if not there:
            manifest(Path(), "manifest.json", 2.0)
            take_manifest(first)
        assert (first.read_bytes() == text) is taken
        if there:
            assert first.stat().st_mtime == 100, "for Snakemake nothing has changed"
    first.unlink()
    (archive,), _ = pack(Path("out"))
    assert names(archive) == [MANIFEST, "resume-1.pt"], "it goes on to the next slice"


def test_a_checkout_with_checkpoints_of_its_own_keeps_its_manifest():
    path = manifest(Path(), "manifest.json", 1.0)
    write("resume-1.pt")
    pack(Path("out"))
    text = manifest(Path(), "manifest.json", 2.0).read_bytes()
    unpack(Path("out"))
    assert path.read_bytes() == text


def test_an_archive_that_is_none_is_one_line(tmp_path):
    (tmp_path / "runs-0.tar").write_bytes(b"no archive")
    assert archives(tmp_path) == [tmp_path / "runs-0.tar"]
    with pytest.raises(UserError, match=r"runs-0\.tar: cannot be unpacked"):
        unpack(tmp_path)
    with tarfile.open(tmp_path / "runs-0.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    with pytest.raises(UserError, match=r"runs-0\.tar: cannot be unpacked.*outside"):
        unpack(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "cut at a file", "header", "zeros"])
def test_nothing_of_an_archive_that_lacks_its_end_is_unpacked(damage):
    """tarfile reads a damaged header as the end: half of the results would be lost, and overwritten later."""
    for name in ("a.parquet", "b.parquet"):
        write(name, "packed" * 200)
    out = Path("out")
    pack(out)
    packed = out / "runs-0.tar"
    with tarfile.open(packed) as archive:
        second = archive.getmembers()[1].offset
    whole = bytearray(packed.read_bytes())
    if damage == "header":
        whole[second + 10] ^= 1
    elif damage == "zeros":
        whole[second : second + 1024] = bytes(1024)
    else:
        del whole[second + 3 * 512 * (damage == "cut") :]
    packed.write_bytes(whole)
    shutil.rmtree(RUN)
    with pytest.raises(
        UserError, match=r"runs-0\.tar: cannot be unpacked: (damaged or cut off after 1 file|un)"
    ):
        unpack(out)
    assert not RUN.exists()


def test_an_archive_of_links_is_one_line(tmp_path):
    link = tarfile.TarInfo("results/runs/a")
    link.type, link.linkname = tarfile.SYMTYPE, "b"
    with tarfile.open(tmp_path / "runs-0.tar", "w") as archive:
        archive.addfile(link)
    with pytest.raises(
        UserError, match=r"runs-0\.tar: cannot be unpacked: results/runs/a is not a regular file"
    ):
        unpack(tmp_path)


@pytest.mark.parametrize("name", ["rs/errors.py", "results/../rs/errors.py"])
def test_an_archive_holds_results_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tarfile.open(tmp_path / "runs-0.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(UserError, match=f"cannot be unpacked: {name} is not a regular file in results"):
        unpack(tmp_path)
    assert not (tmp_path / "rs").exists()
