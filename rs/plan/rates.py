"""How fast a machine runs networks forward and back: measured, or assumed and marked so. No torch.

A pass takes `fixed` seconds, plus `each` seconds for every image in it. `rs price` measures the rates of this
machine (rs.stages.speed) and keeps them in the user's cache: one file per network, precision, device and
package versions. Without measurements, a processor core is assumed to be like the measured ones, by
multiply-adds.

Of named GPUs, an H200 and an H100 were measured with a few networks (docs/evidence/gpu.md). What a card was
not measured with is assumed, by the first of these that is known:
- the same passes on another card, in proportion to the cards' memory bandwidths;
- the network's update, in the ratio of the passes assumed below;
- the network's outputs (numbers that its layers write), for passes are bound by memory: on an H200 300 G a
  second in bfloat16 votes, as ResNet-20, -110 and -50 make 290, 279 and 371, while their multiply-adds a
  second differ by 2.7 times (17.8, 19.2 and 47.2 T). Large products reach a share of the card's peak.
So ResNets come out within a factor of 1.5. LeNet and nal_cnn would be assumed 1.7 to 3.9 times too fast in
bfloat16; they are measured.

Steps on streamed images, in several processes or during an objective's warm-up, and the gradients of attacks,
are launched kernel by kernel instead of recorded. To each of these passes the launches of the network's
operations are added.

Peaks and bandwidths are from the makers' data sheets.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.machine import device_class
from rs.plan.measured_cards import MEASURED
from rs.plan.passes import COMPILED_GRADIENT, FORWARDS, Network, NotPriced, Work, taken
from rs.provenance import user_cache
from rs.provenance.digests import digest
from rs.provenance.files import read_json, versions, write_json
from rs.settings.sampling import differentiated

START = 4.0  # seconds before a job computes: torch and the network (3.2 s), files
COSTS = ("multiply_adds", "outputs", "weights", "operations")  # rs.methods.models.costs
RECORDS = ("update", "ascent")  # kinds of passes that are measured as CUDA graphs on a GPU
# more for a job that compiles its votes (3 to 10 s: docs/evidence/sampling.md) or its gradients (7 to 8 s, in
# a machine's first job 20 to 31 s: docs/evidence/attack-throughput.md)
COMPILING = {"vote": 6.0, COMPILED_GRADIENT: 8.0}


@dataclass(frozen=True)
class Rate:
    """Seconds of a pass and of each image in it, and whether they are assumed."""

    fixed: float
    each: float
    assumed: bool

    def seconds(self, passes: float, copies: float) -> float:
        return passes * self.fixed + copies * self.each


def costs_of(network: Network) -> dict[str, int]:
    """Multiply-adds and operations of a forward pass, outputs and weights, as counts. Raises NotPriced."""
    costs: dict[str, int] | None = network.costs or measured(network).get("costs")
    if costs is None:
        raise NotPriced(f"{network.name}: not measured yet (rs price does)")
    return costs


# --- named GPUs ---

# Seconds of a pass in a CUDA graph; and of one launched kernel by kernel, beside LAUNCH for each operation of
# each forward pass that it costs (FORWARDS). Fitted to steps on an H200: seven of 2.4 to 53 ms a pass come
# out 0.85 to 1.17 times as long (docs/evidence/price.md).
RECORDED, WRITTEN, LAUNCH = 0.3e-3, 2e-3, 30e-6
# Outputs per second on an H200: votes (eager, compiled) and other passes, per forward pass (FORWARDS).
# bfloat16: votes as above; compiled ResNets make 418, 419 and 803 G, updates of ResNet-20 and -110 163 and
# 179 G. float32: votes of ResNets make 79 to 117 G in contiguous memory; compiled ones are taken to gain
# nothing (ResNet-20: 6 %). Training and attacks compute in channels_last, where votes of ResNets made 28 to
# 68 G; their passes back are taken to be as fast as that.
OUTPUTS = {
    "bfloat16": {"vote": 300e9, "vote compiled": 570e9, "other": 170e9},
    "float32": {"vote": 95e9, "vote compiled": 95e9, "other": 40e9},
}
PRODUCTS = 0.4  # share of the card's peak that products reach (ResNet-50 in float32: 0.42)


def written(work: Work) -> float:
    """Seconds of a pass that is launched kernel by kernel, beside those of its images. Raises NotPriced."""
    return WRITTEN + LAUNCH * FORWARDS[work.kind] * costs_of(work.network)["operations"]


@dataclass(frozen=True)
class Card:
    """A GPU: peaks of float32 and bfloat16 in FLOP/s, memory bandwidth in bytes/s."""

    name: str
    float32: float
    bfloat16: float
    bandwidth: float
    unit: str = "GPU-hours"
    gpu: bool = True

    def rate(self, work: Work) -> Rate:
        work = taken(work, self.gpu)
        network, vote = work.network, work.kind == "vote"
        if vote and not network.in_torch:
            raise NotPriced(f"{network.name}: OpenVINO votes on processors")
        precision = network.precision if vote else differentiated(network.precision)
        kind = "vote compiled" if vote and network.compiled else work.kind
        fixed = RECORDED if work.recorded or vote else written(work)
        model = network.described["name"]
        own = MEASURED.get(self.name, {}).get((model, precision, kind))
        if own is not None:  # a written step adds launches
            return Rate(own[0] if fixed == RECORDED else fixed, own[1], assumed=fixed != RECORDED)
        each = self._scaled(model, precision, kind)
        if each is None:
            each = self._assumed(network, precision, kind)
            update = self._scaled(model, precision, "update")
            if update is not None:
                each *= update / self._assumed(network, precision, "update")
        return Rate(fixed, each, assumed=True)

    def _scaled(self, model: str, precision: str, kind: str) -> float | None:
        """Seconds of an image in these passes, if they were measured, on this card or on another."""
        for name in (self.name, *MEASURED):
            if rate := MEASURED.get(name, {}).get((model, precision, kind)):
                return rate[1] * CARDS[name].bandwidth / self.bandwidth
        return None

    def _assumed(self, network: Network, precision: str, kind: str) -> float:
        """Seconds of an image, by the network's outputs and multiply-adds. Raises NotPriced."""
        costs, speeds = costs_of(network), OUTPUTS[precision]
        moved = costs["outputs"] / speeds.get(kind, speeds["other"])
        peak = self.float32 if precision == "float32" else self.bfloat16
        computed = 2 * costs["multiply_adds"] / (PRODUCTS * peak)
        return FORWARDS[kind.split()[0]] * max(moved * CARDS["H200"].bandwidth / self.bandwidth, computed)


CARDS = {
    card.name: card
    for card in (
        Card("H100", 67e12, 989e12, 3.35e12),
        Card("H200", 67e12, 989e12, 4.8e12),
        Card("A100", 19.5e12, 312e12, 2.04e12),
        Card("L40S", 91.6e12, 362e12, 0.864e12),
        Card("RTX4090", 82.6e12, 165e12, 1.01e12),
    )
}


def card(name: str) -> Card:
    """The card of this name; case, blanks and hyphens do not matter. Raises UserError for an unknown card."""
    plain = name.upper().replace(" ", "").replace("-", "").removeprefix("NVIDIA")
    if plain not in CARDS:
        raise UserError(f"--gpu {name}: not known; allowed {', '.join(CARDS)}")
    return CARDS[plain]


# --- this machine ---

# Multiply-adds/s of one core in forward passes: bfloat16 with AVX-512 (LeNet 50 G, ResNet-20 80 G), float32
# 26 to 48 G (docs/evidence/sampling.md), int8 80 to 180 G (docs/evidence/engine.md). Processors without
# bfloat16 arithmetic emulate it.
CORE = {"int8": 90e9, "bfloat16": 60e9, "float32": 30e9}
EMULATED = 10e9
HAS_BFLOAT16 = ("cpu amx", "cpu avx512-bf16")


@dataclass(frozen=True)
class Here:
    """This machine: one core of its processor, or its GPU where jobs ask for `auto` or `cuda`."""

    name: str
    unit: str
    device: str

    @property
    def gpu(self) -> bool:
        return self.device.startswith("cuda")

    def rate(self, work: Work) -> Rate:
        work = taken(work, self.gpu)
        known = measured(work.network).get("rates", {})
        like = "gradient" if work.kind == COMPILED_GRADIENT else work.kind  # what it is assumed to be like
        if (stored := known.get(work.kind, known.get(like))) is not None:
            fixed, each = float(stored["fixed"]), float(stored["each"])
            if self.gpu and work.kind in RECORDS and not work.recorded:
                return Rate(max(fixed, written(work)), each, assumed=True)
            return Rate(fixed, each, assumed=work.kind not in known)
        if self.gpu:
            named = (card for card in CARDS.values() if card.name in self.name.upper().replace(" ", ""))
            rate = next(named, CARDS["A100"]).rate(work)
            return Rate(rate.fixed, rate.each, assumed=True)
        # attacks on an int8 form differentiate it in bfloat16 (rs.settings.sampling)
        precision = work.network.precision if work.kind == "vote" else differentiated(work.network.precision)
        emulated = precision == "bfloat16" and self.device not in HAS_BFLOAT16
        speed = EMULATED if emulated else CORE[precision]
        return Rate(1e-3, FORWARDS[work.kind] * costs_of(work.network)["multiply_adds"] / speed, assumed=True)


Machine = Card | Here  # what has a `rate`, which raises NotPriced for an unknown network


def here() -> Here:
    """The device that `auto` selects on this machine."""
    device = device_class.here("auto")
    gpu = device.startswith("cuda")
    return Here(_device_name(gpu), "GPU-hours" if gpu else "core-hours", device)


@functools.cache
def _device_name(gpu: bool) -> str:
    """The name of the GPU or of the processor."""
    if gpu:
        return device_class.of_driver("name") or "GPU"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "processor"


def cache_file(network: Network) -> Path:
    """The file with the rates of a network on this device with these versions."""
    on = here()
    made_of = [vars(network), on.name, on.device, versions()]
    return (
        user_cache.folder("rates")
        / f"{network.described['name']}-{network.precision}-{digest(made_of, 16)}.json"
    )


def measured(network: Network) -> dict[str, Any]:
    """`costs` and `rates` of a network on this machine, as passed to `keep`; empty where none can be read."""
    with contextlib.suppress(UserError, KeyError, TypeError, ValueError, AttributeError):
        stored = read_json(cache_file(network))
        for rate in stored["rates"].values():
            if not (float(rate["fixed"]) >= 0 and float(rate["each"]) > 0):
                return {}
        return {"costs": {key: int(stored["costs"][key]) for key in COSTS}, "rates": stored["rates"]}
    return {}


def keep(network: Network, costs: dict[str, int], rates: dict[str, dict[str, float]]) -> None:
    """Writes the measurements of a network on this machine. A folder that is not writable is no error."""
    with contextlib.suppress(UserError):
        write_json(cache_file(network), {"network": vars(network), "costs": costs, "rates": rates})
