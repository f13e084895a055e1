"""What a claim may say; every slip is one line with its place."""

from __future__ import annotations

import pytest

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
        ({**PAIR, "metric": "distributionl.loss"}, ".metric: 'distributionl.loss' is no metric"),
        ({**PAIR, "metric": "epsilon"}, ".metric: gaussian has no calibration"),
        ({**PAIR, "metric": "certified_accuracy"}, ".radii: lacks the radii of certified_accuracy"),
        ({**PAIR, "radii": [0.25]}, ".radii: acr is at no radius"),
        (
            {**PAIR, **AT, "radii": [0.3]},
            ".radii: radius 0.3 is not among those of report.radii; allowed: 0, 0.25, 0.5",
        ),
        (
            {"crosses": ["nal", "gaussian"], "metric": "certified_accuracy", "small": 0.25, "large": 0.3},
            ".large: radius 0.3 is not among those of report.radii; allowed: 0, 0.25, 0.5",
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
    ],
)
def test_a_slip_is_named_with_its_place(tiny, refusal, condition, says) -> None:
    claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so", "conditions": [condition]}
    message = refusal({**tiny, "claims": [claim]})
    assert f"claims[0].conditions[0]{says}" in message or ("[0]" in message and says in message), message


def test_each_claim_once_and_none_in_an_id(tiny, refusal, plan_of) -> None:
    claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so", "conditions": [PAIR]}
    assert "claims[1].id: 'a' is a claim above; each id once" in refusal({**tiny, "claims": [claim, claim]})
    assert "claims[0].conditions" in refusal({**tiny, "claims": [{**claim, "conditions": []}]})
    plain, more = plan_of(tiny), plan_of({**tiny, "claims": [claim]})
    assert [run.id for run in plain.runs] == [run.id for run in more.runs]
    assert plain.summary != more.summary
