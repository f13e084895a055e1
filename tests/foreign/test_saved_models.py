"""Saved models as their libraries lay them out: weights in folders beside ONNX files, image processors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import transformers
from onnx import TensorProto, helper, numpy_helper

from rs.errors import UserError
from rs.foreign import sources
from rs.foreign.preprocessing import Stated

pytestmark = pytest.mark.slow  # the libraries take seconds to import


def found(name: str):
    source, _, rest = name.partition(":")
    return sources.load(sources.Request(source, rest), Stated(value_range=(0.0, 1.0)))


def test_an_onnx_file_is_told_apart_by_weights_in_a_folder_below(place):
    """Of the graph, and of a graph inside a node."""
    Path("parts").mkdir()

    def outside(name: str, shape: tuple[int, ...], file: str) -> TensorProto:
        weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        Path(file).write_bytes(weight.tobytes())
        tensor = numpy_helper.from_array(weight, name)
        onnx.external_data_helper.set_external_data(tensor, file)
        tensor.ClearField("raw_data")
        return tensor

    def branch(name: str) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(f"{name}_", TensorProto.FLOAT, [5])
        values = outside(name, (5,), f"parts/{name}.bin")
        return helper.make_graph(
            [helper.make_node("Identity", [name], [f"{name}_"])], name, [], [result], [values]
        )

    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["product"]),
        helper.make_node("If", ["chosen"], ["bias"], then_branch=branch("a"), else_branch=branch("b")),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    held = [
        outside("weight", (192, 5), "parts/weight.bin"),
        numpy_helper.from_array(np.array(True), "chosen"),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])
    graph = helper.make_graph(nodes, "net", [pixels], [logits], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    Path("net.onnx").write_bytes(model.SerializeToString())
    digests = [found("onnx:net.onnx").provenance["weights"]]
    assert found("onnx:net.onnx").provenance["weights"] == digests[0]
    for file in ("parts/weight.bin", "parts/a.bin"):
        other = np.frombuffer(Path(file).read_bytes(), np.float32) + 1
        Path(file).write_bytes(other.tobytes())
        digests.append(found("onnx:net.onnx").provenance["weights"])
    assert len(set(digests)) == 3


@pytest.fixture
def saved(place: Path) -> Path:
    """A tiny ViT with an image processor."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.ViTConfig(image_size=32, patch_size=16, **sizes)
    transformers.ViTForImageClassification(config).save_pretrained("vit")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}, resample=0).save_pretrained("vit")
    return Path("vit")


def test_nearest_is_an_interpolation(saved):
    assert found("hf:vit").preprocessing.interpolation == "nearest"


def test_a_damaged_processor_is_not_none(saved):
    file = saved / "preprocessor_config.json"
    file.write_text(file.read_text()[:40])
    with pytest.raises(UserError, match="hf:vit: its image processor cannot be loaded: "):
        found("hf:vit")
    file.unlink()
    assert found("hf:vit").preprocessing.source == "hf:vit, without an image processor, and options"


def test_a_processor_of_another_form(saved, monkeypatch):
    """As of timm's models in transformers: settings under other names."""
    timms = transformers.TimmWrapperImageProcessor({"input_size": [3, 32, 32]})
    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", lambda *_, **__: timms)
    message = "the settings of its image processor, a TimmWrapperImageProcessor, are of no known form"
    with pytest.raises(UserError, match=message):
        found("hf:vit")
