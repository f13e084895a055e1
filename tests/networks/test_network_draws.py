"""Networks that draw at random: in a study none is kept whose batches share draws."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
import yaml
from foreign_networks import SHAPE, ActiveDropout, Base, made
from imported_network import place as place
from tiny_networks import probes
from tiny_study import execute
from torch import Tensor

from rs.errors import UserError
from rs.networks import shared_draws
from rs.networks.audit import audit
from rs.plan.plan import Plan
from rs.provenance.code import here
from rs.provenance.files import read_json
from rs.study.study import Study


class WeakSharedDraw(Base):
    """A draw for each image, and one of a tenth of the variance for all of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        own, shared = (torch.randn(n, 10, dtype=x.dtype, device=x.device) for n in (len(x), 1))
        return super().forward(x) + 0.9**0.5 * own + 0.1**0.5 * shared


def test_a_weak_draw_that_a_batch_shares_is_refused_before_the_network_is_kept(place):
    """The audit lets it in; 512 votes of a batch are then worth some ten."""
    assert audit(made(WeakSharedDraw), probes(SHAPE), "theirs", ["chance"])["chance"] is True
    plan = place(WeakSharedDraw, allow=["chance"])
    message = rf"^{plan.runs[0].id}: its draws at random are shared by the .* batch: 512 votes vary as \d"
    with pytest.raises(UserError, match=message):
        execute(plan, "data", "import")
    assert not plan.runs[0].folder.exists()
    check = "rs.networks.shared_draws", "largest_ratio"
    assert check in code_of(plan, "import")
    assert check not in code_of(place(ActiveDropout), "import")


@pytest.mark.parametrize("build", [ActiveDropout, WeakSharedDraw])
def test_batches_are_as_large_as_the_memory_allows(build):
    sizes = []

    class Large(build):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            if len(x) > 128:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(x)

    check = functools.partial(shared_draws.check_network, made(Large), torch.zeros(SHAPE), "theirs")
    if build is WeakSharedDraw:
        with pytest.raises(UserError, match="128 votes vary as"):
            check()
    else:
        check()
    assert sizes == [512, 256, *[128] * shared_draws.CALLS]


def test_a_network_that_joins_networks_that_draw_is_compared_in_whole_batches(place, monkeypatch):
    place(ActiveDropout, allow=["chance"])
    text = yaml.safe_load(Path("study.yaml").read_text())
    text["imported"]["other"] = text["imported"]["theirs"] | {"normalization": "center"}
    text["runs"] = {"mean": {"model": {"name": "ensemble", "members": ["theirs", "other"]}}}
    Path("study.yaml").write_text(yaml.safe_dump(text))
    plan = Plan(Study([Path("study.yaml")]))
    execute(plan, "data", "import", "join")
    [joined] = (p for p in plan.runs if p.run.label == "mean")
    assert read_json(joined.manifest)["audit"]["chance"] is True
    assert ("rs.networks.shared_draws", "largest_ratio") in code_of(plan, "join")
    joined.manifest.unlink()
    monkeypatch.setattr(shared_draws, "largest_ratio", lambda batch, outputs: 0.0)
    with pytest.raises(UserError, match=rf"^{joined.id}: its draws at random are shared"):
        execute(plan, "join")
    assert not joined.manifest.exists()


def code_of(plan, stage):
    entries = next(iter(plan.jobs[stage].values())).executes
    return set(here(*entries).closure(entries))
