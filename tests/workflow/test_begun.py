"""What Snakemake computes of a study in another folder is kept by `rs clean`, before there are tables."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from workspace import Workspace, wait_for

pytestmark = pytest.mark.workflow

ELSE = "studies/else.yaml"


def test_a_study_elsewhere_is_known_from_its_start_and_nothing_goes_while_it_runs(tmp_path: Path) -> None:
    work = Workspace.of_checkout(tmp_path)
    for studies in ("evidence", "papers"):  # some need networks that are not in this copy
        shutil.rmtree(work.folder / "config" / studies)
    (work.folder / "studies").mkdir()
    (work.folder / "study.yaml").unlink()
    work.study(lambda study: study["runs"]["macer"]["training"].update(epochs=1000), ELSE)
    work.snakemake("--dry-run", study=(ELSE,))
    assert not (work.folder / "results/.planned/studies").exists(), "a dry run begins nothing"
    gone = work.folder / "results/runs/gone-00000000"
    gone.mkdir(parents=True)
    command = work.command("--until", "train", study=(ELSE,))
    with subprocess.Popen(
        command, cwd=work.folder, env=work.environment, stderr=subprocess.DEVNULL
    ) as running:
        wait_for(lambda: [*work.folder.glob("results/runs/*macer*/resume-*")])
        assert running.poll() is None
        refused = work.shell("rs clean --delete --yes")
        running.kill()
    assert refused.returncode == 1
    assert "rs: nothing removed: 1 process computes studies here" in refused.stderr
    assert f", {ELSE}\n" in refused.stdout
    assert gone.exists()
    begun = {*work.folder.glob("results/runs/*macer*/*"), *work.folder.glob("results/data/*/*")}
    work.rs("clean", "--delete", "--yes")
    assert not gone.exists()
    assert all(path.exists() for path in begun)
