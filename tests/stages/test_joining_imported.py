"""Denoisers that others made, images or a diffusion model's noise, before a classifier that others made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import yaml
from tiny_study import execute
from torch import nn

from rs.errors import UserError
from rs.networks import checkpoints
from rs.plan.plan import Plan
from rs.provenance.files import read_json
from rs.study.study import Study

pytestmark = pytest.mark.slow
MODULE = """
import torch
from torch import nn
def classifier():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
def denoiser():
    return nn.Conv2d(1, 1, 3, padding=1)
def smaller():
    return nn.Conv2d(1, 1, 3)
class Diffusion(nn.Module):
    def __init__(self, kept=0.98):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)
        self.register_buffer("alphas_cumprod", kept ** torch.arange(1.0, 60))
    def forward(self, x, t):
        return self.layer(x) * (1 + t.reshape(-1, 1, 1, 1) / 100)
"""
NOISE = {"name": "gaussian", "sigma": 0.25}
STUDY = {
    "name": "others",
    "data": {"name": "digits"},
    "test": {"max": 2},
    "noise": NOISE,
    "sampling": {"n0": 16, "n": 32, "block": 32, "batch": 32, "images_per_shard": 2, "device": "cpu"},
    "certificates": [{"name": "cohen"}],
    "runs": {"joined": {"model": {"name": "denoised", "denoiser": "theirs", "classifier": "plain"}}},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with their module and weights, and the plan of a study of their networks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "their_denoisers", raising=False)
    Path("their_denoisers.py").write_text(MODULE)
    names: dict = {}
    exec(MODULE, names)
    torch.manual_seed(0)

    def plan(entry: str, noise=NOISE, **more) -> Plan:
        for name in ("classifier", entry):
            torch.save(names[name]().state_dict(), f"{name}.pt")
        imported = {
            name: {"weights": f"{made}.pt", "entry": f"their_denoisers:{made}"}
            for name, made in (("plain", "classifier"), ("theirs", entry))
        }
        imported["theirs"] |= {"noise": noise, **more}
        Path("study.yaml").write_text(yaml.safe_dump({**STUDY, "imported": imported}))
        return Plan(Study([Path("study.yaml")]))

    return plan


def run(plan: Plan, *goals: str) -> dict[str, nn.Module]:
    """The networks by label, after these stages."""
    execute(plan, *goals)
    made = {p.run.label: p.folder / "model.json" for p in plan.runs}
    return {label: checkpoints.load(path, plan.data_manifest)[0] for label, path in made.items()}


@pytest.mark.parametrize(("entry", "output"), [("denoiser", "image"), ("Diffusion", "noise")])
def test_imported_parts_are_joined_certified_and_identified_by_their_files(place, entry, output):
    plan = place(entry, output=output)
    networks = run(plan, "data", "import", "join", "sample", "certify")
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    denoised = networks["joined"].denoiser(x)
    if output == "image":
        assert torch.equal(denoised, networks["theirs"](x))
    else:  # 1 / (1 + 4 sigma^2) = 0.8, and 0.98^11 = 0.8007
        a, t = 0.98**11, torch.full((3,), 10)
        scaled = a**0.5 * (2 * x - 1)
        clean = (scaled - (1 - a) ** 0.5 * networks["theirs"][1](scaled, t)) / a**0.5
        torch.testing.assert_close(denoised, (clean.clamp(-1, 1) + 1) / 2)
    assert torch.equal(networks["joined"](x), networks["plain"](denoised))
    ids = {p.run.label: p.id for p in plan.runs}
    manifest = read_json(Path("results/runs") / ids["joined"] / "model.json")
    theirs = read_json(Path("results/runs") / ids["theirs"] / "model.json")
    assert manifest["provenance"]["parts"]["denoiser"] == theirs["sha256"]
    torch.manual_seed(9)
    assert {p.run.label: p.id for p in place(entry, output=output).runs}["joined"] != ids["joined"]


@pytest.mark.parametrize(
    ("entry", "more", "says"),
    [
        (
            "denoiser",
            {},
            "runs.joined.model.denoiser: run 'theirs' gives logits (a classifier); the denoiser is",
        ),
        ("smaller", {"output": "image"}, "smaller: gives [2, 1, 6, 6] for 2 images of 1x8x8, not images of"),
        ("classifier", {"output": "image"}, "classifier: gives [2, 10] for 2 images of 1x8x8, not images of"),
        ("denoiser", {"output": "noise"}, "a diffusion model needs its alphas_cumprod: a number for each"),
        ("Diffusion", {"output": "image"}, "Diffusion: fails on images of 1x8x8: "),
        ("Diffusion", {"output": "noise", "normalization": "center"}, "images in [-1, 1]; leave it out"),
        (
            "Diffusion",
            {"output": "noise", "noise": {"name": "gaussian", "sigma": 1.0}},
            "noise: gaussian sigma=0.25: its denoiser 'theirs' is for gaussian sigma=1",
        ),
        (
            "Diffusion",
            {"output": "noise", "noise": {"name": "laplace", "scale": 0.25}},
            "imported.theirs.noise: a diffusion model is for gaussian, not laplace",
        ),
        (
            "denoiser",
            {"output": "image", "certificates": [{"name": "cohen"}]},
            "imported.theirs.certificates: theirs gives an image: runs of model denoised",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(place, entry, more, says):
    with pytest.raises(UserError) as caught:
        run(place(entry, **more), "data", "import", "join")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_time_steps_that_the_file_changes_are_one_line(place):
    place("Diffusion", output="noise")
    state = torch.load("Diffusion.pt", weights_only=True)
    state["alphas_cumprod"] *= 0.99
    torch.save(state, "Diffusion.pt")
    with pytest.raises(UserError, match=r"Diffusion: the file has other alphas_cumprod than"):
        run(Plan(Study([Path("study.yaml")])), "data", "import")
