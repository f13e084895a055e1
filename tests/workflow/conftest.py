from __future__ import annotations

from pathlib import Path

import pytest
from workspace import Workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny study, run to its end. Nobody changes it: tests that do take a copy (`work`)."""
    made = Workspace.of_checkout(tmp_path_factory.mktemp("finished") / "study")
    made.snakemake()
    return made


@pytest.fixture
def work(finished: Workspace, tmp_path: Path) -> Workspace:
    return finished.copy(tmp_path / "study")
