"""The layouts in which weights are found in public: read, or refused with what the file holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from tiny_study import execute
from torch import nn

from rs.errors import UserError
from rs.networks import state_dicts
from rs.plan.plan import Plan
from rs.study.study import Study

MODULE = """
from torch import nn
def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
"""
IMPORTED = {"weights": "w.pth", "entry": "somebodys:network", "noise": {"name": "gaussian", "sigma": 0.25}}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))


WEIGHTS = dict(network().state_dict())


def prefixed(prefix: str, weights: dict[str, Any] = WEIGHTS) -> dict[str, Any]:
    return {prefix + name: value for name, value in weights.items()}


def trained() -> dict[str, Any]:
    """Of Adam after a step: its moments are mappings of names to tensors too."""
    net = network()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    return dict(optimizer.state_dict())


LAYOUTS: dict[str, tuple[Any, str]] = {
    "plain": (WEIGHTS, ""),
    "net and epoch": ({"net": WEIGHTS, "epoch": 440}, "net"),
    "parallel net": ({"net": prefixed("module."), "epoch": 440, "scheduler": {}}, "net"),
    "model": ({"model": WEIGHTS}, "model"),
    "model_state_dict": ({"model_state_dict": WEIGHTS, "epoch": 3, "loss": 0.1}, "model_state_dict"),
    "ema": ({"ema": WEIGHTS}, "ema"),
    "deep": ({"state": {"ema": {"shadow": WEIGHTS, "decay": 0.9}}}, "state.ema.shadow"),
    "beside an optimizer": ({"state_dict": WEIGHTS, "optimizer": trained()}, "state_dict"),
    "of Lightning": ({"state_dict": prefixed("net."), "epoch": 3, "global_step": 10}, "state_dict"),
    "compiled": ({"state_dict": prefixed("_orig_mod.")}, "state_dict"),
    "lightning": ({"state_dict": prefixed("model."), "hyper_parameters": {"lr": 0.1}}, "state_dict"),
    "compiled and parallel": (prefixed("module._orig_mod."), ""),
    "numpy's numbers": (
        {"state_dict": WEIGHTS, "best": np.float64(0.9), "n": np.int64(3), "ok": np.bool_(True)},
        "state_dict",
    ),
    "arguments": ({"state_dict": WEIGHTS, "args": argparse.Namespace(lr=0.1, arch="x")}, "state_dict"),
    "no counts": ({k: v for k, v in WEIGHTS.items() if "num_batches" not in k}, ""),
    "metrics beside": ({"net": WEIGHTS, "metrics": {"accuracy": torch.tensor(0.9)}}, "net"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_weights(tmp_path: Path, layout: str) -> None:
    content, key = LAYOUTS[layout]
    torch.save(content, tmp_path / "w.pth")
    found = state_dicts.read(tmp_path / "w.pth")
    assert found.key == key
    fitted = state_dicts.fitted(found.state, WEIGHTS)
    assert fitted.keys() == WEIGHTS.keys()
    assert all(torch.equal(fitted[name], value) for name, value in WEIGHTS.items())


def test_numbers_of_numpy_1_are_read(tmp_path: Path) -> None:
    torch.save(
        {"net": WEIGHTS, "best": np.float64(0.9)}, tmp_path / "w.pth", _use_new_zipfile_serialization=False
    )
    content = (tmp_path / "w.pth").read_bytes()
    assert b"numpy._core.multiarray\n" in content
    (tmp_path / "w.pth").write_bytes(content.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"))
    assert state_dicts.read(tmp_path / "w.pth").key == "net"


def test_names_that_are_the_networks_own_stay() -> None:
    """A network may call its part `model` or `module`: prefixes are dropped only where that fits better."""
    own = prefixed("model.")
    assert state_dicts.fitted(own, own).keys() == own.keys()
    assert state_dicts.fitted(prefixed("module.", own), own).keys() == own.keys()
    assert state_dicts.fitted(own, WEIGHTS).keys() == WEIGHTS.keys()


def test_of_several_the_key_chooses(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    other = {name: value + 1 for name, value in WEIGHTS.items()}
    torch.save({"model": WEIGHTS, "ema": {"shadow": other}, "epoch": 3}, file)
    with pytest.raises(UserError, match=r"several state dicts; say which with key: model, ema\.shadow$"):
        state_dicts.read(file)
    found = state_dicts.read(file, "ema.shadow")
    assert (found.key, found.state["0.bias"][0]) == ("ema.shadow", other["0.bias"][0])
    with pytest.raises(UserError, match=r"no state dict under key 'net'; state dicts: model, ema\.shadow$"):
        state_dicts.read(file, "net")
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"under key 'net'; state dicts: \(the file itself: leave key out\)"):
        state_dicts.read(tmp_path / "w.safetensors", "net")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            {"epoch": 3, "optimizer": trained()},
            r"no state dict; its keys: epoch, optimizer; save",
        ),
        ({"metrics": {"accuracy": torch.tensor(0.9)}}, r"no state dict; its keys: metrics;"),
        ([1, 2], r"no state dict; it is a list;"),
        ({}, r"no state dict; it is empty;"),
        (
            {"net": WEIGHTS, "args": argparse.Namespace(to=Path("x"))},
            r"more than weights \(pathlib\.PosixPath\)",
        ),
        (
            {"net": network()},
            r"more than weights \(torch\.nn\.modules\.container\.Sequential\), or is cut off",
        ),
    ],
)
def test_what_a_file_holds_instead_is_named(tmp_path: Path, content: Any, says: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=rf"w\.pth: holds {says}") as caught:
        state_dicts.read(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


def test_a_scripted_network_is_refused_as_one(tmp_path: Path) -> None:
    with pytest.warns((FutureWarning, DeprecationWarning)):  # of PyTorch's newer and older versions
        torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "w.pth"))
    with pytest.raises(UserError, match="a TorchScript archive, which holds code that is never run"):
        state_dicts.read(tmp_path / "w.pth")


# --- through a study ---


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports `w.pth` in a working directory with somebody's module; returns the model's manifest's path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("somebodys.py").write_text(MODULE)

    def convert(**more: Any) -> Path:
        own = {"theirs": IMPORTED | more}
        Path("s.yaml").write_text(yaml.safe_dump({"name": "s", "data": {"name": "digits"}, "imported": own}))
        plan = Plan(Study([Path("s.yaml")]))
        execute(plan, "data", "import")
        return plan.runs[0].folder / "model.json"

    return convert


def test_a_study_takes_the_key_and_it_is_part_of_the_id(imports: Any) -> None:
    torch.save({"model": WEIGHTS, "ema": WEIGHTS}, "w.pth")
    with pytest.raises(UserError, match="say which with key: model, ema"):
        imports()
    chosen = imports(key="ema")
    assert '"key": "ema"' in chosen.read_text()
    assert imports(key="model").parent.name != chosen.parent.name


def test_each_format_hints_at_the_other(imports: Any) -> None:
    torch.save({"arch": "small", "state_dict": prefixed("1.")}, "w.pth")
    with pytest.raises(UserError, match=r"another architecture than .* \(try format cohen\)$"):
        imports()
    assert imports(format="cohen", normalization="none").exists()
    torch.save(prefixed("module.1."), "w.pth")
    assert imports(format="cohen", normalization="none").exists()
    torch.save({"net": prefixed("features.") | {"head.weight": torch.zeros(2, 2)}}, "w.pth")
    with pytest.raises(UserError, match=r"does not begin with 1\. \(try plain\)$"):
        imports(format="cohen", normalization="none")
    with pytest.raises(UserError, match=r"has the unknown tensor|lacks tensor") as caught:
        imports()
    assert "cohen" not in str(caught.value)
