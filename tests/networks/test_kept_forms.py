"""Compiled forms kept as files: the same votes without the compiler, and never a file of something else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from tiny_networks import audited
from torch import nn
from torch.nn import functional as F

from rs.networks import kept_forms
from rs.networks.inference import InferenceForm

SHAPE, CPU = (1, 8, 8), torch.device("cpu")
ASKED = {"precision": "bfloat16", "batch": 32, "compiled": True}


class Small(nn.Module):
    """A convolution, a norm and a dense layer; `slope` is a number in its code."""

    def __init__(self, slope: float = 0.1, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, stride, padding=1), nn.BatchNorm2d(4)
        self.dense, self.slope = nn.Linear(4 * (4 // stride) ** 2, 3), slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.leaky_relu(self.norm(self.conv(x)), self.slope)
        return self.dense(F.max_pool2d(h, 2).flatten(1))


def small(slope: float = 0.1, stride: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return Small(slope, stride).eval().requires_grad_(False)


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
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".json", ".pt2"]
    (package,) = own_cache.glob("*.pt2")
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    assert torch.equal(InferenceForm(given, ASKED, CPU)(x), before)  # damaged: it is compiled, as before
    assert "traced" in vars(InferenceForm(given, ASKED, CPU).network)


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


@pytest.mark.parametrize(
    ("factor", "told"),
    [(1.0, None), (1.01, "it rounds otherwise"), (None, "RuntimeError: no compiler")],
)
def test_only_the_same_function_is_kept(factor, told, own_cache, monkeypatch):
    """Nothing half-written stays where it is not, or where the compiler fails."""

    def package(exported, package_path, inductor_configs):
        if factor is None:
            raise RuntimeError("no compiler\nand more")
        with open(package_path, "wb") as file:
            file.write(b"code")

    network = small().bfloat16()
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", package)
    monkeypatch.setattr(kept_forms, "_loaded", lambda file: lambda x: network(x) * factor)
    batches = [torch.rand_like(BATCH), torch.randn_like(BATCH)]
    assert kept_forms.keep(network, network, batches) == told
    assert len(list(own_cache.iterdir())) == (2 if told is None else 0)
    assert (kept_forms.find(network, batches[0]) is not None) == (told is None)


@pytest.fixture
def kept(own_cache, monkeypatch):
    """A network with a kept form, made where files of other users' groups are writable by these."""

    def package(exported, package_path, inductor_configs):
        with open(package_path, "wb") as file:
            file.write(b"code")

    network = small().bfloat16()
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", package)
    monkeypatch.setattr(kept_forms, "_loaded", lambda file: network)
    before = os.umask(0o002)
    try:
        assert kept_forms.keep(network, network, [BATCH]) is None
    finally:
        os.umask(before)
    return network


def test_kept_code_is_the_users_alone(kept, own_cache):
    assert own_cache.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in own_cache.iterdir()] == [0o600, 0o600]
    assert kept_forms.find(kept, BATCH) is kept


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("which", [".pt2", ".json", "folder"])
def test_what_others_can_write_to_is_not_loaded(kept, own_cache, which, mode):
    place = own_cache if which == "folder" else next(own_cache.glob(f"*{which}"))
    place.chmod(place.stat().st_mode | mode)
    with pytest.warns(RuntimeWarning) as caught:
        assert kept_forms.find(kept, BATCH) is None
    assert [str(each.message).split(": ")[0] for each in caught] == [str(own_cache)]
    with pytest.warns(RuntimeWarning, match="must be yours"):
        told = kept_forms.keep(kept, kept, [BATCH])
    if which == "folder":
        assert str(told).startswith(f"{own_cache}: ")
    else:  # it is made anew
        assert told is None
        assert kept_forms.find(kept, BATCH) is kept


def test_another_users_code_is_not_loaded(kept, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.warns(RuntimeWarning, match="must be yours"):
        assert kept_forms.find(kept, BATCH) is None
