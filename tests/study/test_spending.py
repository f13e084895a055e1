"""What methods say of themselves reaches the plan's checks by their facts, whoever ships them."""

from __future__ import annotations

import math

import pytest

from rs.settings.spending import spending, wrong_spends
from rs.study.feasibility import least_votes
from rs.study.schema import at_most_unanimous
from rs.tables.largest_claims import largest_claims

LAPLACE, GAUSSIAN = {"name": "laplace", "scale": 0.5}, {"name": "gaussian", "sigma": 0.5}


def fewest(level: float) -> int:
    """The least n with level^(1/n) > 1/2: what unanimous votes need where p_B is 1 - p_A."""
    return math.floor(math.log(level) / math.log(0.5)) + 1


@pytest.mark.parametrize(
    ("spends", "least"),
    [
        ((), fewest(0.001)),
        (({"divided": 8.0},), fewest(0.001 / 8)),
        (({"aside": "kept"},), fewest(0.001 * 0.25)),
        (({"noise": "gaussian", "aside": "kept"},), fewest(0.001 * 0.25)),
        (({"noise": "laplace", "aside": "kept"},), fewest(0.001)),
        (({"when": {"mode": "other"}, "any": True},), fewest(0.001)),
        (({"when": {"mode": "mine"}, "any": True},), 1),
        (({"any": True}, {"when": {"mode": "mine"}, "any": False}), fewest(0.001)),
        (({"pooled": True},), fewest(0.001) - 3),
        (({"share": 0.5},), fewest(0.0005)),
    ],
)
def test_a_certificate_says_how_it_spends_alpha(spends, least):
    certificate = {"name": "theirs", "alpha": 0.001, "kept": 0.75, "mode": "mine"}
    assert least_votes(certificate, {"x-spends": list(spends)}, "gaussian", n0=3) == least
    assert wrong_spends(spends, {"kept", "mode"}) == ""


def test_without_rules_alpha_share_is_the_share():
    assert spending((), {"alpha_share": 0.25}, "gaussian") == {"share": 0.25}
    assert spending((), {}, "gaussian") == {"share": 1.0}


@pytest.mark.parametrize(
    ("spends", "says"),
    [
        ([{"any": True}], "must be a tuple of dicts"),
        (("any",), "must be a tuple of dicts"),
        (({"al": 1},), "hold 'al'; allowed: when, noise, aside, share, divided, pooled, any"),
        (({"share": 0},), "hold share = 0; it must be a number above 0"),
        (({"divided": True},), "hold divided = True; it must be a number above 0"),
        (({"pooled": 1},), "hold pooled = 1; it must be True or False"),
        (({"aside": "table"},), "hold aside = 'table'; it must be one of its parameters"),
        (({"aside": ["kept"]},), "hold aside = ['kept']; it must be one of its parameters"),
        (({"when": "mode"},), "hold when = 'mode'; it must be a dict"),
        (({"when": {"mood": 1}},), "name 'mood', which is none of its parameters"),
    ],
)
def test_rules_that_cannot_be_are_named(spends, says):
    assert says in wrong_spends(spends, {"kept", "mode"})


@pytest.mark.parametrize(("match", "limit"), [("none", 64), ("mean", 64), ("paper", 63)])
def test_a_noise_says_what_its_parameters_leave(tiny, plan_of, refusal, match, limit):
    """The paper's formula divides by d - 1 - k."""
    tiny |= {"certificates": [], "noise": {"name": "spherical", "sigma": 1, "k": limit, "match": match}}
    assert f"noise.k: {limit}: must be below {limit} for these images" in refusal(tiny)
    tiny["noise"]["k"] = limit - 0.01
    assert plan_of(tiny).runs


def test_unanimous_votes_are_the_most_under_some_noises():
    assert at_most_unanimous("cohen", GAUSSIAN)
    assert at_most_unanimous("tcertify", GAUSSIAN)
    assert not at_most_unanimous("laplace_l1", LAPLACE)
    assert not at_most_unanimous("dual", GAUSSIAN)


def test_a_randomised_bound_may_certify_more_than_unanimous_votes(tiny, plan_of):
    settings = {"sampling": {"n": 64}, "certificate": {"alpha": 0.001}}
    assert largest_claims(plan_of(tiny).study, "gaussian", "cohen", settings) is not None
    tiny["certificates"] = [{"name": "cohen", "randomised": True}]
    assert largest_claims(plan_of(tiny).study, "gaussian", "cohen", settings) is None


def test_a_log_of_any_certificate_that_is_capped_is_held_to_the_cap(tiny, plan_of, refusal, tmp_path):
    log = tmp_path / "log.tsv"
    log.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t2.5\t1\t0:00:01\n")
    entry = {"file": str(log), "noise": GAUSSIAN, "n": 100_000, "alpha": 0.001}
    for certificate in ("cohen", "tcertify"):
        tiny["logs"] = {"theirs": {**entry, "certificate": certificate}}
        assert "logs.theirs.alpha: 0.001: " in refusal(tiny)
    tiny["logs"]["theirs"]["certificate"] = "renyi"
    assert plan_of(tiny).runs
