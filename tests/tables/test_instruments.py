"""Attack, certificate and calibration at the paper's settings, behind numbers and claims."""

from __future__ import annotations

from typing import Any

import pytest

from rs.tables.published import beside

ATTACKED = {
    "attacks": [{"name": "pgd_l2", "label": "pgd_l2", "radii": [0.25], "steps": 10}],
    "sampling": {"n": 64},
}
PGD = {"name": "pgd_l2", "steps": 20}


def attacked(*labels: str) -> dict[str, Any]:
    row = {"attack": "pgd_l2", "smoothing": "gaussian", "radius": 0.25, "accuracy": 0.9, "images": 500}
    return {"empirical_accuracy": [{**row, "label": label, "run": label} for label in labels]}


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        ({"steps": 20}, "attack.steps 10, not 20"),
        ({"name": "pgd_l2", "steps": 10}, None),
        ({"name": "pgd_linf", "steps": 10}, "attack pgd_l2, not pgd_linf"),
        ({}, None),
    ],
)
def test_a_number_under_another_attack_is_at_other_settings(plan_of, tiny, attack, settings) -> None:
    entry = {"paper": "P", "table": "T", "run": "gaussian", "radii": [0.25]}
    entry |= {"empirical_accuracy": [0.9], "attack": "pgd_l2"}
    study = plan_of({**tiny, **ATTACKED, "papers": {"P": {"attack": attack}}, "published": [entry]}).study
    (row,) = beside(study, attacked("gaussian"))
    assert row["settings"] == settings
    assert (row["status"] == "other settings") is (settings is not None)


def test_an_attack_says_nothing_of_certified_numbers(plan_of, tiny) -> None:
    entry = {"paper": "P", "table": "T", "run": "gaussian", "radii": [0.25], "certified_accuracy": [0.9]}
    study = plan_of({**tiny, **ATTACKED, "papers": {"P": {"attack": PGD}}, "published": [entry]}).study
    row = {
        "label": "gaussian",
        "certificate": "cohen",
        "radius": 0.25,
        "certified_accuracy": 0.9,
        "images": 500,
    }
    assert beside(study, {"certified_accuracy": [row]})[0]["settings"] is None


@pytest.mark.parametrize(("steps", "settings"), [(15, None), (30, "calibration.steps 15, not 30")])
def test_an_epsilon_of_another_calibration_is_at_other_settings(plan_of, tiny, steps, settings) -> None:
    runs = {**tiny["runs"], "nal": {**tiny["runs"]["nal"], "calibration": {"steps": 15}}}
    entry = {"paper": "P", "table": "T", "run": "nal", "epsilon": 0.5}
    more = {"papers": {"P": {"calibration": {"steps": steps}}}, "published": [entry]}
    rows = {"calibration": [{"label": "nal", "epsilon_without_noise": 0.5, "epsilon_without_noise_se": 0.01}]}
    assert beside(plan_of({**tiny, "runs": runs, **more}).study, rows)[0]["settings"] == settings


@pytest.mark.parametrize(
    ("paper", "settings"),
    [
        ({"attack": PGD}, "gaussian, nal: attack.steps 10, not 20"),
        ({"attack": {**PGD, "steps": 10}}, None),
        ({"attack": {"name": "pgd_linf", "steps": 20}}, None),  # the sentence is about another attack
        ({"certificate": {"alpha": 0.01}}, None),  # and no certificate
    ],
)
def test_a_claim_under_another_attack_is_at_other_settings(verdict, paper, settings) -> None:
    about = {"better": "gaussian", "than": "nal", "metric": "empirical_accuracy", "attack": "pgd_l2"}
    _, rows = verdict(about, tables=attacked("gaussian", "nal"), **ATTACKED, papers={"P": paper})
    assert rows[0]["settings"] == settings


def test_a_claim_of_certificates_with_another_error_rate_is_at_other_settings(verdict) -> None:
    row = {"certificate": "cohen", "smoothing": "gaussian", "radius": 0.25, "images": 500}
    row |= {"certified_accuracy": 0.9, "low": 0.88, "high": 0.92, "label": "gaussian", "run": "gaussian"}
    about = {"value": "gaussian", "at_least": 0.5, "about": "networks"}
    for alpha, settings in ((0.001, None), (0.01, "gaussian: certificate.alpha 0.001, not 0.01")):
        papers = {"P": {"certificate": {"alpha": alpha}}}
        found, rows = verdict(about, tables={"certified_accuracy": [row]}, papers=papers)
        assert rows[0]["settings"] == settings
        assert found == ("holds" if settings is None else "other settings")


def test_two_times_of_training_decide_nothing(verdict) -> None:
    """Nor for these networks: another training of them takes another time."""
    about = {"ratio": ["gaussian", "nal"], "metric": "train_seconds", "radii": [], "at_most": 0.999}
    for seeds, expected in ((1, "undecided"), (2, "undecided"), (3, "holds")):
        rows = [
            {"label": label, "run": f"{label}{i}", "train_seconds": seconds + i, "device": "cpu"}
            for label, seconds in (("gaussian", 500.0), ("nal", 900.0))
            for i in range(seeds)
        ]
        found, outcomes = verdict({**about, "about": "networks"}, tables={"runs": rows})
        assert found == expected
        assert seeds == 3 or outcomes[0]["counted"] == "fewer than 3 training seeds"
