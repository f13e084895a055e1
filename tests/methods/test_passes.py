"""The passes that methods say they cost are those that they take: counted while they run."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from rs.methods import catalog
from rs.settings.passes import counted, wrong_passes
from rs.smoothing.smoothed import Smoothed
from rs.study.schema import defaults, method_schema, schema

IMAGES, SHAPE = 3, (1, 6, 6)
OTHERS = {"classifier": "another"}
FEWER = {"steps": 3, "search_steps": 2, "samples": 4, "k": 5, "votes": 400, "epsilon": 0.5}
OBJECTIVES = sorted(schema()["$defs"]["objectives"])
MINIMAL = {"carlini_wagner_l2", "ddn"}  # the votes that settle their points depend on what they find
AT_MOST = {"autoattack_l2", "autoattack_linf", "square_linf", "transfer"}  # somebody else's, who stop early
EXACT = sorted(set(schema()["$defs"]["attacks"]) - MINIMAL - AT_MOST)


class Counting(nn.Module):
    """Counts what goes through it: per kind of pass, how many there are and of how many images."""

    def __init__(self, output: str = "logits") -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(SHAPE), 4)
        self.image = output == "image"
        self.taken: dict[str, list[int]] = {}

    def forward(self, x):
        kind = "ascent" if x.requires_grad else "update" if torch.is_grad_enabled() else "forward"
        self.taken.setdefault(kind, []).append(len(x))
        logits = self.layer(x.flatten(1))
        return x * logits.mean() if self.image else logits

    @property
    def found(self) -> dict[str, tuple[int, float]]:
        """Passes, and copies of an image in each."""
        return {kind: (len(sizes), sum(sizes) / len(sizes) / IMAGES) for kind, sizes in self.taken.items()}


def batch():
    torch.manual_seed(0)
    return torch.rand(IMAGES, *SHAPE), torch.tensor([0, 1, 2])


def given(kind, name, **more):
    """The method's part of a study, with few of everything, and all its values."""
    own = method_schema(kind, name)
    few = {k: v for k, v in (FEWER | OTHERS).items() if k in own["x-parameters"]}
    chosen = {"name": name, **few, **more}
    return chosen, defaults(own, chosen)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_takes_the_passes_that_it_states(name):
    facts, (chosen, values) = method_schema("objectives", name), given("objectives", name)
    model, (x, y) = Counting(facts.get("x-output", "logits")), batch()
    known = facts.get("x-noises", ["gaussian"])
    noise = {"name": "none"} if known == ["none"] else {"name": "gaussian", "sigma": 0.5}
    draws = torch.Generator().manual_seed(1)
    method = catalog.build("objectives", chosen)
    method = dataclasses.replace(method, **{key: Counting() for key in facts.get("x-networks", {})})
    method.loss(model, x, y, catalog.build("noises", noise), draws, 0.5)
    assert model.found == counted(facts["x-passes"], values)


@pytest.mark.parametrize("name", EXACT)
def test_an_attack_in_balls_takes_the_passes_that_it_states(name):
    chosen, values = given("attacks", name, radii=[0.0, 0.25, 0.5, 1.0])
    taken = attacked(chosen)
    stated = counted(method_schema("attacks", name)["x-passes"], {**values, "radii": chosen["radii"][1:]})
    assert taken == stated


@pytest.mark.parametrize("name", sorted(MINIMAL))
def test_a_minimal_attack_takes_the_ascents_that_it_states(name):
    chosen, values = given("attacks", name, radii=[1.0])
    assert attacked(chosen)["ascent"] == counted(method_schema("attacks", name)["x-passes"], values)["ascent"]


def attacked(chosen):
    model, (x, y) = Counting(), batch()
    draws = [torch.Generator().manual_seed(i) for i in range(IMAGES)]
    smoothed = Smoothed(model.eval(), catalog.build("noises", {"name": "gaussian", "sigma": 0.5}), draws)
    method = catalog.build("attacks", chosen)
    if hasattr(method, "minimal"):
        method.minimal(smoothed, x, y)
    else:
        method.at_radii(smoothed, x, y, chosen["radii"])
    return model.found


def test_every_method_of_these_kinds_states_its_passes():
    for kind in ("objectives", "attacks"):
        lacking = {name for name, method in schema()["$defs"][kind].items() if "x-passes" not in method}
        assert lacking == ({"transfer"} if kind == "attacks" else set())  # its source's are counted


@pytest.mark.parametrize(
    ("passes", "problem"),
    [
        ({"backward": (1, 1)}, "must map some of forward, ascent, update"),
        (3, "must map some of"),
        ({"update": (1, 2, 3)}, "of update must be two"),
        ({"ascent": ("step", "samples")}, "name 'step', which is none of its parameters"),
        ({"update": (1, 1.5)}, "hold 1.5; allowed are whole numbers and parameters"),
    ],
)
def test_wrong_passes_are_told(passes, problem):
    assert problem in wrong_passes(passes, {"steps", "samples"})
    assert not wrong_passes(
        {"ascent": (("steps", 2), "samples"), "update": (1, (1, "samples"))}, {"steps", "samples"}
    )
