"""From study to tables, networks whose true radius is known: no certificate says more, and the tight one
comes as close from below as votes of a known probability allow.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import known_radii
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from foreign_study import execute
from known_radii import NETWORKS, SIGMA, probabilities, truth
from scipy import special, stats
from tiny_images import load_split

from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.statistics.bounds import clopper_pearson_upper
from rs.study.study import Study
from rs.tables.aggregate import aggregate

pytestmark = pytest.mark.slow

ALPHA = 1e-6  # a wrong claim of this test would be no bad luck
VOTES, IMAGES = (1000, 10_000), 24
PROVEN = ("cohen", "dual", "bilateral", "tcertify_sound", "renyi_sound", "pixeldp")


@pytest.fixture(scope="module", params=VOTES)
def made(request, tmp_path_factory):
    """Plan and folder of a study of the three networks that ran with so many votes."""
    folder = tmp_path_factory.mktemp(f"known{request.param}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        shutil.copy(known_radii.__file__, folder / "known_radii.py")
        for name, build in NETWORKS.items():
            torch.save(build().state_dict(), f"{name}.pt")
        entries = {"linear": "linear", "nearest_mean": "NearestMean", "tabulated": "Tabulated"}
        n = request.param
        study = {
            "name": "known",
            "data": {"name": "digits"},
            "test": {"max": IMAGES},
            "noise": {"name": "gaussian", "sigma": SIGMA},
            "sampling": {"n0": 100, "n": n, "block": n, "images_per_shard": IMAGES, "device": "cpu"},
            "certificates": [{"name": name, "alpha": ALPHA} for name in PROVEN],
            "imported": {
                name: {"weights": f"{name}.pt", "entry": f"known_radii:{entry}"}
                for name, entry in entries.items()
            },
            "report": {"radii": [0.0, 0.25, 0.5, 1.0]},
        }
        Path("study.yaml").write_text(yaml.safe_dump(study))
        plan = Plan(Study([Path("study.yaml")]))
        execute(plan, "data", "import", "sample", "certify")
        aggregate(plan, plan.tables, "code")
        x, labels = load_split(plan.data_manifest, "test")
        yield Known(plan, folder, n, x[:IMAGES].numpy(), labels[:IMAGES].numpy())


@dataclass(frozen=True)
class Known:
    plan: Plan
    folder: Path
    n: int
    images: np.ndarray
    labels: np.ndarray

    def certified(self) -> dict[str, pd.DataFrame]:
        """By network: what all certificates say of the images."""
        files = {p.run.label: p.observations[0].certified for p in self.plan.runs}
        return {name: read_table(self.folder / path)[0].to_pandas() for name, path in files.items()}


def test_nothing_is_certified_above_the_truth(made):
    for name, frame in made.certified().items():
        top, true = truth(name, made.images)
        assert set(frame["certificate"].str.split(" ").str[0]) == set(PROVEN)
        for _, rows in frame.groupby("certificate"):
            sure = (rows["prediction"] >= 0).to_numpy()
            assert np.all(rows["radius"].to_numpy() <= true)
            assert np.all(rows["prediction"].to_numpy()[sure] == top[sure])
        assert (frame["radius"] > 0.05).any()


def test_tables_are_below_the_truth(made):
    truths = {name: truth(name, made.images) for name in NETWORKS}
    right = {name: np.where(top == made.labels, true, -1.0) for name, (top, true) in truths.items()}
    curve = pd.read_parquet(made.folder / made.plan.tables / "certified_accuracy.parquet")
    average = pd.read_parquet(made.folder / made.plan.tables / "average_certified_radius.parquet")
    assert len(curve) == 4 * len(average) == 4 * len(PROVEN) * len(NETWORKS)
    for row in curve.itertuples():
        assert row.certified_accuracy <= np.mean(right[row.label] >= row.radius) + 1e-12
    for row in average.itertuples():
        assert row.acr <= np.maximum(right[row.label], 0).mean()
    assert curve["certified_accuracy"].max() > 0


def test_the_tight_radius_is_as_close_as_its_votes_allow(made):
    """Of n votes at the true p_A, hardly ever (1e-6) fewer than their quantile go to the class."""
    frame = made.certified()["linear"]
    found = frame["radius"][frame["certificate"].str.startswith("cohen")].to_numpy()
    _, true = truth("linear", made.images)
    t = made.images.reshape(IMAGES, -1).astype(np.float64).sum(1) / 8
    most = stats.binom.isf(1e-6, made.n, 1 - probabilities("linear", t).max(1))
    least = -SIGMA * special.ndtri(clopper_pearson_upper(most, made.n, ALPHA))
    far = true > SIGMA / 2  # 100 selection votes hardly miss the class
    assert np.all(found[far] >= least[far] * (1 - 1e-9))
    share = np.median(found[far] / true[far])
    assert share > {1000: 0.7, 10_000: 0.9}[made.n], share
