"""The claims of the five papers, as shipped: all plan, each has its own address, and theory names what is
there.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from pathlib import Path

import pytest
from workspace import CHECKOUT

from rs.plan.plan import Plan
from rs.study.claims import kind_of
from rs.study.study import Study
from rs.tables.claims import judged
from rs.tables.published import beside

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    """Every shipped study, planned."""
    files = sorted((CHECKOUT / "config").glob("*.yaml")) + sorted((CHECKOUT / "config/papers").glob("*.yaml"))
    with contextlib.chdir(tmp_path_factory.mktemp("nothing ran")):
        return [Plan(Study([file])).study for file in files]


def test_there_are_claims_of_all_five_papers(shipped: list[Study]) -> None:
    papers = Counter(claim["paper"] for study in shipped for claim in study.claims)
    assert papers.pop("demo") == 4  # the demo's are its own, and `rs verdicts` counts them where it ran
    assert set(papers) == {"NAL", "STN", "Soap Bubbles", "MACER", "ADRE"}
    assert sum(papers.values()) >= 60
    assert min(papers.values()) >= 8
    kinds = {kind_of(c) for study in shipped for claim in study.claims for c in claim["conditions"]}
    assert kinds >= {"better", "worse", "equivalent", "trend", "crosses", "ratio", "impossible", "proven"}


def test_every_address_of_the_project_is_unique(shipped: list[Study]) -> None:
    numbers = [row["address"] for study in shipped for row in beside(study, {})]
    claims = [f"{claim['paper']}/{claim['id']}" for study in shipped for claim in study.claims]
    for addresses in (numbers, claims):
        assert [a for a, count in Counter(addresses).items() if count > 1] == []
    assert len(numbers) > 1600


def test_theory_names_a_test_or_a_page_that_is_there(shipped: list[Study]) -> None:
    named = set()
    for study in shipped:
        for claim in study.claims:
            for condition in claim["conditions"]:
                named |= {condition["impossible"] or condition["proven"]} - {None}
    assert len(named) > 10
    for reference in named:
        file, _, test = reference.partition("::")
        text = (CHECKOUT / file).read_text()
        assert not test or re.search(rf"^def {test}\(", text, re.MULTILINE), reference


def test_without_a_run_only_theory_decides(shipped: list[Study]) -> None:
    rows = [row for study in shipped for row in judged(study, {})]
    assert {row["verdict"] for row in rows if row["counted"] != "theory"} == {"not run"}
    assert {row["verdict"] for row in rows if row["counted"] == "theory"} == {"holds", "fails"}


def test_every_published_number_says_what_its_paper_does(shipped: list[Study]) -> None:
    """A row without its paper's settings could be at others unseen."""
    for study in shipped:
        for entry in study.published:
            settings = study.papers.get(
                entry["settings"] if isinstance(entry["settings"], str) else entry["paper"]
            )
            assert settings, (study.name, entry["table"])
            assert settings["data"]["name"] == study.data["name"]


def test_numbers_keep_the_digits_that_are_printed() -> None:
    """YAML would lose the last zero: such a number is text, in a list where no other has its digits."""
    single = r"^\s+(?:acr|epsilon|train_hours): (\d+\.\d*0)\s*$|\brun: [^{}]*, epsilon: (\d+\.\d*0)\b"
    for path in (CHECKOUT / "config").rglob("*.yaml"):
        text = path.read_text()
        bare = [match[0] for match in re.finditer(single, text, re.MULTILINE)]
        for listed in re.findall(r"(?:certified|empirical)_accuracy: \[([\d., \n]+)\]", text):
            digits = [len(number.strip().partition(".")[2]) for number in listed.split(",")]
            kept = [len(number.strip().partition(".")[2].rstrip("0")) for number in listed.split(",")]
            bare += [listed] if max(kept) < max(digits) else []
        assert not bare, f"{path}: quote {bare}"


def test_what_a_short_form_measures_has_no_verdict(tmp_path: Path) -> None:
    """A study in its quick form is at other settings, whatever it gives."""
    files = [CHECKOUT / "config/mnist-methods.yaml", CHECKOUT / "config/scales/quick.yaml"]
    study = Study(files)
    row = {"label": "gaussian[sigma=0.25]", "run": "a", "certificate": "cohen", "images": 2, "acr": 0.887}
    rows = beside(study, {"average_certified_radius": [{**row, "low": 0.88, "high": 0.89}]})
    [found] = [r for r in rows if r["reproduced"] is not None]
    assert found["status"] == "other settings"
    assert "training.epochs 1, not 440" in found["settings"]
    assert "train max 8, not all" in found["settings"]


def test_a_run_with_another_hyperparameter_than_is_printed_has_no_verdict(tmp_path: Path) -> None:
    """k, lambda, gamma and beta of MACER are stated: a network of 4 noise samples is none of Table 6."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("runs: {macer: {objective: {k: 4}}}\n")
    study = Study([CHECKOUT / "config/mnist-methods.yaml", overlay])
    label = "macer[sigma=0.25]"
    row = {"label": label, "run": "a", "certificate": "cohen", "images": 500, "acr": 0.918}
    rows = beside(study, {"average_certified_radius": [{**row, "low": 0.9, "high": 0.93}]})
    [found] = [r for r in rows if r["reproduced"] is not None]
    assert found["status"] == "other settings"
    assert "objective.k 4, not 16" in found["settings"]
