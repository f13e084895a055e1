"""Modules that load weights by the version that a state dict tells of them: what a file tells reaches them
under whatever names, and a network that our own files would load as another one is refused.
"""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import yaml
from tiny_study import execute
from torch import nn

from rs.errors import UserError
from rs.foreign.preprocessing import Stated
from rs.foreign.sources import Request, load
from rs.networks import checkpoints, state_dicts
from rs.plan.plan import Plan
from rs.study.study import Study

# Version 1 kept weights that were halved
MODULE = """
import torch
from torch import nn

class Scaled(nn.Linear):
    _version = 2
    def _load_from_state_dict(self, state, prefix, local, *rest):
        if local.get("version", UNTOLD) < 2:
            CONVERT
        super()._load_from_state_dict(state, prefix, local, *rest)

def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), Scaled(64, 10))
"""
DOUBLED = 'state[prefix + "weight"] = 2 * state[prefix + "weight"]'
OF_TODAY, OF_OLD = "2", "1"  # what a module takes a state dict for that tells nothing


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def written(untold: str, convert: str = DOUBLED) -> str:
    """Somebody's module; the name of its function. A module is imported once, so each has a name."""
    name = f"scaled_{abs(hash((untold, convert)))}"
    Path(f"{name}.py").write_text(MODULE.replace("UNTOLD", untold).replace("CONVERT", convert))
    return f"{name}:network"


def saved(version: int | None, prefix: str = "", **beside: object) -> torch.Tensor:
    """Writes `w.pth` as that version would; the weights that it stands for."""
    torch.manual_seed(2)
    weights = nn.Linear(64, 10).state_dict()
    metadata = {"": {}, prefix[:-1]: {"version": 1}, f"{prefix}0": {"version": 1}}
    metadata[f"{prefix}1"] = {"version": version}
    factor = 0.5 if version == 1 else 1.0
    state = OrderedDict({f"{prefix}1.weight": factor * weights["weight"], f"{prefix}1.bias": weights["bias"]})
    if version is not None:
        state._metadata = OrderedDict(metadata)
    torch.save({"state_dict": state, **beside} if beside else state, "w.pth")
    return weights["weight"]


def imported(entry: str, **more: object) -> torch.Tensor:
    """The weights that later jobs load."""
    own = {"weights": "w.pth", "entry": entry, "noise": {"name": "gaussian", "sigma": 0.25}}
    study = {"name": "s", "data": {"name": "digits"}, "imported": {"theirs": own | more}}
    Path("s.yaml").write_text(yaml.safe_dump(study))
    plan = Plan(Study([Path("s.yaml")]))
    execute(plan, "data", "import")
    network, _ = checkpoints.load(plan.runs[0].folder / "model.json", plan.data_manifest)
    return dict(network.state_dict())["1.1.weight"]


@pytest.mark.parametrize("version", [1, 2, None])
@pytest.mark.parametrize(
    ("prefix", "more"),
    [
        ("", {}),
        ("module.", {}),
        ("module._orig_mod.", {}),
        ("1.module.", {"format": "cohen", "normalization": "none"}),
    ],
)
def test_what_a_file_tells_of_versions_is_heeded(place, version, prefix, more) -> None:
    beside = {"arch": "x"} if more else {}
    expected = saved(version, prefix, **beside)
    assert torch.equal(imported(written(OF_TODAY), **more), expected)


@pytest.mark.parametrize(
    "convert",
    [
        DOUBLED,
        'raise ValueError("no version")',
        "self.forward = lambda x: 2 * nn.Linear.forward(self, x)",
    ],
)
def test_a_network_that_needs_versions_in_our_files_is_refused(place, convert) -> None:
    saved(2)
    with pytest.raises(
        UserError, match=r"scaled_\d+:network: loads weights by versions of its modules"
    ) as caught:
        imported(written(OF_OLD, convert))
    assert ("ValueError: no version" in str(caught.value)) == ("ValueError" in convert)
    assert not list(Path("results/runs").glob("*/model.*"))


def test_a_module_that_stumbles_over_an_older_file_is_one_line(place) -> None:
    saved(1)
    with pytest.raises(UserError, match=r"^w\.pth: .*:network: ValueError: too old$"):
        imported(written(OF_TODAY, 'raise ValueError("too old")'))


@pytest.mark.parametrize("version", [1, 2, None])
def test_rs_certify_takes_all_of_them(place, version) -> None:
    expected = saved(version)
    for untold in (OF_TODAY, OF_OLD):
        found = load(Request("entry", written(untold), Path("w.pth")), Stated())
        assert torch.equal(found.network.state_dict()["1.weight"], expected)


@pytest.mark.parametrize("metadata", [3, {"1": 4, 5: {}}, [("1", {"version": 1})]])
def test_versions_that_torch_never_wrote_are_none(place, metadata: object) -> None:
    state = OrderedDict(nn.Linear(2, 2).state_dict())
    state._metadata = metadata
    assert state_dicts.versions_of(state) == {}
