"""Pages in a real browser: Chromium, driven by playwright."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
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
