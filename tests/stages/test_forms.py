"""The inference form: what is folded and compiled votes alike, and what fails falls back with a warning."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import audited, with_trained_norms
from torch import nn

from rs.errors import UserError
from rs.networks import forms
from rs.networks.inference import InferenceForm
from rs.plan.plan import Plan
from rs.provenance.files import read_json, write_json
from rs.stages import form as form_stage
from rs.stages.sample import sample

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
ASKED = {"precision": "float32", "batch": 64, "compiled": True}
SHAPE = (1, 8, 8)


@pytest.fixture
def network():
    return with_trained_norms(SHAPE)


@pytest.fixture
def no_compiler(monkeypatch):
    def compiled(network, **options):
        def fail(x):
            raise RuntimeError("no C++ compiler\nand more")

        return fail

    monkeypatch.setattr(torch, "compile", compiled)


def test_the_compiled_form_is_the_network(network):
    form, fallback = forms.resolve(audited(network, SHAPE, 10), ASKED, CPU)
    assert (form, fallback) == (ASKED, None)
    x = torch.rand(50, *SHAPE)
    compiled = InferenceForm(audited(network, SHAPE, 10), form, CPU)
    torch.testing.assert_close(compiled(x).clone(), network(x), rtol=1e-3, atol=1e-4)
    assert compiled.description == {**ASKED, "folded": True, "layout": "channels_last", "device": "cpu"}


def test_every_compiled_network_in_one_process_is_compiled_and_its_own(network):
    """Weights are constants of the compiled code; past its limit the tracer does not give up in silence."""
    x = torch.rand(16, *SHAPE)
    settings = {**ASKED, "batch": 16}
    for scale in (1.0, -1.0):
        with torch.no_grad():
            for parameter in network[-1].parameters():
                parameter.mul_(scale)
        form = InferenceForm(audited(network, SHAPE, 10), settings, CPU)
        before = form(x).clone()
        torch.testing.assert_close(before, network(x), rtol=1e-3, atol=1e-4)
        source = form.network.traced._orig_mod
        for parameter in source.parameters():
            if parameter.dim() > 1:  # biases are constants too, but the same objects
                parameter.data = torch.zeros_like(parameter)
        assert torch.equal(form(x), before)
    torch.compiler.reset()
    with torch._dynamo.config.patch(recompile_limit=2):
        for count in range(3):  # networks that share one code object
            plain = audited(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), SHAPE, 10)
            if count < 2:
                InferenceForm(plain, settings, CPU)
        with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
            InferenceForm(plain, settings, CPU)
    torch.compiler.reset()


def test_where_compilation_fails_the_run_falls_back_with_a_warning(network, no_compiler):
    with pytest.warns(
        RuntimeWarning, match="falls back on precision float32, batch 64, compiled False; .*no C"
    ):
        form, fallback = forms.resolve(audited(network, SHAPE, 10), ASKED, CPU)
    assert form == {**ASKED, "compiled": False}
    assert "no C++ compiler" in fallback
    assert "\n" not in fallback


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_where_memory_runs_out_batches_shrink(network, monkeypatch, problem):
    forward = InferenceForm.__call__

    def limited(self, images):
        if self.batch > 100:
            raise problem
        return forward(self, images)

    monkeypatch.setattr(InferenceForm, "__call__", limited)
    settings = {**ASKED, "batch": 512, "compiled": False}
    with pytest.warns(RuntimeWarning, match="falls back on precision float32, batch 32"):
        form, _ = forms.resolve(audited(network, SHAPE, 10), settings, CPU)
    assert form["batch"] == 32
    assert [f["batch"] for f in forms.ladder({**ASKED, "batch": 1008})] == [1008, 1008, 240, 48, 16]


def test_where_no_batch_fits_into_memory_the_smallest_one_is_named(network, monkeypatch):
    def full(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(InferenceForm, "__call__", full)
    says = r"^memory runs out even in the smallest batches: precision float32, batch 16, compiled False: Out"
    with pytest.raises(UserError, match=says):
        forms.resolve(audited(network, SHAPE, 10), {**ASKED, "batch": 64, "compiled": False}, CPU)


def test_what_no_form_can_mend_is_one_line(network, no_compiler):
    with pytest.raises(UserError, match=r"theirs: its output is \[16, 10\]; expected \[batch, 7\]"):
        forms.resolve(audited(network, SHAPE, 7), {**ASKED, "compiled": False}, CPU)
    with pytest.raises(UserError, match=r"theirs: fails on images \[1, 5, 5\]: RuntimeError: "):
        forms.resolve(audited(network, (1, 5, 5), 10), {**ASKED, "compiled": False}, CPU)


def test_draws_use_the_form_that_was_fixed(workspace, tmp_path, no_compiler):
    """The stage's file, not the spec, says how a job votes; a file of something else is refused."""
    train = workspace.job("train")
    model, data = workspace.path(train.outputs["manifest"]), workspace.path(workspace.plan.data_manifest)
    fixed = tmp_path / "form.json"
    with pytest.warns(RuntimeWarning, match="falls back"):
        form_stage.fix(ASKED, model, data, fixed, CPU, "code")
    assert read_json(fixed)["form"] == {**ASKED, "compiled": False}
    spec = {**ASKED, "noise": {"name": "gaussian", "sigma": 0.25}, "seed": 0, "purpose": "estimate"}
    spec |= {"images": [0, 2, 1], "size": 64, "block": 0}
    inputs = {"model": model, "data": data, "form": fixed}
    sample(spec, inputs, tmp_path / "draws.parquet", CPU, "code")
    assert (tmp_path / "draws.parquet").is_file()
    write_json(fixed, {"form": None})
    with pytest.raises(UserError, match="not an inference form; remove it and run the form stage again"):
        sample(spec, inputs, tmp_path / "draws.parquet", CPU, "code")


def test_compiled_forms_are_fixed_before_draws_and_attacks(tiny, plan_of):
    assert plan_of(tiny).jobs["form"] == {}
    tiny["sampling"] |= {"compiled": True}
    plan: Plan = plan_of(tiny)
    fixed = {job.run: job.outputs["form"] for job in plan.jobs["form"].values()}
    assert set(fixed) == {planned.id for planned in plan.runs}
    for stage in ("sample", "attack"):
        assert plan.jobs[stage]
        for job in plan.jobs[stage].values():
            assert job.inputs["form"] == fixed[job.run]
