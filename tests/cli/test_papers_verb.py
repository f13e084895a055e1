"""`rs papers` in a folder of its own: what nothing has run costs, and what the next hour would decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rs.cli.main import main
from rs.cli.papers import _deciding, _Left, _left_to_decide, _names, _shown, _waits

ENTRY = {
    "paper": "P",
    "table": "T",
    "run": "gaussian",
    "radii": [0.25, 0.5],
    "certified_accuracy": [0.9, 0.7],
}


def condition(low: float | None, value: float | None, high: float | None, verdict: str) -> dict[str, Any]:
    return {"low": low, "value": value, "high": high, "condition_verdict": verdict, "evidence": "x[0]"}


def test_with_nothing_run_the_pages_have_prices(
    tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").touch()
    Path("config").mkdir()
    Path("config/one.yaml").write_text(yaml.safe_dump({**tiny, "name": "one", "published": [ENTRY]}))
    assert main(["papers", "--out", "pages"]) == 0
    assert "pages/p.html" in capsys.readouterr().out.splitlines()
    index = Path("pages/index.html").read_text()
    assert "The next H100 hour would decide 2 numbers: one" in index
    assert "snakemake --cores 2 --configfile config/one.yaml" in index
    assert 'class="price"' in Path("pages/p.html").read_text()


def test_an_hour_is_offered_to_what_it_decides(
    tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number counts for the studies whose own runs have it, with the paper's settings and seeds enough."""
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").touch()
    Path("config/scales").mkdir(parents=True)
    epochs = tiny["training"]["epochs"]
    at_paper = {**tiny, "published": [ENTRY], "papers": {"P": {"training": {"epochs": epochs}}}}
    other = {**at_paper, "papers": {"P": {"training": {"epochs": epochs + 1}}}}
    left_out = {**at_paper, "runs": {**tiny["runs"], "clean": {"objective": {"name": "clean"}}}}
    studies = {"a-other": other, "b-left-out": {**left_out, "active": ["clean"]}, "c-decides": at_paper}
    for name, study in studies.items():
        Path(f"config/{name}.yaml").write_text(yaml.safe_dump({**study, "name": name}))
    Path("config/scales/three-seeds.yaml").write_text("override: {seeds: [0, 1, 2]}\n")
    assert main(["papers", "--out", "pages"]) == 0
    index, page = (Path(f"pages/{name}.html").read_text() for name in ("index", "p"))
    assert "The next H100 hour would decide 2 numbers: c-decides (" in index
    seeded = "snakemake --cores 2 --configfile config/c-decides.yaml config/scales/three-seeds.yaml"
    assert seeded in index
    assert seeded in page
    for name in ("a-other", "b-left-out"):
        assert name not in index
        assert f"config/{name}.yaml" not in page


def test_of_two_studies_that_decide_the_same_the_cheaper_is_offered() -> None:
    dear = _Left("", "", 2.0, None, frozenset("ab"), frozenset("x"))
    cheap = _Left("", "", 1.0, None, frozenset("abc"), frozenset("xy"))
    apart = _Left("", "", 3.0, None, frozenset("d"))
    unpriced = _Left("", "", None, None, frozenset("e"))
    studies = {"dear": dear, "cheap": cheap, "apart": apart, "unpriced": unpriced}
    found = _left_to_decide(studies, set("abde"), {"x"})
    assert found == {"cheap": ({*"ab"}, {"x"}), "apart": ({"d"}, set()), "unpriced": ({"e"}, set())}


def test_studies_of_one_name_are_told_by_their_files() -> None:
    alone, twice = (
        (Path("config/a.yaml"), Path("o.yaml")),
        [(Path("nal.yaml"),), (Path("nal.yaml"), Path("gpu.yaml"))],
    )
    studies = {
        alone: _Left("", "a-short"),
        **dict.fromkeys(twice, _Left("", "nal")),
        (Path("bad.yaml"),): _Left(""),
    }
    assert list(_names(studies).values()) == ["a-short", "nal", "nal + gpu", "bad"]


def test_a_number_that_is_not_run_stands_for_the_cheapest_study_that_decides_it() -> None:
    names = {(Path("own.yaml"),): "own"}
    studies = {
        "own": _Left("", "own", 0.1),
        "dear": _Left("", "dear", 2.0, None, frozenset("a")),
        "cheap": _Left("", "cheap", 1.0, None, frozenset("a")),
        "unpriced": _Left("", "unpriced", None, None, frozenset("a")),
    }
    row = {"status": "not run", "files": ["own.yaml"]}
    assert _shown(row, "a", studies, names) == "cheap"
    assert _shown(row, "b", studies, names) == ""
    assert _shown({**row, "status": "undecided"}, "a", studies, names) == "own"


def test_a_number_waits_for_its_first_run_or_its_third_seed() -> None:
    row = {"status": "undecided", "decides": "seeds", "decides_count": 3}
    assert _waits(row)
    assert _waits({**row, "status": "not run", "decides": None, "decides_count": None})
    assert not _waits({**row, "decides_count": 8})
    assert not _waits({**row, "decides": "images"})
    assert not _waits({**row, "status": "agrees"})


def test_a_folder_that_nothing_can_be_written_in_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").touch()
    monkeypatch.setattr("rs.cli.papers.everything", lambda: pytest.fail("worked for a minute"))
    Path("blocked").write_text("")
    assert main(["papers", "--out", "blocked/pages"]) == 1
    message = "rs: blocked/pages/index.html: cannot be written: blocked is not a folder\n"
    assert capsys.readouterr().err == message


def test_rows_of_studies_that_differ_in_a_number_stand_in_its_order(
    tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").touch()
    Path("config").mkdir()
    for k in (100, 200, 1000):
        entry = {**ENTRY, "table": f"T, k = {k}"}
        Path(f"config/k{k}.yaml").write_text(yaml.safe_dump({**tiny, "name": f"k{k}", "published": [entry]}))
    assert main(["papers", "--out", "pages"]) == 0
    page = Path("pages/p.html").read_text()
    rows = [page.index(f">k = {k}<") for k in (100, 200, 1000)]
    commands = [page.index(f"--configfile config/k{k}.yaml") for k in (100, 200, 1000)]
    assert rows == sorted(rows)
    assert commands == sorted(commands)


def test_a_claim_rests_on_its_least_sure_condition_that_says_the_same() -> None:
    sure, close = condition(0.3, 0.4, 0.5, "holds"), condition(0.01, 0.05, 0.09, "holds")
    other = condition(-0.001, 0.0, 0.001, "undecided")
    claim = {"verdict": "holds", "conditions": [sure, other, close]}
    assert _deciding(claim) is close
    assert _deciding({**claim, "verdict": "undecided"}) is other
    theory = condition(None, None, None, "holds")
    assert _deciding({"verdict": "holds", "conditions": [theory]}) is theory
    assert _deciding({"verdict": "not run", "conditions": []}) is None
