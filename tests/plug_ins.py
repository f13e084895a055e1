"""The plug-in of examples/plug-in as an installed distribution, outside of the package."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "plug-in"


def install(folder: Path) -> Path:
    """Copies the example's package into `folder`, beside the metadata that an installer would write."""
    shutil.copytree(EXAMPLE / "lab_methods", folder / "lab_methods", ignore=shutil.ignore_patterns("__py*"))
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    describe(folder, project["name"], project["version"], project["entry-points"])
    return folder


def describe(folder: Path, name: str, version: str, groups: dict[str, dict[str, str]]) -> None:
    """The metadata of an installed distribution with these entry points."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in e.items()) for group, e in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
