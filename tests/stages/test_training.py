"""The training loop: resumed to the bit, reproducible, honest about divergence, without waits."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from digits_training import CPU, SPEC, Killed, changed, metrics, same, weights
from digits_training import data as data  # fixtures
from digits_training import fit as fit
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from rs.errors import UserError
from rs.machine.devices import generator
from rs.methods import catalog
from rs.networks import checkpoints
from rs.networks.images import open_split
from rs.provenance.files import read_table, write_json
from rs.settings.training import Training
from rs.stages import train as training
from rs.study.schema import schema

pytestmark = pytest.mark.slow


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
    assert "lower training.optimizer.learning_rate (1e+30 here); the last good" in message
    curve, left = sorted((tmp_path / "a").iterdir())
    assert f"the last good checkpoint is {left}; its curve is {curve}" in message
    saved = torch.load(left, weights_only=True)
    assert saved["epoch"] == 2
    assert all(v.isfinite().all() for v in saved["network"].values())


def test_a_training_that_diverged_leaves_its_curve_until_it_succeeds(fit, tmp_path, monkeypatch):
    """The finished epochs as a training without fault records them, and the epoch that diverged."""
    original, rates = training.learning_rate, [0.05, 0.05, 1e30]
    monkeypatch.setattr(training, "learning_rate", lambda settings, epoch: rates[epoch])
    for _ in range(2):  # again from the last good checkpoint: the same curve
        with pytest.raises(UserError, match="diverged in epoch 3"):
            fit("a", SPEC)
        table, made = read_table(tmp_path / "a" / "diverged.parquet")
        rows = table.to_pylist()
        assert [row["epoch"] for row in rows] == [1, 2, 3]
        assert [math.isfinite(row["loss"]) for row in rows] == [True, True, False]
        assert made["diverged"] == {"epoch": 3, "lost": f"the loss is {rows[2]['loss']}"}
        assert made["spec"] == SPEC
        assert made["train_seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    monkeypatch.setattr(training, "learning_rate", original)
    folder = fit("a", SPEC)
    assert [row["loss"] for row in metrics(folder)[:2]] == [row["loss"] for row in rows[:2]]
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors", "training.parquet"]


def test_a_curve_that_cannot_be_written_does_not_hide_that_a_training_diverged(fit, tmp_path, monkeypatch):
    (tmp_path / "a" / "diverged.parquet").mkdir(parents=True)
    monkeypatch.setattr(training, "learning_rate", lambda settings, epoch: 1e30)
    first = "or mend the objective if its loss never was finite"
    lost = rf"^a: diverged in epoch 1: .*, {first}; its curve is lost: .*diverged\.parquet: cannot be written"
    with pytest.raises(UserError, match=lost):
        fit("a", SPEC)


def test_weights_that_diverge_in_the_very_last_step_are_not_saved(fit, tmp_path, monkeypatch):
    """The loss of the step before is still finite: only the weights show it."""
    monkeypatch.setattr(training, "learning_rate", lambda settings, epoch: 1e38)
    spec = changed(epochs=1, batch_size=2000, optimizer={"weight_decay": 0.0})
    spec["objective"] = {"name": "stability", "gamma": 1e6}
    with pytest.raises(UserError, match=r"a: diverged in epoch 1: .* is not finite; lower"):
        fit("a", spec)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["diverged.parquet"]


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
    facts, shapes = schema()["$defs"]["objectives"][name], json.loads(data.read_text())
    classifier = checkpoints.build_model(SPEC["model"], shapes).eval().requires_grad_(False)
    given = {key: REQUIRED.get(key, classifier) for key in facts["x-required"] if key != "name"}
    objective = catalog.find("objectives", name)(**given)
    noises = getattr(type(objective), "noises", {"gaussian"})
    noise = {"name": "gaussian", "sigma": 0.25} if "gaussian" in noises else {"name": min(noises)}
    settings = Training(batch_size=4, augmentation="crop_flip")
    denoises = getattr(objective, "output", "logits") == "image"
    model = {"name": "dncnn", "depth": 3, "width": 4} if denoises else SPEC["model"]
    network = training.Autocast(checkpoints.build_model(model, shapes), "bfloat16")
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
