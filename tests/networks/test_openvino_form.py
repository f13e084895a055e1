"""What OpenVINO runs: one function of the image, named by what it was made of, refused where it cannot be."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from tiny_networks import audited, with_trained_norms
from torch import nn

from rs.errors import UserError
from rs.methods.models.digits_cnn import DigitsCnn
from rs.methods.models.residual import residual_network
from rs.networks import openvino_program as programs
from rs.networks.audit import audit
from rs.networks.averaged import Averaged
from rs.networks.openvino_form import OpenVinoForm, program_of
from rs.networks.openvino_program import build, check_processor, unpacked

pytest.importorskip("openvino", reason="OpenVINO is not installed")
pytest.importorskip("nncf", reason="nncf is not installed")
vnni = pytest.mark.skipif(not programs.sums_bytes(), reason="this processor has no VNNI")
pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
INT8 = {"precision": "int8", "batch": 32, "compiled": True}
FLOAT = {"precision": "float32", "batch": 32, "compiled": True, "engine": "openvino"}


@pytest.fixture(scope="module")
def network():
    return with_trained_norms(SHAPE)


def examples(sigma: float) -> torch.Tensor:
    draws = torch.Generator().manual_seed(5)
    images = torch.rand(64, *SHAPE, generator=draws)
    return images + sigma * torch.randn(images.shape, generator=draws)


def form_of(network: nn.Module, settings: dict, sigma: float = 0.25) -> OpenVinoForm:
    subject = audited(network, SHAPE, 10)
    return OpenVinoForm(subject, settings, CPU, program_of(subject, settings, examples(sigma), {}), most=0.3)


@vnni
def test_int8_logits_are_near_the_network_s_and_not_its(network):
    x = examples(0.25)[:20]
    found, truth = form_of(network, INT8)(x), network(x)
    apart = (found - truth).abs().max() / truth.abs().max()
    assert 1e-4 < apart < 0.1


@vnni
def test_int8_is_one_function_of_the_image(network):
    """The same bits alone, elsewhere in a batch, among other images and in a batch that is padded."""
    form, x = form_of(network, INT8), examples(0.25)[:32]
    truth = form(x).clone()
    assert torch.equal(form(x.roll(7, 0)).roll(-7, 0), truth)
    others = torch.cat([x[:1], 5 * torch.rand(31, *SHAPE)])
    assert torch.equal(form(others)[0], truth[0])
    assert torch.equal(form(x[3:4])[0], truth[3])
    assert len(truth.unique()) > 32


@vnni
def test_the_program_is_that_of_its_calibration(network):
    subject = audited(network, SHAPE, 10)
    narrow, again, wide = (program_of(subject, INT8, examples(s), {}) for s in (0.25, 0.25, 2.0))
    assert narrow.digest == again.digest != wide.digest
    x = examples(0.25)[:32]
    forms = [OpenVinoForm(subject, INT8, CPU, program, most=1.0) for program in (narrow, again, wide)]
    logits = [form(x).clone() for form in forms]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    assert forms[0].description["program"] != forms[2].description["program"]


def residual():
    """A small one as training leaves it: its norms have offsets, so that its activations have means."""
    torch.manual_seed(0)
    network = residual_network(1, (8, 16), 2, 10, nn.ReLU)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0.5, 0.5)
    for _ in range(20):
        network(torch.rand(64, *SHAPE) + 0.25 * torch.randn(64, *SHAPE))
    return network.eval().requires_grad_(False)


def errors_of(network: nn.Module, calibrating: torch.Tensor, x: torch.Tensor) -> tuple[float, float]:
    """Of int8's logits, in standard deviations of the network's: the mean error's size, and any error's."""
    subject, truth = audited(network, SHAPE, 10), network(x).detach()
    form = OpenVinoForm(subject, INT8, CPU, program_of(subject, INT8, calibrating, {}), most=1.0)
    errors = torch.cat([form(part).clone() for part in x.split(32)]) - truth
    spread = (truth - truth.mean(0)).square().mean()
    return tuple(float((e.square().mean() / spread).sqrt()) for e in (errors.mean(0), errors))


@vnni
def test_int8_of_a_residual_network_is_not_shifted():
    """Correcting biases by what constant images give shifts its logits by 1.05 standard deviations."""
    shift, _ = errors_of(residual(), examples(0.25), examples(0.25).flip(-1))
    assert shift < 0.2


@vnni
def test_the_range_is_not_that_of_the_average_image(network):
    """Half of the images are four times as bright; within the images' mean range, errors are 0.64."""
    dark, bright = examples(0.25), 4 * examples(0.25).flip(-1)
    mixed = torch.stack([dark, bright[:64]], 1).flatten(0, 1)
    assert errors_of(network, mixed, bright)[1] < 0.1
    assert errors_of(network, mixed, dark)[1] < 0.2


@vnni
def test_int8_is_refused_where_it_is_not_the_network(network):
    """Ranges of faint images cut off what others are made of."""
    x = examples(0.25)
    subject = replace(audited(network, SHAPE, 10), probes=40 * x)
    assert OpenVinoForm(subject, INT8, CPU, program_of(subject, INT8, 40 * x, {})).compared["probes"] == 64
    with pytest.raises(UserError, match=r"int8 by OpenVINO \d+.\d% of its votes are not the network's"):
        OpenVinoForm(subject, INT8, CPU, program_of(subject, INT8, x, {}))


def test_float32_is_the_network_up_to_its_last_digits(network):
    form, x = form_of(network, FLOAT), examples(0.25)[:20]
    torch.testing.assert_close(form(x).clone(), network(x), rtol=1e-3, atol=1e-4)
    assert form.description == {**FLOAT, "program": form.program.digest[:16], "device": "cpu"}
    assert form.compared["differing_votes"] == 0


def test_a_program_that_was_kept_is_whole_or_refused(network, tmp_path):
    program = program_of(audited(network, SHAPE, 10), FLOAT, examples(0.25), {"images": 64})
    fields = program.packed()
    assert unpacked(fields, tmp_path) == program
    other = replace(program, weights=program.weights[:-1] + b"x").packed()
    for damaged in (None, {}, {**fields, "graph": "?"}, {**fields, "weights": other["weights"]}):
        with pytest.raises(UserError, match="holds no whole program"):
            unpacked(damaged, tmp_path)


def test_a_program_of_another_network_is_refused(network):
    torch.manual_seed(1)
    other = DigitsCnn().build(SHAPE, 10, (0.3,), (0.4,)).eval()
    program = program_of(audited(other, SHAPE, 10), FLOAT, examples(0.25), {})
    with pytest.raises(UserError, match=r"of its votes are not the network's; use another precision"):
        OpenVinoForm(audited(network, SHAPE, 10), FLOAT, CPU, program)


FREED = """
import gc, os, signal, sys
import torch
from rs.networks.openvino_program import build, running

signal.signal(signal.SIGTERM, lambda *_: print("handled"))
images = torch.rand(4, 1, 8, 8)
program = build(torch.nn.Flatten(), images, {"precision": "float32", "batch": 4}, {}, "ours")
runs = [running(program, "float32") for _ in range(3)]
while runs:
    runs.pop(0)(images)
    gc.collect()
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_programs_are_freed_in_any_order_and_signals_still_handled():
    """A core for each program would leave its signals a stack that is gone: a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["handled"] * 3), done.stderr


class Rare(nn.Module):
    """Adds the mean of the batch to the logits of one image, which it knows by a pixel."""

    def __init__(self, network: nn.Module, known: float) -> None:
        super().__init__()
        self.network, self.known = network, known

    def forward(self, x):
        rare = ((x[:, 0, 0, 0] - self.known).abs() < 1e-6)[:, None]
        return self.network(x) + rare * x.mean() * torch.arange(10)


@pytest.mark.parametrize("form", [FLOAT, pytest.param(INT8, marks=vnni)])
def test_a_network_that_mixes_one_image_with_its_batch_is_refused(network, form):
    known = float(audited(network, SHAPE, 10).probes[20, 0, 0, 0])
    subject = audited(Rare(network, known).eval(), SHAPE, 10)
    assert not audit(subject.network, subject.probes, "theirs")["chance"]
    program = program_of(subject, form, examples(0.25), {})
    with pytest.raises(UserError, match=r"^theirs: its answer depends on the batch that an image is in"):
        OpenVinoForm(subject, form, CPU, program)


class Branching(nn.Module):
    def forward(self, x):
        if float(x.sum()) > 1e9:
            raise ValueError("too bright")
        return torch.linalg.svdvals(x.flatten(2)[:, 0].unflatten(1, (8, 8))).fft_what()


@pytest.mark.parametrize("broken", [Branching(), nn.Flatten()])
def test_what_cannot_be_quantized_is_one_line(broken):
    with pytest.raises(
        UserError, match=r"^theirs: cannot be quantized to int8 \(.*\); use precision"
    ) as refusal:
        build(broken, examples(0.25), INT8, {}, "theirs")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("library", ["openvino", "nncf"])
def test_a_library_that_is_missing_is_named(network, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=f"{library} is not installed; pip install"):
        build(network, examples(0.25), INT8, {}, "theirs")


def test_other_devices_are_refused(monkeypatch):
    with pytest.raises(UserError, match="precision: int8 votes on processors; set"):
        check_processor(INT8, torch.device("cuda"))
    with pytest.raises(UserError, match="engine: openvino votes on processors; set"):
        check_processor(FLOAT, torch.device("cuda"))
    monkeypatch.setattr(programs, "sums_bytes", lambda: False)
    with pytest.raises(UserError, match="int8 needs a processor with VNNI"):
        check_processor(INT8, CPU)
    check_processor(FLOAT, CPU)


def test_chance_and_consensus_vote_in_torch(network):
    subject = audited(network, SHAPE, 10)
    program = program_of(subject, FLOAT, examples(0.25), {})
    with pytest.raises(UserError, match="draws at random"):
        OpenVinoForm(replace(subject, chance=True), FLOAT, CPU, program)
    early = Averaged([network] * 3, consensus=2)
    with pytest.raises(UserError, match="stops at a consensus votes in torch alone"):
        program_of(audited(early, SHAPE, 10), FLOAT, examples(0.25), {})


@pytest.mark.parametrize("before", [None, "false"])
def test_the_environment_is_left_as_it_was(before, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    if before is not None:
        monkeypatch.setenv("CI", before)
    with contextlib.suppress(ZeroDivisionError), programs.quiet():
        assert os.environ.pop("CI") == "true"  # whatever a library does
        raise ZeroDivisionError
    assert os.environ.get("CI") == before
