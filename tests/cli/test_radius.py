"""`rs radius`: the numbers are the certificates', nothing is rounded up, and every bad input is one line."""

import io
import json
import subprocess
import sys
import time
from decimal import Decimal

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs.cli import radius
from rs.cli.main import main
from rs.methods import catalog
from rs.statistics.draws import Draws

GAUSSIAN = ["--set", "sigma=0.5", "--selection", "90,10"]


def run(capsys, *args: str) -> tuple[int, str, str]:
    code = main(["radius", *args])
    out = capsys.readouterr()
    return code, out.out, out.err


def answer(capsys, *args: str) -> dict:
    code, out, err = run(capsys, *args, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def exact_gaussian_radius(hits: int, n: int, sigma: str, alpha: str) -> mpmath.mpf:
    """sigma Phi^-1(p) with p the Clopper-Pearson lower bound, by bisection in 50 digits."""
    with mpmath.workdps(50):

        def tail(q):  # P(Bin(n, q) <= n - hits) for the failures
            term = total = mpmath.exp(n * mpmath.log1p(-q))
            for k in range(1, n - hits + 1):
                term *= q / (1 - q) * (n - k + 1) / k
                total += term
            return total

        low, high = mpmath.mpf(n - hits) / n, mpmath.mpf(n - hits + 60) / n
        for _ in range(120):
            q = (low + high) / 2
            low, high = (low, q) if tail(q) < mpmath.mpf(alpha) else (q, high)
        return mpmath.mpf(sigma) * mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * high)


def test_the_answer_of_the_readme_in_json(capsys):
    votes = ["--selection", "90,10", "--estimation", "86300,13700", "--alpha", "0.001"]
    spherical = ["--certificate", "dual", "--noise", "spherical", "--dimension", "3072", "--set", "sigma=0.5"]
    found = answer(capsys, *spherical, "--set", "k=500", *votes)
    assert list(found) == ["prediction", "radius", "norm", "confidence", "rigorous"]
    assert found | {"radius": 0} == {
        "prediction": 0,
        "radius": 0,
        "norm": 2,
        "confidence": 0.999,
        "rigorous": True,
    }
    gaussian = answer(capsys, "--set", "sigma=0.5", *votes)
    assert answer(capsys, *spherical, *votes)["radius"] == pytest.approx(
        gaussian["radius"], abs=1e-6
    )  # k = 0


@pytest.mark.parametrize(("n", "failures"), [(1000, 20), (10**12, 30)])
def test_radius_is_below_the_exact_one_and_close_up_to_1e12_votes(capsys, n, failures):
    start = time.perf_counter()
    found = answer(capsys, *GAUSSIAN, "--estimation", f"{n - failures},{failures}")
    assert time.perf_counter() - start < 5
    exact = exact_gaussian_radius(n - failures, n, "0.5", "0.001")
    assert found["radius"] <= exact
    assert found["radius"] == pytest.approx(float(exact), rel=1e-8)


def test_infinity_norm_estimates_and_abstention(capsys):
    linf = ["--certificate", "cohen_linf", "--dimension", "4", *GAUSSIAN, "--estimation", "863,137"]
    found = answer(capsys, *linf)
    l2 = answer(capsys, *GAUSSIAN, "--estimation", "863,137")
    assert found["norm"] == "inf"
    assert found["radius"] == pytest.approx(l2["radius"] / 2)
    tie = answer(capsys, *GAUSSIAN, "--estimation", "500,500")
    assert (tie["prediction"], tie["radius"]) == (-1, 0)
    assert "abstains, confidence 0.999" in run(capsys, *GAUSSIAN, "--estimation", "500,500")[1]
    estimate = [*GAUSSIAN, "--estimation", "863,137", "--certificate", "tcertify"]
    assert answer(capsys, *estimate)["rigorous"] is False
    assert "no proof" in run(capsys, *estimate)[1]


def test_lines_of_standard_input_give_one_answer_each(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("90,10 86300,13700\n5,95  3,997\n\n50,50 500,500\n"))
    code, out, _ = run(capsys, "--set", "sigma=0.5", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["prediction"] for line in lines] == [0, 1, -1]
    assert lines[0] == answer(capsys, *GAUSSIAN, "--estimation", "86300,13700")


@given(st.floats(1e-12, 100))
def test_shown_digits_are_floored(value):
    shown = Decimal(radius.floored(value))
    assert shown <= Decimal(value)
    assert shown >= Decimal(value) * Decimal("0.9999")


@pytest.mark.parametrize("typed", [".5", "+0.5", "00.5", "0.50", "5e-1", "+.05e+1"])
def test_numbers_are_read_as_people_write_them(capsys, typed):
    votes = [*GAUSSIAN[2:], "--estimation", "999,1"]
    assert answer(capsys, *votes, "--set", f"sigma={typed}") == answer(capsys, *GAUSSIAN, *votes[-2:])


@pytest.mark.parametrize("typed", ["1_0", "010", "1:30", "0x1", "yes", "5 .", "+", ".", "inf", "+inf", "٠.5"])
def test_what_yaml_reads_otherwise_than_it_looks_is_no_number(capsys, typed):
    code, _, line = run(capsys, *GAUSSIAN[2:], "--estimation", "999,1", "--set", f"sigma={typed}")
    assert (code, f"gaussian.sigma: {typed!r}: must be" in line) == (1, True), line


def test_no_dimension_is_needed_where_the_radius_depends_on_none(capsys):
    published = ["--certificate", "dual_published", "--set", "draws=1000", "--estimation", "990,10"]
    assert answer(capsys, *published, *GAUSSIAN)["radius"] > 0


def test_settings_find_their_owner(capsys):
    table = ["--certificate", "pixeldp", "--noise", "laplace", *GAUSSIAN[2:], "--estimation", "999,1"]
    named = answer(capsys, *table, "--set", "noise.scale=0.5", "--set", "certificate.alpha_share=0.5")
    assert named == answer(capsys, *table, "--set", "scale=0.5", "--set", "alpha_share=0.5")


def test_randomised_bounds_need_the_number_they_rest_on(capsys):
    votes = [*GAUSSIAN, "--estimation", "863,137", "--set", "randomised=true"]
    assert "--uniform" in run(capsys, *votes)[2]
    assert answer(capsys, *votes, "--uniform", "0.7")["radius"] > answer(capsys, *votes[:-2])["radius"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--estimation=-5,105"], "-5 is negative"),
        (["--estimation", "86.5,13"], "'86.5' is no count"),
        (["--estimation", "0,0"], "0 votes in all; must be 1 to"),
        (["--estimation", "9" * 20 + ",1"], "votes in all"),
        (["--estimation", "1,2,3"], "2 selection and 3 estimation counts"),
        ([], "give both --selection and --estimation"),
        (["--estimation", "9,1", "--alpha", "0"], "--alpha 0: must be a number strictly between 0 and 1"),
        (["--estimation", "9,1", "--alpha", "nan"], "--alpha nan"),
        (["--estimation", "9,1", "--alpha", "x"], "--alpha x"),
        (["--estimation", "9,1", "--alpha", "0.0_1"], "--alpha 0.0_1"),
        (
            ["--estimation", "9,1", "--alpha", "1e-320", "--certificate", "tcertify"],
            "must be at least 1e-300",
        ),
        (
            ["--estimation", "9,1", "-s", "certificate.lambda_end=0.05", "--certificate", "dual_published"],
            "lambda_end",
        ),
        (
            ["--estimation", "9,1", "--certificate", "choen"],
            "no such certificate; allowed: bilateral, cohen,",
        ),
        (["--estimation", "9,1", "--noise", "gauss"], "no such noise; allowed: gaussian,"),
        (["--estimation", "9,1", "--certificate", "laplace_l1"], "no theorem for noise gaussian"),
        (["--estimation", "9,1", "--certificate", "soft_hoeffding"], "needs softmax moments"),
        (["--estimation", "9,1", "--certificate", "incremental"], "needs votes of two networks"),
        (["--estimation", "9,1", "--certificate", "group_sequential"], "needs votes that its rule stopped"),
        (["--estimation", "9,1", "--set", "sigma=0.25"], "sigma is set twice"),
        (["--estimation", "9,1", "--set", "tau=1"], "no such parameter; allowed: noise.exact, noise.sigma"),
        (["--estimation", "9,1", "--certificate", "cohen_linf"], "give --dimension"),
        (
            ["--estimation", "9,1", "--certificate", "cohen_linf", "--dimension", "0"],
            "--dimension 0: must be",
        ),
        (
            [
                "--estimation",
                "9,1",
                "--certificate",
                "dual",
                "--noise",
                "spherical",
                "-s",
                "k=9",
                "--dimension",
                "9",
            ],
            "k",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(capsys, args, says):
    code, out, err = run(capsys, *GAUSSIAN, *args)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert says in err


@pytest.mark.parametrize("sigma", ["0", "-1", "nan", "inf", "NaN", "Infinity", "x", "true"])
def test_noise_levels_that_certify_nothing_are_refused(capsys, sigma):
    code, _, err = run(capsys, "--set", f"sigma={sigma}", "--selection", "9,1", "--estimation", "90,10")
    assert code == 1
    assert "gaussian.sigma" in err


@pytest.mark.parametrize("sigma", ["1e308", "1e200", "1e7", "1e-7", "1e-320"])
def test_noise_levels_beyond_what_float32_computes_with_are_refused(capsys, sigma):
    votes = ["--selection", "900,0", "--estimation", "99999,0"]
    code, out, err = run(capsys, "--set", f"sigma={sigma}", *votes, "--json")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "gaussian.sigma" in err
    assert "at least 1e-06 and at most 1000000" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("90,10 9,1\n5,5\n", "line 2: must be SELECTION ESTIMATION"),
        ("90,10 9,1\n5,5,1 9,1,1\n", "line 2: 3 classes; the lines before have 2"),
        ("90,10 9,-1\n", "line 1: -1 is negative"),
        ("", "give --selection and --estimation, or lines"),
    ],
)
def test_bad_lines_of_standard_input_are_named(capsys, monkeypatch, text, says):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out, err = run(capsys, "--set", "sigma=0.5")
    assert (code, out) == (1, "")
    assert says in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("certificate", "noise", "level"),
    [
        ("cohen", "gaussian", "sigma=0.5"),
        ("tcertify_sound", "gaussian", "sigma=0.5"),
        ("renyi_sound", "gaussian", "sigma=0.5"),
        ("laplace_l1", "laplace", "scale=0.5"),
        ("pixeldp", "laplace", "scale=0.5"),
    ],
)
def test_the_noises_level_is_enough_and_torch_is_not_loaded(certificate, noise, level):
    votes = ([[90, 8, 2]], [[863, 100, 37]])
    arguments = ["radius", "--certificate", certificate, "--noise", noise, "--set", level, "--json"]
    arguments += ["--selection", "90,8,2", "--estimation", "863,100,37"]
    code = f"import sys; from rs.cli.main import main; main({arguments}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    key, value = level.split("=")
    family = catalog.build("noises", {"name": noise, key: float(value)})
    method = catalog.build("certificates", {"name": certificate})
    expected = method.certify(Draws.from_counts(*votes, 1), family, 0.001)
    assert json.loads(done.stdout)["radius"] == expected.radius[0] > 0
