"""A killed attack goes on after the last batch of images that it finished, to the same file."""

from __future__ import annotations

import copy

import pyarrow as pa
import pytest
import torch

from rs.provenance.files import read_table
from rs.stages import attack as attacking
from rs.stages.parts import Parts

pytestmark = pytest.mark.slow


@pytest.fixture
def run(workspace, tmp_path):
    """The tiny study's attack on four images, one in each batch, that may be killed; returns its rows and the
    images that were attacked.
    """
    job = workspace.job("attack")
    files = workspace.path(job.inputs["model"]), workspace.path(job.inputs["data"])
    spec = copy.deepcopy(job.spec)
    spec["attack"] |= {"images": {"max": 4}, "samples": spec["batch"], "checks": 1}

    def attack(dies_after=None, code="code", **changes):
        done = []

        def rows_of(target, *settings):
            if len(done) == dies_after:
                raise KeyboardInterrupt
            done.extend(target.positions)
            return whole(target, *settings)

        whole, output = attacking.rows_of, tmp_path / "a.parquet"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attacking, "rows_of", rows_of)
            given = {**spec, "attack": spec["attack"] | changes}
            attacking.attack(given, *files, output, torch.device("cpu"), code)
        return read_table(output)[0], done

    return attack


def kept(folder):
    return sorted(path.name for path in folder.glob("resume-*"))


def test_a_killed_attack_continues_to_the_same_file(run, tmp_path, capfd):
    undisturbed, done = run()
    assert done == [0, 1, 2, 3]
    assert kept(tmp_path) == []
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(dies_after=2)
    assert len(kept(tmp_path)) == 2
    assert not (tmp_path / "a.parquet").exists()
    with pytest.raises(KeyboardInterrupt):
        run(dies_after=1)
    table, done = run()
    assert done == [3]
    assert "continuing after 3 of 4 batches of 1 images" in capfd.readouterr().err
    assert table.equals(undisturbed)
    assert kept(tmp_path) == []


def test_other_code_or_settings_begin_anew_and_a_damaged_part_is_made_again(run, tmp_path, capfd):
    with pytest.raises(KeyboardInterrupt):
        run(dies_after=3)
    parts = kept(tmp_path)
    for other in ({"code": "edited"}, {"seed": 1}):
        with pytest.raises(KeyboardInterrupt):
            run(dies_after=0, **other)
    (tmp_path / parts[1]).write_bytes((tmp_path / parts[1]).read_bytes()[:-100])
    _, done = run()
    assert done == [1, 2, 3]
    assert f"{parts[1]}: damaged" in capfd.readouterr().err


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_parts_of_another_version_of_a_library_are_not_mixed(run, library, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run(dies_after=2)
    found = attacking.versions()
    monkeypatch.setattr(attacking, "versions", lambda: found | {library: "0.1"})
    assert run()[1] == [0, 1, 2, 3]


def test_parts_of_outputs_with_like_names_are_left_alone(tmp_path):
    def make(piece):
        if piece:
            raise KeyboardInterrupt
        return pa.table({"x": [piece]})

    long = Parts(tmp_path / "a-b.parquet", 0)
    with pytest.raises(KeyboardInterrupt):
        long.tables([0, 1], make, "a", "pieces")
    Parts(tmp_path / "a.parquet", 0).remove()
    assert len(long.kept()) == 1
    Parts(tmp_path / "a-b.parquet", "other settings").remove()
    assert long.kept() == []
