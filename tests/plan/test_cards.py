"""Rates of named GPUs: those of the evidence come out, and what was not measured is assumed near it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rs.errors import UserError
from rs.plan import rates
from rs.plan.passes import Network, Work

LENET, NAL, STN = (
    Network(f'{{"name":"{n}"}}', (1, 28, 28), "bfloat16") for n in ("lenet", "nal_cnn", "stn_mnist")
)
RESNET20, RESNET110 = (
    Network(f'{{"name":"{n}"}}', (3, 32, 32), "bfloat16") for n in ("resnet20", "resnet110")
)
RESNET50 = Network('{"name":"resnet50"}', (3, 224, 224), "bfloat16")
# network, kind of pass -> (passes, images in each), milliseconds a recorded step on an H100 and on an H200
STEPS = [
    (LENET, {"update": (1, 64)}, 0.41, 0.346),
    (LENET, {"update": (1, 256)}, None, 0.613),
    (LENET, {"update": (1, 64 * 16)}, 2.53, 1.354),
    (LENET, {"update": (1, 256 * 16)}, 8.38, 3.821),
    (LENET, {"ascent": (10, 256), "update": (1, 256)}, 6.26, 5.187),
    (LENET, {"update": (1, 512)}, 1.39, None),
    (NAL, {"ascent": (4, 512), "update": (1, 512)}, 3.37, 2.877),
    (STN, {"update": (1, 128)}, 0.76, 0.585),
    (RESNET20, {"update": (1, 256)}, None, 2.966),
    (RESNET110, {"update": (1, 256)}, None, 14.855),
]
# milliseconds a step of these, launched kernel by kernel on an H200, in the order of its column above (with
# None: not measured since weight gradients of gray images are aligned)
WRITTEN = [3.36, 3.33, None, None, 35.82, 12.20, 3.15, 12.07, 53.29]
# network, votes in a batch, votes/s on an H200: eager, compiled, and eager in float32
VOTES = [
    (LENET, 10_000, 3_816_077, 5_858_643, 3_186_960),
    (RESNET20, 2_048, 435_256, 627_644, 174_941),
    (RESNET110, 2_048, 75_993, 113_808, 24_270),
    (RESNET50, 256, 11_540, 24_935, 2_459),
]


@pytest.mark.parametrize("name", ["H100", "H200"])
def test_recorded_steps_of_the_evidence_come_out(name):
    """docs/evidence/gpu.md."""
    card = rates.card(name)
    for network, passes, *both in STEPS:
        measured = both[name == "H200"]
        if measured is None:
            continue
        found = 0.0
        for kind, (times, copies) in passes.items():
            rate = card.rate(Work(network, kind, times, times * copies, recorded=True))
            assert not rate.assumed
            found += rate.seconds(times, times * copies)
        assert found * 1e3 == pytest.approx(measured, rel=0.2), (network.name, passes)


def test_written_steps_of_the_evidence_come_out_within_a_factor_of_1_5():
    """docs/evidence/gpu.md: launches grow with a network's operations, of which ResNet-110 has 50 times
    LeNet's.
    """
    card = rates.card("H200")
    steps = [(network, passes) for network, passes, _, measured in STEPS if measured is not None]
    for (network, passes), measured in zip(steps, WRITTEN, strict=True):
        if measured is None:
            continue
        found = 0.0
        for kind, (times, copies) in passes.items():
            rate = card.rate(Work(network, kind, times, times * copies))
            assert rate.assumed
            found += rate.seconds(times, times * copies)
        assert 1 / 1.5 < 1e3 * found / measured < 1.5, (network.name, passes)


def test_rates_of_recorded_steps_are_not_those_of_written_ones(tmp_path, monkeypatch):
    """On the machine that measured them: streamed images and several processes record nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gpu = rates.Here("NVIDIA H200", "GPU-hours", "cuda 9.0")
    monkeypatch.setattr(rates, "here", lambda: gpu)
    measured = {"fixed": 0.3e-3, "each": 1e-6}
    rates.keep(RESNET110, dict.fromkeys(rates.COSTS, 1), dict.fromkeys(("update", "gradient"), measured))
    assert gpu.rate(Work(RESNET110, "update", 1, 1, recorded=True)) == rates.Rate(0.3e-3, 1e-6, False)
    assert gpu.rate(Work(RESNET110, "gradient", 1, 1)) == rates.Rate(0.3e-3, 1e-6, False), "never recorded"
    written = gpu.rate(Work(RESNET110, "update", 1, 1))
    assert written.assumed
    assert written.fixed == pytest.approx(2e-3 + 3 * 500 * 30e-6)


def votes_of(card, network, batch):
    """Votes per second, and whether they are assumed."""
    rate = card.rate(Work(network, "vote", 1, batch))
    return batch / rate.seconds(1, batch), rate.assumed


def test_on_an_h200_the_votes_of_the_evidence_come_out():
    """docs/evidence/gpu.md."""
    card = rates.card("H200")
    for network, batch, eager, compiled, float32 in VOTES:
        forms = (network, replace(network, compiled=True), replace(network, precision="float32"))
        for form, measured in zip(forms, (eager, compiled, float32), strict=True):
            assert votes_of(card, form, batch) == (pytest.approx(measured, rel=0.02), False), form.name
    form = replace(LENET, precision="float32", compiled=True)
    assert votes_of(card, form, 10_000) == (pytest.approx(3_334_659, rel=0.02), False)


def test_resnets_would_be_assumed_within_a_factor_of_1_5(monkeypatch):
    monkeypatch.setattr(rates, "MEASURED", {})
    card = rates.card("H200")
    for network, batch, eager, compiled, float32 in VOTES[1:]:
        forms = (network, replace(network, compiled=True), replace(network, precision="float32"))
        for form, measured in zip(forms, (eager, compiled, float32), strict=True):
            found, assumed = votes_of(card, form, batch)
            assert assumed
            assert 1 / 1.5 < found / measured < 1.5, form.name
    for network, passes, _, measured in [s for s in STEPS if s[0] in (STN, RESNET20, RESNET110)]:
        rate = card.rate(Work(network, "update", *passes["update"], recorded=True))
        assert 1 / 1.5 < 1e3 * rate.seconds(*passes["update"]) / measured < 1.5, network.name


def test_what_a_card_was_not_measured_with_is_another_cards_or_of_its_own_update():
    a100, h100, h200 = (rates.card(name) for name in ("A100", "H100", "H200"))
    voted, updated = (Work(RESNET20, kind, 1, 1, recorded=True) for kind in ("vote", "update"))
    for work in (voted, updated):
        assert h100.rate(work).each == pytest.approx(h200.rate(work).each * 4.8 / 3.35)
        assert a100.rate(work).each == pytest.approx(h200.rate(work).each * 4.8 / 2.04)
        assert a100.rate(work).assumed
        assert h100.rate(work).assumed
    # an H100's own update of nal_cnn, times the assumed cost of a vote in updates
    assert h100.rate(Work(NAL, "vote", 1, 1)).each == pytest.approx(1.22e-6 / 3 * 170 / 300)
    # a wide network is bound by products: 0.4 of 67 T FLOP/s
    wide = Network('{"name":"vgg16"}', (3, 32, 32), "float32")
    assert h200.rate(Work(wide, "vote", 1, 1)).each == pytest.approx(2 * 313_201_664 / (0.4 * 67e12))


def test_a_gpu_that_nobody_knows_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^--gpu V9000: not known; allowed H100, H200, A100, L40S, RTX4090$"):
        rates.card("V9000")
    assert rates.card("nvidia rtx-4090").name == "RTX4090"
