"""`rs compare`: logs, runs and mixtures; what is printed, what programs get, what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from observed_runs import observe, write_radii
from scipy import stats
from tiny_study import TINY, write_study

from rs.cli.compare import parse, read_margins
from rs.cli.compared_text import _curve, short_names
from rs.cli.main import main
from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.files import read_json, write_json
from rs.study.certification_log import read_log
from rs.study.study import Study
from rs.tables.behind_averages import curve
from rs.tables.contestants import Contestant, Outcomes

KEYS = {"a", "b", "about", "metric", "radius", "images", "seeds", "difference", "low", "high", "p"}
KEYS |= {"adjusted_p", "verdict", "lower_bound"}
RADII = {"gaussian": [0.4, 0.3, 0.2, 0.1, -1, 0.0], "nal": [0.6, 0.45, 0.45, 0.2, -1, 0.3]}


@pytest.fixture(scope="module")
def contestants(tmp_path_factory):
    """A folder with two logs of the same images, one of others, and a study whose runs have radii."""
    folder = tmp_path_factory.mktemp("compare")
    with contextlib.chdir(folder):
        _fill()
    return folder


def _fill():
    draw = np.random.default_rng(0)
    common = draw.exponential(0.6, 300)
    write_radii(Path("a.tsv"), np.where(common > 0.1, common + draw.exponential(0.05, 300), -1))
    write_radii(Path("b.tsv"), np.where(common > 0.1, common, -1))
    write_radii(Path("c.tsv"), [0.1] * 20, images=range(1000, 1020))
    study = {**TINY, "seeds": [0, 1, 2], "attacks": []}
    observe(
        Plan(Study([write_study(Path("study.yaml"), study)])),
        lambda run: [r + 0.01 * run.seed * (r > 0) for r in RADII[run.label]],
    )


@pytest.fixture(autouse=True)
def place(contestants, monkeypatch):
    monkeypatch.chdir(contestants)


@pytest.fixture
def own_place(contestants, tmp_path, monkeypatch):
    """A copy, to be changed."""
    shutil.copytree(contestants, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pairs(capsys):
    def found(*arguments):
        assert main(["compare", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)["pairs"]

    return found


@pytest.fixture
def refused(capsys):
    def line(*arguments):
        assert main(["compare", *arguments]) == 1
        out = capsys.readouterr()
        assert out.out == ""
        assert out.err.count("\n") == 1
        return out.err

    return line


def test_a_stretch_of_one_radius_has_no_ends():
    stretches = [
        {"side": "above", "first": 0.25, "last": 0.5},
        {"side": "below", "first": 0.4387, "last": 0.4391},  # alike as shown
    ]
    text = _curve({"radii": [0.0], "decided": False, "p": 0.01, "stretches": stretches}, 0.95)
    assert "curve: above from 0.250 to 0.500, below at 0.439 (band of" in text


def test_programs_get_the_pairs(pairs):
    found = pairs("a.tsv", "b.tsv", "--at", "0.5")
    assert all(set(row) == KEYS for row in found)
    at = {(r["about"], r["metric"]): r for r in found}
    acr = at["networks", "acr"]
    logs = [read_log(Path(name)) for name in ("a.tsv", "b.tsv")]
    radii = [np.where(log.correct, log.radius, 0) for log in logs]
    expected = stats.ttest_rel(*radii)
    assert acr["difference"] == pytest.approx(radii[0].mean() - radii[1].mean())
    assert acr["p"] < 1e-9
    ends = expected.confidence_interval()
    assert (acr["low"], acr["high"]) == pytest.approx((ends.low, ends.high), abs=0.002)
    assert (acr["a"], acr["b"], acr["images"], acr["seeds"]) == ("a.tsv", "b.tsv", 300, 1)
    assert acr["verdict"] == "better"
    methods = at["methods", "certified_accuracy"]
    assert (methods["verdict"], methods["p"], methods["low"], methods["radius"]) == (
        "undecided",
        None,
        None,
        0.5,
    )


def test_details_are_beside_the_pairs(capsys):
    assert main(["compare", "a.tsv", "b.tsv", "--sigma", "1", "--json", "--details"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"pairs", "images", "conditions", "remarks", "curves", "p_a", "hard_images"}
    assert found["remarks"] == [
        "not known, and taken for the same: certificate, alpha and votes of a.tsv, b.tsv"
    ]
    (curve,) = found["curves"]
    assert len({len(curve[key]) for key in ("radii", "difference", "low", "high")}) == 1
    assert curve["stretches"][0]["side"] == "above"
    assert set(found["p_a"]) == {"a.tsv", "b.tsv"}
    assert found["hard_images"][0]["reference"] == "b.tsv"


def test_details_are_json_whatever_is_not_known(own_place, capsys):
    """One hard image of three networks, and nothing certified of the other."""

    def refuse(word):
        raise AssertionError(word)

    sides = ("study.yaml:nal", "study.yaml:gaussian")
    assert main(["compare", *sides, "--at", "9", "--margin", "0.1", "--json", "--details"]) == 0
    (hard,) = json.loads(capsys.readouterr().out, parse_constant=refuse)["hard_images"]
    assert (hard["images"], hard["accuracy"], hard["low"]) == (1, 0, 0)
    assert 0.5 < hard["high"] < 1


def test_the_curve_counts_the_factors():
    images = np.arange(20)
    of = Outcomes(images, images * 0, np.full((1, 20), 0.5))
    found = curve(Contestant("a", (0,), of, factor=0.9), Contestant("b", (0,), of))
    assert found["difference"] == pytest.approx([-0.1, -0.1], abs=1e-6)


def test_people_get_the_same_in_words(capsys):
    assert main(["compare", "study.yaml:nal", "study.yaml:gaussian", "a.tsv", "--across"]) == 0
    out = capsys.readouterr().out
    assert "nal − gaussian: 6 images; the same noise\n" in out
    assert "nal − a: 6 images; 294 images only in a left out (6, 7, 8, 9, 10, 11, 12, 13, 14, 15, …)" in out
    assert "these methods, trained with other seeds (3), on these images" in out
    assert "undecided (1 training seed, at least 3 are needed)" in out
    assert "row − column" in out


def test_runs_of_a_study_are_compared_over_their_seeds(pairs):
    at = {(r["about"], r["metric"], r["radius"]): r for r in pairs("study.yaml:nal", "study.yaml:gaussian")}
    methods = at["methods", "acr", None]
    assert methods["seeds"] == 3
    assert methods["difference"] == pytest.approx(((2.0 - 1.0) + 0.01 * (5 - 4)) / 6)
    assert methods["verdict"] == "better"
    assert at["networks", "acr", None]["difference"] == pytest.approx(methods["difference"])
    assert {r for _, _, r in at} == {None, 0.0, 0.25, 0.5}  # the study's


def test_a_study_stands_for_all_of_its_runs(pairs):
    assert {(r["a"], r["b"]) for r in pairs("study.yaml")} == {("study.yaml:gaussian", "study.yaml:nal")}


def test_a_contestant_that_is_named_twice_is_one(pairs, contestants):
    for twice in ("study.yaml:nal", "./study.yaml:nal", str(contestants / "study.yaml")):
        assert {(r["a"], r["b"]) for r in pairs("study.yaml", twice)} == {
            ("study.yaml:gaussian", "study.yaml:nal")
        }
    found = {(r["a"], r["b"]) for r in pairs("a.tsv", "./a.tsv", "b.tsv", str(contestants / "b.tsv"))}
    assert found == {("a.tsv", "b.tsv")}


def test_the_files_of_another_network_are_refused(own_place, refused):
    plan = Plan(Study([Path("study.yaml")]))
    manifest = plan.runs[0].folder / "model.json"
    write_json(manifest, {**read_json(manifest), "sha256": "another one"})
    assert "another network" in refused("study.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.tsv"], "a.tsv alone; name at least two"),
        (["a.tsv", "a.tsv"], "a.tsv alone"),
        (["study.yaml:nal", "./study.yaml:nal"], "study.yaml:nal alone"),
        (["a.tsv", "c.tsv"], "no image in common: a.tsv has images 0 to 299, c.tsv 1000 to 1019"),
        (["a.tsv", "none.tsv"], "none.tsv: "),
        (["a.tsv", "study.yaml:macer"], "no active run or log is labelled 'macer'; there is: gaussian, nal"),
        (["a.tsv", "b.tsv", "--margin", "0"], "--margin 0: must be a number above 0"),
        (["a.tsv", "b.tsv", "--margin", "1e300"], "above 0 and at most 1000000"),
        (["a.tsv", "b.tsv", "--margin", "acr=-1"], "--margin acr=-1: must be a number above 0"),
        (["a.tsv", "b.tsv", "--margin", "loss=1"], "no metric 'loss'; allowed: acr, certified_accuracy"),
        (["a.tsv", "b.tsv", "--details"], "--details: needs --json; what people read holds them anyway"),
        (["a.tsv", "b.tsv", "--level", "1"], "--level 1: must be between 0 and 1"),
        (["a.tsv", "b.tsv", "--at", "-1"], "--at: must be numbers from 0 to 1000000"),
        (["a.tsv", "b.tsv", "--at", "1e300"], "--at: must be numbers from 0 to 1000000"),
        (["a.tsv", "b.tsv", "--sigma", "1e-320"], "must be a number from 1e-06 to 1000000"),
        (["a.tsv", "b.tsv", "--sigma", "0"], "--sigma 0: must be a number from 1e-06 to 1000000"),
        (["a.tsv", "b.tsv", "--reference", "d"], "--reference d: none of a.tsv, b.tsv"),
        (["study.yaml:nal", "a.tsv", "--certificate", "stn"], "--certificate 'stn': not there; it has cohen"),
        (["a:b", "a.tsv"], "a:b: neither an existing log nor STUDY.yaml:LABEL"),
    ],
)
def test_bad_input_is_one_line(refused, arguments, message):
    assert message in refused(*arguments)


def test_one_common_image_is_refused(own_place, refused):
    write_radii(Path("one.tsv"), [0.5], images=[7])
    assert "one image in common" in refused("a.tsv", "one.tsv")


def test_other_noise_is_compared_only_when_asked_for(own_place, refused, capsys):
    over = {"name": "tiny", "override": {"noise": {"sigma": 0.5}}}
    files = [Path("study.yaml"), write_study(Path("over.yaml"), over)]
    observe(Plan(Study(files)), lambda run: RADII[run.label])
    sides = ["study.yaml:nal", "study.yaml+over.yaml:nal"]
    assert "smoothing gaussian sigma=0.25 and gaussian sigma=0.5" in refused(*sides)
    assert main(["compare", *sides, "--across"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("not under the same conditions: ")
    assert "other noise draws" in out


def test_runs_of_another_data_set_are_compared_only_when_asked_for(own_place, refused, capsys):
    over = write_study(
        Path("over.yaml"), {"name": "tiny", "data": {"name": "mnist"}, "model": {"name": "nal_cnn"}}
    )
    observe(Plan(Study([Path("study.yaml"), over])), lambda run: RADII[run.label])
    sides = ["study.yaml:nal", "study.yaml+over.yaml:nal"]
    assert "data digits and mnist: not under the same conditions; give --across" in refused(*sides)
    assert main(["compare", *sides, "--across"]) == 0


def test_margins_of_one_metric_come_before_those_of_all():
    assert read_margins(["acr=0.05", "0.01"])["acr"] == 0.05
    assert read_margins(["acr=0.05", "0.01"])["median_radius"] == 0.01


def test_contestants_are_read_as_they_are_written():
    assert parse("a.yaml+b/c.yml:run[sigma=0.5]") == ([Path("a.yaml"), Path("b/c.yml")], "run[sigma=0.5]")
    assert parse("study.yaml") == ([Path("study.yaml")], None)
    assert parse("log.tsv") == ([], None)
    with pytest.raises(UserError, match="neither"):
        parse("log.tsv:label")


def test_logs_are_called_by_what_their_names_do_not_share():
    logs = ["x/net-macer-sigma_1.tsv", "x/net-gaussian-sigma_1.tsv"]
    assert list(short_names(logs).values()) == ["macer", "gaussian"]
    assert short_names(["x/a.tsv", "y/a.tsv"]) == {"x/a.tsv": "x/a.tsv", "y/a.tsv": "y/a.tsv"}


@pytest.mark.skipif("RS_DATA_DIR" not in os.environ, reason="needs the published logs in RS_DATA_DIR")
def test_published_logs_against_scipy(pairs):
    folder = Path(os.environ["RS_DATA_DIR"]) / "published-logs"
    names = [folder / f"acr2025-cifar10-resnet110-{m}-sigma_0.5.tsv" for m in ("catrs", "smoothmix")]
    if not all(name.exists() for name in names):
        pytest.skip("no published logs in RS_DATA_DIR")
    found = {(r["metric"], r["radius"]): r for r in pairs(*map(str, names)) if r["about"] == "networks"}
    logs = [np.genfromtxt(name, delimiter="\t", skip_header=1, usecols=(3, 4)) for name in names]
    a, b = (log[:, 0] * log[:, 1] for log in logs)
    expected = stats.ttest_rel(a, b)
    ends = expected.confidence_interval()
    acr = found["acr", None]
    assert acr["difference"] == pytest.approx(a.mean() - b.mean())
    assert (acr["low"], acr["high"]) == pytest.approx((ends.low, ends.high), abs=5e-5)
    right = [(log[:, 1] == 1) & (log[:, 0] >= 1) for log in logs]
    only_a, only_b = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert found["certified_accuracy", 1]["p"] == pytest.approx(
        stats.binomtest(only_a, only_a + only_b).pvalue
    )
