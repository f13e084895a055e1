"""The presets of config/recipes: overlays that fitting studies take, each training as its paper says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tiny_study import write_study

from rs.networks.optimization import learning_rate
from rs.plan.plan import Plan
from rs.settings.training import Training
from rs.study.study import Study

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "config" / "recipes"
QUICK = ROOT / "config" / "scales" / "quick.yaml"
ANY = {"gaussian": {"name": "gaussian"}, "macer": {"name": "macer"}, "nal": {"name": "nal"}}
SMOOTHED = {"adre": {"name": "adre"}, "basic": {"name": "adre", "lambda": 0, "k": 1}}

LAST = 0.05 * (1 + math.cos(math.pi * 41 / 42))
# epochs, batch, optimizer, and the learning rate of some epochs (counted from 0)
PUBLISHED: dict[str, tuple[int, int, str, dict[int, float]]] = {
    "adre-imagenet": (50, 256, "sgd", {0: 0.0125, 7: 0.1, 8: 0.1, 29: 0.05, 49: LAST}),
    "adre-cifar10": (150, 400, "sgd", {0: 0.1, 49: 0.1, 50: 0.01, 100: 0.001, 149: 0.001}),
    "macer-cifar10": (440, 64, "sgd", {0: 0.01, 199: 0.01, 200: 1e-3, 400: 1e-4, 439: 1e-4}),
    "macer-mnist-svhn": (440, 64, "sgd", {0: 0.01, 199: 0.01, 200: 1e-3, 400: 1e-4, 439: 1e-4}),
    "macer-imagenet": (120, 256, "sgd", {0: 0.1, 30: 0.01, 60: 1e-3, 90: 1e-4}),
    "nal-mnist": (25, 128, "adam", {0: 1e-4, 24: 1e-4}),
    "nal-cifar10": (100, 128, "adam", {0: 1e-4, 99: 1e-4}),
    "nal-tiny-imagenet": (100, 128, "adam", {0: 2e-5, 99: 2e-5}),
    "stn": (100, 64, "adam", {0: 1e-3, 99: 1e-3}),
}


def study(recipe: str) -> dict[str, Any]:
    """A study with settings of its own, at the top and in a run: the recipe comes over both."""
    objectives = SMOOTHED if recipe == "adre-imagenet" else ANY
    data, model = ("imagenet", "resnet50") if recipe.endswith("-imagenet") else ("cifar10", "resnet20")
    if recipe == "nal-tiny-imagenet":
        data, model = "tiny-imagenet", "resnet18"
    own = {"optimizer": {"name": "adam"}, "schedule": {"name": "multistep", "milestones": [1], "gamma": 0.5}}
    return {
        "name": "base",
        "data": {"name": data},
        "model": {"name": model},
        "noise": {"name": "gaussian", "sigma": 0.25},
        "training": {"epochs": 3, "schedule": {"name": "cosine", "warmup": 2}, "precision": "bfloat16"},
        "runs": {k: {"objective": o, "training": own} for k, o in objectives.items()},
    }


def test_every_recipe_is_here():
    assert {f.stem for f in RECIPES.iterdir()} == set(PUBLISHED)


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_a_recipe_trains_every_run_as_published(recipe, tmp_path):
    file, base = RECIPES / f"{recipe}.yaml", write_study(tmp_path / "base.yaml", study(recipe))
    plan = Plan(Study([base, file]))
    assert plan.runs
    epochs, batch, optimizer, rates = PUBLISHED[recipe]
    for planned in plan.runs:
        training = TypeAdapter(Training).validate_python(planned.spec["training"])
        assert (training.epochs, training.batch_size, training.optimizer.name) == (epochs, batch, optimizer)
        assert {e: learning_rate(training, e) for e in rates} == pytest.approx(rates)
        assert training.precision == "bfloat16"
    assert "# Use: snakemake --cores" in file.read_text()
    quick = Plan(Study([base, file, QUICK]))
    assert {p.spec["training"]["epochs"] for p in quick.runs} == {1}


def test_adres_imagenet_recipe_to_the_digit(tmp_path):
    base = write_study(tmp_path / "base.yaml", study("adre-imagenet"))
    for planned in Plan(Study([base, RECIPES / "adre-imagenet.yaml"])).runs:
        optimizer = planned.spec["training"]["optimizer"]
        assert (optimizer["momentum"], optimizer["weight_decay"]) == (0.875, 1 / 32768)
        assert planned.spec["objective"]["label_smoothing"] == 0.1


def test_other_recipes_go_over_the_demo():
    for recipe in PUBLISHED:
        if recipe not in ("adre-imagenet", "macer-imagenet"):
            assert Plan(Study([ROOT / "config" / "config.yaml", RECIPES / f"{recipe}.yaml"])).runs
