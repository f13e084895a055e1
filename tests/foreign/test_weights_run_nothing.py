"""Weights in the libraries' caches are read as weights alone: code in a file is refused and does not run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from rs.errors import UserError
from rs.foreign import sources
from rs.foreign.preprocessing import Stated

pytestmark = pytest.mark.slow  # the libraries take seconds to import
OPTIONS = ("--data", "photos", "--sigma", "0.25", "--out", "out")


class Payload:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def cached(model: str) -> Path:
    """Where torch keeps the file that torchvision would load."""
    (weights,) = models.get_model_weights(model)
    place = Path("torch/hub/checkpoints")
    place.mkdir(parents=True, exist_ok=True)
    return place / weights.url.rpartition("/")[2]


def found(name: str, **more: bool):
    return sources.load(sources.Request("torchvision", name, **more), Stated())


@pytest.mark.parametrize("saved", [torch.save, lambda held, file: file.write_bytes(pickle.dumps(held))])
@pytest.mark.parametrize("download", [(), ("--download",)])
def test_code_in_torchvisions_cache(refused, saved, download):
    state = models.squeezenet1_1().state_dict()
    saved({**state, "extra": Payload()}, cached("squeezenet1_1"))
    message = refused("--model", "torchvision:squeezenet1_1", *OPTIONS, *download)
    assert "squeezenet1_1-b8a52dc0.pth: " in message
    assert not Path("harm").exists()
    assert not Path("out").exists()


def test_code_in_timms_cache(refused, monkeypatch):
    torch.save({"a": Payload()}, "weights.pth")
    monkeypatch.setattr("rs.foreign.timm_source.try_to_load_from_cache", lambda *_: "weights.pth")
    assert "weights.pth: holds more than weights" in refused(
        "--model", "timm:test_resnet.r160_in1k", *OPTIONS
    )
    assert not Path("harm").exists()


def test_code_in_a_folder_of_transformers(refused, place):
    Path("vit").mkdir()
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 16}
    Path("vit/config.json").write_text(json.dumps(config | {"num_attention_heads": 2}))
    torch.save({"a": Payload()}, "vit/pytorch_model.bin")
    assert "hf:vit: cannot be loaded: " in refused("--model", "hf:vit", *OPTIONS)
    assert not Path("harm").exists()


def test_a_download_is_held_against_its_name(place, monkeypatch):
    """The name of the file holds the beginning of its digest."""
    torch.save(models.squeezenet1_1().state_dict(), "fetched.pth")

    def fetched(url: str, kept: str, digest: str | None, progress: bool = True) -> None:
        assert digest == "b8a52dc0"
        shutil.copy("fetched.pth", kept)

    monkeypatch.setattr("torch.hub.download_url_to_file", fetched)
    with pytest.raises(UserError, match="give --download"):
        found("squeezenet1_1")
    assert found("squeezenet1_1", download=True).provenance == found("squeezenet1_1").provenance


def test_densenets_old_names_and_googlenets_heads(place):
    torch.manual_seed(0)
    network = models.googlenet(aux_logits=True, init_weights=False)
    torch.save(network.state_dict(), cached("googlenet"))
    model = found("googlenet").network
    assert model.transform_input
    assert not any(name.startswith("aux") for name in model.state_dict())
    assert torch.equal(model.fc.weight, network.fc.weight)

    network = models.densenet121()
    old = {k.replace(".norm1.", ".norm.1."): v for k, v in network.state_dict().items()}
    torch.save(old, cached("densenet121"))
    assert found("densenet121").provenance["weights"] == sources.digest_of(network)


def test_files_of_older_versions_of_modules(place):
    """What state dicts tell of their modules' versions is heeded: ViT's names were others."""
    network = models.mnasnet0_5()
    torch.save(network.state_dict(), cached("mnasnet0_5"))
    assert found("mnasnet0_5").provenance["weights"] == sources.digest_of(network)
    network = models.vit_b_32()
    renamed = {k.replace(".mlp.0.", ".mlp.linear_1."): v for k, v in network.state_dict().items()}
    torch.save({k.replace(".mlp.3.", ".mlp.linear_2."): v for k, v in renamed.items()}, cached("vit_b_32"))
    assert found("vit_b_32").provenance["weights"] == sources.digest_of(network)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_of_a_file_are_of_the_networks_version(place, suffix):
    """A state dict in a checkpoint, or in safetensors, says no version; MNASNet refuses such."""
    torch.manual_seed(0)
    network, path = models.mnasnet0_5(), Path(f"mine.{suffix}")
    if suffix == "pt":
        torch.save({"state_dict": dict(network.state_dict()), "epoch": 3}, path)
    else:
        save_file(network.state_dict(), path)
    request = sources.Request("torchvision", "mnasnet0_5", path)
    assert sources.load(request, Stated()).provenance["weights"] == sources.digest_of(network)


def test_weights_of_another_network_in_the_cache(refused):
    torch.save(models.squeezenet1_0().state_dict(), cached("squeezenet1_1"))
    message = refused("--model", "torchvision:squeezenet1_1", *OPTIONS)
    assert "squeezenet1_1-b8a52dc0.pth does not fit: " in message
