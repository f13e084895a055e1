"""A folder on the path into which a test installs plug-ins; as fixtures."""

from __future__ import annotations

import importlib
import sys

import pytest
from plug_ins import install

from rs.provenance import files as provenance
from rs.settings import plugins
from rs.study import schema as study_schema

CACHES = (plugins.plug_ins, study_schema.schema, provenance.versions)


def forget() -> None:
    for cached in CACHES:
        cached.cache_clear()
    for module in [
        m for m in sys.modules if m.split(".")[0] in ("lab_methods", "broken", "flat", "flat_helper")
    ]:
        del sys.modules[module]
    importlib.invalidate_caches()


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder on the path, in which distributions can be put; the user's cache is an empty one."""
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield folder
    monkeypatch.undo()
    forget()


@pytest.fixture
def installed(lab):
    return install(lab)
