"""`rs price` as programs and people read it, and what it measures."""

from __future__ import annotations

import json

import pytest
from tiny_study import write_study

from rs.cli.main import main
from rs.provenance import user_cache
from rs.stages import speed


@pytest.fixture
def study(tmp_path, monkeypatch, tiny):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    monkeypatch.chdir(tmp_path)
    return str(write_study(tmp_path / "study.yaml", tiny))


def priced(capsys, study, *more):
    assert main(["price", "--study", study, "--json", *more]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_prices_for_programs(study, capsys):
    found, errors = priced(capsys, study, "--no-measure", "--gpu", "H100", "A100")
    assert errors == ""
    assert set(found) == {"study", "shards", "missing", "whole"}
    assert found["shards"] == []  # few jobs
    assert found["missing"] == found["whole"]  # nothing has run
    here, *cards = found["whole"]["machines"]
    assert [c["machine"] for c in cards] == ["H100", "A100"]
    for machine in (here, *cards):
        assert set(machine) == {
            "machine", "unit", "assumed", "jobs", "hours", "most_hours", "stages", "unpriced",
        }  # fmt: skip
        assert machine["assumed"] is True
        assert machine["unpriced"] == []
        assert set(machine["stages"]) == {"train", "calibrate", "sample", "attack"}
        assert machine["hours"] == pytest.approx(sum(machine["stages"].values()))
        assert machine["most_hours"] == pytest.approx(machine["hours"])
    assert {c["unit"] for c in cards} == {"GPU-hours"}
    space = found["whole"]["bytes"]
    assert set(space) == {"memory", "disk", "checkpoint"}
    weights = 38_330 * 4
    assert space["checkpoint"] == pytest.approx(2 * weights, rel=0.01)  # its own and the momentum
    assert space["disk"] > 2 * weights + 1_797 * 64
    assert 0.5e9 < space["memory"] < 2e9


def test_prices_for_people(study, capsys):
    assert main(["price", "--study", study, "--no-measure", "--gpu", "h200", "H200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == (
        "whole: 20 jobs train calibrate sample attack all at most hours of rates"
    )
    assert lines[2].startswith("H200")
    assert lines[2].endswith("GPU  assumed")
    assert lines[3].startswith("memory ")
    assert len(lines) == 4


@pytest.mark.slow
def test_what_a_network_costs_here_is_measured_once(study, capsys):
    found, errors = priced(capsys, study, "--gpu")
    lines = [line for line in errors.splitlines() if line.startswith("rs: measuring")]
    assert lines == ["rs: measuring digits_cnn, float32: ascent, gradient, update, vote"]
    (here,) = found["whole"]["machines"]
    assert here["assumed"] is False
    again, errors = priced(capsys, study, "--gpu")
    assert errors == ""
    assert again == found
    for file in user_cache.folder("rates").iterdir():
        file.write_text("{")
    _, errors = priced(capsys, study, "--gpu")
    assert "rs: measuring digits_cnn" in errors
