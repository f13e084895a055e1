"""The tables of docs/evidence, and the verdicts, follow from the observations that are kept, byte by byte."""

from __future__ import annotations

import contextlib
import re
import shutil
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rs
from rs.cli import from_logs, verdicts, why
from rs.cli.main import main
from rs.cli.rederive import certified, read_list, text_of
from rs.cli.text_table import between_marks
from rs.cli.verdicts_text import page, totals
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.stages.draw_files import read_votes, write_votes
from rs.statistics.draws import Votes
from rs.study.study import Study
from rs.tables.aggregate import rows_of
from rs.tables.table import Row

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
OBSERVATIONS = CHECKOUT / "evidence/runs"
with contextlib.chdir(CHECKOUT):
    TABLES = read_list(Path("evidence/tables.yaml"))


DERIVED: dict[str, dict[str, list[Row]]] = {}  # study -> the rows of its tables


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_a_table_follows_from_what_is_kept(table, monkeypatch):
    def derived(plan: Plan) -> dict[str, list[Row]]:
        DERIVED[plan.study.name] = rows_of(plan)
        return DERIVED[plan.study.name]

    monkeypatch.setattr("rs.tables.aggregate.rows_of", derived)
    with contextlib.chdir(CHECKOUT):
        assert text_of(TABLES[table], OBSERVATIONS) == table.read_text()


def from_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(plan: Plan, *rest: Any) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if plan.study.name in DERIVED else certified(plan, *rest)

    for verb in (verdicts, why):
        monkeypatch.setattr(verb, "rows_of", lambda plan: DERIVED.get(plan.study.name) or rows_of(plan))
        monkeypatch.setattr(verb, "certified", once)


def test_the_committed_totals_are_what_the_committed_evidence_gives(monkeypatch):
    """Rows that the tables above were written from are not derived a second time."""
    monkeypatch.chdir(CHECKOUT)
    from_derived(monkeypatch)
    results = list(verdicts.everything(kept_only=True))
    numbers, claims = verdicts.numbers_of(results), verdicts.claims_of(results)
    others = from_logs.kept({row["paper"] for row in numbers})
    for name, whole in (("docs/evidence/verdicts.md", True), ("README.md", False)):
        text = Path(name).read_text()
        summary = page(numbers, claims, whole) + from_logs.page(others, whole)
        assert between_marks(Path(name), "verdicts", summary) == text, f"{name}: run make evidence"
    counted = totals(numbers, claims)
    assert counted["numbers"]["zero by construction"] == 450  # 8 of them beside a second reading of Table 6
    lines = list(why.chain("nal-gpu/nal-table-1/nal-gamma=1.5/epsilon"))
    for part in (
        "calibrate, epsilon: calibration/",
        "commit ",
        "sha256 ",
        "rs rederive --study config/nal.yaml ",
    ):
        assert any(part in line for line in lines), part
    lines = [line.strip() for line in why.chain("nal-gpu/claims/above-stability")]
    assert sum(line.startswith("attack, pgd_l2: attacks/pgd-l2-") for line in lines) == 12  # once a run
    assert not any(
        line.startswith(("attack, pgd_l2 soft: ", "attack, judged without noise: ")) for line in lines
    )


def test_why_derives_a_row_from_what_is_kept(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    first, *_, again, _ = why.chain("mnist-table6-1/certified_accuracy[0]")
    assert first.startswith("row certified_accuracy[0]: ")
    assert again.startswith("compute it again from kept observations: rs rederive --study config/mnist-m")


def test_another_vote_is_another_table(tmp_path):
    """The text comes from the draws: some images' votes handed to other classes change it."""
    files = next(files for table, files in TABLES.items() if table.stem == "mnist-table6-1")
    kept = tmp_path / "runs"
    shutil.copytree(OBSERVATIONS, kept)
    (draws,) = kept.glob("mnist-lenet-gaussian-gaussian-1-seed0-*/draws/*/estimate-100000/500-600-*.parquet")
    images, labels, votes, provenance = read_votes(draws)
    counts = np.concatenate([votes.counts[:50, ::-1], votes.counts[50:]])
    write_votes(draws, images, labels, Votes(counts), provenance)
    with contextlib.chdir(CHECKOUT):
        assert text_of(files, kept) != text_of(files, OBSERVATIONS)


def test_a_page_and_tables_are_made_from_what_is_kept(tmp_path, capsys):
    """Into a new folder, laid out as the study's results, so that `rs.read` reads it."""
    files = next(files for table, files in TABLES.items() if table.stem == "mnist-table6-1")
    folder = tmp_path / "kept"
    request = ["rederive", "--study", *map(str, files), "--into", str(folder)]
    with contextlib.chdir(CHECKOUT):
        assert main(request) == 0
        assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
        certified = rs.read(folder)["average_certified_radius"]
        page = (folder / "report.html").read_text()
        assert main(request) == 1  # nothing is overwritten
    assert "is not empty" in capsys.readouterr().err
    for row in certified.to_dict("records"):
        assert row["label"] in page
        assert f"{floor(row['acr'] * 1000) / 1000:.3f}" in page
    assert (folder / "figures/certified-accuracy.svg").is_file()
    assert (folder / "report.html").read_text() == page


def test_a_folder_for_a_page_needs_a_study(tmp_path, capsys):
    assert main(["rederive", "--list", str(tmp_path / "list.yaml"), "--into", str(tmp_path / "new")]) == 1
    assert "--study" in capsys.readouterr().err


def test_observations_that_are_not_there_are_named(tmp_path):
    files = next(iter(TABLES.values()))
    with contextlib.chdir(CHECKOUT), pytest.raises(UserError, match=r"no observations of run 'gaussian"):
        text_of(files, tmp_path)


def test_observations_that_cannot_be_copied_are_named(tmp_path):
    files = next(iter(TABLES.values()))
    with contextlib.chdir(CHECKOUT):
        folder = tmp_path / Plan(Study(files)).runs[0].network
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    (folder / "draws").symlink_to("nowhere")
    message = f"{folder}/draws: cannot be copied: [Errno 2] No such file or directory"
    with contextlib.chdir(CHECKOUT), pytest.raises(UserError, match=re.escape(message)):
        text_of(files, tmp_path)


def test_votes_that_are_not_there_are_named_where_they_are_looked_for(tmp_path):
    files = next(files for table, files in TABLES.items() if table.stem == "mnist-table6-1")
    kept = tmp_path / "runs"
    shutil.copytree(OBSERVATIONS, kept)
    (draws,) = kept.glob("mnist-lenet-gaussian-gaussian-1-seed0-*/draws/*/estimate-100000/500-600-*.parquet")
    draws.unlink()
    message = f"{draws}: no such observations; files missing: 1"
    with contextlib.chdir(CHECKOUT), pytest.raises(UserError, match=re.escape(message)):
        text_of(files, kept)


@pytest.mark.parametrize("text", ["{}", "tables: []", "tables: {a.txt: b.yaml}"])
def test_a_malformed_list_is_one_line(tmp_path, text, capsys):
    (tmp_path / "list.yaml").write_text(text)
    assert main(["rederive", "--list", str(tmp_path / "list.yaml")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
