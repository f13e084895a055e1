"""The archives of `rs slice`: results of limited size that go from one machine to the next, and home."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs.errors import UserError, plural
from rs.plan.jobs import RESULTS
from rs.provenance import checksums
from rs.provenance.files import PART, alone_in, read_json, whole_file
from rs.provenance.run_files import DIVERGED

LARGEST = 15_000_000  # bytes of an archive
MOST = 7  # archives
MANIFEST = "packed-manifest.json"  # a data set's manifest in the archives


def pack(folder: Path, since: float = 0.0) -> tuple[list[Path], list[Path]]:
    """Packs results/runs into archives, and returns these and the files that did not fit: observations, then
    networks, then checkpoints of trainings and the curves of those that diverged. Files older than `since`
    come last: an earlier slice has returned them. Before all of them come the manifests of the data sets.

    Archives of an earlier pack that are not replaced are removed. What another process removes meanwhile is
    left out.
    """
    with alone_in(folder):
        return _packed(folder, _in_order(since))


def _in_order(since: float) -> dict[Path, int]:
    """The files of results/runs as `pack` ranks them, with their sizes."""
    stats: dict[Path, os.stat_result] = {}
    for path in (RESULTS / "runs").rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.suffix != PART and path.is_file():
                stats[path] = path.stat()

    def rank(path: Path) -> tuple[bool, int, int, str]:
        kind = 2 if path.name.startswith(("resume-", DIVERGED)) else int(path.suffix == ".safetensors")
        return stats[path].st_mtime < since, kind, stats[path].st_size, str(path)

    return {path: stats[path].st_size for path in sorted(stats, key=rank)}


def _packed(folder: Path, sizes: dict[Path, int]) -> tuple[list[Path], list[Path]]:
    """Packs these files in order; the archives, and the files that did not fit."""
    tars: list[Path] = []
    left: list[Path] = []
    manifests = list(_manifests()) if sizes else []
    for number, part in enumerate(parts_of(sizes)):
        if number >= MOST:
            left += part
            continue
        tars.append(folder / f"runs-{number}.tar")
        with whole_file(tars[-1]) as temporary, tarfile.open(temporary, "w") as archive:
            for manifest in manifests if number == 0 else ():
                _add(archive, manifest, manifest.with_name(MANIFEST))
            for path in part:
                _add(archive, path, path)
    for old in set(archives(folder)) - set(tars) if tars else ():
        old.unlink()
    return tars, left


def _manifests() -> Iterator[Path]:
    """The manifest of each data set; where the data were not made again, that of the archives."""
    for folder in sorted((RESULTS / "data").glob("*")):
        candidates = (folder / name for name in ("manifest.json", MANIFEST))
        yield from list(filter(Path.is_file, candidates))[:1]


def _add(archive: tarfile.TarFile, path: Path, name: Path) -> None:
    try:
        with open(path, "rb") as file:  # also where another one takes its place meanwhile
            archive.addfile(archive.gettarinfo(arcname=str(name), fileobj=file), file)
    except FileNotFoundError:
        return


def parts_of(sizes: dict[Path, int]) -> Iterator[list[Path]]:
    """The files in order, in parts of at most LARGEST bytes (a larger file is a part of its own)."""
    part: list[Path] = []
    total = 0
    for path, size in sizes.items():
        size += 2048
        if part and total + size > LARGEST:
            yield part
            part, total = [], 0
        part.append(path)
        total += size
    if part:
        yield part


def archives(folder: Path) -> list[Path]:
    """The archives of `pack`, in order."""
    return sorted(folder.glob("runs-[0-9].tar"))


def unpack(folder: Path) -> None:
    """Unpacks the archives of `pack`, if any, into results/runs. A file that is newer there stays."""
    if not folder.is_dir():
        raise UserError(f"{folder}: --unpack: must be a folder, empty or with the archives of a slice")
    continued = any((RESULTS / "runs").glob("*/resume-*.pt"))
    with alone_in(folder):
        for path in archives(folder):
            try:
                with tarfile.open(path, "r:") as archive:
                    for member in _members(path, archive):
                        _extract(archive, tarfile.data_filter(member, "."))
            except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
                raise UserError(f"{path}: cannot be unpacked: {error}") from error
    for packed in () if continued else (RESULTS / "data").glob(f"*/{MANIFEST}"):
        take_manifest(packed.with_name("manifest.json"))


def _members(path: Path, archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """The files of a whole archive. Raises UserError for one that holds something else or lacks its end, for
    tarfile takes a damaged header for the end: what follows would be lost without a word.
    """
    members = archive.getmembers()
    for member in members:
        name = Path(member.name)
        if not member.isreg() or ".." in name.parts or not name.is_relative_to(RESULTS):
            problem = f"{member.name} is not a regular file in {RESULTS}"
            raise UserError(f"{path}: cannot be unpacked: {problem}")
    block = tarfile.BLOCKSIZE
    ends = (member.offset_data + -(-member.size // block) * block for member in members)
    with open(path, "rb") as file:
        file.seek(max(ends, default=0))
        end = file.read()
    if len(end) < 2 * block or end.strip(b"\0"):
        problem = f"damaged or cut off after {plural(len(members), 'file')}; copy it again"
        raise UserError(f"{path}: cannot be unpacked: {problem}")
    return members


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path, content = Path(member.name), archive.extractfile(member)
    if content is None or (path.is_file() and path.stat().st_mtime >= member.mtime):
        return
    with whole_file(path) as temporary:
        with open(temporary, "wb") as file:
            shutil.copyfileobj(content, file)
        os.utime(temporary, (member.mtime, member.mtime))


def take_manifest(manifest: Path) -> None:
    """Gives a data set the manifest of the archives, if both say the same but for when and where the data
    were made. The names of checkpoints hold this file's digest: with another one, trainings would start anew.
    """
    packed = manifest.with_name(MANIFEST)
    if not manifest.is_file() or not packed.is_file():
        return
    try:
        same = _content(read_json(packed)) == _content(read_json(manifest))
    except UserError:  # damaged: the data are as they would be without it
        return
    if same:
        before = manifest.stat()
        with whole_file(manifest) as temporary:
            shutil.copyfile(packed, temporary)
            os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))  # Snakemake goes by it


def _content(manifest: Any) -> Any:
    """What a manifest says of the data, and the digests of what made them."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("provenance"), dict):
        return manifest
    provenance = manifest["provenance"]
    fields = {key: value for key, value in manifest.items() if key not in ("provenance", checksums.KEY)}
    return {**fields, "made": [provenance.get(key) for key in ("spec_digest", "code_digest", "inputs")]}
