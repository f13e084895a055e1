"""Batches that images share: bit by bit the votes of batches of their own, in fewer of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from ensemble_networks import CLASSES, SHAPE, members
from tiny_networks import audited
from torch import nn

from rs.api.voting import Drawing, Ready, VoterAtHand
from rs.errors import UserError
from rs.methods.noise.gaussian import Gaussian
from rs.networks.averaged import Averaged
from rs.networks.consensus import ConsensusForm
from rs.networks.inference import InferenceForm, form_of
from rs.stages.shared_batches import Ballot, _found, cast, independent, shares

CPU = torch.device("cpu")
POSITIONS = [3, 40, 41, 7, 100, 12, 13, 14, 15, 16, 2, 1]
IMAGES = torch.rand(len(POSITIONS), *SHAPE, generator=torch.Generator().manual_seed(5))
ROWS = range(len(POSITIONS))
FORM = {"precision": "float32", "batch": 64, "compiled": False}
SELECT = [Ballot(row, "select", 0, 70) for row in ROWS]


class Neighbours(nn.Module):
    """An image's logits move with its neighbours, which no float64 probe shows: by less than it rounds."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :CLASSES] + 1e-6 * x.mean()


class Place(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :CLASSES] + 1e-6 * torch.arange(len(x))[:, None]


class Range(nn.Module):
    """Moved in steps by the largest number of the batch, as where one scale rounds a whole batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :CLASSES] + 1e-6 * x.abs().max().log2().ceil().exp2()


class Chance(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :CLASSES] + torch.randn(len(x), 1)


def one() -> nn.Module:
    return members(norm=True)[0]


def ready(network: nn.Module, **form) -> Ready:
    given = replace(audited(network.eval(), SHAPE, CLASSES), chance=isinstance(network, Chance))
    return Ready(given, form_of(given, FORM | form, CPU), FORM | form, Gaussian(1.0), 9)


def voter(of: Ready, betas=(1.0, 8.0), rows=ROWS) -> VoterAtHand:
    return VoterAtHand(of, IMAGES[list(rows)], [POSITIONS[row] for row in rows], betas)


def alone(of: Ready, ballots=SELECT, betas=(1.0, 8.0)) -> list[tuple[torch.Tensor, ...]]:
    own = voter(of, betas)
    return [own.vote(*ballot) for ballot in ballots]


@pytest.fixture
def calls(monkeypatch):
    """How many images each pass of a form is asked about."""
    sizes, before = [], InferenceForm.__call__

    def call(form, images):
        sizes.append(len(images))
        return before(form, images)

    monkeypatch.setattr(InferenceForm, "__call__", call)
    return sizes


def same(found, expected) -> bool:
    return all(
        torch.equal(a, b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("votes", [16, 48, 70, 100, 257])
@pytest.mark.parametrize(
    "form", [{}, {"precision": "bfloat16"}, {"batch": 256}, {"batch": 48}], ids=lambda form: str(form)
)
def test_votes_and_moments_are_those_of_batches_of_ones_own(form, votes, calls):
    of = ready(one(), **form)
    ballots = [ballot._replace(votes=votes) for ballot in SELECT]
    expected = alone(of, ballots)
    assert independent(of.form, SHAPE)
    calls.clear()
    assert same(cast(voter(of), ballots), expected)
    own, shared = len(ROWS) * -(-votes // of.form.batch), -(-len(ROWS) * votes // of.form.batch)
    pays = own - shared > 5  # passes that try out
    assert len(calls) == (shared + 5 if pays else own)
    calls.clear()
    assert same(cast(voter(of), ballots), expected)
    assert len(calls) == (shared if pays else own)


def test_an_images_votes_depend_on_no_other_image_and_no_order(calls):
    of = ready(one())
    expected = alone(of)
    for order in (list(reversed(ROWS)), [5, 1, 7, 8, 2, 9, 0], [4]):
        assert same(cast(voter(of), [SELECT[row] for row in order]), [expected[row] for row in order])
    shards = [range(5), range(5, 12)]
    found = [cast(voter(of, rows=rows), SELECT[: len(rows)]) for rows in shards]
    assert same(itertools.chain(*found), expected)


def test_blocks_of_several_sizes_and_purposes_share(calls):
    of = ready(one())
    ballots = [Ballot(r, p, b, n) for r in ROWS for p, b, n in (("select", 0, 10), ("estimate", 1, 130))]
    expected = alone(of, ballots, ())
    calls.clear()
    assert same(cast(voter(of, ()), ballots), expected)
    assert len(calls) == 5 + -(-12 * 140 // 64)


def test_an_ensemble_that_stops_early_is_asked_about_the_same_images():
    of = ready(Averaged(members(norm=True), 2))
    assert isinstance(of.form, ConsensusForm)
    expected, passes = alone(of), of.form.passes
    of.form.passes = 0
    assert same(cast(voter(of), SELECT), expected)
    assert of.form.passes == passes > 2 * len(ROWS) * 70


@pytest.mark.parametrize("network", [Neighbours, Place, Range, Chance])
def test_what_depends_on_its_batch_or_on_chance_has_batches_of_its_own(network, calls):
    of = ready(network())
    expected = alone(of)
    calls.clear()
    assert same(cast(voter(of), SELECT), expected)
    assert calls[-24:] == [64, 6] * 12


@pytest.mark.parametrize("at", ["a first one", "a later one"])
def test_rows_that_depend_on_their_batch_are_found(at):
    """In an ensemble's later members too, which images of a trial may never come to."""
    if at == "a first one":
        for network in (Neighbours(), Place(), Range()):
            assert not independent(ready(network).form, SHAPE)
        assert independent(ready(one()).form, SHAPE)
        return
    agreeing = ready(Averaged([one(), one(), one()], 2)).form
    assert independent(agreeing, SHAPE)
    agreeing.parts[2].network = Place()
    assert not independent(agreeing, SHAPE)


def test_what_is_tried_out_before_the_votes_is_not_counted_among_an_ensembles_passes():
    form = ready(Averaged(members(norm=True), 2)).form
    form(torch.zeros(3, *SHAPE))
    before = form.passes
    assert before >= 6
    independent(form, SHAPE)
    assert form.passes == before


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes"),
        MemoryError(),
    ],
    ids=["GPU", "processor", "Python"],
)
@pytest.mark.parametrize("while_", ["tried out", "laid out", "voted on"])
def test_memory_that_runs_out_is_one_line_and_changes_no_vote(while_, error, monkeypatch):
    def out(*_):
        raise error

    of = ready(one())
    own, expected = voter(of), alone(of)
    with monkeypatch.context() as once:
        if while_ == "laid out":
            once.setattr(own, "zeros", out)
        else:
            if while_ == "voted on":
                assert shares(own)
            once.setattr(InferenceForm, "__call__", out)
        line = r"^memory ran out in batches of 64; lower sampling\.batch [^\n]*$"
        with pytest.raises(UserError, match=line):
            list(cast(own, SELECT))
    assert (own.form in _found) is (while_ != "tried out")
    assert same(cast(own, SELECT), expected)


def test_another_error_of_a_network_is_not_taken_for_memory(monkeypatch):
    def fails(*_):
        raise RuntimeError("mat1 and mat2")

    own = voter(ready(one()))
    monkeypatch.setattr(InferenceForm, "__call__", fails)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(cast(own, SELECT))


def test_totals_come_as_soon_as_they_are_whole(calls):
    of = ready(one())
    list(cast(voter(of), SELECT))  # tried out
    calls.clear()
    drawn = cast(voter(of), SELECT)
    needed = [-(-70 * (row + 1) // 64) for row in ROWS]
    assert all(passes <= len(calls) <= passes + 1 for passes, _ in zip(needed, drawn, strict=True))
    assert len(calls) == needed[-1]


def test_logits_that_are_not_finite_are_of_the_image_that_has_them():
    class Root(nn.Module):
        def forward(self, x):
            flat = x.flatten(1)
            return torch.where(flat[:, :1] > 40, flat[:, :1] * float("nan"), flat[:, :CLASSES])

    own = voter(ready(Root()), ())
    own.x[4] += 42
    counts, sums, squares = (torch.stack(part) for part in zip(*cast(own, SELECT), strict=True))
    with pytest.raises(UserError, match=r"image 100: \d+ of 70 votes .* and votes in 1 of 12 images"):
        own.votes((counts, sums, squares))


def test_the_face_draws_them_as_the_sample_stage(calls):
    of = ready(one())
    drawing = Drawing(of, IMAGES, POSITIONS, (8.0,), False)
    expected = alone(of, betas=(8.0,))
    calls.clear()
    votes = drawing.fixed("select", 70)
    assert len(calls) == 5 + -(-12 * 70 // 64)
    assert np.array_equal(votes.counts, torch.stack([counts for counts, _, _ in expected]))
    assert np.array_equal(votes.sums[8.0], torch.cat([sums for _, sums, _ in expected]))
    assert np.array_equal(votes.squares[8.0], torch.cat([squares for _, _, squares in expected]))
