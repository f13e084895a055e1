"""Where models come from: libraries' architectures with local weights, saved models, ONNX files. Whoever asks
the network fails these tests (conftest); nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import shutil
import socket
import time
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

from rs.errors import UserError
from rs.foreign import sources
from rs.foreign.preprocessing import Stated, compare
from rs.provenance.files import read_table

pytestmark = pytest.mark.slow  # the libraries take seconds to import
QUICK = ("--sigma", "0.25", "--n", "32", "--n0", "16", "--batch", "16", "--out", "out")


@pytest.fixture
def photos(place: Path) -> Path:
    """Three small colour photographs of several sizes."""
    shutil.rmtree("photos")
    Path("photos").mkdir()
    draws = np.random.default_rng(0)
    for i, size in enumerate([(70, 50), (40, 64), (90, 90)]):
        small = draws.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(f"photos/{i}.jpg", quality=95)
    return place


def found(name: str, weights: str | None = None, **stated):
    source, _, rest = name.partition(":")
    request = sources.Request(source, rest, Path(weights) if weights else None)
    return sources.load(request, Stated(**stated))


def table():
    return read_table(Path("out/images.parquet"))[0].to_pandas()


# --- torchvision and timm ---


def test_torchvision_weights_of_a_file_with_other_classes(certify, photos):
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1(num_classes=7).state_dict(), "mine.pt")
    options = ("--model", "torchvision:squeezenet1_1", "--weights", "mine.pt", "--size", "40")
    code, _, err = certify(*options, "--data", "photos", *QUICK)
    assert code == 0
    assert "before the noise  resize the shorter side to 40 (bilinear), crop the centre 40x40" in err
    assert "sigma = 0.25 in [0, 1], 1.092 1.116 1.111 in the model's units" in err
    assert "in the network    (x - [0.485 0.456 0.406]) / [0.229 0.224 0.225], from -2.12 to 2.64" in err
    assert "torchvision, SqueezeNet1_1_Weights.IMAGENET1K_V1, and options" in err
    assert set(table()["prediction"]) <= set(range(-1, 7))


def test_torchvision_weights_in_its_cache(photos):
    weights = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    cache = Path("torch/hub/checkpoints")
    cache.mkdir(parents=True)
    network = models.squeezenet1_1()
    torch.save(network.state_dict(), cache / weights.url.rpartition("/")[2])
    model = found("torchvision:squeezenet1_1.IMAGENET1K_V1")
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), model.network.parameters(), strict=True)
    )
    assert model.classes[:2] == ("tench", "goldfish")
    assert (model.preprocessing.resize, model.preprocessing.size) == (256, (224, 224))


def test_timm_weights_of_a_file_and_in_the_hubs_cache(certify, photos, monkeypatch):
    torch.manual_seed(0)
    network = timm.create_model("test_resnet.r160_in1k", pretrained=False)
    torch.save(network.state_dict(), "mine.pth")
    model = found("timm:test_resnet.r160_in1k", "mine.pth")
    assert model.provenance["weights"] == sources.digest_of(network)
    assert model.preprocessing.mean == (0.5, 0.5, 0.5)
    assert (model.preprocessing.resize, model.preprocessing.size) == (168, (160, 160))
    assert model.classes[1].startswith("goldfish")
    monkeypatch.setattr("rs.foreign.timm_source.try_to_load_from_cache", lambda *_: str(Path("mine.pth")))
    assert found("timm:test_resnet.r160_in1k").provenance == model.provenance
    options = ("--model", "timm:test_resnet.r160_in1k", "--weights", "mine.pth", "--size", "32")
    code, _, err = certify(*options, "--data", "photos", *QUICK)
    assert code == 0
    assert "in the network    (x - [0.5 0.5 0.5]) / [0.5 0.5 0.5], from -1 to 1" in err
    assert "0.5 in the model's units" in err


@pytest.mark.parametrize(
    "name", ["torchvision:squeezenet1_1", "timm:test_vit.r160_in1k", "timm:test_efficientnet"]
)
def test_the_librarys_own_preprocessing_is_what_is_split(photos, name):
    """Before the noise and the first layer together are the library's transforms."""
    source, _, rest = name.partition(":")
    network = models.get_model(rest) if source == "torchvision" else timm.create_model(rest)
    torch.save(network.state_dict(), "w.pt")
    model = found(name, "w.pt")
    for file in sorted(Path("photos").iterdir()):
        image = Image.open(file)
        x = torch.from_numpy(model.preprocessing.pixels(image, str(file))).float() / 255
        layer = model.preprocessing.network(torch.nn.Identity())
        assert torch.allclose(layer(x[None])[0], model.theirs(image), atol=1e-5)


# --- Hugging Face ---


@pytest.fixture
def saved(photos: Path) -> Path:
    """A tiny ViT with names of three classes and an image processor to [-1, 1], as transformers saves it."""
    torch.manual_seed(0)
    names = {0: "cat", 1: "dog", 2: "fish"}
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.ViTConfig(image_size=32, patch_size=16, id2label=names, **sizes)
    transformers.ViTForImageClassification(config).save_pretrained("vit")
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained("vit")
    return Path("vit")


def test_a_saved_model_of_transformers(certify, saved):
    code, _, err = certify("--model", "hf:vit", "--data", "photos", *QUICK)
    assert code == 0
    assert "before the noise  resize 32x32 (bilinear), crop the centre 32x32, scale to [0, 1]" in err
    assert "from -1 to 1" in err
    assert set(table()["class"]) <= {"cat", "dog", "fish", "abstains"}


def test_convnexts_crop_is_known(saved):
    transformers.ConvNextImageProcessor(size={"shortest_edge": 32}).save_pretrained("vit")
    found_ = found("hf:vit").preprocessing
    assert (found_.resize, found_.size) == (36, (32, 32))


def test_a_processor_that_does_more_is_refused(refused, saved):
    transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, do_pad=True, pad_size={"height": 48, "width": 48}
    ).save_pretrained("vit")
    assert "makes 3x48x48 instead of 3x32x32 of photos: 0.jpg" in refused(
        "--model", "hf:vit", "--data", "photos", *QUICK
    )


def test_another_interpolation_is_other_pixels(saved):
    model = found("hf:vit")
    image = Image.open("photos/0.jpg")
    compare(model.preprocessing, image, "0.jpg", model.theirs)
    other = dataclasses.replace(model.preprocessing, interpolation="bicubic")
    with pytest.raises(UserError, match=r"makes other pixels of 0.jpg; state --size"):
        compare(other, image, "0.jpg", model.theirs)


def test_models_without_classes(refused, saved):
    config = transformers.ViTConfig.from_pretrained("vit")
    shutil.rmtree("vit")
    transformers.ViTModel(config).save_pretrained("vit")
    transformers.ViTImageProcessor().save_pretrained("vit")
    message = refused("--model", "hf:vit", "--data", "photos", *QUICK)
    assert "its weights lack classifier.bias: a model without classes certifies nothing" in message
    message = refused("--model", "timm:vit_tiny_patch16_224.augreg_in21k", "--data", "photos", *QUICK)
    assert "its weights are not in the cache" in message
    message = refused("--model", "timm:vit_small_patch14_dinov2.lvd142m", "--data", "photos", *QUICK)
    assert "has no classes: it returns features" in message


def test_a_model_without_a_processor_needs_its_units(certify, refused, saved):
    (saved / "preprocessor_config.json").unlink()
    options = ("--model", "hf:vit", "--data", "photos", "--size", "32", *QUICK)
    assert "nothing says what its input is: give --range=0,1" in refused(*options)
    assert certify(*options, "--range=-1,1")[0] == 0


# --- ONNX ---


def write(file: str, kind: int = TensorProto.FLOAT, shape=("batch", 3, 8, 8), out: str = "logits") -> None:
    """A linear classifier of five classes."""
    weight = np.random.default_rng(0).normal(size=(192, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], [out]),
    ]
    outputs = [helper.make_tensor_value_info(out, TensorProto.FLOAT, [shape[0], 5])]
    inputs = [helper.make_tensor_value_info("pixels", kind, shape)]
    graph = helper.make_graph(nodes, "net", inputs, outputs, [numpy_helper.from_array(weight, "weight")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)


def test_an_onnx_file(certify, photos):
    write("net.onnx")
    options = ("--model", "onnx:net.onnx", "--data", "photos", *QUICK)
    code, _, err = certify(*options, "--range=-1,1")
    assert code == 0
    assert "resize the shorter side to 8 (bilinear), crop the centre 8x8" in err
    votes = table()
    write("net.onnx", shape=(3, 3, 8, 8))  # a batch of fixed size gives the same function
    shutil.rmtree("out")
    assert certify(*options, "--range=-1,1")[0] == 0
    assert table().equals(votes)


def test_an_onnx_file_with_channels_last(photos):
    write("net.onnx", shape=("batch", 8, 8, 3))
    model = found("onnx:net.onnx", value_range=(0.0, 1.0))
    assert model.preprocessing.size == (8, 8)
    x = torch.rand(2, 3, 8, 8)
    weight = numpy_helper.to_array(onnx.load("net.onnx").graph.initializer[0])
    expected = x.permute(0, 2, 3, 1).reshape(2, -1).numpy() @ weight
    assert np.allclose(model.network(x).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"kind": TensorProto.UINT8}, "its input pixels takes integers, tensor(uint8); allowed float32"),
        ({"kind": TensorProto.FLOAT16}, "its input pixels takes half precision only; allowed float32"),
        ({"shape": ("batch", 192)}, "its input pixels is ['batch', 192]; allowed images [B, C, H, W]"),
    ],
)
def test_onnx_files_that_do_not_go(refused, photos, options, line):
    write("net.onnx", **options)
    assert line in refused("--model", "onnx:net.onnx", "--data", "photos", "--range=0,1", *QUICK)


def test_an_onnx_file_needs_its_units(refused, photos):
    write("net.onnx")
    assert "nothing says what its input is" in refused("--model", "onnx:net.onnx", "--data", "photos", *QUICK)
    Path("net.onnx").write_bytes(b"no network")
    message = refused("--model", "onnx:net.onnx", "--data", "photos", "--range=0,1", *QUICK)
    assert "net.onnx: cannot be read: " in message


# --- nothing is downloaded ---


@pytest.mark.parametrize(
    "model", ["torchvision:resnet18", "timm:test_resnet.r160_in1k", "hf:nobody/vit-of-nobody"]
)
def test_weights_that_are_not_here(refused, photos, model, monkeypatch):
    message = refused("--model", model, "--data", "photos", *QUICK)
    assert f"--model {model}: " in message
    assert "give --download" in message

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("Network is unreachable")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the retries of the libraries
    assert "download failed: " in refused("--model", model, "--data", "photos", *QUICK, "--download")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("torchvision:resnet19", "no image classifier of that name; near: resnet18"),
        ("torchvision:fcn_resnet50", "no image classifier of that name"),
        ("torchvision:resnet18.V9", "no such weights; allowed: IMAGENET1K_V1"),
        ("timm:resnet19", "timm has no such architecture"),
        ("timm:resnet18.nonsense", "Invalid pretrained tag"),
        ("onnx:gone.onnx", "gone.onnx: cannot be read"),
        ("entry:mynet", "must be entry:MODULE:FUNCTION"),
        ("entry:nobody:net", "no module nobody"),
    ],
)
def test_names_that_are_none(refused, photos, model, line):
    assert line in refused("--model", model, "--data", "photos", "--range=0,1", *QUICK)


def test_what_to_install(refused, photos, monkeypatch):
    monkeypatch.setattr("rs.foreign.sources.find_spec", lambda name: None)
    message = refused("--model", "timm:resnet18", "--data", "photos", *QUICK)
    assert message.endswith("needs timm: pip install timm")
    message = refused("--model", "onnx:a.onnx", "--data", "photos", *QUICK)
    assert message.endswith("needs onnxruntime onnx: pip install onnxruntime onnx")


def test_weights_of_another_architecture(refused, photos):
    torch.save(models.squeezenet1_0().state_dict(), "w.pt")
    options = ("--model", "torchvision:squeezenet1_1", "--weights", "w.pt", "--data", "photos", *QUICK)
    assert "w.pt: not the weights of torchvision:squeezenet1_1: " in refused(*options)
