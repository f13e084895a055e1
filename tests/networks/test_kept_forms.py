"""Compiled forms kept as files: the same votes without the compiler, and never a file of something else."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from tiny_networks import Small, audited, small
from torch import nn
from torch.nn import functional as F

from rs.networks import kept_forms
from rs.networks.inference import InferenceForm

SHAPE, CPU = (1, 8, 8), torch.device("cpu")
ASKED = {"precision": "bfloat16", "batch": 32, "compiled": True}


BATCH = torch.zeros(32, *SHAPE, dtype=torch.bfloat16)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rs-smoothing" / "compiled"


@pytest.mark.slow
@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16 kernels"
)
def test_a_kept_form_votes_bit_by_bit_as_the_compiled_one_without_the_compiler(own_cache, monkeypatch):
    given = audited(small(), SHAPE, 3)
    compiled = InferenceForm(given, ASKED, CPU)
    x = torch.rand(20, *SHAPE) + torch.randn(20, *SHAPE)
    before = compiled(x).clone()
    assert compiled.keep(given.probes) is None
    with monkeypatch.context() as patched:
        patched.setattr(torch, "compile", None)
        kept = InferenceForm(given, ASKED, CPU)
        assert torch.equal(kept(x), before)
    assert kept.description == compiled.description
    (package,) = own_cache.iterdir()
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="damaged, so the compiler starts"):
        anew = InferenceForm(given, ASKED, CPU)
    assert torch.equal(anew(x), before)
    assert "traced" in vars(anew.network)


def test_a_sampling_job_imports_neither_the_compiler_nor_what_it_does_not_use():
    """More than the rest of a job's start takes."""
    code = (
        "import sys, torch, rs.stages.sample, rs.networks.audit as a;"
        "a.audit(torch.nn.Linear(4, 3).eval(), torch.rand(16, 4), 'run');"
        "print(*{'torch._dynamo', 'sympy', 'scipy.stats', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_a_name_holds_all_that_logits_depend_on(monkeypatch):
    name = kept_forms.name_of(small(), BATCH)
    assert name is not None
    assert kept_forms.name_of(small(), BATCH) == name
    other_weight, other_statistic = small(), small()
    with torch.no_grad():
        other_weight.conv.weight[0, 0, 0, 0] += 1e-6
        other_statistic.norm.running_mean[3] += 1e-6
    other_epsilon = small()
    other_epsilon.norm.eps = 1e-4
    others = {
        kept_forms.name_of(small(slope=0.2), BATCH),
        kept_forms.name_of(small(stride=2), BATCH),
        kept_forms.name_of(other_weight, BATCH),
        kept_forms.name_of(other_statistic, BATCH),
        kept_forms.name_of(other_epsilon, BATCH),
        kept_forms.name_of(small().bfloat16(), BATCH),
        kept_forms.name_of(small(), BATCH.float()),
        kept_forms.name_of(small(), BATCH[:16]),
        kept_forms.name_of(small(), BATCH.transpose(2, 3)),
    }
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    others.add(kept_forms.name_of(small(), BATCH))
    monkeypatch.setattr(kept_forms, "_processor", lambda: "another")
    others.add(kept_forms.name_of(small(), BATCH))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    others.add(kept_forms.name_of(small(), BATCH))
    assert len(others | {name}) == 13
    assert None not in others


def hooked() -> nn.Module:
    network = small()
    network.conv.register_forward_hook(lambda module, given, out: out * 2)
    return network


def parametrised() -> nn.Module:
    network = small()
    nn.utils.parametrizations.weight_norm(network.conv)
    return network


def replaced() -> nn.Module:
    network = small()
    network.conv.forward = lambda x: F.conv2d(x, network.conv.weight * 2, padding=1)
    return network


def hooked_itself() -> nn.Module:
    network = small()
    network.register_forward_hook(lambda module, given, out: out * 3)
    return network


def hooked_before() -> nn.Module:
    network = small()
    network.register_forward_pre_hook(lambda module, given: given[0] * 3)
    return network


def replaced_itself() -> nn.Module:
    network = small()
    network.forward = lambda x: network.dense(x.flatten(1).repeat(1, 1))
    return network


def hooked_sequence() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    network.register_forward_hook(lambda module, given, out: out * 3)
    return network


def hooked_inside() -> nn.Module:
    network = nn.Sequential(small()).eval()
    network[0].register_forward_hook(lambda module, given, out: out * 3)
    return network


def replaced_inside() -> nn.Module:
    network = nn.Sequential(small()).eval()
    network[0].forward = lambda x: 3 * type(network[0]).forward(network[0], x)
    return network


def hooked_when_traced() -> nn.Module:
    network = torch.fx.symbolic_trace(small())
    network.register_forward_hook(lambda module, given, out: out * 3)
    return network


class Called(Small):
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * super().__call__(x)


def called() -> nn.Module:
    return Called().eval()


class Branching(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if x.sum() > 0 else -x)


def branching() -> nn.Module:
    return Branching().eval()


BY_ITSELF = [hooked_itself, hooked_before, replaced_itself, hooked_sequence, hooked_when_traced, called]
INSIDE = [hooked, parametrised, replaced, hooked_inside, replaced_inside, branching]


@pytest.mark.parametrize("made", BY_ITSELF + INSIDE)
def test_what_is_not_seen_whole_is_not_kept(made, own_cache):
    network = made().bfloat16()
    assert kept_forms.name_of(network, BATCH) is None
    assert kept_forms.keep(network, network, [BATCH]) == "torch.fx does not see all of it"
    assert not own_cache.exists()


def test_hooks_of_all_modules_are_hooks_of_a_network():
    handle = nn.modules.module.register_module_forward_hook(lambda module, given, out: None)
    try:
        assert kept_forms.name_of(small(), BATCH) is None
    finally:
        handle.remove()
    assert kept_forms.name_of(small(), BATCH) is not None
    assert kept_forms.name_of(torch.fx.symbolic_trace(small()), BATCH) is not None


def test_what_is_not_kept_is_not_looked_for(own_cache):
    """Dense layers of float32 are other kernels in a kept form; on another device no number is read."""
    assert "float32 on cpu" in str(kept_forms.keep(small(), small(), [BATCH.float()]))
    assert not own_cache.exists()
    own_cache.mkdir(parents=True)
    assert kept_forms.find(small().to("meta"), BATCH.to("meta")) is None
