"""Ensembles that stop early: the definition's votes, whatever else is in the batch, and what was asked."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ensemble_networks import CLASSES, SHAPE, L, images, members
from tiny_networks import audited
from torch import nn

import rs
from rs.errors import UserError
from rs.networks.averaged import Averaged
from rs.networks.consensus import ConsensusForm
from rs.networks.forms import resolve
from rs.networks.inference import InferenceForm, form_of

FORM = {"precision": "float32", "batch": 256, "compiled": False}
CPU = torch.device("cpu")


class Seen(nn.Module):
    """Notes the shapes that it is called with."""

    def __init__(self, net: nn.Module, seen: list[int]) -> None:
        super().__init__()
        self.net, self.seen = net, seen

    def __deepcopy__(self, memo):
        import copy

        return Seen(copy.deepcopy(self.net, memo), self.seen)

    def forward(self, x):
        self.seen.append(len(x))
        return self.net(x)


def form(first: int = 2, nets=None, **more) -> InferenceForm:
    network = Averaged(nets or members(norm=True), first).eval()
    return form_of(audited(network, SHAPE, CLASSES), {**FORM, **more}, CPU)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_its_votes_are_those_of_the_definition(precision):
    x = images(600).float()
    early, network = form(precision=precision), Averaged(members(norm=True), 2).eval()
    assert isinstance(early, ConsensusForm)
    assert early.description | {"folded": True, "left": 32} == early.description
    found = torch.cat([early(part) for part in x.split(256)])
    expected = network(x)
    if precision == "float32":
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    same = (found.argmax(1) == expected.argmax(1)).double().mean()
    assert same > (0.999 if precision == "float32" else 0.95)
    first, second = (net.eval()(x).argmax(1) for net in members(norm=True)[:2])
    left = int((first != second).sum())
    assert 0 < left < 600
    if precision == "float32":
        assert early.passes == 2 * 600 + (L - 2) * left


def test_an_answer_does_not_depend_on_who_else_is_left_in_the_batch():
    x = images(256).float()
    early = form()
    together = early(x)
    order = torch.randperm(256, generator=torch.Generator().manual_seed(0))
    assert torch.equal(early(x[order]), together[order])
    assert torch.equal(early(x[200:]), together[200:])
    assert torch.equal(torch.cat([early(one[None]) for one in x[:32]]), together[:32])


def test_members_see_whole_batches_and_what_is_left_in_smaller_ones_of_one_shape():
    seen: list[list[int]] = [[] for _ in range(L)]
    nets = [Seen(net, each) for net, each in zip(members(), seen, strict=True)]
    early = form(nets=nets)
    for each in seen:
        each.clear()
    early(images(256).float())
    assert [{*each} for each in seen] == [{256}, {256}, {32}, {32}]
    early = form(3, nets=nets, batch=16)
    assert early.left == 16
    for each in seen:
        each.clear()
    early(images(16).float()[:0])
    assert seen[3] == []


def test_consensus_of_one_asks_one_and_of_all_is_a_plain_form():
    x = images(64).float()
    alone = form(1)
    torch.testing.assert_close(alone(x), members(norm=True)[0].eval()(x), rtol=0, atol=1e-5)
    assert alone.passes == 64
    whole = form(L)
    assert type(whole) is InferenceForm
    assert whole.passes is None
    assert type(form_of(audited(members()[0], SHAPE, CLASSES), FORM, CPU)) is InferenceForm


def test_votes_and_moments_come_from_it():
    early, x = form(batch=64), images(1)[0].float()
    noise = torch.randn(100, *SHAPE, generator=torch.Generator().manual_seed(3))
    parts = iter(noise.split(64))
    counts, sums, _ = early.vote(x, 100, lambda rows: next(parts).clone(), (1.0,))
    logits = Averaged(members(norm=True), 2).eval()(x + noise)
    assert torch.equal(counts, logits.argmax(1).bincount(minlength=CLASSES))
    torch.testing.assert_close(sums[0], logits.softmax(1).double().sum(0), rtol=1e-5, atol=1e-5)
    assert 200 < early.passes < 400
    early.check()


@pytest.mark.slow
def test_its_members_are_compiled_and_the_form_is_fixed_by_trial():
    network = audited(Averaged(members(3, norm=True), 2).eval(), SHAPE, CLASSES)
    settings = {**FORM, "batch": 64, "compiled": True}
    assert resolve(network, settings, CPU) == (settings, None)
    early, x = form_of(network, settings, CPU), images(64).float()
    torch.testing.assert_close(early(x), network.network(x), rtol=0, atol=1e-5)


class NotInBfloat16(nn.Module):
    def forward(self, x):
        if x.dtype == torch.bfloat16:
            raise RuntimeError("not in bfloat16")
        return x


def test_one_member_that_falls_back_takes_the_others_with_it():
    nets = members()
    nets[3] = nn.Sequential(NotInBfloat16(), nets[3])
    with pytest.warns(RuntimeWarning, match=r"member 3: falls back on a plainer inference form"):
        early = form(nets=nets, precision="bfloat16")
    assert early.description["precision"] == "float32"
    assert {part.description["precision"] for part in early.parts} == {"float32"}


def test_logits_that_are_not_finite_are_counted_where_they_are_answers():
    class Broken(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :CLASSES] / 0.0

    nets = [*members()[:3], Broken()]
    early, x = form(nets=nets), images(256).float()
    finite = early(x).isfinite().all(1)
    votes = [net.eval()(x).argmax(1) for net in nets[:2]]
    assert torch.equal(finite, votes[0] == votes[1])
    early.vote(x[0], 256, lambda rows: torch.randn(rows, *SHAPE))
    with pytest.raises(UserError, match="votes: logits are not finite"):
        early.check()


def test_a_network_that_draws_at_random_asks_all_of_its_members():
    network = audited(Averaged(members(), 2).eval(), SHAPE, CLASSES)
    plain = form_of(dataclasses.replace(network, chance=True), FORM, CPU)
    assert type(plain) is InferenceForm
    assert plain.description["chance"]
    assert plain.passes is None


def test_anybody_s_networks_are_averaged_smoothed_and_stop_early():
    x, y = images(6).float().clamp(0, 1), torch.zeros(6, dtype=torch.int64)
    network = Averaged(members(), 2)
    made = rs.smooth(network, sigma=0.5, batch=64, device="cpu")
    early = made.certify(x, y, n=400, progress=False)
    whole = rs.smooth(Averaged(members()), sigma=0.5, batch=64, device="cpu").certify(
        x, y, n=400, progress=False
    )
    assert isinstance(made._ready.form, ConsensusForm)
    assert 2 * 6 * 500 < made._ready.form.passes < 4 * 6 * 500
    assert (early.radius > 0).any()
    assert not np.array_equal(early.counts.estimation, whole.counts.estimation)
