"""Votes, gradients and training steps in float32 do not depend on the process's settings of precision."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import Tensor, nn

import rs
from rs.machine import float32
from rs.networks.audit import Audited
from rs.networks.compiled_gradients import CompiledGradients
from rs.networks.differentiable import Differentiable
from rs.networks.inference import InferenceForm
from rs.stages.train import Autocast

pytestmark = pytest.mark.usefixtures("kept_float32")

CPU = torch.device("cpu")
FORM = {"precision": "float32", "batch": 32, "compiled": False}


class Watching(nn.Module):
    """Notes in which precision its products are, and puts `meanwhile` into the process when it has answered:
    a module of a user may.
    """

    def __init__(self, meanwhile: str | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))
        self.meanwhile = meanwhile
        self.precisions: list[str] = []

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        self.precisions.append(f"{torch.backends.mkldnn.matmul.fp32_precision} {logits.dtype}")
        if self.meanwhile:
            torch.set_float32_matmul_precision(self.meanwhile)
        return logits


@contextlib.contextmanager
def autocast():
    with torch.autocast("cpu", torch.bfloat16):
        yield


@contextlib.contextmanager
def medium():
    torch.set_float32_matmul_precision("medium")
    yield
    assert torch.get_float32_matmul_precision() == "medium"  # it can be read, and is the caller's


def audited(network: nn.Module) -> Audited:
    return Audited(network.eval(), {"classes": 10}, torch.rand(32, 1, 8, 8), "run", False)


def full(network: nn.Module) -> bool:
    """Whether its products were in full float32 since its notes were cleared."""
    return {*network.precisions} <= {f"{p} torch.float32" for p in float32.FULL} and network.precisions != []


@pytest.mark.parametrize("around", [medium, autocast])
def test_votes_of_float32_are_the_same_whatever_the_process_is_set_to(around):
    images, network = torch.rand(4, 1, 8, 8), Watching()
    shared = rs.smooth(network, sigma=1.0, device="cpu")

    def votes(smoothed):
        return smoothed.certify(images, n=2000, progress=False).counts.estimation.tolist()

    plainly = votes(shared)
    with around():
        assert votes(shared) == plainly  # set between two calls
        assert votes(rs.smooth(network, sigma=1.0, device="cpu")) == plainly


@pytest.mark.parametrize("around", [medium, autocast])
def test_forms_and_gradients_are_in_full(around):
    network, x = Watching(), torch.rand(4, 1, 8, 8)
    with around():
        form = InferenceForm(audited(network), FORM, CPU)
        seen = Differentiable(audited(network), FORM, CPU)
        for call, own in (
            (form, form.network),
            (seen, seen.network),
            (Autocast(network, "float32"), network),
        ):
            own.precisions.clear()
            call(x)
            assert full(own)


def test_a_module_that_changes_the_settings_at_every_call_changes_no_vote():
    network = Watching("medium")
    smoothed, x = rs.smooth(network, sigma=1.0, device="cpu"), torch.rand(2, 1, 8, 8)
    smoothed.certify(x, n=1000, progress=False)
    own = smoothed._ready.form.network
    own.precisions.clear()
    smoothed.certify(x, n=1000, progress=False)
    assert full(own)


def test_attacks_take_their_gradients_in_full():
    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, above):
            backward.append(torch.backends.mkldnn.matmul.fp32_precision)
            return above

    class Entering(nn.Module):
        def forward(self, x):
            return Watched.apply(x)

    backward: list[str] = []
    smoothed = rs.smooth(nn.Sequential(Entering(), Watching()), sigma=1.0, device="cpu", batch=32)
    with medium():
        backward.clear()
        given = {"radii": [0.5], "judge": 10, "steps": 2, "samples": 4, "progress": False}
        rs.attack(smoothed, torch.rand(2, 1, 8, 8), [0, 1], "pgd_l2", **given)
    assert {*backward[-2:]} == {"ieee"}


@pytest.mark.slow
def test_compiled_passes_keep_their_precision_and_are_not_compiled_anew():
    network, x = Watching().layers, torch.rand(32, 1, 8, 8)
    form = InferenceForm(audited(network), {**FORM, "compiled": True}, CPU)
    seen = CompiledGradients(audited(network), FORM, CPU, 8, 4)
    assert form.description["compiled"]
    assert seen.passes is not None

    def passes() -> list[Tensor]:
        leaf = x.clone().requires_grad_()
        logits = seen(leaf)
        with float32.full_float32(CPU):  # as around an attack
            return [form(x).clone(), logits.detach(), torch.autograd.grad(logits.sum(), leaf)[0]]

    plainly = passes()
    for around in (medium, autocast):
        with around(), torch._dynamo.config.patch(error_on_recompile=True):
            assert all(map(torch.equal, passes(), plainly))
