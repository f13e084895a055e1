"""What makes votes those of another classifier, preparation or claim, beyond the options: code that the
network calls, versions of torch and Pillow, other settings of a claim.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from torch import nn

from rs.foreign import fingerprint

PHOTOS = ("--channels", "1", "--sigma", "0.25", "--out", "out", "--data", "photos", "--n", "100")
NET = (*PHOTOS, "--model", "entry:mynet:net")

BESIDE = """
from torch import nn

class Scaled(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x SCALE)
"""


@pytest.fixture
def edited(place, monkeypatch):
    """Writes scaled.py, which the entry's module imports, anew; as a new process would import it."""
    Path("entry.py").write_text("import mynet, scaled\ndef net():\n    return scaled.Scaled(mynet.net())\n")

    def write(scale: str) -> None:
        Path("scaled.py").write_text(BESIDE.replace("SCALE", scale))
        for name in ("entry", "scaled", "mynet"):
            sys.modules.pop(name, None)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    for name in ("entry", "scaled"):
        sys.modules.pop(name, None)


def test_code_that_the_entry_imports(certify, refused, edited):
    options = (*PHOTOS, "--model", "entry:entry:net")
    edited("* 1.0")
    assert certify(*options)[0] == 0
    edited("* 2.0 / 2.0")  # the same function
    assert certify(*options)[0] == 0
    before = {f: f.read_bytes() for f in Path("out").rglob("*.parquet")}
    edited("* 1.001")
    message = refused(*options)
    assert "out: holds votes of another network (its logits for the same images differ now" in message
    assert {f: f.read_bytes() for f in Path("out").rglob("*.parquet")} == before


def test_answers_are_told_apart_up_to_rounding():
    def of(scale: float, chance: bool = False) -> list[str]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), *[nn.Dropout()] * chance)
        net.get_parameter("1.weight").data.mul_(scale)
        torch.manual_seed(int(scale * 1e7))  # no chance of the process's plays a part
        state = torch.get_rng_state()
        found = fingerprint.fingerprint(net, (3, 4, 4), torch.device("cpu"), "net")
        assert torch.equal(torch.get_rng_state(), state)
        return found

    plain = of(1.0)
    assert len(plain) == fingerprint.PROBES == len(set(plain))
    assert fingerprint.same(plain, of(1 + 1e-6))
    assert not fingerprint.same(plain, of(1.001))
    assert not fingerprint.same(plain, [])
    assert fingerprint.same(of(1.0, chance=True), of(1 + 1e-6, chance=True))


def test_another_torch(certify, refused, monkeypatch):
    assert certify(*NET)[0] == 0
    there = torch.__version__
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    assert f"holds votes of another torch ({there} there, 9.9.9 now)" in refused(*NET)


def test_another_pillow_counts_where_it_prepares_other_pixels(certify, refused, monkeypatch):
    assert certify(*NET)[0] == 0
    there = PIL.__version__
    monkeypatch.setattr(PIL, "__version__", "99.0")
    Image.open("photos/03.png").convert("L").save("photos/03.png", compress_level=0)  # the same pixels
    assert certify(*NET)[0] == 0
    pixels = np.asarray(Image.open("photos/03.png")).copy()
    pixels[0, 0] += 1
    Image.fromarray(pixels).save("photos/03.png")
    message = refused(*NET)
    assert "03.png is not the image that the votes in out are of" in message
    assert f"(Pillow {there} prepared that, Pillow 99.0 this)" in message


def test_every_other_claim_is_told(certify):
    for more in ((), ("--alpha", "0.01"), ("--images", "5"), ("--set", "randomised=true")):
        code, out, _ = certify(*NET, *more)
        assert code == 0
        assert ("before:" in out) == bool(more)
    assert (
        "these votes were claimed with cohen (randomised = false);"
        " alpha = 0.01, cohen (randomised = false); cohen (randomised = false), 5 images before:"
        " a claim holds for settings chosen first"
    ) in out
    code, out, _ = certify(*NET)
    assert out.count("before:") == 1
    assert "claimed with alpha = 0.01; 5 images; cohen (randomised = true) before" in out
    assert "alpha = 0.001 per image" in out


def test_an_average_without_labels_is_no_average_certified_radius(certify):
    assert "average radius of the predictions 0." in (out := certify(*NET)[1])
    assert "average certified radius" not in out
    assert "average certified radius 0." in certify(*NET, "--data", "sorted", "--out", "other")[1]
