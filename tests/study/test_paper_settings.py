"""What a study may say of a paper's settings, margins and printed numbers; every slip is one line."""

from __future__ import annotations

import pytest

ENTRY = {"paper": "P", "table": "T", "run": "gaussian", "radii": [0.25], "certified_accuracy": [0.5]}
NUMBER = "published[0].certified_accuracy[0]"


@pytest.mark.parametrize(
    ("study", "says"),
    [
        ({"agreement": {"accuracy": 0}}, "agreement.accuracy: 0: must be a number above 0"),
        (
            {"papers": {"P": {"training": {"epoch": 1}}}},
            "papers.P.training.epoch: unknown key (did you mean epochs?)",
        ),
        ({"papers": {"P": {"objective": {"k": 1}}}}, "papers.P.objective.k: gaussian has no such setting"),
        (
            {"published": [ENTRY | {"settings": {"objective": {"gamma": 2}}}]},
            "published[0].settings.objective.gamma: gaussian has no such setting; its objective has: name",
        ),
        ({"published": [ENTRY | {"settings": "Q"}]}, "published[0].settings: 'Q' is none of papers: none"),
        (
            {"papers": {"P": {"attack": {"step": 1}}}},
            "papers.P.attack.step: unknown key (did you mean steps?)",
        ),
        ({"papers": {"P": {"seed": 1}}}, "papers.P.seed: unknown key"),
        ({"published": [ENTRY, ENTRY]}, "published[1]: prints what published[0] prints: tiny/p-t/gaussian/"),
        ({"published": [ENTRY | {"certified_accuracy": ["1.5"]}]}, f"{NUMBER}: '1.5': must"),
        ({"published": [ENTRY | {"certified_accuracy": ["half"]}]}, f"{NUMBER}: 'half'"),
        ({"published": [ENTRY | {"acr": "-1"}]}, "published[0].acr: '-1': must be"),
    ],
)
def test_a_slip_is_named_with_its_place(tiny, refusal, study, says) -> None:
    assert says in refusal({**tiny, "published": [ENTRY], **study})


def test_keys_of_another_method_are_not_this_ones(tiny, plan_of) -> None:
    papers = {"P": {"objective": {"name": "macer", "k": 16}}}
    plan_of({**tiny, "papers": papers, "published": [ENTRY]})


def test_published_numbers_and_their_settings_are_in_no_id(tiny, plan_of) -> None:
    plain = plan_of(tiny)
    more = plan_of({**tiny, "papers": {"P": {"images": 5}}, "published": [ENTRY], "agreement": {"acr": 0.1}})
    assert [r.id for r in plain.runs] == [r.id for r in more.runs]
    assert {s: list(j) for s, j in plain.jobs.items()} == {s: list(j) for s, j in more.jobs.items()}
    assert plain.summary != more.summary  # the tables are made again
