"""Fixtures on the tiny study: its plan, its refusals, and a workspace whose stages have run once."""

from __future__ import annotations

import copy
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from shared_runs import made_once
from tiny_study import TINY, Workspace, write_study

from rs.errors import UserError
from rs.machine import float32
from rs.plan.plan import Plan
from rs.study.study import Study

# The same examples in every run, and no verdict on how fast a shared machine is.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a study that ran is slow."""
    for item in items:
        if "workspace" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny() -> dict[str, Any]:
    return copy.deepcopy(TINY)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the package in a user's cache of its own, which holds nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rs-smoothing"


@pytest.fixture
def kept_float32() -> Iterator[None]:
    """The process's settings of float32 are afterwards as they were."""
    before = float32._taken()
    before.put()
    yield
    before.put()


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[..., Plan]:
    """The plan of one or more study files, given as dictionaries or text."""

    def make(*studies: dict[str, Any] | str) -> Plan:
        files = [write_study(tmp_path / f"study{i}.yaml", study) for i, study in enumerate(studies)]
        return Plan(Study(files))

    return make


@pytest.fixture
def refusal(plan_of: Callable[..., Plan]) -> Callable[..., str]:
    """The message with which a study is refused: one line."""

    def refused(*studies: dict[str, Any] | str) -> str:
        with pytest.raises(UserError) as caught:
            plan_of(*studies)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return refused


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Every stage of the tiny study but the tables has run. Nothing in it may be changed."""

    def make(folder: Path) -> None:
        work = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", TINY)])))
        for stage in ("data", "train", "calibrate", "sample", "certify", "attack"):
            for job in work.plan.jobs[stage].values():
                work.run(job)

    folder = made_once(tmp_path_factory, "tiny", make)
    return Workspace(folder, Plan(Study([folder / "study.yaml"])))


@pytest.fixture
def space(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the tiny study's results, which a test may change."""
    return workspace.copied_to(tmp_path / "copy")


@contextmanager
def _full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """Within `with full_disk():` no file can grow beyond 4 KiB: writes fail in the middle.

    Not for a whole test: the limit holds for pytest's own report too, where that goes to a file.
    """
    return _full_disk
