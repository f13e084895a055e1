"""What a study can decide: numbers and claims of its own runs, with the paper's settings."""

from __future__ import annotations

from pathlib import Path

from rs.study.study import Study
from rs.tables import within_reach

ROOT = Path(__file__).parents[2]
TABLE_6 = ["mnist-methods.yaml", "recipes/macer-mnist-svhn.yaml", "evidence/mnist-table6.yaml"]


def study(*files: str) -> Study:
    return Study([ROOT / "config" / file for file in files])


def test_table_6_needs_the_epochs_of_the_paper() -> None:
    """66 numbers of Cohen's and MACER's rows, and these again beside delayed lambda; the demo's settings are
    those of no paper.
    """
    assert not list(within_reach.numbers(study("mnist-methods.yaml")))
    found = list(within_reach.numbers(study(*TABLE_6)))
    assert len(found) == len(set(found)) == 99
    assert all(address.startswith("mnist-table6/") for address in found)
    kept = list(within_reach.numbers(study(*TABLE_6, "evidence/mnist-table6-seeds.yaml")))
    assert len(kept) == 11
    assert all("/macer-sigma=0.5/" in address for address in kept)


def test_claims_need_all_of_their_runs() -> None:
    assert "MACER/trains-stably" in set(within_reach.claims(study(*TABLE_6)))
    found = set(within_reach.claims(study(*TABLE_6, "evidence/mnist-table6-seeds.yaml")))
    assert found == {"MACER/trains-stably"}
    assert not set(within_reach.claims(study("mnist-methods.yaml")))
    assert "NAL/theorem-3" not in set(within_reach.claims(study("nal.yaml"))), "decided by theory"


def test_why_not_is_told() -> None:
    short, seeds = study("mnist-methods.yaml"), study(*TABLE_6, "evidence/mnist-table6-seeds.yaml")
    printed = "macer-table-6-macer/macer-sigma=1/acr"
    assert "training.epochs 90, not 440" in within_reach.obstacle(short, f"mnist-methods/{printed}")
    left_out = "it leaves out (active): macer[sigma=1]"
    assert within_reach.obstacle(seeds, f"mnist-table6-seeds/{printed}") == left_out
    claim = "mnist-table6-seeds/claims/mnist-cost-at-large-noise"
    assert within_reach.obstacle(seeds, claim) == "it leaves out (active): gaussian[sigma=1], macer[sigma=1]"
    assert not within_reach.obstacle(study(*TABLE_6), f"mnist-table6/{printed}")


def test_a_training_time_decides_nothing() -> None:
    held = study("papers/macer-table3-cifar10.yaml")
    assert any(entry["train_hours"] is not None for entry in held.published)
    found = list(within_reach.numbers(held))
    assert found
    assert not any(address.endswith("train_hours") for address in found)
