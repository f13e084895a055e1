"""The training loop: resumed to the bit, reproducible, honest about divergence; and its parts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_study import TINY, Workspace, write_study
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from rs.errors import UserError
from rs.machine.devices import generator
from rs.methods import catalog
from rs.networks import checkpoints
from rs.networks.images import open_split
from rs.plan.plan import Plan
from rs.provenance.files import read_table, write_json
from rs.settings.training import Optimizer, Schedule, Training
from rs.stages import train as training
from rs.study.study import Study

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SPEC: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": {"name": "digits_cnn"},
    "noise": {"name": "gaussian", "sigma": 0.25},
    "objective": {"name": "gaussian"},
    "training": {"epochs": 3, "batch_size": 256, "optimizer": {"learning_rate": 0.05}},
    "seed": 0,
}


def changed(**training_keys: Any) -> dict[str, Any]:
    return {**SPEC, "training": {**SPEC["training"], **training_keys}}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The digits' manifest."""
    folder = tmp_path_factory.mktemp("data")
    made = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", TINY)])))
    made.run(made.job("data"))
    return made.path(made.plan.data_manifest)


@pytest.fixture
def fit(data, tmp_path):
    """Trains into a folder of tmp_path; returns the folder."""

    def make(name: str, spec: dict[str, Any], code: str = "code", calibrations: Any = None):
        outputs = {
            "manifest": tmp_path / name / "model.json",
            "weights": tmp_path / name / "model.safetensors",
            "metrics": tmp_path / name / "training.parquet",
        }
        training.train(spec, data, calibrations or {}, outputs, CPU, code)
        return tmp_path / name

    return make


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b) -> bool:
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def metrics(folder):
    table, _ = read_table(folder / "training.parquet")
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timed} for row in table.to_pylist()]


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


@pytest.fixture
def kill_after(monkeypatch):
    """The process ends at the start of this epoch (counted from 0)."""

    def arrange(epoch: int | None) -> None:
        def run_epoch(*args: Any) -> Any:
            if args[7] == epoch:
                raise Killed
            return original(*args)

        monkeypatch.setattr(training, "run_epoch", run_epoch)

    original = training.run_epoch
    return arrange


# --- resume ---


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        changed(augmentation="crop_flip", optimizer={"name": "adam"}, schedule={"name": "cosine"}),
        changed(precision="bfloat16", keep="best_clean", held_out=200),
    ],
)
def test_a_killed_training_continues_to_the_bit(fit, kill_after, spec):
    whole = fit("whole", spec)
    kill_after(2)
    with pytest.raises(Killed):
        fit("killed", spec)
    left = [p.name for p in (whole.parent / "killed").iterdir()]
    assert len(left) == 1
    assert left[0].startswith("resume-")
    kill_after(None)
    killed = fit("killed", spec)
    assert same(whole, killed)
    assert metrics(whole) == metrics(killed)
    names = sorted(p.name for p in killed.iterdir())
    assert names == ["model.json", "model.safetensors", "training.parquet"]


@pytest.mark.parametrize("other", ["code", "spec"])
def test_other_code_or_another_spec_starts_anew(fit, kill_after, other):
    kill_after(1)
    with pytest.raises(Killed):
        fit("a", SPEC)
    epochs = []
    original = training.learning_rate

    def learning_rate(settings: Training, epoch: int) -> float:
        epochs.append(epoch)
        return original(settings, epoch)

    kill_after(None)
    training.learning_rate = learning_rate
    try:
        fit(
            "a", changed(batch_size=512) if other == "spec" else SPEC, "edited" if other == "code" else "code"
        )
    finally:
        training.learning_rate = original
    assert epochs == [0, 1, 2]


# --- reproducibility ---


def test_seeds_and_nothing_else_decide(fit):
    first = fit("a", SPEC)
    torch.manual_seed(99)
    assert same(first, fit("b", SPEC))
    assert same(first, fit("c", changed(device="auto", threads=1)))
    assert not same(first, fit("d", {**SPEC, "seed": 1}))


def test_metrics_and_manifest(fit):
    folder = fit("a", SPEC)
    rows = read_table(folder / "training.parquet")[0].to_pylist()
    assert [r["epoch"] for r in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[0]["loss"] == pytest.approx(rows[0]["cross_entropy"])
    assert all(r["seconds"] > 0 for r in rows)
    assert all(r["images_per_second"] >= 1437 / r["seconds"] for r in rows)
    made = json.loads((folder / "model.json").read_text())["provenance"]
    assert made["train_seconds"] == pytest.approx(sum(r["seconds"] for r in rows))
    assert (made["epochs"], made["kept_epoch"], made["seed"], made["precision"]) == (3, 3, 0, "float32")
    rates = [r["images_per_second"] for r in rows]
    assert made["images_per_second"] == sorted(rates)[1]


# --- divergence ---


def test_divergence_is_one_line_and_keeps_the_last_good_checkpoint(fit, tmp_path, monkeypatch):
    rates = [0.05, 0.05, 1e30]
    monkeypatch.setattr(training, "learning_rate", lambda settings, epoch: rates[epoch])
    with pytest.raises(UserError) as caught:
        fit("a", SPEC)
    message = str(caught.value)
    assert message.startswith("a: diverged in epoch 3: ")
    assert "lower training.optimizer.learning_rate" in message
    (left,) = (tmp_path / "a").iterdir()
    assert str(left) in message
    saved = torch.load(left, weights_only=True)
    assert saved["epoch"] == 2
    assert all(v.isfinite().all() for v in saved["network"].values())


def test_weights_that_diverge_in_the_very_last_step_are_not_saved(fit, tmp_path, monkeypatch):
    """The loss of the step before is still finite: only the weights show it."""
    monkeypatch.setattr(training, "learning_rate", lambda settings, epoch: 1e38)
    spec = changed(epochs=1, batch_size=2000, optimizer={"weight_decay": 0.0})
    spec["objective"] = {"name": "stability", "gamma": 1e6}
    with pytest.raises(UserError, match=r"a: diverged in epoch 1: .* is not finite; lower"):
        fit("a", spec)
    assert list((tmp_path / "a").iterdir()) == [] if (tmp_path / "a").exists() else True


def test_a_full_disk_is_one_line_and_leaves_no_half_checkpoint(fit, tmp_path, full_disk):
    with full_disk(), pytest.raises(UserError, match=r"resume-\w+\.pt: cannot be written: "):
        fit("a", SPEC)
    assert list((tmp_path / "a").iterdir()) == []


# --- keeping the best epoch ---


def test_best_clean_keeps_the_epoch_of_the_highest_accuracy_on_images_not_trained_on(fit, data, monkeypatch):
    rates = [0.05, 0.0, 0.9]  # the second epoch changes batch norm only; the third is bad
    monkeypatch.setattr(training, "learning_rate", lambda settings, epoch: rates[epoch])
    lengths = []
    original = training.run_epoch

    def run_epoch(*args: Any) -> Any:
        lengths.append(len(args[4].positions))
        return original(*args)

    monkeypatch.setattr(training, "run_epoch", run_epoch)
    folder = fit("a", changed(keep="best_clean", held_out=300))
    assert lengths == [1137] * 3
    accuracies = [r["selection_accuracy"] for r in metrics(folder)]
    made = json.loads((folder / "model.json").read_text())["provenance"]
    assert made["kept_epoch"] == 1 + accuracies.index(max(accuracies))
    network, _ = checkpoints.load(folder / "model.json", data)
    images = training.Images(open_split(data, "train"), range(1137, 1437), (8, 8))
    noise = catalog.build("noises", SPEC["noise"])
    again = training.noisy_accuracy(network, images, noise, generator(CPU, 0, "train", 3))
    assert again == pytest.approx(max(accuracies), abs=0.011)


def test_best_clean_keeps_the_first_of_equal_epochs(fit, monkeypatch):
    """As papers' "best so far" does; the last of them would be one trained longer for nothing."""
    monkeypatch.setattr(training, "noisy_accuracy", lambda *_: 0.5)
    folder = fit("a", changed(keep="best_clean", held_out=300))
    assert json.loads((folder / "model.json").read_text())["provenance"]["kept_epoch"] == 1


# --- the parts ---


def test_schedules():
    step = Training(
        epochs=90, optimizer=Optimizer(learning_rate=0.1), schedule=Schedule("multistep", (30, 60), 0.1)
    )
    rates = [training.learning_rate(step, e) for e in (0, 29, 30, 59, 60, 89)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    cosine = Training(epochs=10, optimizer=Optimizer(learning_rate=0.2), schedule=Schedule("cosine"))
    assert training.learning_rate(cosine, 0) == 0.2
    assert training.learning_rate(cosine, 5) == pytest.approx(0.1)
    assert training.learning_rate(cosine, 9) == pytest.approx(0.1 * (1 + math.cos(0.9 * math.pi)))
    assert training.learning_rate(Training(), 7) == 0.01


def test_warm_up_ends_at_the_whole_rate_and_cosine_takes_the_rest():
    """ADRE's ImageNet schedule: 50 epochs, 8 of them warm-up."""
    adre = Training(epochs=50, optimizer=Optimizer(learning_rate=0.1), schedule=Schedule("cosine", warmup=8))
    rates = [training.learning_rate(adre, e) for e in range(50)]
    assert rates[:8] == pytest.approx([0.1 * (e + 1) / 8 for e in range(8)])
    assert rates[8:] == pytest.approx([0.05 * (1 + math.cos(math.pi * e / 42)) for e in range(42)])
    assert max(rates) == rates[7] == rates[8] == 0.1
    short = Training(epochs=2, schedule=Schedule("cosine", warmup=8))
    assert [training.learning_rate(short, e) for e in (0, 1)] == pytest.approx([0.00125, 0.0025])
    steps = Training(epochs=9, schedule=Schedule("multistep", (3, 6), warmup=2))
    rates = [training.learning_rate(steps, e) for e in (0, 1, 2, 3, 6)]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.001, 0.0001])


# --- speed ---


class NoWaiting(TorchDispatchMode):
    """Refuses what would make the host wait for the device: values read, and shapes that depend on them."""

    WAITS = frozenset({"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal"})

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.name().split(".")[0] not in self.WAITS, f"a step waits for {func}"
        return func(*args, **(kwargs or {}))


REQUIRED = {"epsilon": 0.5}


@pytest.mark.parametrize("name", sorted(catalog.table("objectives")))
def test_no_objective_waits_for_the_device_inside_a_step(name, data, monkeypatch):
    # torch reads the labels' range only on CPUs
    monkeypatch.setattr(functional, "one_hot", lambda y, k: (y.unsqueeze(1) == torch.arange(k)).long())
    required = catalog.schema()["$defs"]["objectives"][name]["x-required"]
    given = {key: REQUIRED[key] for key in required if key != "name"}
    objective = catalog.build("objectives", {"name": name, **given})
    noises = getattr(type(objective), "noises", {"gaussian"})
    noise = {"name": "gaussian", "sigma": 0.25} if "gaussian" in noises else {"name": min(noises)}
    settings = Training(batch_size=4, augmentation="crop_flip")
    network = training.Autocast(
        checkpoints.build_model(SPEC["model"], json.loads(data.read_text())), "bfloat16"
    )
    images = training.Images(open_split(data, "train"), range(8), (8, 8))
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    stepped = []

    class Step:
        """The objective as a step meets it; the epoch ends outside of it."""

        def loss(self, *args: Any) -> Any:
            with NoWaiting():
                stepped.append(args[-1])
                loss, scalars = objective.loss(*args)
                torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
            assert all(isinstance(v, torch.Tensor) and not v.requires_grad for v in scalars.values())
            return loss, scalars

    made = catalog.build("noises", noise)
    training.run_epoch(network, Step(), made, optimizer, images, settings, 0, 8)
    assert stepped == [0.8, 0.85]


def test_bfloat16_trains_float32_weights_and_returns_float32_logits(fit):
    folder = fit("a", changed(precision="bfloat16", epochs=2))
    state = weights(folder)
    assert all(v.dtype in (torch.float32, torch.int64) for v in state.values())
    assert metrics(folder)[-1]["loss"] < 2
    assert not same(folder, fit("b", changed(epochs=2)))


def test_a_calibrated_epsilon_is_resolved_and_recorded(fit, tmp_path):
    measured = {"rho_with_noise": 4.0, "epsilon_with_noise": 2.0}
    measured |= {"rho_without_noise": 0.0625, "epsilon_without_noise": 0.25}
    write_json(tmp_path / "c.json", {**measured, "provenance": {"spec_digest": "y", "run": "x"}})
    method = {"name": "smoothadv", "epsilon": {"calibrated": "x/y", "cost": "without_noise"}, "steps": 1}
    spec = {**changed(epochs=1), "objective": method}
    folder = fit("a", spec, calibrations={"epsilon": tmp_path / "c.json"})
    assert json.loads((folder / "model.json").read_text())["provenance"]["resolved"] == {"epsilon": 0.25}
    assert same(folder, fit("b", {**spec, "objective": {**method, "epsilon": 0.25}}))
    write_json(tmp_path / "c.json", {"rho": 1})
    with pytest.raises(UserError, match=r"c.json: lacks rho_with_noise"):
        fit("c", spec, calibrations={"epsilon": tmp_path / "c.json"})


# --- checkpoints ---


def test_damaged_weights_are_one_line(fit, data):
    folder = fit("a", changed(epochs=1))
    manifest, file = folder / "model.json", folder / "model.safetensors"
    good = file.read_bytes()

    def refused() -> str:
        with pytest.raises(UserError) as caught:
            checkpoints.load(manifest, data)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    file.write_bytes(good[: len(good) // 2])
    assert refused().startswith(f"{file}: truncated or changed")
    file.unlink()
    assert refused().startswith(f"{file}: cannot be read: No such file")
    file.write_bytes(good[:-4] + b"\0\0\0\1")
    assert "changed since it was trained" in refused()
    file.write_bytes(good)
    written = json.loads(manifest.read_text())
    del written["sha256"]
    write_json(manifest, written)
    assert refused() == f"{manifest}: not a model's manifest; remove it and train again"


def test_another_architecture_is_named(fit, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    good = model.state_dict()
    checkpoints.load_state(model, good, tmp_path / "w", "tiny")
    for state, says in (
        ({**good, "0.weight": torch.zeros(2, 4)}, "0.weight is [2, 4], not [2, 3]"),
        ({**good, "1.weight": torch.zeros(1)}, "has the unknown tensor 1.weight"),
        ({"0.weight": good["0.weight"]}, "lacks tensor 0.bias"),
    ):
        with pytest.raises(UserError) as caught:
            checkpoints.load_state(model, state, tmp_path / "w", "tiny")
        assert str(caught.value) == f"{tmp_path / 'w'}: weights of another architecture than tiny: {says}"


def test_weights_that_are_no_dense_real_numbers_are_named(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    good = model.state_dict()
    for bias, kind in (
        (good["0.bias"] * 1j, "complex64 strided"),
        (good["0.bias"].to_sparse(), "float32 sparse_coo"),
        (good["0.bias"].to("meta"), "float32 strided without values"),
    ):
        with pytest.raises(UserError) as caught:
            checkpoints.load_state(model, {**good, "0.bias": bias}, tmp_path / "w", "tiny")
        assert str(caught.value) == f"{tmp_path / 'w'}: tensor 0.bias is {kind}; allowed dense real numbers"
