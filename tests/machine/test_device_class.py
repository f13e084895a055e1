"""Which device this machine has, as its driver says it, and which of several GPUs a job takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rs.machine import device_class


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of devices, and an nvidia-smi that answers with the text in `answer` beside it."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(device_class, "DEVICES", tmp_path / "dev")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "dev").mkdir()
    _forget()
    yield tmp_path
    _forget()


def _forget() -> None:
    for cached in (device_class.has_gpu, device_class.of_driver, device_class.here):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("answer", "of_auto"), [("9.0\n9.0\n", "cuda 9.0"), ("[N/A]\n", None), ("", None), ("\n", None)]
)
def test_a_driver_without_an_answer_is_no_error(driver: Path, answer: str, of_auto: str | None) -> None:
    (driver / "dev" / "nvidia0").touch()
    (driver / "answer").write_text(answer)
    assert device_class.has_gpu()
    assert device_class.here("auto") == (of_auto or device_class.of_cpu())
    assert device_class.here("cuda") == (of_auto or "cuda")
    assert device_class.here("cpu") == device_class.of_cpu()


@pytest.mark.parametrize(
    ("visible", "there"),
    [
        ("0", True),
        ("2,3", True),
        ("GPU-8a", True),
        ("MIG-1", True),
        ("", False),
        ("-1", False),
        ("none", False),
    ],
)
def test_hidden_gpus_are_not_there(
    driver: Path, monkeypatch: pytest.MonkeyPatch, visible: str, there: bool
) -> None:
    """Else rates of the processor would be kept as those of the GPU, and its votes called another class's."""
    (driver / "dev" / "nvidia0").touch()
    (driver / "answer").write_text("9.0\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device_class.has_gpu() is there
    assert device_class.here("auto") == ("cuda 9.0" if there else device_class.of_cpu())


def test_wsl2_has_a_gpu_if_the_driver_names_one(driver: Path) -> None:
    (driver / "answer").write_text("")
    assert not device_class.has_gpu()
    (driver / "dev" / "dxg").touch()
    _forget()
    assert not device_class.has_gpu()  # another maker's
    (driver / "answer").write_text("NVIDIA GeForce RTX 4090\n")
    _forget()
    assert device_class.has_gpu()
