"""`rs compare` on kept observations: the differences that docs/evidence/mnist-methods.md tells."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from tiny_study import write_study

from rs.cli.main import main

CHECKOUT = Path(__file__).parents[2]
FILES = ("mnist-methods.yaml", "evidence/mnist-methods-90.yaml", "evidence/mnist-methods-90-kept.yaml")
STUDY = "+".join(f"config/{name}" for name in FILES)


@pytest.mark.slow
def test_methods_on_mnist(capsys):
    labels = ("consistency[sigma=0.5,lambda=5]", "stability[sigma=0.5]", "gaussian[sigma=0.5]")
    named = [f"{STUDY}:{label}" for label in labels]
    with contextlib.chdir(CHECKOUT):
        assert main(["compare", *named, "--observations", "evidence/runs", "--at", "1.75", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err.count("deriving the tables of") == 1  # once for all labels of a study
    pairs = json.loads(out)["pairs"]
    found = {(r["a"], r["b"], r["metric"]): r for r in pairs if r["about"] == "networks"}
    best, worst = found[named[0], named[2], "acr"], found[named[1], named[2], "acr"]
    assert best["difference"] == pytest.approx(0.099, abs=5e-4)
    assert (best["low"], best["high"]) == pytest.approx((0.089, 0.110), abs=1e-3)
    assert best["verdict"] == "better"
    assert worst["difference"] == pytest.approx(-0.012, abs=5e-4)
    assert worst["verdict"] == "worse"
    assert found[named[0], named[2], "certified_accuracy"]["p"] < 1e-23
    assert all(r["verdict"] == "undecided" for r in pairs if r["about"] == "methods")


@pytest.mark.parametrize("place", ["none", "s.yaml"])
def test_a_folder_of_observations_that_is_none_is_not_told_as_a_run_without_them(
    place, tmp_path, tiny, capsys
):
    study, kept = write_study(tmp_path / "s.yaml", tiny), tmp_path / place
    for named in (["compare", f"{study}:gaussian", f"{study}:nal"], ["rederive", "--study", str(study)]):
        assert main([*named, "--observations", str(kept)]) == 1
        line = f"rs: {kept}: no such folder; must be one of observations, as evidence/runs\n"
        assert capsys.readouterr() == ("", line)
