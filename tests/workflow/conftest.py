from __future__ import annotations

from pathlib import Path

import pytest
from shared_runs import made_once
from workspace import Workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny study, run to its end. Nobody changes it: tests that do take a copy (`work`)."""

    def make(folder: Path) -> None:
        Workspace.of_checkout(folder / "study").snakemake()

    return Workspace(made_once(tmp_path_factory, "finished", make) / "study")


@pytest.fixture
def work(finished: Workspace, tmp_path: Path) -> Workspace:
    return finished.copy(tmp_path / "study")
