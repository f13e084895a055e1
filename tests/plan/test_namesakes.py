"""A second study of the same name is told; the same one under other overlays or in another place is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from rs.plan import namesakes, started_studies
from rs.plan.plan import Plan
from rs.provenance.files import write_table
from rs.study.study import Study

LINE = (
    "{}: name: tiny is the name of {}, too: each replaces the other's tables, page and MLflow runs "
    "in results/tiny; give one of them another name"
)


@pytest.fixture(autouse=True)
def here(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(tiny))
    Path("overlay.yaml").write_text(yaml.safe_dump({"description": "another one"}))


def plan(*files: str) -> Plan:
    return Plan(Study([Path(file) for file in files]))


def tabled(by: Plan) -> None:
    write_table(by.table_files()[0], pa.table({"run": [""]}), {"files": list(map(str, by.study.files))})


def begin(by: Plan) -> None:
    started_studies.record(by)


@pytest.mark.parametrize("known", [tabled, begin])
def test_a_copy_whose_name_was_forgotten_is_told_and_so_is_the_original(known):
    shutil.copy("mine.yaml", "copy.yaml")
    known(plan("mine.yaml"))
    assert list(namesakes.sentences(plan("copy.yaml"))) == [LINE.format("copy.yaml", "mine.yaml")]
    assert list(namesakes.sentences(plan("copy.yaml", "overlay.yaml"))) != []
    assert list(namesakes.sentences(plan("mine.yaml"))) == []
    known(plan("copy.yaml"))
    assert list(namesakes.sentences(plan("mine.yaml"))) == [LINE.format("mine.yaml", "copy.yaml")]


@pytest.mark.parametrize("known", [tabled, begin])
def test_the_same_study_is_no_other(known, tmp_path):
    known(plan("mine.yaml", "overlay.yaml"))
    for files in (["mine.yaml"], [str(tmp_path / "mine.yaml")], ["mine.yaml", "overlay.yaml"]):
        assert list(namesakes.sentences(plan(*files))) == []
    Path("link.yaml").symlink_to("mine.yaml")
    assert list(namesakes.sentences(plan("link.yaml"))) == []
    Path("link.yaml").unlink()
    Path("mine.yaml").rename("moved.yaml")
    assert list(namesakes.sentences(plan("moved.yaml"))) == []


def test_a_study_that_has_another_name_now_is_no_other(tiny):
    tabled(plan("mine.yaml"))
    shutil.copy("mine.yaml", "copy.yaml")
    Path("mine.yaml").write_text(yaml.safe_dump({**tiny, "name": "former"}))
    assert list(namesakes.sentences(plan("copy.yaml"))) == []


def test_damaged_files_name_nobody():
    begin(plan("mine.yaml"))
    shutil.copy("mine.yaml", "copy.yaml")
    table = plan("mine.yaml").table_files()[0]
    table.parent.mkdir(parents=True)
    table.write_text("no table")
    (record,) = started_studies.records()
    record.write_text("no record")
    assert list(namesakes.sentences(plan("copy.yaml"))) == []
