"""What needs a GPU: recorded training steps, resume, forms with CUDA graphs, seeds, memory, NCCL."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from digits_training import changed
from safetensors.torch import load_file
from tiny_networks import audited
from tiny_study import TINY, Workspace, write_study

from rs.machine.devices import generator
from rs.methods import catalog
from rs.methods.noise.gaussian import Gaussian
from rs.networks import captured_step
from rs.networks.forms import resolve
from rs.networks.gray_convolutions import MANY, AlignedConvolution, align_gray_convolutions
from rs.networks.images import open_split
from rs.networks.inference import InferenceForm
from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.stages import train as training
from rs.stages.execution import as_dict
from rs.study.study import Study

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
CUDA = torch.device("cuda", 0)
SPEC = changed(epochs=3, batch_size=64, optimizer={"learning_rate": 0.02})
OBJECTIVES: list[dict[str, Any]] = [
    {"name": "clean"},
    {"name": "gaussian"},
    {"name": "stability"},
    {"name": "pgd", "epsilon": 0.3, "steps": 2},
    {"name": "smoothadv", "epsilon": 0.3, "steps": 2},
    {"name": "smoothadv", "epsilon": 0.3, "steps": 2, "attack": "ddn"},
    {"name": "trades", "epsilon": 0.3, "steps": 2},
    {"name": "wrm", "steps": 2},
    {"name": "nal", "steps": 2},
    {"name": "macer", "k": 4, "lambda": 1.0},
    {"name": "adre", "k": 4},
    {"name": "adre_adv", "epsilon": 0.3, "k": 4},
    {"name": "consistency", "lambda": 1.0},
    {"name": "smoothmix", "steps": 2, "samples": 2},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workspace:
    folder = tmp_path_factory.mktemp("data")
    study = {**TINY, "training": {**TINY["training"], "device": "cuda"}}
    study["sampling"] = {**TINY["sampling"], "device": "cuda"}
    workspace = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", study)])))
    workspace.run(workspace.job("data"))
    return workspace


@pytest.fixture
def fit(made, tmp_path):
    def make(name: str, spec: dict[str, Any]) -> Path:
        files = {"manifest": "model.json", "weights": "model.safetensors", "metrics": "training.parquet"}
        outputs = {key: tmp_path / name / file for key, file in files.items()}
        training.train(spec, made.path(made.plan.data_manifest), {}, outputs, CUDA, "code")
        return tmp_path / name

    return make


def losses(folder: Path) -> list[float]:
    return read_table(folder / "training.parquet")[0].column("loss").to_pylist()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_recorded_steps_train_like_written_ones(fit, monkeypatch, recwarn, objective, optimizer):
    if optimizer == "adam" and objective["name"] not in ("gaussian", "nal"):
        pytest.skip("once is enough")
    noise = {"name": "none"} if objective["name"] in ("clean", "pgd", "wrm") else SPEC["noise"]
    schedule = {"name": "multistep", "milestones": [1]}
    chosen = {"name": optimizer, "learning_rate": 5e-3 if optimizer == "sgd" else 1e-3}
    spec = {**SPEC, "objective": objective, "noise": noise}
    spec["training"] = {**SPEC["training"], "epochs": 2, "schedule": schedule, "optimizer": chosen}
    recorded = []
    record = captured_step.CapturedSteps._record
    monkeypatch.setattr(
        captured_step.CapturedSteps, "_record", lambda *args: recorded.append(record(*args)) or recorded[-1]
    )
    replayed = fit("replayed", spec)
    # two sizes of batch, two learning rates; the short batch comes once an epoch and is never recorded
    assert recorded == [True, True], [str(w.message) for w in recwarn]
    monkeypatch.setattr(captured_step, "WRITTEN", 10**9)
    written = fit("written", spec)
    assert len(recorded) == 2
    assert losses(replayed) == pytest.approx(losses(written), rel=2e-2)
    a, b = (load_file(folder / "model.safetensors") for folder in (replayed, written))
    weights = [name for name in a if name.endswith(("weight", "bias"))]
    # sums in another order move weights too, but by little beside what training moves them by
    start = network().state_dict()
    apart, moved = (
        sum(float((x[name].double() - y[name].double()).square().sum()) for name in weights) ** 0.5
        for x, y in ((a, b), (a, start))
    )
    assert apart < 0.1 * moved


def draw_into(place: torch.Tensor, draws: torch.Generator, chosen: torch.Tensor) -> None:
    place.copy_(torch.randn(len(chosen), generator=draws, device=CUDA))


def test_the_noise_of_recorded_steps_is_that_of_written_ones():
    """Bit for bit: a replay advances the generator as the step does."""
    drawn: dict[bool, list[torch.Tensor]] = {}
    for records in (True, False):
        steps, place = captured_step.CapturedSteps(CUDA), torch.zeros(7, device=CUDA)
        steps._records = records
        found = []
        for epoch in range(2):
            with steps.epoch(epoch + 5):
                for _ in range(6):
                    chosen = torch.arange(7, device=CUDA)
                    steps.take("kind", chosen, functools.partial(draw_into, place, steps.draws))
                    found.append(place.clone())
        drawn[records] = [f.cpu() for f in found]
    assert len({tuple(f.tolist()) for f in drawn[True]}) == 12
    assert all(torch.equal(a, b) for a, b in zip(drawn[True], drawn[False], strict=True))


def test_a_step_that_waits_for_the_gpu_runs_as_it_is_written():
    steps, total = captured_step.CapturedSteps(CUDA), torch.zeros((), device=CUDA)

    def step(chosen: torch.Tensor) -> None:
        total.add_(float(chosen.sum()))  # waits

    def epoch() -> None:
        with steps.epoch(0):
            for _ in range(6):
                steps.take("kind", torch.ones(2, device=CUDA), step)

    with pytest.warns(RuntimeWarning, match="not recorded"):
        epoch()
    assert float(total) == 12


def test_a_killed_training_continues(fit, monkeypatch):
    whole, original = fit("whole", SPEC), training.run_epoch

    def killed(*args: Any) -> Any:
        if args[7] == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(training, "run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        fit("killed", SPEC)
    monkeypatch.setattr(training, "run_epoch", original)
    assert losses(fit("killed", SPEC)) == pytest.approx(losses(whole), rel=2e-2)


def test_bfloat16_trains(fit):
    spec = {**SPEC, "training": {**SPEC["training"], "precision": "bfloat16", "epochs": 5}}
    found = losses(fit("bfloat16", spec))
    assert found[-1] < 0.8 * found[0]


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return catalog.build("models", {"name": "digits_cnn"}).build((1, 8, 8), 10, [0.5], [0.5]).eval()


def noise_like(image: torch.Tensor, draws: torch.Generator, rows: int) -> torch.Tensor:
    return Gaussian(0.5).sample((rows, *image.shape), draws)


def counts(form: dict[str, Any], images: int = 4) -> torch.Tensor:
    inference = InferenceForm(audited(network(), (1, 8, 8), 10), form, CUDA)
    drawn = []
    for index in range(images):
        draws = generator(CUDA, 0, "estimate", index, 0)
        image = torch.full((1, 8, 8), 0.1 * index, device=CUDA)
        drawn.append(inference.vote(image, 1000, functools.partial(noise_like, image, draws))[0])
    return torch.stack(drawn).cpu()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_forms_with_cuda_graphs_vote_like_eager_ones(precision):
    eager = counts({"precision": precision, "batch": 256, "compiled": False})
    compiled = counts({"precision": precision, "batch": 256, "compiled": True})
    assert eager.sum(1).tolist() == [1000] * 4
    assert int((eager - compiled).abs().sum()) <= (8 if precision == "float32" else 80)


@pytest.mark.parametrize(
    ("precision", "layout"), [("float32", "contiguous_format"), ("bfloat16", "channels_last")]
)
def test_each_precision_votes_in_the_layout_that_is_fast_for_it(precision, layout):
    form = InferenceForm(
        audited(network(), (1, 8, 8), 10), {"precision": precision, "batch": 32, "compiled": False}, CUDA
    )
    assert form.description["layout"] == layout


def test_memory_that_runs_out_gives_a_smaller_batch():
    settings = {"precision": "float32", "batch": 2**31, "compiled": False}
    with pytest.warns(RuntimeWarning, match="falls back"):
        form, why = resolve(audited(network(), (1, 8, 8), 10), settings, CUDA)
    assert form["batch"] < settings["batch"]
    assert "memory" in str(why).lower()


def test_counts_do_not_depend_on_the_shard(made):
    """The same images drawn one by one and together, with the trained network of the tiny study."""
    made.run(made.job("train"))
    made.run(made.job("form"))
    job = made.job("sample")
    found = []
    for name, extent in (("together", [0, 4, 1]), ("first", [0, 2, 1]), ("second", [2, 4, 1])):
        spec = {**job.spec, "images": extent}
        made.run(job, spec=spec, outputs={"draws": f"{name}.parquet"})
        table = read_table(made.folder / f"{name}.parquet")[0]
        found.append(table.column("counts").to_pylist())
    assert found[0] == found[1] + found[2]


def test_one_process_over_nccl_trains_like_none(made, fit):
    job = as_dict(made.job("train"))
    job["outputs"] = {key: f"nccl/{Path(path).name}" for key, path in job["outputs"].items()}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    command += ["-m", "rs", "train", "--job", json.dumps(job)]
    path = [str(Path(training.__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    here.pop("RS_PARENT", None)
    done = subprocess.run(command, cwd=made.folder, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    alone = fit("alone", job["spec"])
    assert losses(made.folder / "nccl") == pytest.approx(losses(alone), rel=2e-2)


def test_images_are_where_the_network_is(made):
    split = open_split(made.path(made.plan.data_manifest), "test", CUDA)
    x, y = split.take([0, 5])
    assert x.device == y.device == CUDA


def test_weight_gradients_of_gray_images_are_the_librarys():
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(1, 20, 5).to(CUDA)
    x = torch.rand(MANY, 1, 28, 28, device=CUDA)
    for precision in ("bfloat16", "float32"):
        trained = training.Autocast(copy.deepcopy(plain), precision).network
        assert (type(trained) is AlignedConvolution) == (precision == "bfloat16")
    by = {}
    for aligned in (False, True):
        network = copy.deepcopy(plain)
        if aligned:
            align_gray_convolutions(network)
        with torch.autocast("cuda", torch.bfloat16):
            found = network(x.contiguous(memory_format=torch.channels_last))
        found.float().square().mean().backward()
        by[aligned] = network.weight.grad
    torch.testing.assert_close(by[True], by[False], rtol=2e-2, atol=1e-4)
