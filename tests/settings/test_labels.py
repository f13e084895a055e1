"""The names of certificates and attacks in tables: what they say, and that all files have the same."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.settings.attacks import AttackUse
from rs.settings.certificates import CertificateUse
from rs.settings.labels import attack_label, certificate_label, is_called, label_of
from rs.study.study import Study
from rs.tables.published import beside

CHECKOUT = Path(__file__).parents[2]


def test_settings_of_every_method_are_no_part_of_a_name() -> None:
    for use, label in ((AttackUse, attack_label), (CertificateUse, certificate_label)):
        given = {field.name: True for field in fields(use) if field.name != "label"}
        assert label({**given, "name": "some", "steps": 5}) == "some steps=5"
        assert label({**given, "name": "some", "steps": 5, "label": "L"}) == "L"


def test_a_parameter_that_is_called_as_a_setting_of_the_other_kind_is_part_of_a_name() -> None:
    fine = {"name": "neyman_pearson", "radii": 100, "seed": 1, "alpha": 0.01}
    assert label_of("certificates", fine) == "neyman_pearson radii=100 seed=1"
    attack = {"name": "pgd_l2", "radii": [1.0], "seed": 1, "compiled": True}
    assert label_of("attacks", attack) == "pgd_l2"


@pytest.mark.parametrize("name", ["stn-figure3-mnist", "stn-figure3-cifar10"])
def test_compiling_the_attacks_of_a_paper_s_study_leaves_their_names(name: str) -> None:
    """Its claims name attacks by their parameters."""
    file, compiled = CHECKOUT / "config" / "papers" / f"{name}.yaml", {"attacks": {"compiled": True}}
    plain, fast = (Plan(Study([file], given)) for given in ({}, {"override": compiled}))
    names = [
        [attack_label(a) for p in plan.runs for a in p.run.sections["attacks"]] for plan in (plain, fast)
    ]
    assert names[0] == names[1] != []
    assert all(a["compiled"] for p in fast.runs for a in p.run.sections["attacks"])


def test_a_labelled_randomised_certificate_has_one_name_everywhere(tiny, plan_of) -> None:
    certificate = {"name": "cohen", "randomised": True, "label": "exact"}
    assert certificate_label(certificate) == "exact (randomised)"
    assert certificate_label({**certificate, "randomised": False}) == "exact"
    assert all(is_called(certificate, name) for name in ("cohen", "exact", "exact (randomised)"))
    tiny["certificates"] = [certificate]
    entry = {"paper": "P", "table": "T", "run": "nal", "radii": [0.5], "certified_accuracy": [0.9]}
    tiny["published"] = [{**entry, "certificate": "exact (randomised)"}]
    row = {"label": "nal", "certificate": "exact (randomised)", "radius": 0.5, "certified_accuracy": 0.8}
    rows = {"certified_accuracy": [{**row, "low": 0.7, "high": 0.85, "images": 6, "smoothing": "g"}]}
    assert beside(plan_of(tiny).study, rows)[0]["reproduced"] == 0.8
    tiny["published"] = [{**entry, "certificate": "exact"}]  # no table has this name
    with pytest.raises(UserError, match=r"no certificate labelled 'exact'; it has: exact \(randomised\)"):
        plan_of(tiny)
