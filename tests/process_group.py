"""Calls in several processes that form a group, as a fixture."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist


def _member(rank: int, count: int, folder: Path, act: Callable[[], Any]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=count)
    try:
        torch.save(act(), folder / f"result-{rank}.pt")
    except BaseException:
        (folder / f"error-{rank}").write_text(traceback.format_exc())
        raise


@pytest.fixture
def together(tmp_path):
    """Calls a function in two (or more) processes that form a group: what each of them returned."""

    def call(act: Callable[[], Any], count: int = 2) -> list[Any]:
        folder = tmp_path / f"group-{time.monotonic_ns()}"
        folder.mkdir()
        context = multiprocessing.get_context("fork")
        members = [context.Process(target=_member, args=(i, count, folder, act)) for i in range(count)]
        for member in members:
            member.start()
        for member in members:
            member.join()
        errors = [f.read_text() for f in sorted(folder.glob("error-*"))]
        assert not errors, errors[0]
        return [torch.load(folder / f"result-{i}.pt", weights_only=False) for i in range(count)]

    return call
