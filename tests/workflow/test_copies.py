"""Results that came without Snakemake's records and without times are judged by what they hold."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from workspace import MACER, TABLES, Workspace

from rs.cli.slice_archives import archives, pack
from rs.provenance.files import read_json, read_table, write_json, write_table

pytestmark = pytest.mark.workflow


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    """The finished study's results in a new checkout, the earlier a file in the pipeline, the newer."""
    copy = Workspace.of_checkout(tmp_path / "copy")
    shutil.copytree(finished.folder / "results", copy.folder / "results")
    files = [path for path in (copy.folder / "results").rglob("*") if path.is_file()]
    for age, path in enumerate(sorted(files, key=lambda path: path.stat().st_mtime_ns)):
        os.utime(path, (1e9 - age, 1e9 - age))
    return copy


def test_a_copy_without_times_plans_nothing(copied: Workspace) -> None:
    assert copied.planned() == Counter()
    assert copied.planned() == Counter()
    copied.study(lambda s: s["sampling"].update(n=300))
    more = Counter(
        {
            (rule, run): 1
            for run in ("macer-gaussian-0p25", "smoothadv-gaussian-0p25")
            for rule in ("sample", "certify")
        }
    )
    assert copied.planned() == more + TABLES


def test_the_archives_of_a_slice_are_taken_over(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the data set prepared here, or not at all: the archives do not hold it."""
    monkeypatch.chdir(finished.folder)
    pack(tmp_path / "packed")
    home = Workspace.of_checkout(tmp_path / "home")
    for archive in archives(tmp_path / "packed"):
        with tarfile.open(archive) as opened:
            opened.extractall(home.folder, filter="data")
    assert home.planned() == TABLES
    shutil.copytree(
        finished.folder / "results" / "data", home.folder / "results" / "data", dirs_exist_ok=True
    )
    assert home.planned() == TABLES


def test_a_run_that_was_brought_home_without_data_is_not_made_again(
    finished: Workspace, tmp_path: Path
) -> None:
    """The other runs need the data, which Snakemake then prepares here."""
    home = Workspace.of_checkout(tmp_path / "home")
    folder = finished.one("runs/*-macer-*")
    shutil.copytree(folder, home.folder / "results" / "runs" / folder.name)
    planned = home.planned()
    assert planned["data", ""] == 1
    assert {run for rule, run in planned if rule == "train"} == {
        "nal-gaussian-0p25",
        "smoothadv-gaussian-0p25",
    }
    assert not [rule for rule, run in planned if run == "macer-gaussian-0p25"]


def test_a_copy_with_another_code_or_inputs_is_stale(copied: Workspace) -> None:
    """Without records nothing but the files' own digests can tell."""
    copied.change_code("rs/methods/attacks/pgd_l2.py")
    assert copied.planned() == Counter({("attack", "macer-gaussian-0p25"): 1}) + TABLES
    calibration = copied.one("runs/*-nal-*/calibration/*.json")
    found = read_json(calibration)
    write_json(calibration, {**found, "epsilon_without_noise": 0.5})
    os.utime(calibration, (1, 1))  # older than all that was made from it
    planned = copied.planned()
    assert planned["train", "smoothadv-gaussian-0p25"] == 1
    assert planned["train", "macer-gaussian-0p25"] == 0


def test_edited_draws_make_their_certificates_stale_and_no_others(copied: Workspace) -> None:
    path = copied.one("runs/*-macer-*/draws/*/estimate-100/*_block1.parquet")
    table, provenance = read_table(path)
    write_table(path, table, {**provenance, "remark": "written anew"})
    os.utime(path, (1, 1))
    assert copied.planned() == Counter({("certify", "macer-gaussian-0p25"): 1}) + TABLES


def test_another_network_in_the_place_of_a_copied_one_is_noticed(copied: Workspace) -> None:
    manifest = copied.one("runs/*-macer-*/model.json")
    write_json(manifest, {**read_json(manifest), "sha256": "0" * 64})
    os.utime(manifest, (1, 1))
    assert copied.planned() == MACER - Counter({("train", "macer-gaussian-0p25"): 1}) + TABLES


def test_times_of_records_are_left_alone(work: Workspace) -> None:
    """What Snakemake remembers making is Snakemake's to judge."""
    before = {path: path.stat().st_mtime_ns for path in work.finished()}
    assert work.planned() == Counter()
    assert {path: path.stat().st_mtime_ns for path in work.finished()} == before


def test_ten_thousand_shards_fit_a_command(work: Workspace) -> None:
    """The names of a certify job's shards are more than one argument of a command can hold."""
    spec = {"n0": 1, "n": 1, "block": 1, "seed": 0, "test": {}, "data_size": 360}
    job: dict[str, Any] = {"spec": spec, "code": "", "outputs": {"certified": "c"}}
    job["inputs"] = {"folder": "f", "shards": [f"{i}-{i + 1}-1" for i in range(12_000)]}
    text = json.dumps(job)
    assert len(text) > 131_072
    rule = (work.folder / "workflow/rules/certify.smk").read_text()
    command = "certify --worker {log} --job - <<'JOB'\\n{params.job}\\nJOB"
    assert command in rule
    script = command.replace("\\n", "\n").format(log="log.txt", params=SimpleNamespace(job=text))
    (work.folder / "script.sh").write_text(f"python -m rs {script}")  # as Snakemake does with long commands
    done = work.shell("bash script.sh")
    assert "rs: f/select-1/0-1-1_block0.parquet: " in done.stderr  # the first shard is read, and is not there
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
