"""Memory that runs out is one line, whichever library it was refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rs.cli import main as command_line
from rs.errors import UserError
from rs.machine.memory import how_much, ran_out

HUGE = 1 << 50  # numbers

# as onnxruntime 1.23 and OpenVINO 2025.3 said it
ONNX = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Expand node. Name:'' "
ONNX += "Status Message: bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 2814749767"
OPENVINO = """Exception from src/inference/src/cpp/core.cpp:117:
Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp:257:
Failed to allocate 4398046511104 bytes of memory
"""


def raised(function) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever kind it is
        function()
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        raised(lambda: torch.empty(HUGE)),
        raised(lambda: np.empty(HUGE)),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("std::bad_alloc"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError(ONNX),
        RuntimeError(OPENVINO),
    ],
    ids=lambda error: str(error)[:30],
)
def test_what_libraries_say_is_known(error, monkeypatch, capsys):
    assert ran_out(error)

    def act(_):
        raise error

    monkeypatch.setattr(command_line.stages, "run", act)
    assert command_line.main(["attack", "--job", "-"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rs: memory ran out (")
    assert line.endswith("); use smaller batches, or run fewer jobs on this device at a time")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x256 and 64x10)"),
        ValueError("no memory of it"),
        ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),
        UserError("model: fails on 2 images: RuntimeError: can't allocate memory"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_nothing_else_is_taken_for_it(error, monkeypatch):
    assert not ran_out(error)


def test_an_error_of_another_kind_is_not_hidden(monkeypatch):
    def act(_):
        raise RuntimeError("mat1 and mat2")

    monkeypatch.setattr(command_line.stages, "run", act)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        command_line.main(["attack", "--job", "-"])


def test_how_much_was_asked_for_is_told():
    assert how_much(RuntimeError(OPENVINO)) == "Failed to allocate 4398046511104 bytes of memory"
    assert how_much(MemoryError()) == "MemoryError"
    assert "allocate 4503599627370496 bytes" in how_much(raised(lambda: torch.empty(HUGE)))
