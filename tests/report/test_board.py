"""The board: ranks with ties from paired comparisons, logs of others beside each other."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from observed_runs import NETWORK, observe

from rs.cli.compare import MOST
from rs.cli.main import main
from rs.provenance.files import provenance, read_table, write_table
from rs.report.board import ranked, write_board
from rs.report.curves import floored
from rs.tables.comparisons import PairSettings, compare
from rs.tables.contestants import Contestant, Outcomes, of_runs
from rs.tables.file_contestants import of_log


def contestant(name: str, shift: float, images: int = 400) -> Contestant:
    draw = np.random.default_rng(3)
    radii = np.maximum(draw.normal(0.6, 0.3, images) + shift * draw.random(images), 0.0)
    outcomes = Outcomes(np.arange(images), np.zeros(images, np.int64), radii[None])
    return Contestant(name, (None,), outcomes)


def test_contestants_of_one_rank_are_those_not_told_apart() -> None:
    names = {"plain": 0.0, "same": 0.0001, "better": 0.1, "best": 0.3}
    contestants = [contestant(name, shift) for name, shift in names.items()]
    contestants[1].certified.values[0, ::2] -= 0.02 * np.sign(np.arange(200) % 2 - 0.5)  # type: ignore[union-attr]
    pairs = compare((a, b, PairSettings([0.5])) for a, b in itertools.combinations(contestants, 2))
    places = ranked(contestants, pairs)
    assert [(place.contestant.name, place.rank) for place in places][:2] == [("best", 1), ("better", 2)]
    assert {(place.contestant.name, place.rank) for place in places[2:]} == {("plain", 3), ("same", 3)}


@pytest.mark.parametrize(("largest", "high"), [(1.0, 1.0), (np.nan, 2 / 3 + 4.3026528 / 3)])
def test_an_average_ends_at_the_radius_of_unanimous_votes_where_that_is_known(
    largest: float, high: float
) -> None:
    outcomes = Outcomes(np.arange(3), np.zeros(3, np.int64), np.array([[-1.0, 1.0, 1.0]]))
    (place,) = ranked([Contestant("few", (None,), outcomes, largest=largest)], [])
    assert (place.low, place.high) == (0.0, pytest.approx(high))


def test_other_conditions_and_other_images_are_told(tmp_path: Path) -> None:
    def note(*contestants: Contestant) -> str:
        out = tmp_path / "board.html"
        write_board(out, "t", contestants, {c.name: c.name for c in contestants}, [], [0.5])
        return re.sub(r"\s+", " ", out.read_text())

    stated = {"smoothing": "gaussian sigma=0.25", "n": 1000}
    one, log = replace(contestant("one", 0.0), conditions=stated, n0=100), contestant("log", 0.1)
    plain = note(one, log)
    assert "Not under the same conditions" not in plain
    assert "Not on the same images" not in plain
    other = replace(contestant("other", 0.1, images=300), conditions={**stated, "n": 100}, n0=10)
    page = note(one, other)
    assert "Not under the same conditions: contestants differ in n, n0. Ranks and differences" in page
    assert "Not on the same images: ACR and accuracies are over each contestant" in page


def test_radii_of_four_digits_are_kept_whole() -> None:
    radii = np.arange(1, 40000) / 10000
    np.testing.assert_array_equal(floored(radii), np.arange(1, 40000))
    assert floored(np.array([0.57, 0.56999, np.inf])).tolist() == [5700, 5699, 2**53]


def log(path: Path, radii: list[float]) -> Path:
    lines = [f"{i}\t3\t{3 if r else 2}\t{r}\t{int(r > 0)}\t0:00:01" for i, r in enumerate(radii)]
    path.write_text("\n".join(["idx\tlabel\tpredict\tradius\tcorrect\ttime", *lines]) + "\n")
    return path


def panels(page: Path) -> list[dict]:
    """Of a board's live figure."""
    block = page.read_text().partition('id="curves-data">')[2].partition("</script>")[0]
    return json.loads(block)["panels"]


def test_logs_stand_on_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = log(tmp_path / "first.tsv", [0.3, 0.6, 0.0, 0.9] * 10)
    second = log(tmp_path / "second.tsv", [0.4, 0.7, 0.2, 0.9] * 10)
    out = tmp_path / "board.html"
    assert main(["board", str(first), str(second), "--out", str(out), "--title", "Two <logs>"]) == 0
    text = out.read_text()
    assert "Two &lt;logs&gt;" in text
    (panel,) = panels(out)
    assert panel["images"] == list(range(40))
    assert {line["radii"][2] for line in panel["lines"]} == {-1, 2000}
    assert all(line["radii"][3] == 9000 for line in panel["lines"])


def test_lines_are_told_apart_without_their_colours_and_estimates_are_dashed(tmp_path: Path) -> None:
    many = [contestant(f"run {i}", i / 20) for i in range(MOST)]
    many[3] = replace(many[3], rigorous=False)
    out, names = tmp_path / "board.html", {c.name: c.name for c in many}
    write_board(out, "Many", many, names, [], [0.5])
    (panel,) = json.loads(out.read_text().partition('id="curves-data">')[2].partition("</script>")[0])[
        "panels"
    ]
    assert len({(line["marker"], line["hollow"]) for line in panel["lines"]}) == MOST
    assert {line["name"] for line in panel["lines"] if line["dash"] or line["estimate"]} == {"run 3"}
    assert all(bool(line["dash"]) == line["estimate"] for line in panel["lines"])
    (marked,) = re.findall(r"<td[^>]*>(.{0,9})<span class=\"mark\">estimate", out.read_text())
    assert marked.strip() == "run 3"


def test_what_no_proof_covers_is_known_of_runs_and_nothing_of_a_log(
    tiny, plan_of, tmp_path, monkeypatch
) -> None:
    tiny["runs"]["nal"].pop("calibration")
    plan = plan_of({**tiny, "attacks": []})
    monkeypatch.chdir(tmp_path)
    observe(plan, lambda run: [0.1] * 6)
    assert [c.rigorous for c in of_runs(plan)] == [True, True]
    path = next(o.certified for planned in plan.runs for o in planned.observations)
    table, _ = read_table(path)
    estimate = table.set_column(table.column_names.index("rigorous"), "rigorous", pa.array([False] * 6))
    spec = plan.job("certify", str(path)).spec
    write_table(path, estimate, {**provenance(spec, "code"), "model": NETWORK, "form": {}})
    assert [c.rigorous for c in of_runs(plan)] == [False, True]
    assert not of_log(log(tmp_path / "log.tsv", [0.3, 0.6])).rigorous


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["missing.tsv"], "missing.tsv"),
        (["{log}", "--out", "{folder}"], "must be a file in an existing folder"),
        (["{log}", "--out", "{folder}/none/board.html"], "must be a file in an existing folder"),
        (["{log}@0.5", "--out", "{folder}/../{folder.name}/a.tsv"], "is one of the files to read"),
        (["{folder}/s.yaml+{folder}/o.yaml:a", "--out", "{folder}/o.yaml"], "is one of the files to read"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path / "a.tsv", [0.3, 0.6])
    filled = [a.format(log=path, folder=tmp_path) for a in arguments]
    assert main(["board", *filled]) == 1
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1
    assert path.read_text().startswith("idx")
