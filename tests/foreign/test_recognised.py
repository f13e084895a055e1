"""A file or folder where a model was expected is recognised, and the line names the option that takes it."""

from __future__ import annotations

import gzip
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rs.errors import UserError
from rs.networks import state_dicts

NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
STATE = NETWORK.state_dict()
REST = ("--data", "photos", "--sigma", "0.25", "--out", "out")
OWN = "--model entry:MODULE:FUNCTION"
IN_FUNCTION = f"name the function that returns the network: {OWN} --weights "


def folder(file: str) -> Callable[[str], None]:
    def make(name: str) -> None:
        Path(name).mkdir()
        Path(name, file).write_bytes(b"{}")

    return make


def exported(name: str) -> None:
    torch.export.save(torch.export.export(NETWORK, (torch.rand(2, 1, 8, 8),)), name)


FILES: dict[str, tuple[Callable[[str], object], str]] = {
    "state.pt": (
        lambda f: torch.save(STATE, f),
        "holds weights only (2 tensors, the first 1.weight [10, 64])",
    ),
    "lightning.ckpt": (
        lambda f: torch.save({"state_dict": STATE, "epoch": 3, "pytorch-lightning_version": "2.1"}, f),
        "holds weights only (2 tensors under the key state_dict, the first 1.weight [10, 64])",
    ),
    "weights.safetensors": (lambda f: save_file(dict(STATE), f), "holds weights only (2 tensors"),
    "several.pt": (
        lambda f: torch.save({"model": STATE, "ema": STATE}, f),
        "holds several state dicts; say which with key: model, ema",
    ),
    "module.pt": (lambda f: torch.save(NETWORK, f), "holds more than weights (torch.nn.modules.container"),
    "old.pt": (
        lambda f: torch.save(STATE, f, _use_new_zipfile_serialization=False),
        "holds weights only (2 tensors",
    ),
    "script.pt": (lambda f: torch.jit.script(NETWORK).save(f), "a network of TorchScript, which holds code"),
    "program.pt2": (exported, "an exported program of torch"),
    "net.onnx": (lambda f: Path(f).write_bytes(b"\x08\x07"), "a network in ONNX; give --model onnx:net.onnx"),
    "net.h5": (
        lambda f: Path(f).write_bytes(b"\x89HDF\r\n\x1a\n"),
        "HDF5, as Keras saves networks; export it",
    ),
    "arrays.npz": (lambda f: np.savez(f, a=np.zeros(3)), "arrays of numpy"),
    "lfs.pt": (
        lambda f: Path(f).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "a pointer of Git LFS instead of the file; fetch the file: git lfs pull",
    ),
    "page.pt": (lambda f: Path(f).write_text("\n<!DOCTYPE html>"), "a web page instead of the file"),
    "packed.pt": (lambda f: Path(f).write_bytes(gzip.compress(b"a")), "a compressed archive; unpack it"),
    "mynet.py": (lambda f: None, "Python code; name a function in it: --model entry:mynet:FUNCTION"),
    "tensorflow": (folder("saved_model.pb"), "a folder with a network of TensorFlow; export it to ONNX"),
    "saved": (folder("config.json"), "give --model hf:saved"),
    "other": (folder("model.safetensors"), "a folder; give a file in it (it has model.safetensors)"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_source_is_recognised(refused, name):
    make, line = FILES[name]
    make(name)
    message = refused("--model", name, *REST)
    assert message.startswith(f"rs: certify: --model {name}: ")
    assert line in message
    if "holds " in line and "TorchScript" not in line:
        assert IN_FUNCTION + name in message
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("name", "file", "line"),
    [
        ("onnx:state.pt", "state.pt", "holds weights only"),
        ("onnx:other", "other", "a folder; give a file in it"),
        ("entry:state.pt", "state.pt", "holds weights only"),
        ("torchvision:script.pt", "script.pt", "a network of TorchScript"),
    ],
)
def test_what_is_no_model_of_its_source_is_recognised(refused, name, file, line):
    FILES[file][0](file)
    assert line in refused("--model", name, *REST, "--range=0,1")


@pytest.mark.parametrize("option", ["--weights", "--checkpoint"])
@pytest.mark.parametrize("name", ["script.pt", "program.pt2", "net.onnx", "lfs.pt", "page.pt", "arrays.npz"])
def test_what_is_no_weights_is_recognised(refused, option, name):
    make, line = FILES[name]
    make(name)
    data = ("--data", "digits", "--entry", "mynet:net", "--checkpoint", name, "--sigma", "0.25")
    given = ("--model", "entry:mynet:net", "--weights", name, *REST)
    assert f"rs: {name}: {line}" in refused(*(given if option == "--weights" else data))
    assert not Path("results").exists()


def test_weights_that_are_recognised_are_loaded(certify):
    for name in ("state.pt", "lightning.ckpt", "weights.safetensors", "old.pt"):
        FILES[name][0](name)
        options = ("--model", "entry:mynet:net", "--weights", name, "--channels", "1", "--n", "32", *REST[:4])
        assert certify(*options, "--out", f"out-{name}")[0] == 0


class Payload:
    def __reduce__(self):
        return Path.mkdir, (Path("harm"),)


@pytest.mark.parametrize("save", [torch.save, lambda held, file: Path(file).write_bytes(pickle.dumps(held))])
def test_nothing_is_unpickled_to_recognise_it(refused, save):
    save({"a": Payload()}, "net.pt")
    for model in ("net.pt", "onnx:net.pt"):
        assert f"{IN_FUNCTION}net.pt, or without" in refused("--model", model, *REST, "--range=0,1")
    assert not Path("harm").exists()


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("mynet:net", "; is it entry:mynet:net?"),
        ("resnet50", "; is it torchvision:resnet50?"),
        ("google/vit-base-patch16-224", "; is it hf:google/vit-base-patch16-224?"),
        ("gone.pt", "; there is no such file either"),
        ("nothing", "onnx:..., entry:..."),
        ("entry:mynet.py:net", "no module mynet.py in the working directory or installed; leave .py out"),
    ],
)
def test_a_name_without_its_source_is_guessed(refused, model, line):
    assert line in refused("--model", model, *REST)


RETURNED = """
import torch
from torch import nn

from rs.errors import UserError
from rs.networks import state_dicts
def nothing(): nn.Linear(1, 1)
def state(): return nn.Linear(1, 1).state_dict()
def kind(): return nn.Linear
def function(): return lambda x: x
network = nn.Linear(1, 1)
class Sized(nn.Module):
    def __init__(self, width): super().__init__()
def meta():
    with torch.device("meta"): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
def lazy(): return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
"""


@pytest.mark.parametrize(
    ("function", "line"),
    [
        ("nothing", "returned a NoneType, not an nn.Module; does it end with `return`?"),
        ("state", "not an nn.Module; load these weights into the network and return that"),
        ("kind", "not an nn.Module; return an object of this class"),
        ("function", "not an nn.Module; call it in the forward of a module and return that"),
        ("network", "; it is a network itself: name a function that returns it"),
        ("Sized", "'width'; name a function that needs no arguments and calls it"),
        ("meta", "1.weight has a shape and no values (device meta); load its weights, in the function"),
        (
            "lazy",
            "1.weight has no shape before a first pass (a lazy module); call the network once on images, "
            "in the function",
        ),
    ],
)
def test_a_function_that_returns_no_network_is_told_what_to_return(refused, function, line, monkeypatch):
    Path("returned.py").write_text(RETURNED)
    monkeypatch.delitem(sys.modules, "returned", raising=False)
    assert refused("--model", f"entry:returned:{function}", *REST).endswith(line)


@pytest.mark.parametrize("name", ["net.onnx", "page.pt", "arrays.npz"])
def test_an_import_says_what_a_file_is_that_holds_no_weights(place, name):
    FILES[name][0](name)
    what = FILES[name][1].partition(";")[0]
    with pytest.raises(UserError, match=rf"^{name}: not a complete checkpoint \(.*\); it is {what}"):
        state_dicts.read(Path(name))
