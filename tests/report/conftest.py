"""Pages in a real browser: Chromium, driven by playwright. Stores of MLflow, each of a test of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tracked_study
from browsers import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Not for the session: its loop would be in the way of tests that run one of their own."""
    yield from chromium()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a window of its own; a script's error fails the test. `script` runs before the
    page's own; other options are the window's.
    """
    contexts, errors = [], []

    def go(address: str, script: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        context.set_default_timeout(120_000)  # milliseconds; on a busy machine a page takes half a minute
        contexts.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def phone(visit: Callable[..., Any]) -> Callable[[str], Any]:
    """Opens an address on a narrow screen."""
    return lambda address: visit(address, viewport={"width": 390, "height": 844})


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tracked_study.empty_store(tmp_path_factory.mktemp("store") / "mlflow.db")


@pytest.fixture
def uri(tmp_path: Path, empty_store: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store given as studies give it: relative to the working directory. Each has a name of its own, since
    MLflow keeps the connection of an address.
    """
    monkeypatch.chdir(tmp_path)
    file = Path("results", f"{tmp_path.name}.db")
    file.parent.mkdir()
    file.write_bytes(empty_store)
    return f"sqlite:///{file}"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Of two runs, as they are logged."""
    return tracked_study.tables(tmp_path / "tables")
