"""A working folder with images of digits and a module that has networks for them: no network access."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from rs.cli.main import main

MODULE = """
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn


def net():
    x, y = load_digits(return_X_y=True)
    means = torch.tensor(np.stack([x[y == c].mean(0) / 16 for c in range(10)])).float()
    linear = nn.Linear(64, 10)
    linear.load_state_dict({"weight": means, "bias": -means.square().sum(1) / 2})
    return nn.Sequential(nn.Flatten(), linear)


class Other(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.net, self.change = net(), change

    def forward(self, x):
        return self.change(self.net, x)


def dictionary():
    return Other(lambda net, x: {"logits": net(x)})


def features():
    return Other(lambda net, x: x)


def one_class():
    return Other(lambda net, x: net(x)[:, :1])


def whole_numbers():
    return nn.Sequential(nn.Flatten(), nn.Embedding(256, 10))


def half():
    return net().half()


def half_inside():
    return Other(lambda net, x: net.half()(x.half()).float())


def other_order():
    return Other(lambda net, x: net(x).roll(1, 1))


def broken():
    return Other(lambda net, x: net(x) * torch.nan)


def dazzled():
    return Other(lambda net, x: net(x).where(x.mean((1, 2, 3))[:, None] < 0.8, torch.nan))


def dazzled_by_white():  # never by what it is tried out on before it votes
    def dazzled(net, x):
        white = (x.flatten(1).amin(1) > 0) & (x.mean((1, 2, 3)) > 0.9) & (x.mean((1, 2, 3)) < 1.1)
        return net(x).where(~white[:, None], torch.nan)

    return Other(dazzled)
"""


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the network for anything fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"asked the network: {args}")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: `photos/` has 12 digits without labels, `sorted/` 30 in folders 0 to 9."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    for key, folder in (("TORCH_HOME", "torch"), ("HF_HOME", "hf")):
        monkeypatch.setenv(key, str(tmp_path / folder))
    Path("mynet.py").write_text(MODULE)
    x, y = load_digits(return_X_y=True)
    for i in range(42):
        folder = Path("photos") if i < 12 else Path("sorted", str(y[i]))
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (x[i].reshape(8, 8) / 16 * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return tmp_path


@pytest.fixture
def certify(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`rs certify` with options: exit code, what it printed, what it said on standard error."""

    def run(*options: str) -> tuple[int, str, str]:
        code = main(["certify", *options])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def refused(certify: Callable[..., tuple[int, str, str]]) -> Callable[..., str]:
    """The one line with which `rs certify` refuses the options."""

    def run(*options: str) -> str:
        code, out, err = certify(*options)
        assert (code, out) == (1, "")
        *_, last = err.splitlines()
        assert last.startswith("rs: "), err
        return last

    return run
