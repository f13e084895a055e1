"""Compiled gradients are those of the network, up to rounding, or are left out with a warning."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_networks import audited, small, with_trained_norms
from torch import nn

from rs.networks import compiled_gradients, halves
from rs.networks.compiled_gradients import CompiledGradients, CompiledPasses
from rs.smoothing.ascent import input_gradient
from rs.smoothing.smoothed import soft_loss

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
FLOAT32 = {"precision": "float32"}


def in_place() -> nn.Module:
    """Activations overwrite what the first convolution and a sum of branches return; a stride of 2."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(nn.functional.elu_(self.one(x))).add_(x).relu_()

    torch.manual_seed(0)
    layers = [nn.ReLU(inplace=True), Branches(), nn.Conv2d(4, 6, 3, 2), nn.Flatten(), nn.Linear(54, 10)]
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *layers).eval()


def gradient(seen: nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    y = torch.arange(len(x)) % 3
    return input_gradient(lambda at: soft_loss(seen, at, z, y), x)


NETWORKS = {
    "norms": (lambda: with_trained_norms((1, 8, 8)), (1, 8, 8), 10),
    "in place": (in_place, (1, 8, 8), 10),
    "no first convolution": (small, (1, 8, 8), 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradients_are_those_of_the_network(name):
    make, shape, classes = NETWORKS[name]
    network = make()
    seen = CompiledGradients(audited(network, shape, classes), FLOAT32, CPU, 2, 3)
    assert seen.compared["compiled"] is True
    assert seen.passes is not None
    assert (seen.first is None) == (name == "no first convolution")
    x, z = torch.rand(2, *shape), 0.1 * torch.randn(2, 3, *shape)
    gradients = [gradient(m, x, z) for m in (seen, network)]
    assert (gradients[0] - gradients[1]).norm() < 0.02 * gradients[1].norm()
    assert gradients[1].norm() > 0
    torch.testing.assert_close(seen.of_copies(x, z), network((x.unsqueeze(1) + z).flatten(0, 1)))


def test_passes_of_another_size_run_as_before(monkeypatch):
    network = with_trained_norms((1, 8, 8))
    seen = CompiledGradients(audited(network, (1, 8, 8), 10), FLOAT32, CPU, 2, 2)
    ran, passes = [], seen.passes.forward
    monkeypatch.setattr(seen.passes, "forward", lambda images: ran.append(len(images)) or passes(images))
    for images, copies in ((2, 2), (2, 3), (4, 1), (1, 1)):
        x, z = torch.rand(images, 1, 8, 8), torch.rand(images, copies, 1, 8, 8)
        torch.testing.assert_close(gradient(seen, x, z), gradient(network, x, z), rtol=1e-3, atol=1e-5)
    assert ran == [4, 4]  # two images with two copies, and four with one


def refused(match: str, network: nn.Module | None = None, chance: bool = False) -> CompiledGradients:
    given = audited(network or with_trained_norms((1, 8, 8)), (1, 8, 8), 10)
    with pytest.warns(RuntimeWarning, match=f"theirs: is attacked without compiled gradients: {match}"):
        seen = CompiledGradients(replace(given, chance=chance), FLOAT32, CPU, 2, 2)
    assert seen.passes is None
    assert isinstance(seen.compared["compiled"], str)
    x = torch.rand(2, 1, 8, 8)
    assert torch.autograd.grad(seen(x.requires_grad_()).sum(), x)[0].abs().max() > 0
    return seen


def test_without_a_compiler_the_attack_runs_uncompiled(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no working C++ compiler found\nin any of these places")

    monkeypatch.setattr(compiled_gradients, "compiled", lambda half: fails)
    refused(r"RuntimeError: no working C\+\+ compiler found$")


@pytest.mark.parametrize("half", ["logits", "gradients"])
def test_passes_that_are_another_function_are_left_out(monkeypatch, half):
    halves = iter([half == "logits", half == "gradients"])

    def changed(part):
        wrong = next(halves)
        return lambda *given: [part(*given)[0] * (1.1 if wrong else 1), *part(*given)[1:]]

    monkeypatch.setattr(compiled_gradients, "compiled", changed)
    refused(f"its {half} are 0.1 of their norm from the exact ones, .* uncompiled")


def test_what_cannot_be_written_down_runs_uncompiled():
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :10] * (2 if x.sum() > 0 else 3)

    refused(".*", Branching().eval())
    refused("the network draws at random", chance=True)


def test_the_backward_pass_of_strided_and_grouped_convolutions_stays(monkeypatch):
    """Turned weights are the gradient of stride 1 without groups only."""
    turned = []
    real = halves._turned

    def counted(*given):
        found = real(*given)
        turned.append(found is not NotImplemented)
        return found

    monkeypatch.setattr(halves, "_turned", counted)
    monkeypatch.setattr(compiled_gradients, "compiled", lambda half: lambda *given: half(*given))
    kinds = {"strided": {"stride": 2}, "grouped": {"groups": 2}, "dilated": {"dilation": 2}}
    kinds |= {"plain": {"padding": 1}, "wide": {"padding": 3}}
    for name, kind in kinds.items():
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, **kind), nn.Flatten(), nn.LazyLinear(3)]
        network = nn.Sequential(*layers).eval()
        network(torch.rand(1, 1, 8, 8))
        turned.clear()
        seen = CompiledGradients(audited(network, (1, 8, 8), 3), FLOAT32, CPU, 2, 2)
        assert isinstance(seen.passes, CompiledPasses), seen.compared
        assert turned == [name == "plain"]
