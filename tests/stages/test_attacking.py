"""The attack stage: projected, judged by fresh votes of the inference form, and the same for any subset."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_images import load_split
from torch import nn

from rs.errors import UserError
from rs.machine.devices import generator
from rs.methods import catalog
from rs.methods.attacks.pgd_l2 import PgdL2
from rs.methods.interfaces import Proposed
from rs.networks import checkpoints
from rs.provenance.files import read_table
from rs.smoothing.smoothed import Smoothed
from rs.stages import attack as attacking
from rs.stages.attack import attack, load_source
from rs.stages.judge import project, size
from rs.stages.outcomes import Target, outcomes

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture
def outcome(workspace, tmp_path):
    """Rows and provenance of the tiny study's attack with changed settings."""
    job = workspace.job("attack")
    files = workspace.path(job.inputs["model"]), workspace.path(job.inputs["data"])

    def make(source=None, form=None, **changes):
        spec = copy.deepcopy(job.spec) | (form or {})
        spec["attack"] |= {"checks": 0, **changes}
        if "name" in changes:
            for key in {"steps", "samples"} - set(changes):
                spec["attack"].pop(key, None)
        if source:
            spec["source"] = source[1]
        attack(spec, *files, tmp_path / "a.parquet", CPU, "code", None, source and source[0])
        table, made = read_table(tmp_path / "a.parquet")
        return table.to_pylist(), made

    return make


def test_rows_are_images_by_radii_with_0_and_stay_in_the_ball(workspace, outcome):
    rows, made = outcome(radii=[1.5, 0.5])
    assert [(r["radius"], r["image"]) for r in rows] == [(r, i) for r in (0.0, 0.5, 1.5) for i in range(3)]
    assert (made["norm"], made["judge"], made["samples"], made["access"]) == (2.0, 32, 2, "white-box")
    x, y = load_split(workspace.path(workspace.plan.data_manifest), "test")
    for row in rows:
        assert row["label"] == int(y[row["image"]])
        assert row["success"] == (row["prediction"] != row["label"])
        assert row["steps"] == (2 if row["radius"] else 0)
        assert sum(row["votes"]) == 32
        assert np.argmax(row["votes"]) == row["prediction"]
        shift = np.array(row["attacked"]) - np.array(row["clean"])
        assert row["distortion"] == pytest.approx(np.linalg.norm(shift), abs=1e-5)
        assert row["distortion"] <= row["radius"] * (1 + 1e-6)
        assert min(row["attacked"]) >= 0
        assert max(row["attacked"]) <= 1
        np.testing.assert_allclose(row["clean"], x[row["image"]].flatten())


def test_an_image_is_attacked_and_judged_alike_in_every_subset(outcome):
    """It meets the same noise; only the rounding of its gradients knows the size of the batch."""
    many = {(r["image"], r["radius"]): r for r in outcome(images={"max": 4})[0]}
    for subset in ({"max": 1}, {"max": 2, "skip": 3}):
        for row in outcome(images=subset)[0]:
            same = many[row["image"], row["radius"]]
            assert row["prediction"] == same["prediction"]
            np.testing.assert_allclose(row["attacked"], same["attacked"], atol=1e-5)
            assert row["noisy"] == same["noisy"]


def test_the_judge_is_a_majority_of_fresh_votes_or_the_base_classifier(workspace, outcome):
    rows, made = outcome(judge="base")
    assert made["judge"] == "base"
    job = workspace.job("attack")
    data = workspace.path(job.inputs["data"])
    network, _ = checkpoints.load(workspace.path(job.inputs["model"]), data)
    for row in rows:
        image = torch.tensor(row["attacked"]).reshape(1, 1, 8, 8)
        assert row["prediction"] == int(network(image).argmax())
        assert sum(row["votes"]) == 1
    noise = catalog.build("noises", job.spec["noise"])
    for row in outcome()[0]:
        z = noise.sample((32, 1, 8, 8), generator(CPU, 0, "judge", row["image"]))
        votes = network(torch.tensor(row["attacked"]).reshape(1, 8, 8) + z).argmax(1)
        assert row["votes"] == torch.bincount(votes, minlength=10).tolist()


def test_what_is_broken_stays_broken_only_where_asked(outcome):
    radii = [0.5, 1.0, 6.0, 6.5]
    anew, made = outcome(radii=radii, images={"max": 8})
    assert made["shares"] == "none"
    assert all(r["steps"] == 2 for r in anew if r["radius"])
    kept, made = outcome(radii=radii, images={"max": 8}, keep_broken=True)
    assert made["shares"] == "kept"
    by = {(r["image"], r["radius"]): r for r in kept}
    first = {(r["image"], r["radius"]): r for r in anew}
    assert any(r["success"] for r in kept if r["radius"] == 6.0)
    for (image, radius), row in by.items():
        smaller = [by[image, r] for r in [0.0, *radii] if r < radius]
        broken = next((s for s in smaller if s["success"]), None)
        if broken:
            assert (row["success"], row["steps"], row["distortion"]) == (True, 0, broken["distortion"])
        else:  # the rest is attacked as it would be alone
            assert row["prediction"] == first[image, radius]["prediction"]
            assert row["distortion"] == pytest.approx(first[image, radius]["distortion"], abs=1e-5)


def test_compiled_gradients_attack_as_well(outcome):
    """Three images with two copies in a pass; the judge's draws are the same."""
    plain, made = outcome(radii=[0.5])
    assert "compiled" not in made["compared"]["differentiable"]
    rows, made = outcome(radii=[0.5], compiled=True)
    assert made["compared"]["differentiable"]["compiled"] is True
    for row, before in zip(rows, plain, strict=True):
        np.testing.assert_allclose(row["attacked"], before["attacked"], atol=1e-4)


@pytest.mark.parametrize("name", ["ddn", "carlini_wagner_l2"])
def test_a_minimal_attack_counts_at_the_radii_that_reach_it(outcome, name):
    radii = [0.1, 1.0, 8.0]
    settings = {"steps": 60, "samples": 8, "votes": 64, "images": {"max": 5}, "judge": {"n": 64}}
    settings |= {"search_steps": 3} if name == "carlini_wagner_l2" else {}
    rows, made = outcome(name=name, radii=radii, **settings)
    assert (made["shares"], made["norm"]) == ("minimal", 2.0)
    for image in range(5):
        clean, *mine = [r for r in rows if r["image"] == image]
        assert [r["radius"] for r in mine] == radii
        nearest = mine[-1]["distortion"]
        assert mine[-1]["success"]
        for row in mine:
            assert row["distortion"] in (0.0, nearest)
            assert (row["distortion"] > 0) == (0 < nearest <= row["radius"] * (1 + 1e-6))
            if not row["distortion"]:
                assert row["votes"] == clean["votes"]


@pytest.mark.parametrize("name", ["ddn", "carlini_wagner_l2"])
def test_minimal_attacks_keep_up_with_pgd_where_votes_are_noisy(outcome, name):
    """Smoothed with twice the noise of the training, where single verdicts are coin tosses: every image
    breaks, and hardly farther out than PGD breaks it.
    """
    wide, radii = {"noise": {"name": "gaussian", "sigma": 0.5}}, [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 8.0]
    same = {"images": {"max": 8}, "radii": radii, "judge": {"n": 400}}
    found, _ = outcome(form=wide, name=name, samples=8, votes=400, **same)
    pgd, _ = outcome(form=wide, steps=20, samples=8, **same)
    assert all(r["success"] for r in found if r["radius"] == 8.0)
    broken, by_pgd = (np.mean([r["success"] for r in rows if r["radius"]]) for rows in (found, pgd))
    assert broken >= by_pgd - 0.12


def test_checks_attack_the_first_images_again_more_strongly(outcome):
    rows, _ = outcome(radii=[0.5, 1.0, 2.0], checks=2)
    assert [r["variant"] for r in rows[:12]] == [""] * 12
    names = ("more steps", "more samples", "unbounded")
    extra = [(r["variant"], r["image"], r["radius"], r["steps"]) for r in rows[12:]]
    assert extra == [
        (variant, image, radius, steps)
        for variant, radius, steps in zip(names, (1.0, 1.0, 8.0), (4, 2, 2), strict=True)
        for image in range(2)
    ]
    assert all(r["attacked"] is None for r in rows[12:])


def test_a_transfer_attacks_the_source_and_judges_on_the_target(workspace, outcome, tmp_path):
    source = workspace.path(workspace.job("attack", "nal").inputs["model"])
    inner = {"name": "pgd_l2", "steps": 2, "samples": 2}
    noise = workspace.job("attack").spec["noise"]
    spec = {"run": "x", "attack": inner, "noise": noise, "seed": 0}
    given = {"name": "transfer", "source_run": "nal", "attack": "pgd_l2"}
    rows, made = outcome((source, spec), **given, checks=5)
    assert (made["access"], made["norm"], made["samples"]) == ("transfer", 2.0, 2)
    assert {r["variant"] for r in rows} == {""}
    white = outcome()[0]
    job = workspace.job("attack", "nal")
    files = workspace.path(job.inputs["model"]), workspace.path(job.inputs["data"])
    attack(job.spec, *files, tmp_path / "own.parquet", CPU, "code")
    own = read_table(tmp_path / "own.parquet")[0].to_pylist()
    for row, mine, theirs in zip(rows, white, own, strict=False):
        np.testing.assert_allclose(row["attacked"], theirs["attacked"], atol=1e-6)
        if row["radius"]:
            assert np.abs(np.array(row["attacked"]) - mine["attacked"]).max() > 1e-3
    network, _ = checkpoints.load(workspace.path(workspace.job("attack").inputs["model"]), files[1])
    z = catalog.build("noises", noise).sample((32, 1, 8, 8), generator(CPU, 0, "judge", 0))
    votes = network(torch.tensor(rows[-3]["attacked"]).reshape(1, 8, 8) + z).argmax(1)
    assert rows[-3]["votes"] == torch.bincount(votes, minlength=10).tolist()


@pytest.mark.parametrize("judge", ["base", {"n": 32}])
@pytest.mark.parametrize("transferred", [True, False])
def test_an_attack_sees_what_judges_it_and_a_transfer_what_its_source_has(
    workspace, outcome, monkeypatch, judge, transferred
):
    """Without noise only where the base classifier judges; a transfer is made as on its source."""
    seen = []

    def smoothed(network, noise, generators):
        seen.append(noise)
        return Smoothed(network, noise, generators)

    monkeypatch.setattr(attacking, "Smoothed", smoothed)
    model = workspace.path(workspace.job("attack", "nal").inputs["model"])
    made = {"attack": {"name": "pgd_l2", "steps": 2, "samples": 2}, "seed": 0}
    made |= {"run": "nal", "noise": {"name": "gaussian", "sigma": 0.4}}
    if transferred:
        given = {"name": "transfer", "source_run": "nal", "attack": "pgd_l2"}
        outcome((model, made), **given, judge=judge)
        expected = {"name": "gaussian", "sigma": 0.4}
    else:
        outcome(judge=judge)
        expected = {"name": "none"} if judge == "base" else {"name": "gaussian", "sigma": 0.25}
    assert seen
    assert set(seen) == {catalog.build("noises", expected)}


@pytest.mark.parametrize(("excess", "counts"), [(0.0, True), (1e-7, True), (1e-3, False), (0.009, False)])
def test_an_image_counts_at_a_radius_that_it_keeps_up_to_rounding(excess, counts):
    """A minimal attack's image a hundredth outside of the ball is no attack in the ball."""

    class Beyond:
        source, norm, access = "here", 2.0, "white-box"

        def minimal(self, smoothed, x, y):
            moved = x.clone()
            moved[:, 0, 0, 0] += 0.5 * (1 + excess)
            return Proposed(moved, torch.ones(len(x), dtype=torch.int64))

    def judged(x, *_):
        return torch.tensor([[0, 9] if image[0, 0, 0] > 0.2 else [9, 0] for image in x])

    x, draws = torch.zeros(2, 1, 2, 2), [torch.Generator()] * 2
    smoothed = SimpleNamespace(restart=lambda: None, generators=draws)
    target = Target(smoothed, x, torch.zeros(2, dtype=torch.int64), [0, 1], SimpleNamespace(votes=judged))
    found = list(outcomes(Beyond(), target, [0.0, 0.5], False))
    assert found[-1].broken(target.y).tolist() == [counts, counts]


def test_a_source_of_another_shape_or_a_model_without_gradients_is_one_line(workspace, monkeypatch, outcome):
    job = workspace.job("attack")
    files = workspace.path(job.inputs["model"]), workspace.path(job.inputs["data"])
    for network, message in (
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "does not take images of 1x8x8"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), r"output is \[7\]; the target has 10 classes"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "load", lambda *_, network=network: (network, {}))
            with pytest.raises(UserError, match=message) as caught:
                load_source(*files, 10)
        assert str(files[0]) in str(caught.value)

    class Opaque(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot((x.detach().flatten(1).sum(1) % 10).long(), 10).float()

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "load", lambda *_: (Opaque(), {"classes": 10, "sha256": ""}))
        with pytest.raises(UserError, match="no gradients with respect to its images; pgd_l2 needs"):
            outcome()


def test_projection_onto_ball_and_box_in_both_norms():
    clean = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    wild = clean + torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    for norm in (2.0, math.inf):
        found = project(clean, wild, 0.3, norm)
        distance = torch.linalg.vector_norm((found - clean).double().flatten(1), norm, dim=1)
        assert (distance <= 0.3 * (1 + 1e-6)).all()
        assert distance.max() > 0.29
        assert found.min() >= 0
        assert found.max() <= 1
        torch.testing.assert_close(size(found - clean, norm), distance)
        assert torch.equal(project(clean, wild, 0.0, norm), clean)


def test_a_careless_attack_is_projected_and_clipped(outcome, monkeypatch):
    def wild(self, smoothed, x, y, radii):
        return Proposed(x + 9 * torch.ones(len(radii), *x.shape), torch.ones(len(radii), len(x)).long())

    monkeypatch.setattr(PgdL2, "at_radii", wild)
    for row in outcome(radii=[0.5])[0]:
        assert row["distortion"] <= row["radius"] * (1 + 1e-6)
        assert max(row["attacked"]) <= 1


def test_examples_are_of_the_first_images(outcome, monkeypatch):
    monkeypatch.setattr(attacking, "EXAMPLES", 1)
    assert {r["image"] for r in outcome(images={"max": 4})[0] if r["attacked"]} == {0}
