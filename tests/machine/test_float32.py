"""float32 as it says inside, and the process's settings, inherited or not, as they were afterwards."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
import torch

from rs.machine.devices import use_device
from rs.machine.float32 import PLACES, full_float32

pytestmark = pytest.mark.usefixtures("kept_float32")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
get, put = torch._C._get_fp32_precision_getter, torch._C._set_fp32_precision_setter


def visible() -> list[object]:
    """What the process can read; torch refuses an older setting that disagrees with the newer ones."""
    values: list[object] = [get(*place) for place in PLACES]
    for read in (
        torch.get_float32_matmul_precision,
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: torch.backends.cudnn.allow_tf32,
    ):
        try:
            values.append(read())
        except RuntimeError:
            values.append("refused")
    return values


def product_in_bfloat16() -> None:
    torch.set_float32_matmul_precision("medium")


def everything_in_tf32() -> None:
    for place in PLACES[1:]:
        put(*place, "none")
    put("generic", "all", "tf32")


def older_and_newer_mixed() -> None:
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = False
    put("cuda", "matmul", "ieee")
    put("cuda", "conv", "tf32")


def processor_inherits_bfloat16() -> None:
    put("mkldnn", "all", "bf16")
    put("mkldnn", "matmul", "none")


CHANGES = (
    lambda: None,
    product_in_bfloat16,
    everything_in_tf32,
    older_and_newer_mixed,
    processor_inherits_bfloat16,
    lambda: torch.set_float32_matmul_precision("high"),
    lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
)


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize("change", CHANGES)
def test_settings_are_full_inside_and_back_afterwards(change, device):
    change()
    before, backend = visible(), {"cpu": "mkldnn", "cuda": "cuda"}[device.type]
    with contextlib.suppress(ZeroDivisionError), full_float32(device):
        assert {get(backend, of) for of in ("all", "matmul", "conv", "rnn")} <= {"ieee", "none"}
        raise ZeroDivisionError
    assert visible() == before
    put("generic", "all", "tf32")  # whoever inherited still does
    inherited = visible()
    put("generic", "all", "none")
    with full_float32(device):
        pass
    put("generic", "all", "tf32")
    assert visible() == inherited


def test_the_older_settings_can_be_read_inside():
    """As `torch.backends.cudnn.flags` does, which networks use."""
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    with full_float32(CUDA), torch.backends.cudnn.flags(enabled=False, allow_tf32=False):
        assert visible()[-3:] == ["highest", False, False]
    assert torch.get_float32_matmul_precision() == "medium"


def test_a_later_pass_sets_back_what_a_module_changed_in_between():
    put("cuda", "conv", "ieee")
    with full_float32(CPU):
        torch.set_float32_matmul_precision("medium")
        with full_float32(CPU):
            assert get("mkldnn", "matmul") == "ieee"
        assert get("mkldnn", "matmul") == "ieee"  # a gradient may follow


def test_a_pass_that_ends_does_not_disturb_one_in_another_thread():
    torch.set_float32_matmul_precision("medium")
    begun, end = threading.Event(), threading.Event()
    found = []

    def second() -> None:
        with full_float32(CPU):
            begun.set()
            end.wait(10)
            found.append(get("mkldnn", "matmul"))

    with full_float32(CPU):
        other = threading.Thread(target=second)
        other.start()
        assert begun.wait(10)
    end.set()
    other.join()
    assert found == ["ieee"]
    assert get("mkldnn", "matmul") == "bf16"


def test_an_autocast_around_is_off_and_the_networks_own_stays():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with full_float32(CPU):
            assert (x @ x).dtype == torch.float32
            with torch.autocast("cpu", torch.bfloat16):
                assert (x @ x).dtype == torch.bfloat16
        assert (x @ x).dtype == torch.bfloat16


def test_a_job_computes_in_full_and_leaves_the_process_as_it_was():
    threads = torch.get_num_threads()
    torch.set_float32_matmul_precision("medium")
    before = visible()
    with use_device("cpu", threads):
        assert get("mkldnn", "matmul") == "ieee"
    assert visible() == before


def test_a_pass_costs_less_than_a_batch_notices():
    def seconds() -> float:
        started = time.perf_counter()
        for _ in range(100):
            with full_float32(CPU):
                pass
        return (time.perf_counter() - started) / 100

    assert min(seconds() for _ in range(10)) < 3e-4
