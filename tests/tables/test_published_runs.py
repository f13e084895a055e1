"""Which run, which images and which paper a published number is held against, and the interval of it."""

from __future__ import annotations

import math

import pytest

from rs.errors import UserError
from rs.tables.published import beside

BEST = {"paper": "P", "table": "T", "run": ["gaussian", "nal"]}


def certified(label, share, radius=0.25, **more):
    row = {"label": label, "certificate": "cohen", "smoothing": "gaussian", "radius": radius, "images": 500}
    return row | {"certified_accuracy": share, "low": share - 0.01, "high": share + 0.01} | more


def averaged(label, radius):
    row = {"label": label, "certificate": "cohen", "smoothing": "gaussian", "images": 500}
    return row | {"acr": radius, "low": radius - 0.01, "high": radius + 0.01}


def test_the_best_run_answers_for_its_own_settings(plan_of, tiny):
    tiny["runs"]["nal"]["training"] = {"epochs": 2}
    one = BEST | {"radii": [0.25], "certified_accuracy": [0.9]}
    study = plan_of({**tiny, "papers": {"P": {"training": {"epochs": 2}}}, "published": [one]}).study
    answers = {}
    for best in ("gaussian", "nal"):
        shares = {"gaussian": 0.5, "nal": 0.5} | {best: 0.9}
        (row,) = beside(study, {"certified_accuracy": [certified(*each) for each in shares.items()]})
        answers[best] = (row["label"], row["settings"])
    assert answers["gaussian"] == ("best of 2: gaussian", "training.epochs 1, not 2")
    assert answers["nal"] == ("best of 2: nal", None)


@pytest.mark.parametrize(("known", "label"), [(0.98, "best of 2: nal"), (0.96, "best of 2 (gaussian, …)")])
def test_a_run_that_lacks_a_number_of_the_row_is_not_the_best_only_if_it_cannot_be(
    plan_of, tiny, known, label
):
    """Of the other run, which has 0.9 at 0, at most 1 is missing at 0.25."""
    one = BEST | {"row": "all", "radii": [0.0, 0.25], "certified_accuracy": [0.9, 0.5]}
    study = plan_of({**tiny, "published": [one]}).study
    rows = [certified("gaussian", 0.9, 0.0), certified("nal", known, 0.0), certified("nal", 0.93)]
    for measured in (rows, rows[::-1]):
        found = beside(study, {"certified_accuracy": measured})
        assert [r["label"] for r in found] == [label, label]
        values = [known, 0.93] if label == "best of 2: nal" else [None, None]
        assert [r["reproduced"] for r in found] == values
        assert all((r["status"] == "not run") == (r["reproduced"] is None) for r in found)


def test_the_best_of_several_runs_is_not_known_while_one_is_missing(plan_of, tiny):
    """Its votes could certify 0.25, not 5; of an average nothing is known."""
    one = BEST | {"radii": [0.25, 5.0], "certified_accuracy": [0.5, 0.01], "acr": 0.3}
    report = {"radii": [0.25, 5.0]}
    study = plan_of({**tiny, "report": report, "published": [one]}).study
    rows = {
        "certified_accuracy": [certified("gaussian", 0.9), certified("gaussian", 0.0, 5.0)],
        "average_certified_radius": [averaged("gaussian", 0.4)],
    }
    average, near, far = beside(study, rows)
    assert (average["metric"], average["status"], near["status"]) == ("acr", "not run", "not run")
    assert (far["label"], far["reproduced"]) == ("best of 2: gaussian", 0.0)
    rows["certified_accuracy"][0]["certified_accuracy"] = 1.0
    rows["average_certified_radius"].append(averaged("nal", 0.3))
    average, near, _ = beside(study, rows)
    assert (average["label"], average["reproduced"]) == ("best of 2: gaussian", 0.4)
    assert near["label"] == "best of 2: gaussian"


@pytest.mark.parametrize(
    ("bounded", "status"),
    [
        ((False, False), ("best of 2: gaussian", "undecided")),
        ((False, True), ("best of 2 (gaussian, …)", "not run")),  # all votes could make nal the best
        ((True, False), ("best of 2: gaussian", "bounded")),
        ((True, True), ("best of 2: gaussian", "bounded")),
    ],
)
def test_a_best_that_stopped_votes_leave_open_is_not_known(plan_of, tiny, bounded, status):
    study = plan_of({**tiny, "published": [BEST | {"radii": [0.25], "certified_accuracy": [0.9]}]}).study
    pairs = zip(("gaussian", "nal"), (0.6, 0.5), bounded, strict=True)
    rows = [certified(label, share, lower_bound=bound) for label, share, bound in pairs]
    (row,) = beside(study, {"certified_accuracy": rows})
    assert (row["label"], row["status"]) == status


def test_a_run_alone_in_a_row_is_its_best_whatever_is_missing(plan_of, tiny):
    one = BEST | {"run": "gaussian", "row": "all", "radii": [0.0, 0.25], "certified_accuracy": [0.9, 0.5]}
    study = plan_of({**tiny, "published": [one]}).study
    found = beside(study, {"certified_accuracy": [certified("gaussian", 0.9, 0.0)]})
    assert [r["reproduced"] for r in found] == [0.9, None]


def test_the_numbers_of_a_row_share_a_run(plan_of, tiny):
    first = BEST | {"row": "all", "radii": [0.0], "certified_accuracy": [0.9]}
    second = first | {"run": "nal", "radii": [0.25], "certified_accuracy": [0.5]}
    third = first | {"run": "gaussian", "acr": 0.3, "radii": [], "certified_accuracy": []}
    plan_of({**tiny, "published": [first, second]})
    plan_of({**tiny, "published": [first, second, third | {"paper": "Q"}, third | {"row": None}]})
    with pytest.raises(UserError, match=r"published\[2\].row: 'all': no run is named by all of its numbers"):
        plan_of({**tiny, "published": [first, second, third]})


def test_of_several_runs_none_may_lack_the_certificate(plan_of, tiny):
    tiny["runs"]["nal"]["certificates"] = [{"name": "tcertify", "alpha": 0.001}]
    one = BEST | {"radii": [0.25], "certified_accuracy": [0.9]}
    with pytest.raises(UserError, match="nal has no certificate labelled 'cohen'; it has: tcertify"):
        plan_of({**tiny, "published": [one]})


def test_the_best_run_answers_for_its_own_images(plan_of, tiny):
    tiny["attacks"] = [{**tiny["attacks"][0], "label": "pgd"}]
    tiny["runs"]["nal"]["attacks"] = [{**tiny["attacks"][0], "images": {"max": 4}}]
    one = BEST | {"radii": [0.5], "attack": "pgd", "empirical_accuracy": [0.9]}
    study = plan_of({**tiny, "papers": {"P": {"test": {"max": 4}}}, "published": [one]}).study
    for best, shared in (("gaussian", False), ("nal", True)):
        rows = [
            {"label": label, "attack": "pgd", "smoothing": "gaussian", "radius": 0.5, "images": images}
            | {"accuracy": 1.0 if label == best else 0.5, "low": 0.4, "high": 1.0}
            for label, images in (("gaussian", 3), ("nal", 4))
        ]
        (row,) = beside(study, {"empirical_accuracy": rows})
        assert (row["label"], row["shared_images"]) == (f"best of 2: {best}", shared)


def test_of_several_runs_one_may_lack_the_attack(plan_of, tiny):
    """Without it, its accuracy is at most 1; where none has the attack, the study is refused."""
    tiny["attacks"] = [{**tiny["attacks"][0], "label": "pgd"}]
    tiny["runs"]["nal"]["attacks"] = []
    one = BEST | {"radii": [0.5], "attack": "pgd", "empirical_accuracy": [0.9]}
    study = plan_of({**tiny, "published": [one]}).study
    for share, label in ((1.0, "best of 2: gaussian"), (0.9, "best of 2 (gaussian, …)")):
        row = {"label": "gaussian", "attack": "pgd", "smoothing": "gaussian", "radius": 0.5, "images": 3}
        rows = [row | {"accuracy": share, "low": 0.4, "high": 1.0}]
        assert beside(study, {"empirical_accuracy": rows})[0]["label"] == label
    with pytest.raises(UserError, match="gaussian has no attack labelled 'pgd'; it has: none"):
        plan_of({**tiny, "attacks": [], "published": [one]})


def test_rows_of_one_name_in_two_papers_choose_apart(plan_of, tiny):
    first = BEST | {"row": "best", "radii": [0.0, 0.25], "certified_accuracy": [0.9, 0.5]}
    second = BEST | {"row": "best", "paper": "Q", "radii": [0.25], "certified_accuracy": [0.5]}
    study = plan_of({**tiny, "published": [first, second]}).study
    rows = [certified("gaussian", 0.7, 0.0), certified("gaussian", 0.6)]
    rows += [certified("nal", 0.95, 0.0), certified("nal", 0.5)]
    found = [(r["paper"], r["reproduced"]) for r in beside(study, {"certified_accuracy": rows})]
    assert found == [("P", 0.95), ("P", 0.5), ("Q", 0.6)]


def test_a_number_is_that_of_the_certificate_that_is_named(plan_of, tiny):
    tiny["certificates"] = [{"name": "cohen", "alpha": 0.001}, {"name": "tcertify", "alpha": 0.001}]
    one = BEST | {"run": "gaussian", "radii": [0.25], "certified_accuracy": [0.9]}
    rows = [certified("gaussian", 0.8), certified("gaussian", 0.9, certificate="tcertify")]
    for name, share in (("cohen", 0.8), ("tcertify", 0.9)):
        study = plan_of({**tiny, "published": [one | {"certificate": name}]}).study
        (row,) = beside(study, {"certified_accuracy": rows})
        assert (row["reproduced"], row["seeds"]) == (share, 1)


@pytest.mark.parametrize(("largest", "zero"), [(0.25, False), (0.2499, True)])
def test_a_radius_that_votes_just_reach_is_no_zero_by_construction(plan_of, tiny, largest, zero):
    """The paper's 16 votes certify 0.096; ours what their table says."""
    one = BEST | {"run": "gaussian", "radii": [0.25], "certified_accuracy": [0]}
    paper = {"sampling": {"n": 16}, "certificate": {"alpha": 0.001}}
    study = plan_of({**tiny, "papers": {"P": paper}, "published": [one]}).study
    (row,) = beside(study, {"certified_accuracy": [certified("gaussian", 0.0, largest_radius=largest)]})
    assert (row["status"] != "other settings") == zero
    assert (row["status"] == "zero by construction") == zero


def test_what_one_run_s_votes_reach_says_nothing_of_another_s(plan_of, tiny):
    """The second run's 64 votes certify 0.317."""
    one = BEST | {"radii": [0.25], "certified_accuracy": [0]}
    paper = {"sampling": {"n": 16}, "certificate": {"alpha": 0.001}}
    study = plan_of({**tiny, "papers": {"P": paper}, "published": [one]}).study
    (row,) = beside(study, {"certified_accuracy": [certified("gaussian", 0.0, largest_radius=0.2)]})
    assert row["status"] == "not run"


def test_the_paper_s_average_spreads_over_its_own_number_of_images(plan_of, tiny):
    """2,000 images of theirs halve the widths that 500 of ours have; MOVER joins opposite ends."""
    one = {"paper": "P", "table": "T", "run": "gaussian", "acr": "1.500"}
    study = plan_of({**tiny, "papers": {"P": {"images": 2000}}, "published": [one]}).study
    row = {"label": "gaussian", "certificate": "cohen", "images": 500}
    row |= {"acr": 1.51, "low": 1.49, "high": 1.54}
    (outcome,) = beside(study, {"average_certified_radius": [row]})
    assert outcome["difference_low"] == pytest.approx(0.01 - math.hypot(0.02, 0.015) - 0.0005)
    assert outcome["difference_high"] == pytest.approx(0.01 + math.hypot(0.03, 0.01) + 0.0005)


def test_both_sides_have_the_confidence_that_the_study_asks_for(plan_of, tiny):
    one = {"paper": "P", "table": "T", "run": "gaussian", "radii": [0.25], "certified_accuracy": ["0.9000"]}
    papers = {"P": {"images": 2000}}
    study = plan_of({**tiny, "papers": papers, "published": [one], "agreement": {"confidence": 0.99}}).study
    (outcome,) = beside(study, {"certified_accuracy": [certified("gaussian", 0.92)]})

    def wilson(share, n, z=2.5758293):
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
        return share - (middle - half), middle + half - share

    (down, up), (their_down, their_up) = wilson(0.92, 500), wilson(0.9, 2000)
    assert outcome["difference_low"] == pytest.approx(0.02 - math.hypot(down, their_up) - 0.00005, abs=1e-7)
    assert outcome["difference_high"] == pytest.approx(0.02 + math.hypot(up, their_down) + 0.00005, abs=1e-7)
