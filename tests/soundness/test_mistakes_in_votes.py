"""Mistakes in the votes of a run: refused where draws are merged, before any radius."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tampered import edited
from tiny_study import Workspace

import rs
from rs.methods.certificates.cohen import Cohen
from rs.methods.certificates.tcertify import TCertifySound
from rs.methods.noise.gaussian import Gaussian
from rs.plan.draw_paths import files_of
from rs.provenance.files import read_table, write_table
from rs.settings.sampling import Stop
from rs.stages import certify as evaluation
from rs.stages.certified_rows import answers
from rs.stages.draw_files import merge, read_votes
from rs.statistics.draws import Draws
from rs.tables.certified import claims_of

pytestmark = pytest.mark.slow


@pytest.fixture
def draws(space: Workspace) -> tuple[list[Path], list[list[Path]]]:
    """Selection files by shard, and estimation files by shard and block (2 and 2), which merge."""
    certify = space.job("certify")
    folder = space.path(certify.inputs["folder"])
    files = files_of(folder, certify.inputs["shards"], 16, 64, 32)
    assert len(merged(*files)) == 6
    return files


def merged(selection: list[Path], estimation: list[list[Path]], images: int = 6) -> Draws:
    return merge(selection, estimation, np.arange(images), np.zeros(images))


def relabel(path: Path, **changes: Any) -> None:
    """The file says something else of where its votes come from; well formed and sealed."""
    table, provenance = read_table(path)
    write_table(path, table, {**provenance, **changes})


def certified(space: Workspace, files: Any, **changes: Any) -> Callable[[], Any]:
    spec = {**space.job("certify").spec, **changes}
    return lambda: evaluation.certify(spec, *files, space.folder / "radii.parquet", "code")


def test_selection_reused(mistake, draws):
    selection, estimation = draws
    mistake.refused(lambda: merged(selection, [[selection[0], blocks[1]] for blocks in estimation]))


def test_block_counted_twice(mistake, draws):
    selection, estimation = draws
    mistake.refused(lambda: merged(selection, [[blocks[0], blocks[0]] for blocks in estimation]))


def test_drawn_more_after_a_look(mistake, space, draws):
    """A third block for the second shard, well drawn."""
    selection, estimation = draws
    certified(space, draws)()
    job = next(j for p, j in space.plan.jobs["sample"].items() if space.path(Path(p)) == estimation[1][1])
    more = estimation[1][1].with_name("4-8-1_block2.parquet")
    space.run(job, spec={**job.spec, "block": 2}, outputs={"draws": more})
    mistake.refused(certified(space, (selection, [estimation[0], [*estimation[1], more]])))


def test_looked_while_drawing(mistake, tiny, refusal):
    stopped = replace(Draws.from_counts([[16, 0]], [[500, 0]], 64), stopping="sequential", stop={"n": 1000})
    assert Cohen().certify(stopped, Gaussian(0.25), 0.001).radius[0] > 0  # by a bound that allows it
    mistake.refused(lambda: TCertifySound().certify(stopped, Gaussian(0.25), 0.001))
    mistake.refused(lambda: Cohen(randomised=True).certify(stopped, Gaussian(0.25), 0.001))
    tiny["sampling"] |= {"mode": "sequential", "stop": {"radii": [0.1]}}
    tiny["certificates"] = [{"name": "tcertify_sound"}]
    assert "needs a fixed number of votes, and sampling.mode is sequential" in refusal(tiny)


def test_stopped_for_another_alpha(mistake):
    """At alpha = 0.05 an image that was given up at 0.001 might have been certified."""
    stop = Stop(0.001, (0.25,))
    frame = pd.DataFrame({"image": [0], "label": [0], "prediction": [0], "radius": [0.2], "n": [900]})
    frame = frame.assign(certificate="cohen", norm=2.0, alpha=0.05, rigorous=True, factor=1.0)
    draws = Draws.from_counts([[16, 0]], [[800, 100]], 64)
    draws = replace(draws, stopping="sequential", stop=asdict(stop))
    found = {}
    for alpha in (0.001, 0.05):
        claimed = Cohen().certify(draws, Gaussian(0.25), alpha)
        decided = answers(draws, Gaussian(0.25), 2.0, claimed, alpha)
        (claim,) = claims_of(frame.assign(decided=decided), {}, asdict(stop))
        found[alpha] = {"lower_bound": claim.is_lower_bound(0.25)}
    assert found == {0.001: {"lower_bound": False}, 0.05: {"lower_bound": True}}
    mistake.flagged(str(found[0.05]))


def test_precisions_merged(mistake, draws):
    path = draws[1][1][0]
    _, made = read_table(path)
    relabel(path, form={**made["form"], "precision": "bfloat16"})
    assert "precision" in mistake.refused(lambda: merged(*draws))


def test_devices_merged(mistake, draws):
    relabel(draws[1][0][1], device_class="cuda 9.0")
    assert "device_class" in mistake.refused(lambda: merged(*draws))


def test_retrained_between(mistake, draws):
    for path in (path for blocks in draws[1] for path in blocks):
        relabel(path, model="f" * 64)
    assert "'model'" in mistake.refused(lambda: merged(*draws))


def test_code_edited_between(mistake, draws):
    relabel(draws[1][1][1], code_digest="0" * 12)
    mistake.refused(lambda: merged(*draws))


def test_drawn_under_another_sigma(mistake, space, draws):
    message = mistake.refused(certified(space, draws, noise={"name": "gaussian", "sigma": 0.5}))
    assert "'sigma': 0.25}, not {'name': 'gaussian', 'sigma': 0.5}" in message


def test_votes_of_another_network(mistake, space):
    certify, other = space.job("certify"), space.job("certify", "nal")
    here, there = (space.path(job.inputs["folder"]) for job in (certify, other))
    shutil.rmtree(here)
    shutil.copytree(there, here)
    mistake.refused(lambda: space.run(certify))


def test_votes_edited(mistake, draws):
    path = draws[1][0][0]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    mistake.refused(lambda: merged(*draws))


def test_votes_that_cannot_be(mistake, draws):
    edited(draws[1][0][0], counts=[33, *[0] * 9])
    mistake.refused(lambda: read_votes(draws[1][0][0]))


def test_images_left_out_of_the_draws(mistake, draws):
    selection, estimation = draws
    assert "image 4" in mistake.refused(lambda: merged(selection[:1], estimation[:1]))


def test_same_votes_twice(mistake):
    """By chance separate votes of one image may agree, those of many hardly can."""
    draw = np.random.default_rng(0)
    votes = draw.multinomial(1000, [0.9, 0.1], 5)
    rs.certify_counts((votes, draw.multinomial(1000, [0.9, 0.1], 5)), sigma=0.25)
    rs.certify_counts(([[1000, 0]] * 5, [[1000, 0]] * 5), sigma=0.25)
    rs.radius([90, 10], [90, 10], sigma=0.25)
    mistake.refused(lambda: rs.certify_counts((votes, votes), sigma=0.25))
    mistake.refused(lambda: rs.certify_counts((votes, votes.copy()), sigma=0.25))
    one = [90, 10]
    mistake.refused(lambda: rs.certify_counts((one, one), sigma=0.25))


def test_scores_as_votes(mistake):
    scores = np.array([[0.98, 0.02]])
    mistake.refused(lambda: rs.certify_counts(([[16, 0]], scores), sigma=0.25))
    mistake.refused(lambda: rs.certify_counts(([[16, 0]], 1000 * scores), sigma=0.25))
    assert rs.certify_counts(([[16, 0]], [[980, 20]]), sigma=0.25).radius[0] > 0


def test_scores_of_other_votes(mistake, space, draws):
    job = next(j for p, j in space.plan.jobs["sample"].items() if space.path(Path(p)) == draws[1][0][0])
    path = draws[1][0][0].with_name("soft.parquet")
    space.run(job, spec={**job.spec, "betas": [1]}, outputs={"draws": path})
    read_votes(path)
    edited(path, **{"sum@1.0": [31.0, *[1.0] * 9]})
    mistake.refused(lambda: read_votes(path))
