"""What makes a network fast is shown to be the same function, or left out with a warning."""

from __future__ import annotations

import warnings

import foreign_networks as foreign
import pytest
import torch
from foreign_networks import SHAPE, made
from tiny_networks import audited, probes
from torch import nn

from rs.errors import UserError
from rs.networks.differentiable import Differentiable
from rs.networks.forms import resolve
from rs.networks.inference import PRECISIONS, InferenceForm, layout_of
from rs.networks.transformations import DIFFERING, apart, training_layout, transformed, warn
from rs.smoothing.ascent import input_gradient
from rs.smoothing.smoothed import soft_loss
from rs.stages import train as training

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
FORM = {"precision": "float32", "batch": 32, "compiled": False}
SAME = [foreign.Convolutional, foreign.tied]
CHANGED = [foreign.Shared, foreign.Alone, foreign.WeightRead, foreign.hooked, foreign.hooked_itself]
UNFOLDED = [foreign.BranchOnValues, foreign.scripted, foreign.parametrised, foreign.old_weight_norm]


def agree(network, seen, x):
    """Logits, and gradients of the smoothed loss, are the network's."""
    form = InferenceForm(audited(network, SHAPE, 10), FORM, CPU)
    with torch.no_grad():
        torch.testing.assert_close(form(x), network(x.clone()), rtol=1e-3, atol=1e-4)
    z, y = 0.1 * torch.randn(len(x), 3, *SHAPE), torch.arange(len(x)) % 10
    found, true = (input_gradient(lambda at, m=m: soft_loss(m, at, z, y), x) for m in (seen, network))
    assert (found - true).norm() <= 0.01 * true.norm()
    return form


@pytest.mark.parametrize("build", SAME)
def test_batch_norm_is_folded_where_that_is_the_same_function(build):
    network, x = made(build), torch.rand(20, *SHAPE)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        form = agree(network, Differentiable(audited(network, SHAPE, 10), FORM, CPU), x)
    assert form.description["folded"] is True
    assert form.description["layout"] == "channels_last"
    assert form.compared["folded"] < 1e-12
    assert not any(isinstance(m, nn.BatchNorm2d) for m in form.network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("build", CHANGED)
def test_what_folding_would_change_is_not_folded(build):
    """In bfloat16's tolerance some of these would pass; in float64 none does."""
    network, x = made(build), torch.rand(20, *SHAPE)
    with pytest.warns(RuntimeWarning, match="theirs: batch norm is not folded: .* is another function"):
        form = agree(network, Differentiable(audited(network, SHAPE, 10), FORM, CPU), x)
    assert form.description["folded"] is False
    assert form.compared["folded"] > 1e-4
    assert form.compared["layout"] < 1e-12


@pytest.mark.parametrize("build", UNFOLDED)
def test_what_cannot_be_folded_stays_as_it_is(build):
    network = made(build)
    form = agree(network, Differentiable(audited(network, SHAPE, 10), FORM, CPU), torch.rand(20, *SHAPE))
    assert form.description["folded"] is False
    assert isinstance(form.compared.get("folded", ""), str)  # the reason; a scripted network shows no norms


class Single(nn.Module):
    """Computes in float32, whatever it is asked in."""

    def __init__(self):
        super().__init__()
        self.net = made(foreign.Convolutional)

    def forward(self, x):
        return self.net(x.float())


@pytest.mark.parametrize("build", [Single, foreign.ViewAfterConvolution, foreign.Alone])
def test_warnings_of_a_network_that_stays_as_it_is_say_that_this_costs_speed_alone(build):
    with pytest.warns(RuntimeWarning, match="; this can cost speed, and changes no result$"):
        transformed(made(build), torch.rand(4, *SHAPE), "theirs")
    with pytest.warns(RuntimeWarning, match=": is attacked otherwise$"):
        warn("theirs", "is attacked otherwise")


@pytest.mark.parametrize("build", [foreign.ViewAfterConvolution, foreign.ReadsMemory])
def test_what_needs_contiguous_memory_gets_it(build):
    network = made(build)
    with pytest.warns(RuntimeWarning, match="theirs: computes in contiguous memory: in channels_last it"):
        form = agree(network, Differentiable(audited(network, SHAPE, 10), FORM, CPU), torch.rand(20, *SHAPE))
    assert form.description["layout"] == "contiguous_format"
    with pytest.warns(RuntimeWarning, match="training: computes in contiguous memory"):
        layout = training_layout(network, SHAPE, CPU)
    assert layout == torch.contiguous_format
    model, x = training.Autocast(network, "float32", layout), torch.rand(3, *SHAPE)
    assert torch.equal(model(x), network(x))
    assert training_layout(foreign.Convolutional(), SHAPE, CPU) == torch.channels_last


def test_gradients_that_a_faster_form_would_change_are_the_network_s():
    """Logits are the same; gradients of copies that are summed behind the first convolution are not."""
    network = made(foreign.hooked_first)
    with pytest.warns(RuntimeWarning, match="the gradients of its faster form differ by"):
        seen = Differentiable(audited(network, SHAPE, 10), FORM, CPU)
    assert seen.first is None
    agree(network, seen, torch.rand(20, *SHAPE))
    network = made(foreign.standardised)
    seen = Differentiable(audited(network, SHAPE, 10), FORM, CPU)
    assert seen.first is None
    assert agree(network, seen, torch.rand(20, *SHAPE)).description["folded"] is True


@pytest.mark.parametrize(
    ("precision", "device", "layout"),
    [
        ("float32", "cuda", torch.contiguous_format),
        ("bfloat16", "cuda", torch.channels_last),
        ("float32", "cpu", torch.channels_last),
    ],
)
def test_float32_votes_in_contiguous_memory_on_a_gpu(precision, device, layout):
    assert layout_of(torch.channels_last, PRECISIONS[precision], torch.device(device)) == layout
    assert layout_of(torch.contiguous_format, PRECISIONS[precision], torch.device(device)) == (
        torch.contiguous_format
    )


def test_a_form_computes_in_the_layout_that_it_tells(monkeypatch):
    monkeypatch.setattr("rs.networks.inference.layout_of", lambda *_: torch.contiguous_format)
    form = InferenceForm(audited(made(foreign.Convolutional), SHAPE, 10), FORM, CPU)
    assert form.description["layout"] == "contiguous_format"
    weights = [w for w in form.network.parameters() if w.dim() == 4]
    assert weights
    assert all(w.is_contiguous() for w in weights)


def test_looking_for_a_layout_leaves_training_as_it_was():
    network = foreign.ActiveDropout()
    before, flags = torch.get_rng_state(), [p.requires_grad for p in network.parameters()]
    with pytest.warns(RuntimeWarning, match="contiguous"):  # two calls of it differ: nothing can be shown
        training_layout(network, SHAPE, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert [p.requires_grad for p in network.parameters()] == flags
    assert network.training


@pytest.mark.parametrize("build", [foreign.Float32Only, foreign.ChangesItsInput, foreign.IntegerWeights])
def test_networks_of_other_numbers_and_habits_vote_as_they_are(build):
    network, images = made(build), probes(SHAPE)
    before = images.clone()
    form = InferenceForm(audited(network, SHAPE, 10), FORM, CPU)
    x = torch.rand(20, *SHAPE)
    torch.testing.assert_close(form(x), network(x.clone()), rtol=1e-4, atol=1e-5)
    assert torch.equal(images, before)


def test_what_is_not_computed_in_float64_is_not_transformed():
    with pytest.warns(RuntimeWarning, match="does not compute in float64 .RuntimeError"):
        found = transformed(made(foreign.Float32Only), probes(SHAPE), "theirs")
    assert (found.folded, found.layout, found.exact) == (False, torch.contiguous_format, False)


def test_a_network_that_cannot_be_copied_is_one_line():
    with pytest.raises(UserError, match=r"^theirs: the network cannot be copied \(TypeError: holds an open"):
        InferenceForm(audited(made(foreign.CannotBeCopied), SHAPE, 10), FORM, CPU)


class Cancels(foreign.Base):
    """A difference of large numbers: bfloat16 loses it, float32 does not."""

    def forward(self, x):
        large = 300 * x.flatten(1).sum(1, keepdim=True)
        return (super().forward(x) + large) - large


class NoBfloat16(foreign.Base):
    def forward(self, x):
        if x.dtype == torch.bfloat16:
            raise RuntimeError("not implemented for 'BFloat16'")
        return super().forward(x)


@pytest.mark.parametrize(
    ("build", "why"), [(Cancels, r"of its votes are not the network's"), (NoBfloat16, "not implemented")]
)
def test_rounding_is_judged_by_the_votes_that_it_changes(build, why):
    network = audited(made(build), SHAPE, 10)
    with pytest.warns(RuntimeWarning, match=rf"theirs: falls back on a plainer .* precision bfloat16.*{why}"):
        form = InferenceForm(network, {**FORM, "precision": "bfloat16"}, CPU)
    assert form.description["precision"] == "float32"
    assert form.compared["differing_votes"] <= DIFFERING[torch.float32]
    assert form.compared["probes"] == len(network.probes)
    with pytest.warns(RuntimeWarning, match=f"attacked in a plainer form.*{why}"):
        seen = Differentiable(network, {"precision": "bfloat16"}, CPU)
    assert seen.dtype == torch.float32
    with pytest.warns(RuntimeWarning, match="falls back"):
        fixed, fallback = resolve(network, {**FORM, "precision": "bfloat16"}, CPU)
    assert fixed == FORM  # what the form stage fixes is what was come to
    assert "precision bfloat16" in fallback
    sound = InferenceForm(audited(made(foreign.Base), SHAPE, 10), {**FORM, "precision": "bfloat16"}, CPU)
    assert sound.description["precision"] == "bfloat16"


def test_compiled_code_that_votes_otherwise_is_not_used(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network, **_: lambda x: network(x).roll(1, 1))
    network = audited(made(foreign.Base), SHAPE, 10)
    with pytest.warns(RuntimeWarning, match=r"compiled True.*100\.0% of its votes"):
        form = InferenceForm(network, {**FORM, "compiled": True}, CPU)
    assert form.description["compiled"] is False


def test_votes_that_no_form_agrees_on_are_refused():
    network = audited(made(foreign.ByBatchSize), SHAPE, 10)
    wide = InferenceForm(network, {**FORM, "batch": 16}, CPU)
    assert wide.compared["differing_votes"] == 0

    class ByPadding(foreign.Base):
        def forward(self, x):
            return super().forward(x).roll(1 if len(x) == 64 else 0, 1)

    with pytest.warns(RuntimeWarning), pytest.raises(UserError, match="votes depend on the batch"):
        InferenceForm(audited(made(ByPadding), SHAPE, 10), {**FORM, "batch": 64}, CPU)


def test_distances_know_what_is_not_finite():
    nan, one = torch.tensor([torch.nan, 1.0]), torch.tensor([1.0, 1.0])
    assert apart(nan, nan) == 0
    assert apart(nan, one) == float("inf")
    assert apart(one, nan) == float("inf")
    assert apart(one[:1], one) == float("inf")
    assert apart(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 4.0])) == 0.25
    assert apart(torch.tensor([torch.inf]), torch.tensor([torch.inf])) == 0
