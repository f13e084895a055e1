"""Certificates that say more than their proof, and attacks that are held against them by mistake."""

from __future__ import annotations

import pytest
import torch
from lab import lab as lab  # a fixture
from plug_ins import describe
from tampered import edited, tables_of
from tiny_study import Workspace

import rs
from rs.cli.main import main
from rs.methods import catalog

TIMES = """
from dataclasses import dataclass
from rs.methods.certificates.cohen import Cohen
from rs.methods.interfaces import Certified
@dataclass(frozen=True)
class Times(Cohen):
    "Cohen et al.'s radius, times a factor."
    def certify(self, draws, noise, alpha):
        found = Cohen().certify(draws, noise, alpha)
        return Certified(found.prediction, found.radius * {})
"""
VOTES = ["--selection", "16,0,0", "--estimation", "700,250,50", "--set", "sigma=0.5"]


@pytest.fixture
def radius(capsys):
    """What `rs radius` prints of the same votes under a certificate."""

    def printed(certificate: str, *more: str) -> str:
        assert main(["radius", *VOTES, "--certificate", certificate, *more]) == 0
        return capsys.readouterr().out

    return printed


def test_split_chosen_afterwards(mistake, radius):
    mistake.flagged(radius("tcertify"))
    assert mistake.mistake.says not in radius("tcertify_sound")
    assert not rs.certify_counts(([16, 0], [700, 300]), "tcertify", sigma=0.5).rigorous


def test_class_and_bound_of_one_sample(mistake, radius):
    mistake.flagged(radius("renyi"))
    mistake.flagged(radius("tcertify", "--set", "select_on=estimation"))
    assert mistake.mistake.says not in radius("renyi_sound")


def test_radius_above_the_tight_one(mistake, lab, tiny, plan_of):
    for name, factor in (("sound", 1.0), ("broken", 1.05)):
        (lab / f"{name}.py").write_text(TIMES.format(factor))
        describe(lab, name, "1.0", {"rs.certificates": {name: f"{name}:Times"}})
    tiny["attacks"] = []
    for name, start in (("sound", lambda act: act()), ("broken", mistake.refused)):
        tiny["certificates"] = [{"name": name, "alpha": 0.1}]
        study = plan_of(tiny).study
        start(lambda study=study: catalog.build_plug_ins(study))


def test_other_norm(mistake, tiny, refusal, plan_of):
    """l2 attacks against linf radii, and an l1 certificate of Laplace noise under Gaussian noise."""
    tiny["attacks"][0]["certificate"] = "cohen"
    plan_of(tiny)
    tiny["certificates"] = [{"name": "cohen"}, {"name": "cohen_linf"}]
    tiny["attacks"][0]["certificate"] = "cohen_linf"
    mistake.flagged(refusal(tiny))
    tiny["certificates"] = [{"name": "laplace_l1"}]
    del tiny["attacks"]
    assert "certificate laplace_l1 has no theorem for noise gaussian" in refusal(tiny)


def test_alpha_spent_by_the_noise(mistake, tiny, refusal, plan_of):
    del tiny["runs"]["nal"], tiny["attacks"]
    tiny["smoothing"] = [{"name": "gaussian", "sigma": 0.25, "exact": True}]
    plan_of(tiny)
    tiny["certificates"] = [{"name": "cohen", "alpha": 1e-13}]
    tiny["sampling"]["n"] = 128
    mistake.flagged(refusal(tiny))


def test_attack_judged_by_another_classifier(mistake, tiny, refusal, plan_of):
    tiny["attacks"][0] |= {"certificate": "cohen"}
    plan_of(tiny)
    tiny["attacks"][0]["judge"] = "base"
    mistake.flagged(refusal(tiny))


@pytest.mark.slow
def test_attack_on_another_network(mistake, space: Workspace):
    tables_of(space)
    here, there = (space.path(space.job("attack", run).outputs["attacks"]) for run in ("gaussian", "nal"))
    here.write_bytes(there.read_bytes())
    mistake.refused(lambda: tables_of(space))


@pytest.mark.slow
def test_attack_outside_its_ball(mistake, space: Workspace):
    edited(space.path(space.job("attack").outputs["attacks"]), distortion=0.6)
    mistake.refused(lambda: tables_of(space))


def test_attack_without_gradients(mistake):
    images, labels = torch.full((1, 1, 4, 4), 0.5), [0]

    def rounded(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(x.detach().numpy()).flatten(1)[:, :3]

    def attacked(model):
        smoothed = rs.smooth(model, sigma=0.25, batch=32, device="cpu")
        return rs.attack(smoothed, images, labels, radii=[0.5], steps=1, judge=32, progress=False)

    attacked(lambda x: x.flatten(1)[:, :3])
    mistake.refused(lambda: attacked(rounded))
