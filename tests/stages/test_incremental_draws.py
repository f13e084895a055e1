"""A run that starts from another one's answers: the draws of both, what is counted, what is refused."""

from __future__ import annotations

import contextlib
import copy
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_study import TINY, Workspace, write_study

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.plan.staleness import inputs_digest
from rs.provenance.files import read_json, read_table, write_json, write_table
from rs.stages import answers, sample_answered
from rs.stages.answers import read_answers, read_columns
from rs.stages.certify_incremental import paired
from rs.stages.draw_files import read_votes
from rs.stages.sample_incremental import Counted, First
from rs.statistics.draws import Votes
from rs.study.study import Study

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")

STUDY = copy.deepcopy(TINY) | {
    "attacks": [],
    "sampling": TINY["sampling"] | {"n": 160, "block": 80},
    "runs": {
        "gaussian": {"objective": {"name": "gaussian"}, "sampling": {"answers": 80}},
        "rounded": {
            "objective": {"name": "gaussian"},
            "sampling": {"precision": "bfloat16", "source": "gaussian", "mode": "sequential", "n": 80},
            "certificates": [{"name": "incremental"}, {"name": "cohen"}],
        },
    },
}
STUDY["runs"]["rounded"]["sampling"]["stop"] = {"radii": [0.0, 0.1]}


@pytest.fixture(scope="module")
def made(workspace, tmp_path_factory):
    """The tiny network with its draws, in both runs' ways of voting."""
    folder = tmp_path_factory.mktemp("incremental") / "study"
    shutil.copytree(workspace.folder, folder)
    with contextlib.chdir(folder):
        found = Workspace(folder, Plan(Study([write_study(folder / "two.yaml", STUDY)])))
    jobs = [*found.plan.jobs["sample"].values(), *found.plan.jobs["certify"].values()]
    for job in sorted(jobs, key=lambda job: (job.stage != "sample", "source" in job.spec)):
        found.run(job)
    return found


class Last:
    """A network in its form that answers the last of its classes, more than two bytes can name."""

    batch, classes, broken = 16, 2**16 + 8, torch.zeros((), dtype=torch.int64)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return torch.arange(self.classes).float().expand(len(images), -1)

    def check(self) -> None:
        pass


def test_answers_of_many_classes_are_those_of_the_network(monkeypatch):
    source, written = {"block": 16, "answers": 16}, {}
    voter = SimpleNamespace(images=range(1), classes=Last.classes, chance=False, form=Last(), device=CPU)
    voter.spec, voter.within_memory = {"source": source}, contextlib.nullcontext
    voter.noisy = lambda *_: iter([torch.zeros(16, 1, 2, 2)])
    voter.follow = lambda rows, *_, **__: rows
    monkeypatch.setattr(sample_answered, "JobVoter", lambda *_: voter)
    monkeypatch.setattr(answers, "write", lambda to, voter, counts, columns, code: written.update(columns))
    sample_answered.sample({"block": 0, "size": 16}, {}, Path(), CPU, "code")
    assert (written["answers"] == Last.classes - 1).all()
    first = First(Votes(np.zeros((1, 2), np.int64)), written["answers"], {})
    counted = Counted(voter, first)
    next(counted._draws(0))
    assert counted.totals[0, :, -1].tolist() == [16, 16, 16]


@pytest.fixture
def work(made, tmp_path):
    return made.copied_to(tmp_path / "copy")


def jobs(work, purpose):
    return [j for j in work.plan.jobs["sample"].values() if j.spec["purpose"] == purpose]


def beside(work):
    """The draw jobs that start from answers."""
    return [j for j in jobs(work, "sequential") if "source" in j.spec]


def test_answers_are_those_that_were_counted_and_the_counts_those_of_a_plain_run(made, workspace):
    (stored, *_), (plain, *_) = jobs(made, "answered"), jobs(workspace, "estimate")
    images, _, votes, provenance = read_votes(made.path(stored.target))
    answers = read_answers(made.path(stored.target), votes)
    assert answers.shape == (4, 80)
    assert answers.dtype == np.uint8
    assert images.tolist() == [0, 1, 2, 3]
    (first, *_) = (j for j in workspace.plan.jobs["sample"].values() if j.spec["purpose"] == "estimate")
    alone = read_votes(workspace.path(first.target))[2]  # the first 32 draws of the same noise
    counts = np.stack([np.bincount(row[:32], minlength=10) for row in answers])
    assert np.array_equal(counts, alone.counts)
    assert provenance["form"]["precision"] == "float32"
    assert plain.spec["seed"] == stored.spec["seed"]


def test_both_networks_are_counted_on_the_draws_that_they_share(made):
    job = beside(made)[0]
    path = made.path(job.target)
    _, _, own, provenance = read_votes(path)
    first, with_it, both = read_columns(path, ("first", "beside", "both"))
    with contextlib.chdir(made.folder):
        files = [file for file in job.reads() if "answered" in str(file) or "estimate" in str(file)]
        counts = [read_votes(file)[2].counts for file in files]
        answers = read_answers(files[0], read_votes(files[0])[2])
    assert np.array_equal(first, sum(counts))
    assert set(own.n) <= {32, 64, 80}  # batches of the source's block
    for row, n in enumerate(own.n):
        assert np.array_equal(with_it[row], np.bincount(answers[row][:n], minlength=10))
    assert np.all(both <= np.minimum(own.counts, with_it))
    assert 0 <= (own.n - both.sum(1)).sum() < 0.1 * own.n.sum()  # two precisions of one network
    assert provenance["source"]["run"] == made.plan.runs[0].network
    assert (
        provenance["source"]["model"]
        == read_json(made.path(made.plan.runs[0].folder / "model.json"))["sha256"]
    )


def test_the_certificate_sees_both_and_the_table_tells_whose_votes(made):
    job = next(j for j in made.plan.jobs["certify"].values() if "source" in j.spec)
    with contextlib.chdir(made.folder):
        draws, source = paired(job.spec, *shards(job))
    frame = pd.read_parquet(made.path(job.target))
    own = frame[frame["certificate"] == "incremental"]
    assert own["source_n"].tolist() == [160] * 6
    assert own["n"].tolist() == draws.estimation.n.tolist()
    assert (own["radius"] <= own["largest_radius"]).all()
    assert (own["radius"] > 0).sum() >= 3
    assert set(frame["certificate"]) == {"incremental", "cohen"}
    assert source["form"]["precision"] == "float32"


def shards(job):
    from rs.plan.draw_paths import shards_of

    return shards_of(job.spec, job.inputs)


def test_only_what_is_made_from_the_sources_draws_depends_on_them(made):
    answered = str(jobs(made, "answered")[0].target)
    readers = [j for j in made.plan.all_jobs() if answered in map(str, j.reads())]
    assert {(j.stage, j.spec.get("purpose")) for j in readers} == {
        ("sample", "sequential"),
        ("certify", None),
    }
    (own,) = (j for j in readers if j.stage == "sample")
    (certify,) = (j for j in readers if j.stage == "certify")
    assert "source" in own.spec
    assert "source" not in certify.spec
    with contextlib.chdir(made.folder):
        before = inputs_digest(own.reads())
        table, provenance = read_table(jobs(made, "answered")[0].target)
        write_table(jobs(made, "answered")[0].target, table, {**provenance, "seconds": 77.0})
        assert inputs_digest(own.reads()) != before
        write_table(jobs(made, "answered")[0].target, table, provenance)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model": "0" * 64}, "source: draws of the model 0000"),
        ({"device_class": "cpu other"}, "source: draws of the device_class cpu other"),
        ({"classes": 9}, "classes"),
        (
            {"form": {"precision": "float32", "batch": 16, "device": "cpu"}},
            "source: draws of the batch 16, not 32",
        ),
    ],
)
def test_a_source_of_another_kind_is_refused(work, change, line):
    job = beside(work)[0]
    for path in job.reads():
        if path.parent.name.startswith(("answered", "estimate")):
            table, provenance = read_table(work.path(path))
            write_table(work.path(path), table, {**provenance, **change})
    with pytest.raises(UserError, match=line):
        work.run(job)


def test_a_source_that_was_trained_anew_is_refused(work):
    manifest = work.path(work.plan.runs[0].folder / "model.json")
    job = beside(work)[0]
    elsewhere = work.folder / "retrained" / manifest.parent.name / "model.json"
    elsewhere.parent.mkdir(parents=True)
    write_json(elsewhere, read_json(manifest) | {"sha256": "1" * 64})
    with pytest.raises(UserError, match=f"source: draws of the model .*, not {'1' * 64}; remove it"):
        work.run(job, inputs={**{k: str(v) for k, v in job.inputs.items()}, "source_model": str(elsewhere)})


def test_answers_that_are_not_the_votes_are_refused(work):
    path = jobs(work, "answered")[0].target
    table, provenance = read_table(work.path(path))
    swapped = table.set_column(
        table.column_names.index("answers"), "answers", table["answers"].take([1, 0, 3, 2])
    )
    write_table(work.path(path), swapped, provenance)
    with pytest.raises(UserError, match="holds other answers than its votes"):
        work.run(beside(work)[0])
    write_table(work.path(path), table.drop_columns(["answers"]), provenance)
    with pytest.raises(UserError, match="lacks the column answers"):
        work.run(beside(work)[0])


def test_counts_that_no_two_networks_have_are_refused(work):
    path = work.path(beside(work)[0].target)
    table, provenance = read_table(path)
    at = table.column_names.index("beside")
    write_table(path, table.set_column(at, "beside", table["beside"].take([1, 0, 3, 2])), provenance)
    job = next(j for j in work.plan.jobs["certify"].values() if "source" in j.spec)
    with pytest.raises(UserError, match="counts that are not of the same draws"):
        work.run(job)
