"""How fast a machine runs networks forward and back: measured, or assumed and marked so. No torch.

A pass takes `fixed` seconds, plus `each` seconds for every image in it. `rs price` measures the rates of this
machine (rs.stages.speed) and keeps them in the user's cache: one file per network, precision, device and
package versions. Without measurements, a processor core is assumed to be like the measured ones, by
multiply-adds.

Of named GPUs, an H100 was measured with three small networks (docs/evidence/gpu.md). Other rates are assumed:
- float32 reaches a fifth of the card's peak;
- bfloat16 is bound by memory: an H100 makes 25 T multiply-adds/s (5 % of its peak), other cards in proportion
  to their bandwidth;
- float32 moves twice the bytes.

Peaks and bandwidths are from the makers' data sheets.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rs.errors import UserError
from rs.machine import device_class
from rs.plan.work import FORWARDS, Network, NotPriced, Work
from rs.provenance import user_cache
from rs.provenance.digests import digest
from rs.provenance.files import read_json, versions, write_json
from rs.settings.sampling import differentiated

START = 4.0  # seconds before a job computes: torch and the network (3.2 s), files
COMPILING = 6.0  # more for a job that compiles its network (3 to 10 s: docs/evidence/sampling.md)


@dataclass(frozen=True)
class Rate:
    """Seconds of a pass and of each image in it, and whether they are assumed."""

    fixed: float
    each: float
    assumed: bool

    def seconds(self, passes: float, copies: float) -> float:
        return passes * self.fixed + copies * self.each


class Machine(Protocol):
    """A machine. `unit` is that of its hours; `rate` raises NotPriced for an unknown network."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    def rate(self, work: Work) -> Rate: ...


def costs_of(network: Network) -> dict[str, int]:
    """Multiply-adds of a forward pass, outputs and weights, as counts. Raises NotPriced."""
    found: dict[str, int] | None = network.costs or measured(network).get("costs")
    if found is None:
        raise NotPriced(f"{network.name}: not measured yet (rs price does)")
    return found


def multiply_adds(network: Network) -> int:
    """Multiply-adds of a forward pass. Raises NotPriced."""
    return costs_of(network)["multiply_adds"]


# --- named GPUs ---

FLOAT32, BYTES = (
    0.2,
    25e12 / 3.35e12,
)  # share of the peak; bfloat16 multiply-adds per byte of bandwidth
RECORDED, WRITTEN = 0.3e-3, 2e-3  # seconds of a pass in a CUDA graph, and of one launched kernel by kernel

# Seconds (fixed, each) of bfloat16 passes on one H100 (docs/evidence/gpu.md). For LeNet, updates are the line
# through 64 and 4,096 images; ascents are a tenth of the rest of a SmoothAdv step with ten of them. For the
# other two networks one step is known; fixed times and the ratio of ascent to update are LeNet's. Votes were
# timed in batches of 10,000; their fixed part is assumed: 20 launches, or one.
H100 = {
    ("lenet", "update"): (0.29e-3, 1.97e-6),
    ("lenet", "ascent"): (0.25e-3, 1.16e-6),
    ("lenet", "gradient"): (0.25e-3, 1.16e-6),
    ("lenet", "vote"): (0.2e-3, 0.25e-6),
    ("lenet", "vote compiled"): (0.02e-3, 0.187e-6),
    ("nal_cnn", "update"): (0.29e-3, 1.22e-6),
    ("nal_cnn", "ascent"): (0.25e-3, 0.72e-6),
    ("nal_cnn", "gradient"): (0.25e-3, 0.72e-6),
    ("stn_mnist", "update"): (0.29e-3, 3.7e-6),
}
H100_BANDWIDTH = 3.35e12  # bytes/s


@dataclass(frozen=True)
class Card:
    """A GPU: peak of float32 in FLOP/s, memory bandwidth in bytes/s."""

    name: str
    float32: float
    bandwidth: float
    measured: bool = False
    unit: str = "GPU-hours"

    def rate(self, work: Work) -> Rate:
        if work.kind == "vote" and not work.network.in_torch:
            raise NotPriced(f"{work.network.name}: OpenVINO votes on processors")
        network, fixed = work.network, RECORDED if work.recorded or work.kind == "vote" else WRITTEN
        kind = f"{work.kind} compiled" if work.kind == "vote" and network.compiled else work.kind
        found = H100.get((network.described["name"], kind)) if network.precision == "bfloat16" else None
        if found is not None and self.measured:
            # recorded steps were measured; a written step adds launches
            least = found[0] if fixed == RECORDED else WRITTEN
            return Rate(least, found[1], assumed=fixed != RECORDED)
        if found is not None:
            return Rate(fixed, found[1] * H100_BANDWIDTH / self.bandwidth, assumed=True)
        bfloat16 = BYTES * self.bandwidth
        speed = bfloat16 if network.precision == "bfloat16" else min(FLOAT32 * self.float32, bfloat16) / 2
        return Rate(fixed, FORWARDS[work.kind] * multiply_adds(network) / speed, assumed=True)


CARDS = {
    card.name: card
    for card in (
        Card("H100", 67e12, H100_BANDWIDTH, measured=True),
        Card("H200", 67e12, 4.8e12),
        Card("A100", 19.5e12, 2.04e12),
        Card("L40S", 91.6e12, 0.864e12),
        Card("RTX4090", 82.6e12, 1.01e12),
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

    def rate(self, work: Work) -> Rate:
        found = measured(work.network).get("rates", {}).get(work.kind)
        if found is not None:
            return Rate(float(found["fixed"]), float(found["each"]), assumed=False)
        if self.device.startswith("cuda"):
            like = next((c for c in CARDS.values() if c.name in self.name.upper().replace(" ", "")), None)
            rate = (like or CARDS["A100"]).rate(work)
            return Rate(rate.fixed, rate.each, assumed=True)
        # attacks on an int8 form differentiate it in bfloat16 (rs.settings.sampling)
        precision = work.network.precision if work.kind == "vote" else differentiated(work.network.precision)
        emulated = precision == "bfloat16" and self.device not in HAS_BFLOAT16
        speed = EMULATED if emulated else CORE[precision]
        return Rate(1e-3, FORWARDS[work.kind] * multiply_adds(work.network) / speed, assumed=True)


def here() -> Here:
    """The device that `auto` selects on this machine."""
    found = device_class.here("auto")
    gpu = found.startswith("cuda")
    return Here(_device_name(gpu), "GPU-hours" if gpu else "core-hours", found)


@functools.cache
def _device_name(gpu: bool) -> str:
    """The name of the GPU or of the processor."""
    if gpu:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout
            return told.splitlines()[0].strip()
        return "GPU"
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
        found = read_json(cache_file(network))
        for rate in found["rates"].values():
            if not (float(rate["fixed"]) >= 0 and float(rate["each"]) > 0):
                return {}
        return {"costs": {k: int(v) for k, v in found["costs"].items()}, "rates": found["rates"]}
    return {}


def keep(network: Network, costs: dict[str, int], rates: dict[str, dict[str, float]]) -> None:
    """Writes the measurements of a network on this machine. A folder that is not writable is no error."""
    with contextlib.suppress(UserError):
        write_json(cache_file(network), {"network": vars(network), "costs": costs, "rates": rates})
