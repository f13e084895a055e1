"""`rs compare` and `rs power` of files alone: sigma of each log, what no log states, and images.parquet."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from contestants_made import contestant
from observed_runs import observe, write_radii
from scipy import special
from tiny_study import TINY, write_study

from rs.cli.compare import at_sigma, parse
from rs.cli.main import main
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.files import provenance, write_table
from rs.study.study import Study
from rs.tables.file_contestants import of_file, remarks

RADII = {"a": [0.8, 0.6, 0.5, 0.2, 0.1, 0.0], "b": [0.7, 0.6, 0.3, 0.2, -1, 0.0]}


GAUSSIAN = {"name": "gaussian", "sigma": 0.25}


def write_images(path: Path, radii: list[float], noise: dict[str, Any] = GAUSSIAN, **others: Any) -> None:
    """What `rs certify --model` writes of six images, with some columns as they are in `others`."""
    columns = {"image": range(6), "file": [f"{i}.png" for i in range(6)], "label": [1] * 6}
    columns |= {"prediction": [2 if r < 0 else 1 for r in radii], "radius": np.maximum(radii, 0)}
    columns |= {"n": [1000] * 6, "certificate": ["cohen"] * 6, "alpha": [0.001] * 6}
    columns |= {"rigorous": [True] * 6, "largest_radius": [2.0] * 6} | others
    identity = {"noise": noise, "preprocessing": {}, "seed": 0}
    write_table(path, pa.table({k: pa.array(list(v)) for k, v in columns.items()}), provenance(identity, "c"))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, radii in RADII.items():
        write_radii(Path(f"{name}.tsv"), radii)
        write_images(Path(name) / "images.parquet", radii)


def compared(capsys, *arguments):
    assert main(["compare", *arguments, "--json", "--details"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *arguments):
    assert main(list(arguments)) == 1
    out = capsys.readouterr()
    assert (out.out, out.err.count("\n")) == ("", 1)
    return out.err


def test_every_log_has_a_sigma_of_its_own(capsys):
    one = compared(capsys, "a.tsv", "b.tsv", "--sigma", "0.5")["p_a"]
    sides = ("a.tsv@0.5", "b.tsv@1")
    assert "smoothing gaussian sigma=0.5 and gaussian sigma=1: not" in refusal(capsys, "compare", *sides)
    other = compared(capsys, *sides, "--across")
    assert other["p_a"]["a.tsv"] == one["a.tsv"]
    at = special.ndtr([0.6])[0]  # of b's radius at 0.6: below 0.8 at sigma = 1, above at 0.5
    shares = {
        name: {row["p_a"]: row["share"] for row in of["b.tsv"]}
        for name, of in (("1", other["p_a"]), ("0.5", one))
    }
    assert at < 0.8
    assert (shares["1"][0.8], shares["0.5"][0.8]) == (0, pytest.approx(2 / 6))
    named = compared(capsys, "a.tsv@0.5", "b.tsv", "--sigma", "0.5", "--reference", "a.tsv@0.5")
    assert named["p_a"] == one
    assert named["hard_images"][0]["reference"] == "a.tsv"


def test_runs_and_logs_under_stated_noise_are_held_to_the_same_conditions(capsys):
    plan = Plan(Study([write_study(Path("study.yaml"), {**TINY, "attacks": []})]))
    observe(plan, lambda run: RADII["a"])
    for sides, differ in ((["b.tsv@0.25", "study.yaml:nal"], False), (["study.yaml:nal", "b.tsv@0.5"], True)):
        if differ:
            assert "gaussian sigma=0.25 and gaussian sigma=0.5: not" in refusal(capsys, "compare", *sides)
        else:
            (remark,) = compared(capsys, *sides)["remarks"]
            assert remark == "not known, and taken for the same: certificate, alpha and votes of b.tsv"


def test_names_with_an_at_sign_are_names_of_files():
    write_radii(Path("x@0.5"), [0.1])
    write_radii(Path("x"), [0.1])
    assert at_sigma("x@0.5") == (Path("x@0.5"), None)
    assert at_sigma("x@0.5@1") == (Path("x@0.5"), 1.0)
    assert at_sigma("none@0.5") == (Path("none@0.5"), None)
    assert parse("x@1") == ([], None)
    with contextlib.suppress(OSError):
        write_radii(Path("x:y"), [0.1])
        assert parse("x:y@1") == ([], None)


@pytest.mark.parametrize(
    ("sides", "line"),
    [
        (["a.tsv@half", "b.tsv"], "@half: sigma must be a number from 1e-06 to 1000000, as in a.tsv@0.25"),
        (["a.tsv@0", "b.tsv"], "@0: sigma must be a number from 1e-06"),
        (["a.tsv@1e-320", "b.tsv"], "@1e-320: sigma must be a number from 1e-06"),
        (["a.tsv@inf", "b.tsv"], "@inf: sigma must be a number from 1e-06"),
        (["a.tsv@0.5", "./a.tsv@1", "b.tsv"], "a.tsv: named twice, with other sigmas"),
        (["a@0.5", "b"], "a@0.5: @ is the sigma of a log; a states its own noise"),
        (["none.tsv@0.5", "b.tsv"], "none.tsv@0.5: cannot be read"),
        (
            ["a.tsv", "b.tsv@0.1"],
            "b.tsv: image 0 has radius 0.7; at sigma = 0.1, 10^9 votes, all for one class",
        ),
        (
            [".", "a"],
            ".: no contestant; allowed: the images.parquet of `rs certify --model` or its folder, a log",
        ),
        (["other.parquet", "a"], "other.parquet: no contestant; allowed: the images.parquet of `rs certify"),
        (["votes.parquet", "a"], "votes.parquet: no contestant; allowed: the images.parquet of `rs certify"),
        (["unlabelled", "a"], "unlabelled: images without labels, whose predictions are neither right nor"),
        (["a", "moved"], "of different images: image 2 has the file 2.png there and new.png here"),
        (["a", "wider"], "smoothing gaussian sigma=0.25 and gaussian sigma=0.5: not under the same"),
    ],
)
def test_bad_files_are_one_line(capsys, sides, line):
    identity = {"noise": {"name": "gaussian", "sigma": 0.25}, "preprocessing": {}}
    for name, made in (("other", {}), ("votes", provenance(identity, "code"))):
        write_table(Path(f"{name}.parquet"), pa.table({"image": [1]}), made)
    write_images(Path("unlabelled") / "images.parquet", RADII["a"], label=[-1] * 6)
    names = ["0.png", "1.png", "new.png", "2.png", "3.png", "4.png"]
    write_images(Path("moved") / "images.parquet", RADII["a"], file=names)
    write_images(Path("wider") / "images.parquet", RADII["a"], GAUSSIAN | {"sigma": 0.5})
    assert line in refusal(capsys, "compare", *sides)


def test_radii_in_two_norms_are_never_compared(capsys):
    laplace = {"name": "laplace", "scale": 0.25}
    write_images(Path("l1") / "images.parquet", RADII["a"], laplace, certificate=["laplace_l1"] * 6)
    line = "a has l2 radii and l1 has l1 radii; allowed: certificates of one norm"
    for arguments in (["compare", "a", "l1", "--across"], ["board", "a", "b", "l1"], ["power", "a", "l1"]):
        assert line in refusal(capsys, *arguments)
    assert compared(capsys, "a.tsv", "l1", "--across")["pairs"]  # a plain log does not state its norm


def test_radii_of_a_log_end_where_a_billion_votes_do():
    """0.5^(1e-9) is the bound of p_A from a billion votes that agree, at alpha = 0.5."""
    end = -special.ndtri(-np.expm1(np.log(0.5) / 1e9))
    write_radii(Path("end.tsv"), [0.25 * end * (1 - 1e-9), 0.1])
    assert main(["compare", "end.tsv@0.25", "a.tsv@0.25"]) == 0
    write_radii(Path("end.tsv"), [0.1, 0.25 * end * (1 + 1e-6)])
    assert main(["compare", "end.tsv", "a.tsv"]) == 0
    with pytest.raises(UserError, match=r"image 1 has radius 1.51.*; at sigma = 0.25"):
        of_file(Path("end.tsv"), 0.25)


def test_certified_models_are_contestants_with_their_conditions(capsys):
    logs = compared(capsys, "a.tsv", "b.tsv", "--at", "0.25")["pairs"]
    found = compared(capsys, "a", "b/images.parquet", "./a/images.parquet", "--at", "0.25")
    assert [row["difference"] for row in found["pairs"]] == [row["difference"] for row in logs]
    assert found["remarks"] == []
    assert set(found["p_a"]) == {"a", "b/images.parquet"}  # CERTIFY's, whose radii tell p_A
    write_images(Path("b") / "images.parquet", RADII["b"], certificate=["tcertify"] * 6, rigorous=[False] * 6)
    assert "certificate cohen and tcertify: not under the same" in refusal(capsys, "compare", "a", "b")
    assert main(["compare", "a", "b", "--across"]) == 0
    assert "\nb: tcertify is an estimate that no proof covers\n" in capsys.readouterr().out


def test_certified_models_are_pilots(capsys):
    assert main(["power", "a", "b", "--difference", "0.1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["power", "a.tsv", "b.tsv", "--difference", "0.1", "--json"]) == 0
    logs = json.loads(capsys.readouterr().out)
    assert found["paired_images"] == logs["paired_images"]
    assert len(found["votes"]) > len(logs["votes"]) == 0  # of known sigma, n and alpha
    assert "the pilot's own is 1000" in refusal(capsys, "power", "a", "b", "--votes", "7")


def test_images_that_files_name_on_one_side_and_pixels_on_the_other_are_told_to_be_paired_by_position():
    known = {"certificate": "cohen", "smoothing": "s", "alpha": 0.001, "n": 100}
    sides = [
        replace(one, certified=replace(one.certified, marks={kind: np.array(["x", "y"])}))
        for kind, one in (
            ("file", contestant("a", [0.1, 0.5], conditions=known)),
            ("digest", contestant("b", [0.1, 0.5], conditions=known)),
        )
    ]
    line = "paired by position and label alone, as images are known of a by file and b by digest"
    assert remarks(sides) == [line]
    assert remarks([sides[0], sides[0]]) == []
