"""Other people's logs in the places of a study's runs, and what is kept of their verdicts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from rs.cli import from_logs
from rs.cli.main import main
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.files import read_json
from rs.study.certification_log import COLUMNS
from rs.study.study import Study
from rs.tables.aggregate import rows_of

CHECKOUT = Path(__file__).parents[2]
STATED = {"noise": {"name": "gaussian", "sigma": 0.25}, "alpha": 0.001, "n": 100000}
ENTRY = {"paper": "P", "table": "T", "run": "gaussian", "radii": [0.25], "certified_accuracy": [0.7]}
PAIR = {"better": "gaussian", "than": "nal", "metric": "acr", "about": "networks"}
THEORY = {"proven": "tests/cli/test_from_logs.py::test_an_active_run_keeps_its_label"}
PAPER = {"images": 500, "certificate": {"alpha": 0.001}, "sampling": {"n": 100000, "n0": 100}}


def log(path: Path, right: int) -> str:
    """400 images, the first `right` of them certified at 0.3."""
    rows = [f"{i}\t1\t{1 if i < right else 0}\t0.3\t{int(i < right)}\t1" for i in range(400)]
    path.write_text("\n".join(["\t".join(COLUMNS), *rows]) + "\n")
    return str(path)


@pytest.fixture
def folder(tmp_path, tiny, monkeypatch):
    """A study of two runs, and an overlay with a log for each of them."""
    monkeypatch.chdir(tmp_path)
    claims = [
        {"id": "helps", "paper": "P", "place": "1", "claim": "It helps.", "conditions": [PAIR]},
        {"id": "true", "paper": "P", "place": "2", "claim": "It is true.", "conditions": [THEORY]},
    ]
    more = {"name": "one", "published": [ENTRY], "claims": claims, "papers": {"P": PAPER}}
    Path("config").mkdir()
    Path("config/one.yaml").write_text(yaml.safe_dump({**tiny, **more}))
    overlay(gaussian=log(Path("a.tsv"), 280), nal=log(Path("b.tsv"), 200))
    Path("evidence").mkdir()
    listed = {"verdicts": {"evidence/logs/one.json": ["config/one.yaml", "logs.yaml"]}}
    Path("evidence/logs.yaml").write_text(yaml.safe_dump(listed))
    Path("Snakefile").touch()
    return tmp_path


def overlay(active: tuple[str, ...] = (), stated: dict = STATED, **logs: str) -> None:
    entries = {label: {"file": file, **stated} for label, file in logs.items()}
    Path("logs.yaml").write_text(yaml.safe_dump({"name": "logs", "active": [*active], "logs": entries}))


def planned() -> Plan:
    return Plan(Study([Path("config/one.yaml"), Path("logs.yaml")]))


def test_a_log_stands_for_a_run_that_is_not_active(folder):
    rows = rows_of(planned())
    [number] = rows["published"]
    assert (number["status"], number["reproduced"], number["images"]) == ("consistent", 0.7, 400)
    helps = next(row for row in rows["claims"] if row["id"] == "helps")
    assert (helps["verdict"], helps["counted"]) == ("holds", "400 images paired")
    assert helps["value"] == pytest.approx(0.2 * 0.3)


def test_an_active_run_keeps_its_label(folder):
    overlay(active=("gaussian",), gaussian="a.tsv")
    with pytest.raises(UserError, match=r"logs\.gaussian: an active run has this label"):
        planned()


def test_a_log_has_the_noise_of_the_run_in_whose_place_it_stands(folder):
    overlay(stated={**STATED, "noise": {"name": "gaussian", "sigma": 0.5}}, gaussian="a.tsv")
    with pytest.raises(UserError, match=r"logs\.gaussian\.noise: .*0\.5.*is smoothed with .*0\.25"):
        planned()


def test_a_log_is_no_network_for_another_run(folder):
    study = yaml.safe_load(Path("config/one.yaml").read_text())
    study["runs"]["both"] = {"model": {"name": "ensemble", "members": ["gaussian", "nal"]}}
    Path("config/one.yaml").write_text(yaml.safe_dump(study))
    overlay(active=("both",), gaussian="a.tsv")
    with pytest.raises(UserError, match=r"a log stands in the place of run 'gaussian', and has no network"):
        planned()


def test_a_log_made_otherwise_than_the_paper_says_is_at_other_settings(folder):
    overlay(stated={**STATED, "alpha": 0.01}, gaussian="a.tsv", nal="b.tsv")
    rows = rows_of(planned())
    [number] = rows["published"]
    deviation = "certificate.alpha 0.01, not 0.001"  # n0, which no log tells, is none of them
    assert (number["status"], number["settings"]) == ("other settings", deviation)
    helps = next(row for row in rows["claims"] if row["id"] == "helps")
    assert helps["verdict"] == "other settings"
    assert f"gaussian, nal: {deviation}" in helps["settings"]


def test_logs_may_lie_with_the_data(folder, monkeypatch):
    data = folder / "data-sets"
    data.mkdir()
    shutil.move("a.tsv", data / "a.tsv")
    with pytest.raises(UserError, match=r"logs\.gaussian\.file: a\.tsv: no such file, here or in"):
        planned()
    monkeypatch.setenv("RS_DATA_DIR", str(data))
    assert planned().logs[0].path == data / "a.tsv"


def test_verdicts_are_kept_and_told_apart_from_our_own(folder, capsys):
    assert main(["verdicts", "--kept", "--from-logs"]) == 0
    out = capsys.readouterr().out
    assert "whose training the logs do not state: the one number is consistent. The one claim holds." in out
    for file in ("a.tsv", "b.tsv"):
        Path(file).unlink()  # what is kept is enough
    assert main(["verdicts", "--kept", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["totals"]["numbers"]["not run"] == 1
    assert whole["totals"]["numbers"]["consistent"] == 0
    assert [row["file"] for row in whole["from_logs"]["numbers"]] == ["a.tsv"]
    assert {row["id"] for row in whole["from_logs"]["claims"]} == {"helps"}  # theory needs no log
    Path("a.md").write_text("<!-- verdicts -->\n<!-- /verdicts -->\n")
    assert main(["verdicts", "--kept", "--write", "a.md"]) == 0
    page = Path("a.md").read_text()
    assert "| It helps. | holds | acr of gaussian better than nal: 0.060" in page
    assert "| 0.7 | 0.700 | consistent: +0.000 [−0.111, +0.110]; the paper" in page


def test_a_log_that_is_missing_and_a_kept_file_that_was_edited_are_one_line(folder, capsys):
    def refused(*more: str) -> str:
        assert main(["verdicts", *more]) == 1
        return capsys.readouterr().err

    listed, kept = Path("evidence/logs.yaml"), Path("evidence/logs/one.json")
    assert "one.json: numbers and claims are expected; rs verdicts --from-logs writes them" in refused()
    assert main(["verdicts", "--kept", "--from-logs"]) == 0
    before = kept.read_text()
    Path("b.tsv").unlink()
    assert "logs.nal.file: b.tsv: no such file" in refused("--from-logs")
    assert kept.read_text() == before
    kept.write_text(before.replace('"consistent"', '"agrees"'))
    assert str(kept) in refused()
    listed.write_text("verdicts: [a]\n")
    assert "evidence/logs.yaml: verdicts: must be {JSON FILE: [STUDY, OVERLAY, ...]}" in refused()
    listed.unlink()
    assert "evidence/logs.yaml: --from-logs: no such file" in refused("--from-logs")


@pytest.mark.skipif("RS_DATA_DIR" not in os.environ, reason="needs RS_DATA_DIR with published-logs")
def test_what_is_kept_is_what_the_published_logs_say(tmp_path, monkeypatch):
    if not (Path(os.environ["RS_DATA_DIR"]) / "published-logs").is_dir():
        pytest.skip("RS_DATA_DIR has no published-logs")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CHECKOUT / "config", "config")
    Path("evidence").mkdir()
    shutil.copy(CHECKOUT / "evidence/logs.yaml", "evidence/logs.yaml")
    from_logs.keep()
    for path in sorted((CHECKOUT / "evidence/logs").iterdir()):
        assert read_json(Path("evidence/logs") / path.name) == read_json(path), path.name
