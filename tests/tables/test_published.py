"""Published numbers find what was measured in their place, and name only what the study has."""

from __future__ import annotations

import pytest
from claim_rows import PRINTED, beside_printed

from rs.errors import UserError
from rs.tables.published import beside


def test_published_numbers_find_their_runs(plan_of, tiny):
    study = plan_of({**tiny, "published": [{**PRINTED, "acr": 1.453}]}).study
    rows = beside(study, beside_printed())
    assert [(r["metric"], r["radius"], r["printed"], r["difference"]) for r in rows] == [
        ("acr", None, "1.453", pytest.approx(-0.053)),
        ("certified_accuracy", 0.0, "0.99", pytest.approx(-0.04)),
        ("certified_accuracy", 0.5, "0.94", pytest.approx(0.01)),
    ]
    assert {r["status"] for r in beside(study, beside_printed("another"))} == {"not run"}


def test_numbers_are_told_with_the_digits_of_their_list(plan_of, tiny):
    entry = {**PRINTED, "radii": [0.0, 0.25, 0.5], "certified_accuracy": [0.9, 0.85, 0], "acr": "1.40"}
    study = plan_of({**tiny, "report": {"radii": [0, 0.25, 0.5]}, "published": [entry]}).study
    assert [row["printed"] for row in beside(study, {})] == ["1.40", "0.90", "0.85", "0"]


REPORTED = {"attacks": [{"name": "pgd_l2", "radii": [0.5]}], "report": {"radii": [0.0, 0.5]}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run": "elsewhere"}, r"published\[0\].run: no run is labelled 'elsewhere'; runs: gaussian"),
        ({"run": ["gaussian", "elsewhere"]}, r"published\[0\].run: no run is labelled 'elsewhere'"),
        ({"radii": [0.0, 0.7]}, r"published\[0\].radii: radius 0.7 is not among report.radii"),
        ({"radii": [0.0]}, r"published\[0\].certified_accuracy: 1 radii for 2 values"),
        (
            {"certificate": "renyi"},
            r"published\[0\].certificate: gaussian has no certificate labelled 'renyi'",
        ),
        ({"empirical_accuracy": [1, 0.5]}, r"published\[0\].attack: name the attack"),
        ({"empirical_accuracy": [1, 0.5], "attack": "ddn"}, r"published\[0\].attack: gaussian has no attack"),
    ],
)
def test_published_numbers_name_what_the_study_has(plan_of, tiny, change, says):
    with pytest.raises(UserError, match=says):
        plan_of({**tiny, **REPORTED, "published": [PRINTED | change]})


def test_the_best_of_several_runs_at_each_radius(plan_of, tiny):
    study = plan_of({**tiny, "published": [{**PRINTED, "run": ["gaussian", "nal"]}]}).study
    rows = beside_printed()
    other = beside_printed("nal")["certified_accuracy"]
    other[1]["certified_accuracy"] = 0.96
    rows["certified_accuracy"] += other
    first, second = beside(study, rows)
    assert (first["label"], first["reproduced"]) == ("best of 2: gaussian", 0.95)
    assert (second["label"], second["reproduced"]) == ("best of 2: nal", 0.96)
    assert beside(study, beside_printed("another"))[0]["label"] == "best of 2 (gaussian, …)"


def test_a_time_does_not_choose_the_best_of_a_row(plan_of, tiny):
    entry = PRINTED | {"run": ["gaussian", "nal"], "row": "method", "train_hours": 2.0}
    study = plan_of({**tiny, "published": [entry]}).study
    rows = beside_printed()
    rows["certified_accuracy"] += [
        r | {"certified_accuracy": 0.9} for r in beside_printed("nal")["certified_accuracy"]
    ]
    slow = {"label": "nal", "train_seconds": 7200.0}
    rows["runs"] = [slow, {"label": "gaussian", "train_seconds": 360.0}]
    assert {r["label"] for r in beside(study, rows)} == {"best of 2: gaussian"}
    rows["runs"] = [slow]  # the best run's time is not known, and another's is not its
    hours = beside(study, rows)[0]
    assert (hours["metric"], hours["status"]) == ("train_hours", "not run")


def test_accuracies_under_attack_and_times_stand_beside(plan_of, tiny):
    entry = {k: PRINTED[k] for k in ("paper", "table", "run", "radii")}
    entry |= {"attack": "pgd_l2", "empirical_accuracy": [0.9, 0.5], "train_hours": 2.0}
    study = plan_of({**tiny, **REPORTED, "published": [entry]}).study
    head = {"label": "gaussian", "attack": "pgd_l2", "smoothing_level": 0.25, "low": 0.4, "high": 0.6}
    rows = {
        "empirical_accuracy": [
            {**head, "smoothing": "gaussian", "radius": 0.5, "accuracy": 0.5},
            {**head, "smoothing": "gaussian", "radius": 0.5, "accuracy": 0.1, "attack": "other"},
        ],
        "runs": [{"label": "gaussian", "noise_level": 0.25, "train_seconds": 360.0}],
    }
    hours, clean, attacked = beside(study, rows)
    outcome = (hours["reproduced"], hours["status"], hours["settings"])
    assert outcome == (0.1, "other settings", "another machine")
    assert (clean["status"], attacked["difference"]) == ("not run", 0.0)
    rows["empirical_accuracy"].append(rows["empirical_accuracy"][0] | {"smoothing": "none"})
    with pytest.raises(UserError, match="smoothed with several noises; name one: smoothing"):
        beside(study, rows)
    entry["smoothing"] = "none"
    study = plan_of({**tiny, **REPORTED, "published": [entry]}).study
    assert len(beside(study, rows)) == 3
    study = plan_of({**tiny, **REPORTED, "published": [entry | {"smoothing": "nowhere"}]}).study
    with pytest.raises(UserError, match=r"published\[0\].smoothing: .*'nowhere'; there is: gaussian, none"):
        beside(study, rows)
