"""A page of 60 runs stays one that a browser opens at once: its size, and no script that fails or is slow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmark_modules import load_benchmark
from browsers import BROWSER

pytestmark = pytest.mark.slow
MB = 1e6


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    benchmark = load_benchmark("page")
    return benchmark, benchmark.build(
        tmp_path_factory.mktemp("sixty"), benchmark.study(60, 1000), drawn=False
    )


def test_a_page_of_sixty_runs_has_at_most_eight_megabytes(sixty: tuple[Any, Path]) -> None:
    page = sixty[1]
    text = page.read_text()
    assert text.count("<tr>") > 60 * 4  # it is all there: rows, buttons, pictures
    assert text.count('class="made-of"') == 60
    assert text.count("data:image/png;base64,") == 300
    assert page.stat().st_size < 8 * MB - 2 * MB  # its figures, not drawn here, come to less than 2


def test_its_scripts_take_little_of_the_time(sixty: tuple[Any, Path]) -> None:
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    benchmark, page = sixty
    (found,) = benchmark.opened(page, 1)  # raises where a script fails
    assert found["Script"] < 1  # processor time: 0.1 on an EPYC
