"""`rs precision`: the same noise under both precisions, and one line for what it cannot compare."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rs.cli import precision
from rs.cli.main import main
from rs.cli.precision import Compared, compare, text, verdict
from rs.errors import UserError
from rs.settings.images import Subset
from rs.stages.draw_files import read_votes
from rs.statistics.draws import Draws, Votes
from rs.statistics.rounded_normal import left_of

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def compared_in(workspace):
    sections = workspace.plan.runs[0].run.sections
    model = workspace.path(workspace.plan.runs[0].folder / "model.json")
    data = workspace.path(workspace.plan.data_manifest)
    noise = {"name": "gaussian", "sigma": 0.25}
    sampling = {**sections["sampling"], "precision": "bfloat16"}
    return compare(model, data, Subset(skip=2, max=5), noise, sampling, (4, sampling["block"]), CPU)


@pytest.fixture
def compared(workspace):
    return compared_in(workspace)


def test_the_study_s_own_precision_gives_the_study_s_own_votes(workspace, compared):
    """Selection and first block as the sample stage draws them, on the images of the subset."""
    plan = workspace.plan
    sampling = plan.runs[0].run.sections["sampling"]
    own = compared.draws[sampling["precision"]]
    assert list(own.images) == [0, 2, 4, 6]
    files = plan.job("certify", str(plan.runs[0].observations[0].certified)).reads()
    for purpose, votes in (("select", own.selection), ("estimate", own.estimation)):
        seen = {}
        for path in files:
            if path.parent.name.startswith(purpose) and path.stem.endswith("block0"):
                images, _, drawn, _ = read_votes(workspace.path(path))
                seen |= dict(zip(images.tolist(), drawn.counts, strict=True))
        common = [i for i in own.images if i in seen]
        assert common
        for row, image in enumerate(own.images):
            if image in seen:
                assert np.array_equal(votes.counts[row], seen[image])


def test_votes_differ_at_least_as_often_as_counts_do(compared):
    single, half = compared.draws["float32"], compared.draws["bfloat16"]
    moved = sum(
        np.abs(getattr(single, part).counts - getattr(half, part).counts).sum(1) // 2
        for part in ("selection", "estimation")
    )
    assert np.all(compared.differing >= moved)
    assert compared.differing.sum() <= 0.05 * compared.votes
    printed = text(
        compared, [{"name": "cohen", "alpha": 0.01}], {"name": "gaussian", "sigma": 0.25}, [0.0, 0.25]
    )
    assert f"{compared.differing.sum()} of {compared.votes} single votes differ" in printed
    assert printed.count("cohen") == 3
    assert "equivalent within 1 point (paired, p < 0.05) at r = none; not shown at r = 0, 0.25" in printed


def test_exact_noise_pays_for_its_law_as_the_study_s_certificates_do():
    """Of so many coordinates that the law of the noise takes a good part of alpha, and of yet more."""
    noise, method = {"name": "gaussian", "sigma": 1.0, "exact": True}, {"name": "cohen", "alpha": 4e-5}

    def printed(dimension):
        votes = Votes(np.array([[100, 0]])), Votes(np.array([[10_000, 0]]))
        draws = Draws(np.zeros(1, int), np.zeros(1, int), *votes, dimension, np.zeros(1))
        both = Compared(dict.fromkeys(("float32", "bfloat16"), draws), np.zeros(1, int))
        return text(both, [method], noise, [0.0])

    left = left_of(4e-5, noise, 10**7, 10_100)
    assert 0 < left < 2e-5
    for dimension, alpha in ((10, 4e-5), (10**7, left)):
        assert f"ACR {-norm.ppf(1 - alpha**1e-4):.4f}" in printed(dimension)
    with pytest.raises(UserError, match="off by more than alpha"):
        printed(10**8)


@pytest.fixture
def other(monkeypatch):
    """Replaces what the second form's network answers."""

    def replace(answer) -> None:
        def changed(*arguments):
            forms = original(*arguments)
            network = forms[1].network
            forms[1].network = lambda x: answer(network(x))
            return forms

        monkeypatch.setattr(precision, "_forms", changed)

    original = precision._forms
    return replace


def test_each_forms_votes_stand_under_its_own_precision(workspace, compared, other):
    other(lambda logits: logits.roll(1, 1))
    rolled = compared_in(workspace)
    for part in ("selection", "estimation"):
        plain, half = (getattr(rolled.draws[p], part).counts for p in ("float32", "bfloat16"))
        assert np.array_equal(plain, getattr(compared.draws["float32"], part).counts)
        assert np.array_equal(half, np.roll(getattr(compared.draws["bfloat16"], part).counts, 1, 1))
    assert rolled.differing.sum() > 0.95 * rolled.votes


def too_large(logits):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda logits: logits * torch.nan, r"model.json: its logits are not finite for image 0$"),
        (too_large, r"^memory ran out in batches of \d+ in two forms; lower sampling.batch"),
    ],
)
def test_a_second_form_that_fails_is_one_line(workspace, other, answer, message):
    other(answer)
    with pytest.raises(UserError, match=message):
        compared_in(workspace)


def test_what_cannot_be_compared_is_one_line(tmp_path, monkeypatch, capsys, tiny):
    from tiny_study import write_study

    monkeypatch.chdir(tmp_path)
    study = str(write_study(tmp_path / "s.yaml", tiny))
    for extra, wrong in (
        ([], "no trained run with a certificate yet"),
        (["--run", "nobody"], "no active run is labelled 'nobody'; runs: "),
        (["--n", "0"], "--n must be a whole number from 1"),
    ):
        assert main(["precision", "--study", study, *extra]) == 1
        errors = capsys.readouterr().err
        assert wrong in errors
        assert errors.count("\n") == 1


def test_a_verdict_needs_images_and_something_certified():
    """Rows: all alike, 1 and 7 of 1,000 apart on one side, nothing certified by either."""
    plain, other = np.ones((4, 1000), bool), np.ones((4, 1000), bool)
    other[1, :1] = other[2, :7] = plain[3] = other[3] = False
    expected = "equivalent within 1 point (paired, p < 0.05) at r = 0, 0.25; not shown at r = 0.5"
    assert verdict(plain, other, [0, 0.25, 0.5, 0.75]) == expected
    few = verdict(plain[:1, :100], other[:1, :100], [0])
    assert few == "equivalent within 1 point (paired, p < 0.05) at r = none; not shown at r = 0"
