"""Points of minimal attacks that the judge calls right, and how far beyond the boundary points lie."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from rs.methods.attacks.pgd_l2 import PgdL2
from rs.methods.interfaces import Proposed
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.settings.attacks import AttackUse, Judge
from rs.smoothing.smoothed import Smoothed
from rs.stages.attack import Seen, facts_of
from rs.stages.outcomes import OUTWARDS, Target, outcomes
from rs.tables.empirical_accuracy import _excess


@dataclass(frozen=True)
class Nearest:
    """Proposes the points at `lengths` along the first coordinate."""

    lengths: tuple[float, ...]
    source, norm, access = "made up", 2.0, "white-box"

    def minimal(self, smoothed, x, y):
        images = x.clone()
        images[:, 0, 0, 0] += torch.tensor(self.lengths)
        return Proposed(images, torch.ones(len(x), dtype=torch.int64))


@dataclass(frozen=True)
class Diagonal(Nearest):
    """Proposes the points at `lengths` along every coordinate: twice as far in four of them."""

    def minimal(self, smoothed, x, y):
        images = x + torch.tensor(self.lengths).reshape(-1, 1, 1, 1)
        return Proposed(images, torch.ones(len(x), dtype=torch.int64))


def judged(lengths, boundary=0.5, attack=Nearest, radii=(0.0, 0.5, 1.0)):
    """What counts where the judge calls all wrong from `boundary` on."""

    def votes(images, positions):
        wrong = images[:, 0, 0, 0] >= boundary - 1e-6
        return torch.stack([~wrong, wrong], 1).long() * 100

    count = len(lengths)
    draws = [torch.Generator() for _ in lengths]
    judge = SimpleNamespace(votes=votes)
    x = torch.zeros(count, 1, 2, 2)
    target = Target(Smoothed(None, None, draws), x, torch.zeros(count).long(), list(range(count)), judge)
    return outcomes(attack(tuple(lengths)), target, radii, False)


def test_a_point_just_before_the_judges_boundary_is_moved_out():
    clean, middle, whole = judged([0.5, 0.49, 0.42, 0.2, 0.0])
    assert not clean.broken(torch.zeros(5)).any()
    assert whole.broken(torch.zeros(5)).tolist() == [True, True, True, False, False]
    # 0.49 * 1.05 and 0.42 * 1.2 are the first places that the judge calls wrong; both lie beyond 0.5
    assert whole.images[:, 0, 0, 0].tolist() == pytest.approx([0.5, 0.5145, 0.504, 0.2, 0.0])
    assert middle.broken(torch.zeros(5)).tolist() == [True, False, False, False, False]


def test_an_image_that_is_wrong_without_attack_stays_wrong_at_every_radius():
    """Of images at 0.6, 0.4 and 0 the judge calls the first two right, and what the attack makes of all."""

    def votes(images, positions):
        wrong = (images[:, 0, 0, 0] < 0.3) & (images[:, 0, 1, 1] < 0.3)
        return torch.stack([~wrong, wrong], 1).long() * 100

    x = torch.zeros(3, 1, 2, 2)
    x[:, 0, 1, 1] = torch.tensor([0.6, 0.4, 0.0])
    y, draws = torch.zeros(3).long(), [torch.Generator() for _ in x]
    target = Target(Smoothed(None, None, draws), x, y, [0, 1, 2], SimpleNamespace(votes=votes))
    found = outcomes(Nearest((0.4, 0.4, 0.4)), target, (0.0, 0.2, 0.4, 1.0), False)
    assert [outcome.broken(y).tolist() for outcome in found] == [[False, False, True]] * 4
    assert all(torch.equal(outcome.images[2], x[2]) for outcome in found)
    assert float((found[-1].images - x)[0].norm()) == pytest.approx(0.4)


def test_a_point_is_moved_out_by_two_fifths_at_most_and_stays_an_image():
    *_, whole = judged([0.36, 0.35])
    assert whole.broken(torch.zeros(2)).tolist() == [True, False]
    assert whole.images[:, 0, 0, 0].tolist() == pytest.approx([0.504, 0.35])
    *_, edge = judged([0.95], boundary=0.999)  # 0.95 * 1.1 is no pixel
    assert edge.broken(torch.zeros(1)).all()
    assert edge.images.max() == 1


def test_a_point_as_far_as_images_are_apart_counts_at_the_radii_that_reach_it():
    near, far = judged([0.8], boundary=0.7, attack=Diagonal, radii=(0.0, 1.5, 1.6))[1:]
    assert (near.broken(torch.zeros(1)).item(), far.broken(torch.zeros(1)).item()) == (False, True)
    assert far.images.flatten().tolist() == pytest.approx([0.8] * 4)


def test_the_excess_is_what_the_votes_say_of_the_reached_points():
    columns = ("image", "radius", "distortion", "success", "votes", "prediction")
    rows = [
        (0, 0.0, 0.0, False, [900, 100], 0),
        (0, 2.0, 1.0, True, [425, 575], 1),
        (1, 2.0, 1.5, True, [425, 575], 1),
        (2, 2.0, 0.0, True, [0, 1000], 1),
        # misclassified as it is, and moved a little all the same
        (3, 0.0, 0.0, True, [0, 1000], 1),
        (3, 2.0, 1e-6, True, [0, 1000], 1),
    ]
    frame = pd.DataFrame(rows, columns=columns).assign(label=0)
    gaussian = {"name": "gaussian", "sigma": 0.7}
    assert _excess(frame, gaussian) == pytest.approx(0.7 * 0.189, abs=2e-3)
    assert _excess(frame, {"name": "none"}) is None
    assert _excess(frame, {"name": "spherical", "sigma": 0.7}) is None
    assert _excess(frame[frame["radius"] == 0], gaussian) is None
    assert _excess(frame.assign(votes=[[0, 1]] * 6), gaussian) is None  # judged by one vote


def test_what_is_told_of_an_attack():
    """Draws under constant noise are one; the judge of a minimal attack looks at every point outwards."""
    judge = AttackUse(radii=(0.5,), judge=Judge(200))
    pgd, nearest = PgdL2(samples=8), Nearest((0.5,))

    def facts(method, noise, use=judge, keep=False, transferred=False):
        return facts_of(Seen(None, None, method, noise, 0, transferred), use, keep, (1, 4, 6))

    plain = facts(pgd, Gaussian(0.5))
    assert plain == {
        **{"norm": 2, "access": "white-box", "samples": 8, "shares": "none", "looks": 1},
        **{"judge": 200, "shape": [1, 4, 6]},
    }
    assert facts(pgd, NoNoise()) == {**plain, "samples": 1}
    base = AttackUse(radii=(0.5,), judge="base")
    assert facts(pgd, Gaussian(0.5), base, keep=True) == {**plain, "shares": "kept", "judge": "base"}
    assert facts(pgd, Gaussian(0.5), transferred=True) == {**plain, "access": "transfer"}
    assert facts(nearest, Gaussian(0.5)) == {
        **plain,
        "samples": None,
        "shares": "minimal",
        "looks": len(OUTWARDS),
    }
