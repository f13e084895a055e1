"""Several processes train what one process trains, whatever the objective draws, averages or normalises."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from digits_training import changed
from PIL import Image
from process_group import together as together  # a fixture
from safetensors.torch import load_file
from tiny_study import TINY, Workspace, write_study
from torch import nn
from torch.nn import functional as F

from rs.errors import UserError
from rs.methods.data.imagenet import ImageNet
from rs.networks import distributed
from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.smoothing.ascent import input_gradient
from rs.stages import data as preparation
from rs.stages import execution
from rs.stages import train as training
from rs.study.study import Study

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SPEC = changed(epochs=1, batch_size=480, optimizer={"learning_rate": 0.02})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Workspace:
    """The tiny study with its data and one trained run. Nothing in it may be changed."""
    folder = tmp_path_factory.mktemp("prepared")
    made = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", TINY)])))
    made.run(made.job("data"))
    made.run(made.job("train"))
    return made


@pytest.fixture
def fit(prepared, tmp_path, together):
    """Trains with some number of processes: weights and metrics."""

    def make(name: str, spec: dict[str, Any], count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        names = {"manifest": "model.json", "weights": "model.safetensors", "metrics": "training.parquet"}
        outputs = {key: tmp_path / name / file for key, file in names.items()}
        data = prepared.path(prepared.plan.data_manifest)

        def act() -> None:
            training.train(spec, data, {}, outputs, CPU, "code")

        if count == 1:
            act()
        else:
            together(act, count)
        made = json.loads(outputs["manifest"].read_text())["provenance"]
        assert made["processes"] == count
        assert sorted(p.name for p in (tmp_path / name).iterdir()) == sorted(names.values())
        return load_file(outputs["weights"]), read_table(outputs["metrics"])[0].to_pylist()

    return make


def distance(one: Any, other: Any) -> float:
    """Relative distance between two runs' weights."""
    a, b = (torch.cat([v.double().flatten() for _, v in sorted(run[0].items())]) for run in (one, other))
    return float((a - b).norm() / a.norm())


def close(one: Any, other: Any) -> None:
    """Float error alone: a nudge in the last bit of the first weights moves one process's run as far."""
    assert distance(one, other) < 1e-3
    for a, b in zip(one[1], other[1], strict=True):
        for key in a.keys() - {"seconds", "images_per_second"}:
            assert b[key] == pytest.approx(a[key], rel=3e-3, abs=3e-3), key


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ({"name": "gaussian", "samples": 2}, {"augmentation": "crop_flip"}),
        ({"name": "macer", "k": 2}, {"keep": "best_clean", "held_out": 150}),
        ({"name": "nal", "steps": 2, "samples": 2}, {}),
        ({"name": "trades", "epsilon": 0.5, "steps": 2}, {}),  # draws a start of its own
        ({"name": "smoothmix", "samples": 2, "steps": 2}, {}),  # draws a share per image
    ],
    ids=lambda value: value.get("name"),
)
def test_two_processes_are_one(fit, objective, settings):
    spec = {**SPEC, "objective": objective, "training": {**SPEC["training"], **settings}}
    one = fit("one", spec, 1)
    close(one, fit("two", spec, 2))
    assert distance(one, fit("other", {**spec, "seed": 1}, 1)) > 0.1


def test_shares_may_be_unequal(fit):
    """1,437 images in batches of 718 are 718, 718 and 1: one of three processes has the last one."""
    spec = {**SPEC, "training": {**SPEC["training"], "batch_size": 718}}
    close(fit("one", spec, 1), fit("three", spec, 3))


def test_more_processes_than_images_in_the_last_batch(together):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3)).train()
    x, y = torch.rand(2, 1, 8, 8), torch.tensor([0, 2])

    def act() -> Any:
        model = distributed.Replica(distributed.synchronise_batch_norm(network, CPU))
        logits = model(x)
        distributed.backward(F.cross_entropy(logits, y))
        return logits.detach(), [p.grad for p in network.parameters()]

    found = together(act, 3)
    logits = network(x)
    F.cross_entropy(logits, y).backward()
    for seen, gradients in found:
        torch.testing.assert_close(seen, logits.detach())
        for gradient, p in zip(gradients, network.parameters(), strict=True):
            torch.testing.assert_close(gradient, p.grad, rtol=1e-4, atol=1e-6)


def test_gradients_in_the_images_are_whole_in_every_process(together):
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    x, y = torch.rand(5, 1, 2, 3), torch.tensor([0, 1, 2, 0, 1])

    def gradient(model: nn.Module) -> torch.Tensor:
        return input_gradient(lambda at: F.cross_entropy(model(at), y, reduction="none"), x)

    for found in together(lambda: gradient(distributed.Replica(network))):
        torch.testing.assert_close(found, gradient(network))
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm2d(3), (7, 3, 4, 4)),
        (nn.BatchNorm2d(3, affine=False, momentum=None), (7, 3, 4, 4)),
        (nn.BatchNorm1d(3, track_running_stats=False), (7, 3)),
    ],
    ids=["usual", "plain", "of rows"],
)
def test_synchronised_batch_norm_is_torchs_over_all_rows(together, norm, shape):
    x = torch.randn(*shape) * 3 + 5
    ours, theirs = nn.Sequential(copy.deepcopy(norm)), norm

    def act() -> Any:
        norm = distributed.synchronise_batch_norm(ours, CPU)
        out = distributed.gather(norm(distributed.share(x)), len(x)).detach()
        state = {k: v.clone() for k, v in norm[0].state_dict().items()}
        return out, state, distributed.gather(norm.eval()(distributed.share(x)), len(x))

    expected = theirs(x).detach()
    for out, state, evaluated in together(act):
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(state, dict(theirs.state_dict()))
        torch.testing.assert_close(evaluated, theirs.eval()(x))


class Counted:
    """Stands for streamed images: image i is filled with i; remembers what this process decoded."""

    def __init__(self, n: int) -> None:
        self.labels, self.decoded = torch.arange(n) + 100, []

    def batches(self, order, batch_size):
        for piece in order.split(batch_size):
            self.decoded += piece.tolist()
            yield piece.float().reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2), self.labels[piece]


@pytest.mark.parametrize(("n", "batch"), [(20, 5), (23, 5), (21, 5), (4, 5), (1, 5)])
def test_streamed_images_are_decoded_once_and_come_whole(together, n, batch):
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))

    def act() -> Any:
        images = Counted(n)
        return [(x.clone(), y) for x, y in distributed.batches(images, order, batch)], images.decoded

    (one, first), (other, second) = together(act)
    for seen in (one, other):
        assert [y.tolist() for _, y in seen] == [(p + 100).tolist() for p in order.split(batch)]
        assert all((x[:, 0, 0, 0] + 100).tolist() == y.tolist() for x, y in seen)
    if n > 2 and n % batch != 1:
        assert sorted(first + second) == list(range(n))
    assert max(len(first), len(second)) <= n / 2 + n / batch + 1


def test_streamed_images_train_alike(together, tmp_path, monkeypatch):
    """Fourteen images in ImageNet's layout, cut by resized_crop_flip, two of them held out."""
    for i in range(16):
        split, wnid = ("train", f"n0{1 + i % 2}") if i < 14 else ("val", f"n0{i - 13}")
        file = tmp_path / "imagenet" / split / wnid / f"{i}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (12, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((280, 260)).save(file)
    torch.save(({"n01": ("a",), "n02": ("b",)}, ["n01", "n02"]), tmp_path / "imagenet" / "meta.bin")
    monkeypatch.setattr(ImageNet, "classes", 2)
    monkeypatch.setattr(ImageNet, "sizes", {"train": 14, "test": 2})
    manifest = tmp_path / "data" / "manifest.json"
    outputs = {"manifest": manifest, **{k: manifest.with_name(f"{k}.safetensors") for k in ("train", "test")}}
    preparation.prepare({"data": {"name": "imagenet"}}, ImageNet(), str(tmp_path), outputs, "code")

    def tiny(model: Any, data: Any) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 7, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 2)
        )

    monkeypatch.setattr(training.checkpoints, "build_model", tiny)
    settings = {
        "epochs": 2,
        "batch_size": 5,
        "augmentation": "resized_crop_flip",
        "keep": "best_clean",
        "held_out": 2,
    }
    spec = {**SPEC, "data": {"name": "imagenet"}, "training": settings}

    def fit(name: str) -> Any:
        files = {"manifest": "model.json", "weights": "model.safetensors", "metrics": "training.parquet"}
        made = {key: tmp_path / name / file for key, file in files.items()}
        training.train(spec, manifest, {}, made, CPU, "code", workers=1)

    def read(name: str) -> Any:
        rows = read_table(tmp_path / name / "training.parquet")[0].to_pylist()
        return load_file(tmp_path / name / "model.safetensors"), rows

    fit("one")
    together(lambda: fit("two"))
    close(read("one"), read("two"))


# --- through torchrun ---


def job_of(prepared, tmp_path, **changes: Any) -> dict[str, Any]:
    job = execution.as_dict(prepared.job("train"))
    job["outputs"] = {k: str(tmp_path / "run" / Path(v).name) for k, v in job["outputs"].items()}
    job["inputs"]["data"] = str(prepared.path(prepared.plan.data_manifest))
    job["spec"]["training"] |= changes
    return {**job, "processes": 2}


def test_torchrun_trains_what_one_process_trains(prepared, tmp_path):
    job = job_of(prepared, tmp_path)
    execution.execute("train", job)
    two = load_file(tmp_path / "run" / "model.safetensors")
    trained = execution.as_dict(prepared.job("train"))["outputs"]["weights"]
    assert distance((load_file(prepared.path(trained)),), (two,)) < 1e-3


def test_what_ends_a_process_is_told_once(prepared, tmp_path, capfd):
    job = job_of(prepared, tmp_path, optimizer={"learning_rate": 1e6})
    with pytest.raises(UserError, match=r"^run: diverged in epoch 1: .*lower training.optimizer") as caught:
        execution.execute("train", job)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
