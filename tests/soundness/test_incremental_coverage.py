"""Radii from a first network's answers hold: answers are stored, a second network meets the same draws and is
certified as the workflow's jobs do it, for networks whose failure probabilities are known.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special

from rs.machine.devices import device_class
from rs.methods.certificates.incremental import first_failure
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited
from rs.plan.draw_paths import draw_file, files_of
from rs.provenance.files import write_json
from rs.settings.sampling import Stop
from rs.stages import answers, certify_incremental, sample_answered, sample_incremental
from rs.stages.draw_files import write_votes
from rs.stages.voter import JobVoter, Voter
from rs.statistics.draws import Votes
from rs.statistics.paired_stopping import PairedRule

SIGMA, IMAGES, ALPHA = 0.5, 400, 0.2
NOISE = {"name": "gaussian", "sigma": SIGMA}
COMMON = {"noise": NOISE, "precision": "float32", "batch": 64, "compiled": False, "betas": [], "seed": 0}
STOP = {"alpha": ALPHA, "radii": [0.25, 0.5]}
SIZES = {"n0": 16, "n": 512, "block": 64}
SOURCE = {"run": "first", "n": 4096, "block": 1024, "answers": 1024, "share": 0.25}
DIRECTION = {"first": (1.0, 0.0), "second": (np.cos(0.6), np.sin(0.6))}
MARGINS = np.linspace(0.2, 1.2, IMAGES)


class Line:
    """A linear classifier of two coordinates in the place of an inference form."""

    def __init__(self, name: str) -> None:
        self.batch, self.passes, self.compared, self.classes = 64, None, {}, 2
        self.device = torch.device("cpu")
        self.weight = torch.tensor(DIRECTION[name], dtype=torch.float32)
        self.description = {
            "precision": "float32",
            "batch": 64,
            "compiled": False,
            "device": "cpu",
            "of": name,
        }
        self.broken = torch.zeros((), dtype=torch.int64)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        score = images.flatten(1) @ self.weight
        return torch.stack([-score, score], 1)

    def check(self) -> None:
        assert int(self.broken) == 0


class LineVoter(JobVoter):
    """Of images (m, 0), for which a network fails with the probability Phi(-m cos(angle) / sigma)."""

    def __init__(self, spec: dict[str, Any], inputs: dict[str, Path], _: torch.device) -> None:
        name, x = inputs["model"].parent.name, torch.zeros(IMAGES, 1, 1, 2)
        x[:, 0, 0, 0] = torch.from_numpy(MARGINS)
        self.spec, self.range, self.manifest = spec, range(IMAGES), {"sha256": name}
        self.labels = torch.ones(IMAGES, dtype=torch.int64)
        audited = Audited(torch.nn.Identity(), self.manifest, x, name, False)
        Voter.__init__(self, audited, Line(name), Gaussian(SIGMA), spec["seed"], x, self.range)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def draws(tmp_path_factory):
    """Both networks' draw files, and the folder of the second one's."""
    folder, name = tmp_path_factory.mktemp("coverage"), "0-400-1"
    spec: dict[str, Any] = {}
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        stack.enter_context(contextlib.chdir(folder))
        for module in (sample_answered, sample_incremental):
            patch.setattr(module, "JobVoter", LineVoter)
        for network in DIRECTION:
            manifest = {"sha256": network, "classes": 2, "run": network, "provenance": {"spec": {}}}
            write_json(Path(network) / "model.json", manifest)
        inputs = {"model": Path("first/model.json"), "data": Path()}
        for block in range(4):
            purpose = "answered" if block == 0 else "estimate"
            spec = {**COMMON, "purpose": purpose, "images": [0, IMAGES, 1], "size": 1024, "block": block}
            to = draw_file(Path("draws/first"), purpose, 1024, name, block)
            sample_answered.sample(spec, inputs, to, torch.device("cpu"), purpose)
        selection, (((output,),)) = files_of(Path("draws/second"), [name], **SIZES, stop=STOP)
        job = {**COMMON, "purpose": "select", "images": [0, IMAGES, 1], "size": 16, "block": 0}
        counts = np.tile([0, 16], (IMAGES, 1))
        provenance = {
            "spec": job,
            "code_digest": "select",
            "model": "second",
            "form": Line("second").description,
        }
        provenance |= {"dimension": 2, "classes": 2, "device": "a"}
        provenance["device_class"] = device_class(torch.device("cpu"))
        write_votes(selection[0], np.arange(IMAGES), np.ones(IMAGES, np.int64), Votes(counts), provenance)
        pair = {**COMMON, **SIZES, "stop": STOP, "purpose": "sequential", "images": [0, IMAGES, 1]}
        pair |= {"source": {**SOURCE, **{k: COMMON[k] for k in ("precision", "batch", "compiled")}}}
        inputs = {"model": Path("second/model.json"), "data": Path(), "selection": selection[0]}
        inputs |= {"source": Path("draws/first"), "source_model": Path("first/model.json")}
        sample_incremental.sample(pair, inputs, output, torch.device("cpu"), "sequential")
    certify = {"noise": NOISE, "seed": 0, **SIZES, "stop": STOP, "source": pair["source"]}
    certify |= {"test": {}, "data_size": IMAGES, "certificates": [{"name": "incremental", "alpha": ALPHA}]}
    return folder, certify, selection, [[output]]


def wrong(radius: np.ndarray) -> int:
    """How many radii are above the true one, which is the distance to the second network's line."""
    return int((radius > MARGINS * np.cos(0.6)).sum())


def test_radii_are_above_the_true_ones_no_more_often_than_alpha(draws):
    folder, spec, selection, estimation = draws
    with contextlib.chdir(folder):
        found, _ = certify_incremental.paired(spec, selection, estimation)
        output = Path("certified.parquet")
        certify_incremental.certify(spec, selection, estimation, output, "code")
        frame = pd.read_parquet(output)
    assert wrong(frame["radius"].to_numpy()) <= ALPHA * IMAGES
    assert (frame["radius"] > 0).mean() > 0.5
    assert found.first.n.tolist() == [4096] * IMAGES
    differing = 1 - found.both.sum() / found.estimation.n.sum()
    assert 0.05 < differing < 0.3
    # the first one's counts alone, which know nothing of the second one, would claim too much
    failing = 1 - found.first.counts[:, 1] / 4096
    assert wrong(-SIGMA * special.ndtri(np.clip(failing, 1e-4, 0.5))) > ALPHA * IMAGES


def test_what_is_counted_and_where_it_stops_draw_by_draw(draws):
    """Against both networks' answers to all 1,024 draws, each network asked by itself."""
    folder, spec, selection, estimation = draws
    with contextlib.chdir(folder):
        found, _ = certify_incremental.paired(spec, selection, estimation)
    votes = {}
    for name in DIRECTION:
        made = LineVoter(COMMON, {"model": Path(name) / "model.json"}, torch.device("cpu"))
        rows = (made.noisy(row, "estimate", 0, 1024) for row in range(IMAGES))
        labels = [torch.cat([answers.answers(made.form, part) for part in row]) for row in rows]
        votes[name] = torch.stack(labels)
    first, second = (votes[name].numpy() == 1 for name in ("first", "second"))
    counted = {"beside": first, "both": first & second}
    n = found.estimation.n
    for name, which in counted.items():
        expected = [which[row, : n[row]].sum() for row in range(IMAGES)]
        assert np.array_equal(getattr(found, name)[:, 1], expected)
    assert np.array_equal(
        found.estimation.counts[:, 1], [second[row, : n[row]].sum() for row in range(IMAGES)]
    )
    rule = PairedRule(Stop(**STOP), SIGMA, 512, 64, 0.25)
    bound = first_failure(found.first, "fixed", np.ones(IMAGES, int), 0.25 * ALPHA)
    stopped = np.zeros(IMAGES, int)
    for looked in np.cumsum(rule.sizes()):
        lost, gained = (first & ~second)[:, :looked].sum(1), (second & ~first)[:, :looked].sum(1)
        done = ~rule.going_on(bound, lost, gained, int(looked))
        stopped = np.where((stopped == 0) & done, looked, stopped)
    assert np.array_equal(n, stopped)
    assert len(set(n)) > 3
