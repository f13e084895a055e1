"""Published files of a data set: found in `data_dir`, checked against their published md5, or downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rs.errors import UserError


def find(data_dir: str | None, folder: str, *names: str) -> Path | None:
    """The path of the first of `names` found, in `data_dir`/`folder` or in `data_dir` itself."""
    top = Path(data_dir or "data")
    places = [place / name for name in names for place in (top / folder, top)]
    return next((place for place in places if place.exists()), None)


def verify(file: Path, md5: str | None) -> None:
    """Checks that the file is the published one."""
    from torchvision.datasets.utils import check_integrity

    if not file.is_file():
        raise UserError(f"{file}: no such file; copy it there")
    if not check_integrity(str(file), md5):
        raise UserError(f"{file}: truncated or corrupt (its md5 is not the published {md5}); copy it again")


def extract(archive: Path, into: str) -> None:
    from torchvision.datasets.utils import extract_archive

    try:
        extract_archive(str(archive), into)
    except (OSError, EOFError, ValueError, RuntimeError) as error:
        raise UserError(f"{archive}: cannot be unpacked ({error})") from error


def download(
    name: str, data_dir: str | None, folder: str, files: str, fetch: Callable[[str], object]
) -> Path:
    """Runs `fetch` into `data_dir`; without a network, one line says which files to put where."""
    top = Path(data_dir or "data")
    try:
        fetch(str(top))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{top}: {name} is not here and could not be downloaded; put {files} into {top / folder} "
            "(or set data_dir or RS_DATA_DIR to where it is)"
        ) from error
    return top
