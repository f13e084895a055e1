"""Networks for other channels than the pictures were read with, from every source: the line names the
option.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
import transformers
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torchvision import models

REST = ("--data", "photos", "--sigma", "0.25", "--n", "32", "--n0", "16", "--out", "out")
CONVOLUTIONS = """
from torch import nn
def grey(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
def colour(): return nn.Sequential(nn.Conv2d(3, 4, 3), *list(grey())[1:])
def four(): return nn.Sequential(nn.Conv2d(4, 4, 3), *list(grey())[1:])
"""
GREY, COLOUR = "(grey pictures, mode L)", "(colour pictures, mode RGB)"


@pytest.mark.parametrize(
    ("function", "options", "mode", "line"),
    [
        ("grey", (), "L", f"as 3x8x8 {GREY}, but it takes images of 1 channel; give --channels 1"),
        (
            "grey",
            (),
            "RGB",
            f"3x8x8 {COLOUR}, but it takes images of 1 channel; convert the pictures to grey and give",
        ),
        ("grey", ("--mean=0.5,0.5,0.5",), "L", "; give --channels 1, and 1 number in --mean and --std"),
        (
            "colour",
            ("--channels", "1"),
            "L",
            f"1x8x8 {GREY}, but it takes images of 3 channels; give --channels 3",
        ),
        ("colour", ("--mean", "0.5"), "L", "; give --channels 3, and 3 numbers in --mean and --std"),
        ("four", (), "L", "takes images of 4 channels; allowed are networks for 1 or 3 channels"),
    ],
)
def test_a_network_for_other_channels_is_told_the_option(
    certify, refused, function, options, mode, line, monkeypatch
):
    Path("convolutions.py").write_text(CONVOLUTIONS)
    monkeypatch.delitem(sys.modules, "convolutions", raising=False)
    for file in Path("photos").iterdir():
        Image.open(file).convert(mode).save(file)
    given = ("--model", f"entry:convolutions:{function}", "--n", "32", *REST)
    assert line in refused(*given, *options)
    assert not Path("out").exists()
    if line.endswith("give --channels 1"):
        assert certify(*given, "--channels", "1")[0] == 0


def test_nearly_black_pictures_are_announced(certify):
    for file in Path("photos").iterdir():
        Image.fromarray((np.asarray(Image.open(file)) / 15.9).astype(np.uint8)).save(file)
    options = ("--model", "entry:mynet:net", "--channels", "1", "--n", "32", *REST)
    code, _, err = certify(*options)
    assert code == 0
    assert "pixels            the 12 images looked at lie between 0 and 16, and 255 is white; if 16 is" in err
    _, _, err = certify(*options[:-1], "of-sorted", "--data", "sorted")
    assert "255 is white" not in err


def write(channels: int, declared: object) -> None:
    """An ONNX file with a convolution for `channels`, whose input says that it takes `declared`."""
    draws = np.random.default_rng(0)
    weights = {"kernel": draws.normal(size=(5, channels, 8, 8))}
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["seen"]),
        helper.make_node("Flatten", ["seen"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", declared, 8, 8])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])]
    held = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "net.onnx")


@contextlib.contextmanager
def log_of_libraries() -> Iterator[Path]:
    """A file with what libraries write to standard error behind Python's back."""
    before, log = os.dup(2), Path("log")
    with log.open("w") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield log
        finally:
            os.dup2(before, 2)
            os.close(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "declared", "options", "line"),
    [
        (1, "c", (), f"3x8x8 {GREY}, but it takes images of 1 channel; give --channels 1"),
        (1, 1, ("--channels", "3"), f"3x8x8 {GREY}, but it takes images of 1 channel; give --channels 1"),
        (3, 3, ("--channels", "1"), f"1x8x8 {GREY}, but it takes images of 3 channels; give --channels 3"),
        (4, 4, (), "its input pixels is ['batch', 4, 8, 8]; allowed images of 1 or 3 channels"),
    ],
)
def test_onnx(certify, refused, channels, declared, options, line):
    write(channels, declared)
    given = ("--model", "onnx:net.onnx", "--range=0,1", *REST)
    with log_of_libraries() as log:
        assert line in refused(*given, *options)
    assert log.read_text() == ""
    if channels == 3:
        assert certify(*given)[0] == 0  # grey pictures are colour pictures too


@pytest.mark.slow
def test_a_grey_model_of_transformers(certify, refused):
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.ViTConfig(image_size=8, patch_size=4, num_channels=1, num_labels=10, **sizes)
    transformers.ViTForImageClassification(config).save_pretrained("vit")
    given = ("--model", "hf:vit", *REST)
    assert certify(*given, "--range=-1,1")[0] == 0  # the model's configuration says that it is grey
    transformers.ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained("vit")
    given = (*given[:-1], "other")
    assert "1 channel; give --channels 1, and 1 number in --mean and --std" in refused(*given)
    line = "--channels 1: the model's description has mean and std for 3; give --mean and --std of 1 too"
    assert line in refused(*given, "--channels", "1")
    assert certify(*given, "--channels", "1", "--mean", "0.5", "--std", "0.5")[0] == 0


@pytest.mark.slow
def test_grey_weights_for_a_librarys_colour_network(refused):
    torch.save(timm.create_model("test_resnet.r160_in1k", in_chans=1).state_dict(), "grey.pt")
    line = "they are of a network for images of 1 channel: build it in a function of yours"
    assert line in refused("--model", "timm:test_resnet.r160_in1k", "--weights", "grey.pt", *REST)
    network = models.squeezenet1_1()
    network.features[0] = torch.nn.Conv2d(1, 64, 3, 2)
    torch.save(network.state_dict(), "grey.pt")
    assert line in refused("--model", "torchvision:squeezenet1_1", "--weights", "grey.pt", *REST)
