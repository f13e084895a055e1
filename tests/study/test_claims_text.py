"""What a claim may say; every slip is one line with its place."""

from __future__ import annotations

import pytest

from rs.study import claim_refusals

PAIR = {"better": "nal", "than": "gaussian"}
AT = {"metric": "certified_accuracy", "radii": [0.25]}


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (
            {},
            ": one of better, worse, equivalent, trend, value, difference, ratio, crosses, ",
        ),
        ({**PAIR, "value": "nal"}, "is asked for; has: better, value"),
        ({"better": "nal"}, ".than: lacks better"),
        ({"value": "nal"}, ".value: lacks at_least or at_most"),
        ({**PAIR, "at_least": 1}, ".better: at_least and at_most are no part of better"),
        ({**PAIR, "better": "elsewhere"}, ".better: no run is labelled 'elsewhere'; runs: gaussian, nal"),
        (
            {**PAIR, "than": {"run": "nal", "votes": 1}},
            ".than.votes: unknown key; allowed: attack, certificate, run, smoothing, where",
        ),
        (
            {**PAIR, "metric": "accuracy"},
            ".metric: 'accuracy' is no metric; allowed: acr, certified_accuracy",
        ),
        ({**PAIR, "metric": "epsilon"}, ".metric: gaussian has no calibration"),
        ({**PAIR, "metric": "certified_accuracy"}, ".radii: lacks the radii of certified_accuracy"),
        ({**PAIR, "radii": [0.25]}, ".radii: acr is at no radius"),
        (
            {**PAIR, **AT, "radii": [0.3]},
            ".radii: radius 0.3 is not among those of report.radii; allowed: 0, 0.25, 0.5",
        ),
        ({**PAIR, **AT, "certificate": "renyi"}, ".certificate: nal has no certificate labelled 'renyi'"),
        ({**PAIR, **AT, "metric": "empirical_accuracy"}, ".attack: nal has no attack labelled None"),
        ({"trend": ["nal", "gaussian"]}, ".trend: ["),
        ({"crosses": ["nal", "gaussian"], **AT}, ".small: lacks crosses"),
        (
            {"crosses": ["nal", "gaussian"], "small": 0.5, "large": 0.25},
            ".large: 0.25: must be above small, 0.5",
        ),
        ({"impossible": "my word"}, ".impossible: 'my word': must be a string that matches ^"),
        ({**PAIR, "about": "images"}, ".about: 'images'; allowed: networks, methods"),
        ({"proven": "tests/no_such_test.py"}, ".proven: tests/no_such_test.py is not in /"),
        ({"proven": "tests/methods"}, ".proven: tests/methods is not in /"),
        (
            {"proven": "tests/test_house.py::test_x"},
            ".proven: tests/test_house.py has no test test_x; its tests: test_no_file_is_longer_than_300_",
        ),
        ({"proven": "docs/tables.md::test_x"}, ".proven: docs/tables.md has no test test_x; its tests: none"),
        (
            {"better": "nal", "than": "nal"},
            ".better: nal is compared with itself; allowed: sides that differ",
        ),
        ({"equivalent": {"run": "nal", "attack": "pgd"}, "than": "nal"}, ".equivalent: nal is compared with"),
        ({"worse": {"run": "nal", "smoothing": "gaussian"}, "than": "nal"}, ".worse: nal is compared with"),
        ({"ratio": ["gaussian", "gaussian"], "at_most": 2}, ".ratio: gaussian is compared with itself"),
        ({"trend": ["nal", "gaussian", "nal"]}, ".trend: nal is compared with itself"),
        (
            {"crosses": ["nal", "nal"], "small": 0, "large": 0.25, "metric": "certified_accuracy"},
            ".crosses: nal is compared with itself",
        ),
        ({"value": "nal", "at_least": 0.5, "at_most": 0.1}, ".at_least: 0.5: must be at most at_most, 0.1"),
        (
            {"value": "nal", "at_least": 0},
            ".at_least: 0 decides nothing, since every value of acr is at least 0; allowed: above 0",
        ),
        (
            {"value": "nal", **AT, "at_most": 1},
            ".at_most: 1 decides nothing, since every value of certified_accuracy is at least 0 and at most 1"
            "; allowed: at least 0 and below 1",
        ),
        ({"value": "nal", "metric": "distributional.loss", "at_most": -1}, ".at_most: -1 decides nothing, "),
        ({"difference": ["nal", "gaussian"], **AT, "at_least": -1}, ".at_least: -1 decides nothing, "),
        (
            {"ratio": ["nal", "gaussian"], "at_least": 0},
            ".at_least: 0 decides nothing, since every ratio of acr",
        ),
    ],
)
def test_a_slip_is_named_with_its_place(tiny, refusal, condition, says) -> None:
    claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so", "conditions": [condition]}
    message = refusal({**tiny, "claims": [claim]})
    assert f"claims[0].conditions[0]{says}" in message or ("[0]" in message and says in message), message


@pytest.mark.parametrize(
    "condition",
    [
        {"value": "nal", **AT, "at_least": 1},
        {"value": "nal", **AT, "at_most": 0},
        {"value": "nal", "at_least": 0.5, "at_most": 0.5},
        {"difference": ["nal", "gaussian"], "at_least": 0},
        {"difference": ["nal", "gaussian"], "at_most": -3},
        {"value": "nal", "metric": "provenance.seconds", "at_least": -1},
        {"better": {"run": "nal", "where": {"images": 4}}, "than": "nal"},
    ],
)
def test_what_can_come_out_both_ways_is_accepted(tiny, plan_of, condition) -> None:
    plan_of(
        {**tiny, "claims": [{"id": "a", "paper": "P", "place": "1", "claim": "x", "conditions": [condition]}]}
    )


def test_references_are_looked_for_beside_the_study_and_the_work(
    tiny, tmp_path, monkeypatch, plan_of, refusal
) -> None:
    def with_proof(test: str):
        proof = {"proven": f"tests/test_mine.py::{test}"}
        return {
            **tiny,
            "claims": [{"id": "a", "paper": "P", "place": "1", "claim": "x", "conditions": [proof]}],
        }

    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "tests/test_mine.py"
    assert "tests/test_mine.py is not in /" in refusal(with_proof("test_is_so"))
    mine.parent.mkdir()
    mine.write_text("class TestMine:\n    pass\nasync def test_is_so():\n    pass\ndef help(): pass\n")
    for test in ("test_is_so", "TestMine"):
        plan_of(with_proof(test))
    assert "has no test help; its tests: TestMine, test_is_so" in refusal(with_proof("help"))


def test_an_installed_package_without_tests_refuses_no_reference(
    tiny, tmp_path, monkeypatch, plan_of
) -> None:
    """Also not as a module of a workflow that has tests of its own."""
    packages = tmp_path / "site-packages"
    monkeypatch.setattr(claim_refusals, "CHECKOUT", packages)
    for part in (
        "site-packages/rs/__init__.py",
        "site-packages/tests/test_x.py",
        "Snakefile",
        "tests/test_y.py",
    ):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).touch()
    monkeypatch.chdir(tmp_path)
    proof = {"proven": "tests/methods/test_dual.py::test_no_exponent_equals_cohen"}
    claim = {"id": "a", "paper": "P", "place": "1", "claim": "x", "conditions": [proof]}
    plan_of({**tiny, "claims": [claim]})


def test_each_claim_once_and_none_in_an_id(tiny, refusal, plan_of) -> None:
    claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so", "conditions": [PAIR]}
    assert "claims[1].id: 'a' is a claim above; each id once" in refusal({**tiny, "claims": [claim, claim]})
    assert "claims[0].conditions" in refusal({**tiny, "claims": [{**claim, "conditions": []}]})
    plain, more = plan_of(tiny), plan_of({**tiny, "claims": [claim]})
    assert [run.id for run in plain.runs] == [run.id for run in more.runs]
    assert plain.summary != more.summary


def test_radii_in_two_norms_are_not_compared(tiny, plan_of, refusal) -> None:
    runs = tiny["runs"] | {
        "l1": tiny["runs"]["gaussian"]
        | {"noise": {"name": "laplace", "scale": 0.25}, "certificates": [{"name": "laplace_l1"}]}
    }
    sides = {
        "better": {"run": "l1", "certificate": "laplace_l1"},
        "than": {"run": "nal", "certificate": "cohen"},
    }
    claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so"}
    study = {**tiny, "runs": runs, "attacks": []}

    def of(**keys):
        return {**study, "claims": [{**claim, "conditions": [{**sides, **keys}]}]}

    line = "].better: l1 has l1 radii and nal has l2 radii; allowed: certificates of one norm"
    assert line in refusal(of(metric="acr"))
    assert line in refusal(of(metric="certified_accuracy", radii=[0, 0.25]))
    plan_of(of(metric="certified_accuracy", radii=[0]))
    plan_of(of(metric="runs.train_seconds"))
