"""Results of an older version: refused until somebody accepts them, then as good as today's."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from edited_code import EditedCode

from rs.cli import acceptance
from rs.cli import main as cli
from rs.cli.overview import unnamed
from rs.errors import UserError
from rs.plan import mixed_draws
from rs.plan.plan import Plan
from rs.plan.staleness import job_is_current
from rs.provenance import accepted_code, checksums
from rs.provenance import code as code_digest
from rs.provenance.files import read_json, read_table, write_json, write_table

OLD = "0123456789ab"  # by a digest that counted otherwise


def of_an_older_version(path: Path, code: str = OLD, at: str = "") -> None:
    """The file as older code made it."""
    changes = {"code_digest": code, "commit": at}
    if path.suffix == ".json":
        found = read_json(path)
        write_json(path, {**found, "provenance": {**found["provenance"], **changes}})
    else:
        table, provenance = read_table(path)
        provenance.pop(checksums.KEY)
        write_table(path, table, {**provenance, **changes})


@pytest.fixture
def old(space):
    """The tiny study's results, all but the certificates made by an older version; one works there."""
    with contextlib.chdir(space.folder):
        space.planned()
        for stage in ("data", "train", "calibrate", "sample"):
            for job in space.plan.jobs[stage].values():
                of_an_older_version(next(iter(job.outputs.values())))
        yield space


def rs(capsys, *arguments: str) -> str:
    status = cli.main(["accept", "--study", "study.yaml", *arguments])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    return printed.out


def current(plan: Plan, stage: str) -> list[bool]:
    return [job_is_current(job) for job in plan.jobs[stage].values()]


def test_what_an_older_version_made_is_listed_and_nothing_else_happens(old, capsys):
    output = rs(capsys)
    sampled = len([job for job in old.plan.jobs["sample"].values() if job.run == old.job("train").run])
    code = old.job("sample").code
    assert f"gaussian seed 0: sample: {sampled} files made by code {OLD}; the code is now {code}" in output
    assert "gaussian seed 0: train: 1 file made by code" in output
    assert "digits: data: 1 file made by code" in output
    assert "what differs is not known: made outside of a checkout" in output
    assert "certify" not in output
    assert "listed only" in output
    assert not list(Path("results").rglob(accepted_code.NAME))
    assert not any(current(old.planned(), "train") + current(old.planned(), "sample"))


def test_old_draws_are_extended_after_acceptance_and_refused_before(old, capsys):
    plan = old.planned(n=96)
    (certify,) = (job for job in plan.jobs["certify"].values() if job.run == old.job("train").run)
    new = [plan.job("sample", str(path)) for path in certify.reads() if not path.exists()]
    assert {job.spec["block"] for job in new} == {2}
    for job in new:
        old.run(job)
    with pytest.raises(UserError, match=f"drawn by code {new[0].code}, but .* by other code; rs accept"):
        old.run(certify)
    assert not certify.outputs["certified"].exists()
    rs(capsys, "--yes")
    old.run(certify)
    assert set(read_table(certify.outputs["certified"])[0]["n"].to_pylist()) == {96}
    assert all(map(job_is_current, [plan.job("sample", str(path)) for path in certify.reads()]))
    assert "nothing to accept" in rs(capsys)


def test_an_acceptance_says_who_when_and_which_code_beside_the_results(old, capsys):
    output = rs(capsys, "--yes", "--run", "gaussian", "--stage", "sample")
    path = old.plan.runs[0].folder / accepted_code.NAME
    assert f"accepted; recorded in {path}" in output
    assert [str(p) for p in Path("results").rglob(accepted_code.NAME)] == [str(path)]
    (entry,) = read_json(path)["accepted"]
    assert (entry["from"], entry["to"], entry["stage"]) == (OLD, old.job("sample").code, "sample")
    assert {"by", "at", "rs", "commit_from", "commit_to"} <= entry.keys()
    assert entry["at"].startswith("20")
    assert path not in unnamed([old.planned()])
    rs(capsys, "--yes", "--run", "gaussian")
    stages = [entry["stage"] for entry in read_json(path)["accepted"]]
    assert stages[0] == "sample"
    assert set(stages[1:]) == {"train"}


def test_an_acceptance_is_of_two_codes_and_of_no_other(old, capsys):
    rs(capsys, "--yes")
    plan = old.planned()
    job = next(iter(plan.jobs["sample"].values()))
    path = job.outputs["draws"]
    assert job_is_current(job)
    assert mixed_draws.class_of(path, job.code) is not None
    of_an_older_version(path, "another00000")
    assert not job_is_current(job)
    assert mixed_draws.class_of(path, job.code) is None
    of_an_older_version(path)
    job.__dict__["code"] = "edited000000"  # today's code is another one
    assert not job_is_current(job)


def test_what_was_not_accepted_stays_stale(old, capsys):
    rs(capsys, "--yes", "--stage", "data", "train")
    plan = old.planned()
    assert all(current(plan, "data") + current(plan, "train"))
    assert not any(current(plan, "sample") + current(plan, "calibrate"))


def test_acceptances_that_were_edited_are_one_line(old, capsys):
    rs(capsys, "--yes")
    path = old.plan.runs[0].folder / accepted_code.NAME
    text = path.read_text()
    for broken, says in (
        (text.replace(OLD, "1" * 12), "damaged or edited"),
        (text[:40], "not a complete JSON file"),
        (json.dumps({"accepted": 3}), "holds no list of acceptances"),
        (json.dumps({"accepted": [{"from": OLD}]}), "an acceptance without `from` and `to`"),
    ):
        path.write_text(broken)
        assert cli.main(["accept", "--study", "study.yaml"]) == 1
        errors = capsys.readouterr().err
        assert f"{path}: {says}" in errors
        assert errors.count("\n") == 1


def test_an_unknown_run_is_one_line(old, capsys):
    assert cli.main(["accept", "--study", "study.yaml", "--run", "nobody"]) == 1
    assert "no active run is labelled 'nobody'; runs: gaussian, nal" in capsys.readouterr().err


def test_files_of_before_device_classes_are_extended_on_their_device(old, capsys):
    """They name the processor or card only."""
    rs(capsys, "--yes")
    plan = old.planned(n=96)
    certify = next(iter(plan.jobs["certify"].values()))
    files = certify.reads()
    for path in filter(Path.exists, files):
        table, provenance = read_table(path)
        provenance.pop("device_class")
        write_table(path, table, {k: v for k, v in provenance.items() if k != checksums.KEY})
    for job in (plan.job("sample", str(path)) for path in files if not path.exists()):
        old.run(job)
    old.run(certify)
    path = files[0]
    table, provenance = read_table(path)
    write_table(
        path, table, {k: v for k, v in provenance.items() if k != checksums.KEY} | {"device": "another"}
    )
    with pytest.raises(UserError, match="different smoothed classifiers"):
        old.run(certify)


# --- what differs since ---


@pytest.fixture
def history(tmp_path, monkeypatch):
    """A copy of the package whose former code is at the commits `same` and `former`."""
    code = EditedCode(tmp_path)
    former = EditedCode(tmp_path / "former")
    former.edit("methods/objectives/macer.py", "] = 8.0", "] = 9.0")
    former.edit("stages/train.py", "diverged in epoch", "went astray in epoch")
    monkeypatch.setattr(code_digest, "ROOT", code.root)
    found = {"former": code_digest.Code(former.root), "same": code_digest.Code(code.root)}
    monkeypatch.setattr(acceptance, "_code_of", found.get)
    acceptance.since.cache_clear()


def test_the_definitions_that_differ_since_a_commit_are_named(history):
    train = "rs.stages.train:train"
    macer, nal = (train, "rs.methods.objectives.macer:Macer"), (train, "rs.methods.objectives.nal:Nal")
    assert (
        acceptance.since("former", macer)
        == "since commit former these differ: rs.methods.objectives.macer:Macer"
    )
    assert acceptance.since("former", nal) == "since commit former nothing that it executes differs"
    assert acceptance.since("same+", macer) == (
        "since commit same+ nothing that it executes differs; the checkout had edits that are in no commit"
    )
    assert "commit gone is not in this checkout" in acceptance.since("gone", macer)
    assert "lacks what it executes today" in acceptance.since("former", ("rs.stages.train:later",))
    assert acceptance.since("same", (*macer, "their_package.objectives:Theirs")) == (
        "since commit same nothing that it executes differs; the methods of plug-ins are not compared"
    )
