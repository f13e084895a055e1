"""Which of several GPUs a process, or a job of several processes, takes."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rs.errors import UserError
from rs.machine import devices, gpu_slots
from rs.machine.gpu_slots import VISIBLE, for_processes, take_one


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(gpu_slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpu_slots, "BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(gpu_slots, "_own", [])
    monkeypatch.setenv(VISIBLE, "")  # put back afterwards
    monkeypatch.delenv(VISIBLE)
    return tmp_path


def test_a_process_takes_a_free_one_of_those_that_it_may_see(
    locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(locks / f"rs-gpu-{os.getuid()}-2.lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setenv(VISIBLE, "2,3")
        take_one()
        assert os.environ[VISIBLE] == "3"
        take_one()  # a further job of this process
        assert os.environ[VISIBLE] == "3"
    with for_processes(2, 8):  # they may use all that the process was given, its own too
        assert os.environ[VISIBLE] == "2,3"


@pytest.mark.parametrize("visible", ["2, 3,", "2,3,-1,4", "2,3,none"])
def test_entries_that_name_no_gpu_are_not_taken(
    locks: Path, monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    """CUDA sees nothing from the first such entry on; a job that took it would compute on the processor."""
    names = [locks / f"rs-gpu-{os.getuid()}-{i}.lock" for i in (2, 3)]
    with open(names[0], "w") as first, open(names[1], "w") as second:
        for held in (first, second):
            fcntl.flock(held, fcntl.LOCK_EX)
        monkeypatch.setenv(VISIBLE, visible)
        threading.Timer(0.2, lambda: fcntl.flock(second, fcntl.LOCK_UN)).start()
        take_one()
        assert os.environ[VISIBLE] == "3"


@pytest.mark.parametrize("visible", [None, "", "1", "GPU-8a", "1,", "-1,0"])
def test_a_process_with_no_choice_takes_no_lock(
    locks: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None
) -> None:
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    take_one()
    with for_processes(4, 4):
        assert os.environ.get(VISIBLE) == visible
    assert list(locks.iterdir()) == []


def test_jobs_of_several_processes_do_not_wait_for_each_other_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of two jobs needs three of four GPUs, and both collect at the same time."""
    opened, held, at_once = gpu_slots._open, [0], []

    def slowly(name: str):  # so that both hold some before either holds all
        time.sleep(0.01)
        return opened(name)

    def job() -> None:
        with for_processes(3, 4):
            held[0] += 3
            at_once.append(held[0])
            time.sleep(0.05)
            held[0] -= 3

    monkeypatch.setattr(gpu_slots, "_open", slowly)
    jobs = [threading.Thread(target=job, daemon=True) for _ in range(2)]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join(timeout=20)
    assert at_once == [3, 3]


def test_a_folder_without_room_for_locks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_slots.tempfile, "gettempdir", lambda: "/proc/none")
    monkeypatch.setenv(VISIBLE, "0,1")
    with pytest.raises(UserError, match=r"/proc/none/rs-gpu-\d+-0.lock: cannot be written: No such file"):
        take_one()


# --- one process that may see every GPU ---


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_a_job_takes_whichever_gpu_is_free_first(locks, two_gpus):
    names = [locks / f"rs-gpu-{os.getuid()}-{i}.lock" for i in range(2)]
    with open(names[0], "w") as first, open(names[1], "w") as second:
        for held in (first, second):
            fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.2, lambda: fcntl.flock(second, fcntl.LOCK_UN)).start()
        with devices._chosen("auto") as device:
            assert device == torch.device("cuda", 1)
            with pytest.raises(BlockingIOError):
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_that_cannot_be_written_is_one_line_there_too(two_gpus, monkeypatch):
    monkeypatch.setattr(gpu_slots.tempfile, "gettempdir", lambda: "/proc/none")
    with (
        pytest.raises(UserError, match=r"/proc/none/rs-gpu-\d+-0.lock: cannot be written: No such file"),
        devices._chosen("cuda"),
    ):
        pass
