"""What a plug-in's methods hand back is held to their protocols: one line that names file, method and what is
allowed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from certificate_draws import random_votes
from lab import lab as lab  # fixtures
from plug_ins import describe
from torch import nn

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.checked import checked_class
from rs.methods.interfaces import AttackAtRadii, Certified, Proposed, Split
from rs.methods.noise.gaussian import Gaussian

X, Y, LOSS = torch.rand(4, 1, 2, 2), torch.arange(4), torch.ones((), requires_grad=True)
DRAWS = random_votes(4, 3, 1000)
IMAGES, STEPS = torch.zeros(2, *X.shape), torch.ones(2, 4, dtype=torch.int64)
SURE = Certified(np.array([0, 1, -1]), np.array([0.5, 0.1, 0.0]))
SPLIT = Split(np.linspace(0, 255, 12).reshape(3, 1, 2, 2).astype(np.uint8), np.arange(3))
LOGITS = nn.Sequential(nn.Flatten(), nn.Linear(4, 10))


@dataclass(frozen=True)
class Answers:
    """Answers every call of every kind with its one field."""

    source: ClassVar[str] = "here"
    norm: ClassVar[float] = 2.0
    access: ClassVar[str] = "gradient-free"
    shape: ClassVar[tuple[int, int, int]] = (1, 2, 2)
    classes: ClassVar[int] = 3

    answer: Any

    def _it(self, *given: Any, **named: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    loss = phase = sample = log_ratio = at_radii = minimal = certify = build = load = _it


CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "loss": ("objectives", (None, X, Y, Gaussian(0.5), torch.Generator(), 0.0)),
    "phase": ("objectives", (0.5,)),
    "sample": ("noises", ((4, 1, 2, 2), torch.Generator())),
    "log_ratio": ("noises", (X, X[0])),
    "at_radii": ("attacks", (None, X, Y, [0.5, 1.0])),
    "minimal": ("attacks", (None, X, Y)),
    "certify": ("certificates", (DRAWS, Gaussian(0.5), 0.001)),
    "build": ("models", ((1, 2, 2), 10, (0.5,), (0.5,))),
    "load": ("datasets", (None,)),
}


def stand_in(call: str, answer: Any) -> Any:
    kind, given = CALLS[call]
    return getattr(checked_class(kind, "mine", Answers)(answer), call)(*given)


GOOD = {
    "loss": (LOSS, {"cross_entropy": LOSS.detach()}),
    "phase": (0.5, "warm-up"),
    "sample": X,
    "log_ratio": torch.zeros(4, dtype=torch.float64),
    "at_radii": Proposed(IMAGES, STEPS),
    "minimal": Proposed(IMAGES[0], STEPS[0]),
    "certify": SURE,
    "build": LOGITS,
    "load": {"train": SPLIT, "test": SPLIT},
}


@pytest.mark.parametrize("call", CALLS)
def test_a_good_answer_is_handed_on_as_it_is(call: str) -> None:
    assert stand_in(call, GOOD[call]) is GOOD[call]


@pytest.mark.parametrize("call", CALLS)
def test_no_answer_is_one_line_with_the_file_the_method_and_what_is_allowed(call: str) -> None:
    if call == "phase":
        assert stand_in(call, None) is None
        return
    with pytest.raises(UserError) as caught:
        stand_in(call, None)
    line = Answers._it.__code__.co_firstlineno
    kind = CALLS[call][0].removesuffix("s")
    assert str(caught.value).startswith(f"{__file__}:{line}: {kind} mine: `{call}` returned None; must be ")


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return x.flatten(1), 1


WRONG: list[tuple[str, Any, str]] = [
    ("loss", LOSS, "returned a tensor [] of float32; must be (loss, scalars to record)"),
    ("loss", (1.5, {}), "returned a float as the loss; must be a scalar tensor"),
    ("loss", (X.sum((1, 2, 3)), {}), "returned a tensor [4] of float32 as the loss"),
    ("loss", (Y.sum(), {}), "returned a tensor [] of int64 as the loss"),
    ("loss", (LOSS.detach(), {}), "a loss without a gradient; must depend on the network"),
    ("loss", (LOSS, [1]), "returned a list as the scalars to record; must be a dict"),
    ("loss", (LOSS, {"a": 1}), "records 'a': an int; must be a scalar tensor, detached"),
    ("loss", (LOSS, {"a": LOSS}), "records 'a': a tensor [] of float32 with a gradient"),
    ("loss", (LOSS, {"loss": LOSS.detach()}), "records 'loss'; must be a name other than the trainer's own"),
    ("phase", [0.5], "returned a list; must be hashable"),
    ("sample", X.numpy(), "returned an array [4, 1, 2, 2] of float32; must be a tensor [4, 1, 2, 2]"),
    (
        "sample",
        X.double(),
        "a tensor [4, 1, 2, 2] of float64 on cpu; must be a tensor [4, 1, 2, 2] of float32",
    ),
    ("sample", X[0], "returned a tensor [1, 2, 2] of float32 on cpu"),
    ("sample", X * np.nan, "returned noise that is infinite or NaN"),
    ("log_ratio", X, "must be a tensor [4], one number per row"),
    (
        "at_radii",
        IMAGES,
        "returned a tensor [2, 4, 1, 2, 2] of float32; must be rs.methods.interfaces.Proposed",
    ),
    ("at_radii", Proposed(IMAGES[0], STEPS), "as the images; must be a tensor [2, 4, 1, 2, 2] of float32"),
    ("at_radii", Proposed(IMAGES.double(), STEPS), "of float64 as the images"),
    ("at_radii", Proposed(IMAGES + LOSS, STEPS), "with a gradient as the images"),
    ("at_radii", Proposed(IMAGES * np.nan, STEPS), "returned images with infinite or NaN pixels"),
    ("at_radii", Proposed(IMAGES, STEPS.float()), "as the steps; must be a tensor [2, 4] of int64"),
    ("at_radii", Proposed(IMAGES, STEPS[0]), "returned a tensor [4] of int64 as the steps"),
    ("minimal", Proposed(IMAGES, STEPS), "must be a tensor [4, 1, 2, 2] of float32"),
    ("minimal", Proposed(IMAGES[0], 3), "returned an int as the steps; must be a tensor [4] of int64"),
    ("certify", (SURE.prediction, SURE.radius), "returned a tuple; must be rs.methods.interfaces.Certified"),
    ("certify", replace(SURE, radius=[0.0]), "returned a list as the radii; must be an array [3] of float64"),
    ("certify", replace(SURE, prediction=SURE.radius), "as the predictions; must be an array [3] of int64"),
    ("certify", replace(SURE, radius=torch.zeros(3)), "returned a tensor [3] of float32 as the radii"),
    ("build", len, "returned a builtin_function_or_method; must be a torch.nn.Module"),
    (
        "build",
        nn.Flatten(),
        "gives a tensor [2, 4] of float32 for two images of [1, 2, 2]; must be a tensor [2, 10]",
    ),
    ("build", Pair(), "gives a tuple for two images"),
    ("build", nn.Linear(3, 10), "fails on two images of [1, 2, 2]: RuntimeError: mat1 and mat2"),
    ("load", {"train": SPLIT}, "returned a dict of 'train'; must be a dict of 'train' and 'test'"),
    ("load", GOOD["load"] | {"val": SPLIT}, "returned a dict of 'train', 'test', 'val'"),
    (
        "load",
        GOOD["load"] | {"test": None},
        "returned None as test; must be rs.methods.interfaces.Split or Files",
    ),
    (
        "load",
        GOOD["load"] | {"test": replace(SPLIT, labels=[0, 1, 2])},
        "returned a list as the labels of test",
    ),
    ("load", {"train": replace(SPLIT, labels=np.ones(3)), "test": SPLIT}, "as the labels of train"),
    # no objective takes other whole numbers than int64
    (
        "load",
        {"train": replace(SPLIT, labels=np.arange(3, dtype=np.int32)), "test": SPLIT},
        "an array [3] of int32 as the labels of train; must be an array [N] of int64",
    ),
    (
        "load",
        {"train": replace(SPLIT, labels=np.arange(3, dtype=">i8")), "test": SPLIT},
        "of >i8 as the labels",
    ),
    ("load", {"train": replace(SPLIT, labels=np.arange(0)), "test": SPLIT}, "no images as train"),
    (
        "load",
        {"train": replace(SPLIT, images=np.zeros((3, 1, 2, 2))), "test": SPLIT},
        "of float64 as the images",
    ),
    (
        "load",
        {"train": replace(SPLIT, images=np.zeros((3, 4), np.uint8)), "test": SPLIT},
        "[N, C, H, W] of uint8",
    ),
    ("load", FileNotFoundError(2, "No such file", "a.npy"), "`load`: a.npy: cannot be read: No such file"),
    ("load", ValueError("no magic"), "`load`: cannot be read: ValueError: no magic"),
    ("load", zlib.error("incorrect header"), "cannot be read: error: incorrect header"),
]


@pytest.mark.parametrize(("call", "answer", "message"), WRONG)
def test_a_wrong_answer_is_one_line(call: str, answer: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        stand_in(call, answer)
    assert message in str(caught.value)


def test_an_unread_file_is_told_with_the_line_that_read_it() -> None:
    with pytest.raises(UserError, match=f":{Answers._it.__code__.co_firstlineno + 2}: dataset mine: "):
        stand_in("load", EOFError("early"))


def test_another_error_is_raised_as_it_is() -> None:
    for call, error in (("load", KeyError("a")), ("loss", ValueError("a"))):
        with pytest.raises(type(error)):
            stand_in(call, error)


def test_a_network_is_probed_without_a_trace() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), nn.Flatten(), nn.Linear(4, 10)).train()
    before, weights = torch.get_rng_state(), {k: v.clone() for k, v in network.state_dict().items()}
    assert stand_in("build", network).training
    assert all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before)


MINE = """
from dataclasses import dataclass
from typing import ClassVar
@dataclass(frozen=True)
class Mine:
    "Mine."
    source: ClassVar[str] = "here"
    norm: ClassVar[float] = 2.0
    access: ClassVar[str] = "gradient-free"
    samples: int = 3
    def at_radii(self, smoothed, x, y, radii):
        return None
"""


def test_plug_ins_are_checked_where_they_are_built_and_methods_of_ours_are_themselves(lab) -> None:
    (lab / "broken.py").write_text(MINE)
    describe(lab, "lab", "1.0", {"rs.attacks": {"mine": "broken:Mine"}})
    made, other = (catalog.build("attacks", {"name": "mine", "radii": [1], "samples": n}) for n in (2, 4))
    assert isinstance(made, AttackAtRadii)
    assert (made.samples, replace(made, samples=4) == other) == (2, True)
    with pytest.raises(UserError, match=r"broken\.py:11: attack mine: `at_radii` returned None; must be "):
        made.at_radii(SimpleNamespace(), X, Y, [1.0])
    assert type(catalog.build("noises", {"name": "gaussian", "sigma": 0.5})) is Gaussian
