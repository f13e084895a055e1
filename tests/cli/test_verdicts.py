"""What became of numbers and claims over all studies of a folder, and where one comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from two_studies import ENTRY, make_two_studies

from rs.cli.main import main
from rs.cli.verdicts import claims_of, everything, numbers_of
from rs.cli.verdicts_text import page, text
from rs.cli.why import chain
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.files import provenance, write_table
from rs.study.study import Study

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, tiny, monkeypatch):
    """With two studies of one paper's number and claim: `one`, whose tables are there, and `two`."""
    monkeypatch.chdir(tmp_path)
    make_two_studies(tiny)
    return tmp_path


def test_each_number_and_claim_counts_once(folder, capsys):
    assert main(["verdicts", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"totals", "numbers", "claims", "from_logs"}
    [number], [claim] = printed["numbers"], printed["claims"]
    assert (number["address"].split("/")[0], number["status"], number["source"]) == (
        "one",
        "differs",
        "results",
    )
    assert (claim["address"], claim["verdict"]) == ("one/claims/helps", "holds")
    places = [f"certified_accuracy[{i}]" for i in (3, 4, 5, 0, 1, 2)]
    assert claim["conditions"][0]["evidence"] == ", ".join(places)
    assert printed["totals"]["numbers"]["differs"] == printed["totals"]["papers"]["P"]["claims"]["holds"] == 1
    assert sum(printed["totals"]["numbers"].values()) == 1


def test_without_tables_nothing_was_run(folder, capsys):
    assert main(["verdicts", "--kept"]) == 0
    out = capsys.readouterr().out
    assert "not run: It helps. (P, section 1)" in out
    results = list(everything(kept_only=True))
    assert (
        {row["status"] for row in numbers_of(results)}
        == {row["verdict"] for row in claims_of(results)}
        == {"not run"}
    )


def test_one_paper_of_those_that_are_there(folder, capsys):
    assert main(["verdicts", "--paper", "P"]) == 0
    assert "differs: -0.200" in capsys.readouterr().out
    assert main(["verdicts", "--paper", "Q"]) == 1
    assert "--paper Q: no number or claim of it; there are: P" in capsys.readouterr().err
    assert list(everything(kept_only=True, paper="Q")) == [], "studies of other papers are not derived"
    assert list(everything(kept_only=True, paper="P"))


def test_files_are_written_between_their_marks(folder, capsys):
    Path("a.md").write_text("before\n<!-- verdicts -->\nold\n<!-- /verdicts -->\nafter\n")
    Path("b.md").write_text("<!-- verdicts -->\n<!-- /verdicts -->\n")
    assert main(["verdicts", "--write", "a.md", "b.md"]) == 0
    long, short = Path("a.md").read_text(), Path("b.md").read_text()
    assert long.startswith("before\n<!-- verdicts -->\n| numbers | agrees")
    assert long.endswith("<!-- /verdicts -->\nafter\n")
    assert "It helps." in long
    assert "differs: −0.200" in long  # a page has the minus of print; the terminal has a hyphen
    assert "It helps." not in short
    assert "| all | 1 | 0 | 0 | 0 | 0 | 1 |" in short
    Path("c.md").write_text("no marks")
    assert main(["verdicts", "--write", "c.md"]) == 1
    assert "c.md: lacks the marks <!-- verdicts --> and <!-- /verdicts -->" in capsys.readouterr().err
    assert Path("c.md").read_text() == "no marks"
    assert main(["verdicts", "--write", "d.md"]) == 1


@pytest.mark.parametrize(
    ("name", "says"), [("none.md", "no such file; it"), ("config", "it is a folder; a file")]
)
def test_a_file_that_cannot_be_written_between_marks_is_told_before_the_work(
    folder, capsys, monkeypatch, name, says
):
    monkeypatch.setattr("rs.cli.verdicts.everything", lambda *_: pytest.fail("has begun"))
    assert main(["verdicts", "--write", name]) == 1
    assert (
        capsys.readouterr().err
        == f"rs: {name}: {says} needs the marks <!-- verdicts --> and <!-- /verdicts -->\n"
    )


def test_why_says_of_what_is_not_run_that_its_training_diverged(folder):
    run = Plan(Study([Path("config/two.yaml")])).runs[0]
    assert not any("diverged" in line for line in chain("two/claims/helps"))
    record = provenance(run.spec, "code", diverged={"epoch": 2, "lost": "the loss is nan"})
    write_table(run.folder / "diverged.parquet", pa.table({"epoch": [2]}), record)
    lines = [line for line in chain("two/claims/helps") if "diverged in epoch 2 (the loss is nan)" in line]
    assert len(lines) == 1


def test_claims_that_are_mathematics_are_counted_apart():
    networks, theory = [{"counted": "500 images paired"}], [{"counted": "theory"}]
    verdicts = [("holds", theory), ("fails", theory), ("holds", [*theory, *networks]), ("not run", networks)]
    claims = [
        {"paper": "P", "place": "p", "claim": "c", "address": "a", "verdict": verdict, "conditions": rows}
        | {"own_numbers": None}
        for verdict, rows in verdicts
    ]
    assert "\n\nOf 3 claims that hold or fail, 2 are mathematics" in page([], claims, False)
    assert "; 1 is decided by trained networks." in text([], claims)
    one = "mathematics, decided by a test; 2 are decided by trained networks."
    assert f"Of 3 claims that hold or fail, 1 is {one}" in text([], [*claims[1:3], claims[2]])
    assert "The one claim that holds or fails is mathematics, decided by a test." in text([], claims[:1])
    assert "The one claim that holds or fails is decided by trained networks." in text([], claims[2:])
    assert "Both claims that hold or fail are mathematics, each decided by a test." in text([], claims[:2])
    assert "All 3 claims that hold or fail are decided by trained networks." in text([], 3 * claims[2:3])
    assert "mathematics" not in page([], claims[3:], False)


def test_what_a_paper_s_own_numbers_say_stands_beside_what_was_found(folder):
    better = {
        **ENTRY,
        "run": "nal",
        "certified_accuracy": [0.8],
    }  # below the 0.9 that ENTRY prints for gaussian
    for name in ("one", "two"):
        study = yaml.safe_load(Path(f"config/{name}.yaml").read_text())
        Path(f"config/{name}.yaml").write_text(yaml.safe_dump({**study, "published": [ENTRY, better]}))
    (claim,) = claims_of(everything())
    assert claim["own_numbers"]["verdict"] == "fails"
    assert "by its own numbers: fails" in text([], [claim])
    why = list(chain("two/claims/helps"))
    assert why[-4:-2] == [
        "  by the paper's own numbers: fails",
        "  fails: certified accuracy of nal better than gaussian at 0.25 = -0.1 [-0.2, 0] (as printed)",
    ]
    document = page([], [claim], True)
    assert "The papers print the numbers behind 1 claim: by these, it does not hold." in document
    contradicted = document.partition("own numbers contradict")[2].partition("not run")[0]
    assert "It helps." in contradicted
    assert "−0.100" in contradicted


def test_why_follows_a_number_a_claim_and_a_row(folder):
    number = next(
        row["address"] for results in everything() for row in results.numbers if results.source == "results"
    )
    # the runs of these tables are not those of the plan, so that the chain ends at the row
    lines = list(chain(number))
    assert lines[0] == "P, T: certified_accuracy at 0.25 is printed as 0.9"
    assert lines[1].startswith("  verdict: differs: -0.200")  # the answer, then what it rests on
    assert lines[2].startswith("  reproduced: ")
    head = next(line for line in lines if line.startswith("rows of certified_accuracy, each with "))
    assert "label gaussian" in head
    assert sum(line.split()[0] in ("[0]", "[1]", "[2]") for line in lines) == 3
    assert lines[-1] == "run everything again: snakemake --cores N --configfile config/one.yaml"
    claim = list(chain("one/claims/helps"))
    assert claim[:2] == ["P, section 1: It helps.", "  verdict: holds"]
    assert sum(line.split()[0] in [f"[{i}]" for i in range(6)] for line in claim) == 6
    assert any("label nal" in line for line in chain("one/certified_accuracy[3]"))


def test_why_says_what_a_run_would_cost_where_none_was(folder):
    lines = list(chain("two/claims/helps"))
    assert "  verdict: not run" in lines
    assert any(line.startswith("not run: ") and "jobs missing" in line for line in lines)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("three/claims/helps", "no study is named 'three' here"),
        (
            "one/claims/help",
            "one has no such number, claim or row TABLE[N]; of its 2, near: one/claims/helps",
        ),
        ("one/certified_accuracy[9]", "table certified_accuracy has 6 rows, numbered from 0"),
        ("one/no_table[0]", "one has no table no_table; allowed: attack_checks, "),
    ],
)
def test_why_refuses_what_is_not_there(folder, capsys, address, says):
    assert main(["why", address]) == 1
    assert f"{address}: {says}" in capsys.readouterr().err


def test_a_near_name_is_offered(folder, capsys):
    assert main(["why", "onee/claims/helps"]) == 1
    assert capsys.readouterr().err.endswith("no study is named 'onee' here; near it: one\n")


def test_tables_of_another_version_are_named_and_left_out(folder, capsys):
    old = Path("results/old/tables/published.parquet")
    write_table(
        old, pa.table({"paper": ["P"], "verdict": ["within interval"]}), {"files": ["config/two.yaml"]}
    )
    results = list(everything())
    assert [(one.source, [f.name for f in one.files]) for one in results] == [
        ("results", ["one.yaml"]),
        ("none", ["two.yaml"]),
    ]
    assert f"{old}: made by another version" in capsys.readouterr().err


@pytest.mark.parametrize("every", ["0", "nan", "inf", "1e300"])
def test_follow_waits_for_a_number_of_seconds(folder, capsys, every):
    assert main(["follow", "--study", "config/two.yaml", "--every", every]) == 1
    assert "--every: must be a number of seconds above 0" in capsys.readouterr().err


def test_an_address_needs_a_study(folder):
    with pytest.raises(UserError, match="no study is named"):
        list(chain("nothing"))
