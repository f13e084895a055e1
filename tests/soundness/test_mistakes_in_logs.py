"""Mistakes that a log shows from outside: `rs audit` names each, and finds nothing in the log without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from foreign_study import LOG, plan_of, refused
from foreign_study import place as place  # fixture
from scipy import special

from rs.cli.main import main
from rs.statistics.bounds import clopper_pearson_upper
from rs.statistics.intervals import wilson_interval
from rs.study.certification_log import COLUMNS

N, ALPHA, SIGMA = 1000, 0.001, 0.25
STATED = ("--sigma", "0.25", "--n", "1000", "--alpha", "0.001", "--images", "100")


def rows(alpha: float = ALPHA, sigma: float = SIGMA, q=None) -> list[list[str]]:
    """A log of 100 images, every 20th, as CERTIFY makes it: radii of three digits, rounded down."""
    failures = np.r_[np.zeros(4, int), np.random.default_rng(0).integers(0, 700, 96)]
    q = clopper_pearson_upper(failures, N, alpha) if q is None else q(failures)
    lines = []
    for i, bound in enumerate(np.asarray(q).tolist()):
        sure, right = bound < 0.5, i % 7 != 6
        radius = np.floor(-sigma * special.ndtri(bound) * 1000) / 1000 if sure else 0.0
        predict = (3 if right else 4) if sure else -1
        lines.append([str(20 * i), "3", str(predict), f"{radius}", str(int(predict == 3)), "0:00:01.5"])
    return lines


@pytest.fixture
def audit(tmp_path, monkeypatch, capsys):
    """What `rs audit` says of logs by name, with its exit code."""
    monkeypatch.chdir(tmp_path)

    def audited(*logs: list[list[str]], stated=STATED) -> tuple[int, str]:
        for i, lines in enumerate(logs):
            text = "\n".join("\t".join(cells) for cells in [list(COLUMNS), *lines]) + "\n"
            Path(f"{i}.tsv").write_text(text)
        code = main(["audit", *(f"{i}.tsv" for i in range(len(logs))), *stated])
        return code, capsys.readouterr().out

    code, output = audited(rows())
    assert "0.tsv: nothing found\n" in output
    assert code == 0

    def found(*logs: list[list[str]], stated=STATED) -> str:
        code, output = audited(*logs, stated=stated)
        assert code == 2
        return output

    return found


def test_radius_above_cap(mistake, audit, place):
    mistake.flagged(audit(rows(alpha=0.01)))
    Path("log.tsv").write_text(Path("log.tsv").read_text().replace("0.75", "1.25"))
    message = refused(logs={"published": LOG})
    assert "logs.published.alpha: 0.001: log.tsv: n = 1000 votes at alpha = 0.001 allow 1.231" in message
    assert "the largest is 1.25 (idx 0), which needs an alpha of at least 0.0014 with this n" in message
    plan_of(logs={"published": LOG | {"alpha": 0.002}})


def test_impossible_radius(mistake, audit):
    """Wilson's interval at the same error, and radii without votes: 0.6 where only 0.615 and 0.585 can be."""
    output = audit(rows(q=lambda failures: wilson_interval(failures, np.full(100, N), 1 - 2 * ALPHA)[1]))
    mistake.flagged(output)
    lines = rows()
    lines[0][3] = "0.6"
    assert "impossible-radius (1): " in audit(lines)


def test_radius_rounded_up(mistake, audit):
    lines = rows()
    for cells in lines:
        cells[3] = f"{float(cells[3]) + 0.001 * (cells[2] != '-1'):.3f}"
    output = audit(lines)
    mistake.flagged(output)
    assert "radius-above-cap" not in output


def test_another_sigma_in_the_log(mistake, audit):
    mistake.flagged(audit(rows(sigma=2 * SIGMA)))


def test_image_again(mistake, audit):
    lines = rows()
    mistake.flagged(audit([*lines, lines[0]]))


def test_images_missing(mistake, audit):
    lines = rows()
    output = audit([cells for i, cells in enumerate(lines) if i not in (40, 41, 77)], stated=STATED[:6])
    mistake.flagged(output)
    assert "it lacks idx 800, 820, 1540\n" in output


@pytest.mark.parametrize("wrong", [2**32, 2**63 - 1])
def test_one_index_far_beyond_the_others_is_named_at_once(audit, wrong):
    """The images between are counted and not listed."""
    lines = rows()
    lines[-1][0] = str(wrong)
    missing = f"({(wrong - 1960) // 20 - (wrong % 20 == 0)})"
    output = audit(lines, stated=STATED[:6])
    assert f"from 0 to {wrong} it lacks idx 1980, 2000, 2020, 2040, 2060, ... {missing}" in output


def test_images_drawn_at_random_miss_none(audit):
    """At no even step: which of them are left out does not show."""
    some = np.sort(np.random.default_rng(0).choice(10_000, 100, replace=False)).tolist()
    lines = [[str(idx), *cells[1:]] for idx, cells in zip(some, rows(), strict=True)]
    output = audit(lines, lines)
    assert f"0.tsv: 100 images, at no even step from {some[0]} to {some[-1]}; " in output
    assert "0.tsv: nothing found" in output


def test_subset_as_the_whole(mistake, audit):
    mistake.flagged(audit(rows(), stated=(*STATED[:6], "--images", "500")))


def test_average_over_some(mistake, audit):
    radius = np.array([float(cells[3]) for cells in rows()])
    predict = np.array([int(cells[2]) for cells in rows()])
    some = np.where(predict == 3, radius, 0)
    whole, kept = f"{some.mean():.4f}", f"{some[predict >= 0].mean():.4f}"
    with pytest.raises(AssertionError, match="assert 0 == 2"):
        audit(rows(), stated=(*STATED, "--acr", whole))
    output = audit(rows(), stated=(*STATED, "--acr", kept))
    mistake.flagged(output)
    assert f"{kept} is the average over the images that are not abstained" in output
    output = audit(rows(), stated=(*STATED, "--acr", f"{radius.mean():.4f}"))
    assert "is the average with the radii of wrong predictions; over all 100 images" in output
    assert "no usual average" in audit(rows(), stated=(*STATED, "--acr", "0.9"))


def test_wrong_correct(mistake, audit):
    lines = rows()
    lines[1][2] = "4"
    mistake.flagged(audit(lines))


def test_abstention_with_radius(mistake, audit):
    lines = rows()
    lines[1][2:5] = ["-1", "0.4", "0"]
    mistake.flagged(audit(lines))


def test_impossible_value(mistake, audit):
    """p_A = 1 where all votes agree, as the normal approximation has it."""
    lines = rows()
    lines[0][3] = "inf"
    mistake.flagged(audit(lines))


def test_same_log_twice(mistake, audit):
    output = audit(rows(), rows())
    mistake.flagged(output)
    assert "1.tsv: same-log-twice (100): every outcome is that of 0.tsv" in output


@pytest.mark.parametrize(("predict", "radius"), [("-1", "0.0"), ("3", "0.615")])
def test_logs_without_a_radius_between_may_be_alike(audit, predict, radius):
    """All images abstain, or have all votes for one class: of two networks too."""
    lines = [[*cells[:2], predict, radius, str(int(predict == "3")), cells[5]] for cells in rows()]
    output = audit(lines, lines, rows(), rows())
    assert output.count("same-log-twice") == 1
    assert "3.tsv: same-log-twice" in output
