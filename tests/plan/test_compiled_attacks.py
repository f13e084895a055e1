"""Attacks that compile their gradients are priced by the speed of compiled gradients, as far as they are."""

from __future__ import annotations

import pytest
import torch

from rs.networks import compiled_gradients
from rs.networks.compiled_gradients import CompiledGradients
from rs.plan import price, rates
from rs.plan.passes import COMPILED_GRADIENT, Network
from rs.plan.work import work_of
from rs.stages import speed

pytestmark = pytest.mark.usefixtures("own_cache")
NETWORK = Network('{"name":"digits_cnn"}', (1, 8, 8), "float32")
COSTS = {"multiply_adds": 10, "outputs": 20, "weights": 30, "operations": 40}
SLOW, FAST = ({"fixed": 0.0, "each": each} for each in (0.2, 0.1))
OTHERS = dict.fromkeys(("vote", "update", "ascent"), SLOW)


@pytest.fixture
def compiling(tiny, plan_of):
    """The plan of the tiny study with compiled attacks and other settings of the attack."""

    def make(**more):
        tiny["attacks"][0] |= {"compiled": True, **more}
        return plan_of(tiny)

    return make


def gradients(plan):
    """Copies of images in compiled and in plain gradients of one attack."""
    works = list(work_of(plan, next(iter(plan.jobs["attack"].values()))))
    return tuple(sum(w.copies for w in works if w.kind == kind) for kind in (COMPILED_GRADIENT, "gradient"))


def hours(plan, machine=None):
    return price.price(plan, plan.jobs["attack"].values(), machine)


def test_gradients_of_whole_batches_are_compiled(compiling):
    """A batch of 32 rows holds 16 images of two samples; two steps."""
    assert gradients(compiling(images={"max": 16}, checks=0)) == (16 * 4, 0)
    assert gradients(compiling(images={"max": 40}, checks=0)) == (32 * 4, 8 * 4)
    # a check of twice the steps and one without a bound; one with twice the samples, whose batches are larger
    assert gradients(compiling(images={"max": 40}, checks=20)) == (32 * 4 + 16 * 12, 8 * 4 + 16 * 8 + 4 * 20)
    assert gradients(compiling(images={"max": 3}, checks=3)) == (3 * 4 + 3 * 12, 3 * 8)
    assert gradients(compiling(images={"max": 16}, checks=0, keep_broken=True)) == (0, 16 * 4)
    assert gradients(compiling(images={"max": 16}, checks=0, keep_broken=False)) == (16 * 4, 0)


def test_they_have_their_own_rate_and_compile_first(compiling, tiny, plan_of):
    rates.keep(NETWORK, COSTS, {**OTHERS, "gradient": SLOW, COMPILED_GRADIENT: FAST})
    compiled = hours(compiling(checks=0))
    tiny["attacks"][0]["compiled"] = False
    plain = hours(plan_of(tiny))
    assert not compiled.assumed
    less = 2 * 3 * 4 * 0.1 - 2 * rates.COMPILING[COMPILED_GRADIENT]  # two runs
    assert 3600 * (plain.hours - compiled.hours) == pytest.approx(less)


def test_unmeasured_they_are_assumed_to_be_as_fast_as_uncompiled_ones(compiling, tiny, plan_of):
    rates.keep(NETWORK, COSTS, {**OTHERS, "gradient": SLOW})
    found = hours(compiling())
    tiny["attacks"][0]["compiled"] = False
    plain = hours(plan_of(tiny))
    assert (found.assumed, plain.assumed) == (True, False)
    more = 2 * rates.COMPILING[COMPILED_GRADIENT]
    assert 3600 * (found.hours - plain.hours) == pytest.approx(more)


@pytest.mark.parametrize("machine", [rates.card("H100"), rates.Here("a GPU", "GPU-hours", "cuda 9.0")])
def test_on_a_gpu_none_are_compiled(machine, compiling, tiny, plan_of):
    compiled = hours(compiling(), machine)
    tiny["attacks"][0]["compiled"] = False
    assert hours(plan_of(tiny), machine).hours == pytest.approx(compiled.hours, rel=1e-6)


@pytest.mark.slow
def test_what_is_timed_are_compiled_gradients(monkeypatch):
    """Without the compiler's minutes for C++: tests/networks/test_compiled_gradients.py runs it."""
    timed, halves = [], []

    def compiled(half):
        def run(*arguments):
            halves[-1] += 1
            return half(*arguments)

        return torch.no_grad()(run)

    class Told(CompiledGradients):
        def of_copies(self, x, z):
            halves.append(0)  # counts this gradient's
            if self.compared.get("compiled"):  # made and compared
                timed.append((self.compared["compiled"], z.flatten(0, 1).shape == self.passes.shape))
            return super().of_copies(x, z)

    monkeypatch.setattr(compiled_gradients, "compiled", compiled)
    monkeypatch.setattr(speed, "CompiledGradients", Told)
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    _, found = speed.measure(NETWORK, [COMPILED_GRADIENT], torch.device("cpu"))
    assert set(timed) == {(True, True)}, "compiled, in passes of the compiled shape"
    assert halves[-len(timed) :] == [2] * len(timed), "forward and backward by what the compiler made"
    assert found[COMPILED_GRADIENT]["each"] > 0
