"""Radii that are not what a study says they are, and averages over chosen images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from observed_runs import observe
from scipy import special
from tampered import edited, tables_of
from tiny_study import TINY, Workspace, write_study

import rs
from rs.cli.main import main
from rs.plan.plan import Plan
from rs.provenance.files import read_table, write_table
from rs.study.study import Study

pytestmark = pytest.mark.slow


@pytest.fixture
def radii(space: Workspace):
    """The certified file of a run whose tables are good."""
    assert tables_of(space)["average_certified_radius"][0]["images"] == 6
    return space.path(space.job("certify").outputs["certified"])


def test_abstentions_dropped(mistake, space, radii):
    table, made = read_table(radii)
    keep = [p >= 0 for p in table.column("prediction").to_pylist()]
    keep[0] = False  # at least one
    write_table(radii, table.filter(keep), made)
    mistake.refused(lambda: tables_of(space))


def test_radius_edited(mistake, space, radii):
    """One vote in 64 for another class would be less: 0.25 Phi^-1(0.001^(1/64)) is the most."""
    most = read_table(radii)[0].column("largest_radius").to_pylist()[0]
    assert most == pytest.approx(0.25 * special.ndtri(0.001 ** (1 / 64)))
    edited(radii, radius=most, prediction=0)
    tables_of(space)
    edited(radii, radius=most * 1.001)
    mistake.refused(lambda: tables_of(space))


def test_abstention_certified(mistake, space, radii):
    edited(radii, radius=0.1, prediction=-1)
    mistake.refused(lambda: tables_of(space))


def test_images_chosen_afterwards(mistake, space, radii):
    """The six images from the 50th on, well certified."""
    table, made = read_table(radii)
    moved = table.set_column(
        table.column_names.index("image"), "image", [[50 + i for i in table.column("image").to_pylist()]]
    )
    spec = {**made["spec"], "test": {"first": 50, "max": 6}}
    write_table(radii, moved, {**made, "spec": spec})
    mistake.refused(lambda: tables_of(space))


def test_radii_of_another_run(mistake, space, radii):
    radii.write_bytes(space.path(space.job("certify", "nal").outputs["certified"]).read_bytes())
    mistake.refused(lambda: tables_of(space))


def test_compared_at_other_settings(mistake, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = write_study(Path("study.yaml"), {**TINY, "attacks": []})
    over = write_study(Path("over.yaml"), {"name": "tiny", "override": {"noise": {"sigma": 0.5}}})
    for files in ([study], [study, over]):
        observe(Plan(Study(files)), lambda run: [0.4, 0.3, 0.2, 0.1, -1, 0.0])
    assert main(["compare", "study.yaml:nal", "study.yaml:gaussian"]) == 0
    assert main(["compare", "study.yaml:nal", "study.yaml+over.yaml:nal"]) == 1
    mistake.flagged(capsys.readouterr().err)


def test_other_images_compared(mistake):
    """Two parts of a data set, of one class, certified at the positions 0, 1, ... each."""
    smoothed = rs.smooth(torch.nn.Flatten(), sigma=0.25)
    parts = torch.rand(2, 6, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    first, second = (
        smoothed.certify(x, np.zeros(6, int), n=20, n0=10, alpha=0.05, progress=False) for x in parts
    )
    assert len(rs.compare(first, first)) > 0
    mistake.refused(lambda: rs.compare(first, second))
