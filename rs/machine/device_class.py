"""The property of a device that determines votes: a GPU's compute capability, a processor's instruction set.
No torch.

Networks on cards of one compute capability vote alike (an H100 and an H200: none of 1.3 million votes
differed, in float32 and bfloat16, compiled and eager). A processor with another instruction set rounds
bfloat16 differently: AVX2 and AVX-512 differ in about 1 % of the votes of an untrained network, near its
boundaries, and in none in float32. So votes of one device class are of one base classifier, and votes of two
classes are not. Software matters too, but separately: its versions stand in every file.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import subprocess
from pathlib import Path

DEVICES = Path("/dev")
A_GPU = re.compile(r"\s*(\d|GPU-|MIG-)")  # an entry of CUDA_VISIBLE_DEVICES that names one
INSTRUCTIONS = {
    "amx_bf16": "amx",
    "avx512_bf16": "avx512-bf16",
    "avx512f": "avx512",
    "avx2": "avx2",
}  # best first


@functools.cache
def of_cpu() -> str:
    """`cpu avx512-bf16`: by this processor's best instruction set for networks."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags = set(line.split())
                return f"cpu {next((n for flag, n in INSTRUCTIONS.items() if flag in flags), 'x86-64')}"
    return f"cpu {platform.machine().lower() or 'unknown'}"


def of_gpu(major: int, minor: int) -> str:
    """`cuda 9.0`: by compute capability."""
    return f"cuda {major}.{minor}"


@functools.cache
def has_gpu() -> bool:
    """Whether this process may use an NVIDIA GPU of this machine, determined without torch."""
    if not A_GPU.match(os.environ.get("CUDA_VISIBLE_DEVICES", "0")):
        return False  # "", -1 and other values hide all GPUs
    if any(DEVICES.glob("nvidia[0-9]*")):
        return True
    return (DEVICES / "dxg").exists() and bool(of_driver("name"))  # WSL2's device, of any maker's GPU


@functools.cache
def of_driver(query: str) -> str:
    """What nvidia-smi answers to a query of the first GPU; empty where it does not answer."""
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip().partition("\n")[0].strip()
    return ""


@functools.cache
def here(device: str) -> str:
    """The class in which a job with this `device` (auto, cpu, cuda) would compute on this machine."""
    if device != "cpu" and has_gpu():
        major, _, minor = of_driver("compute_cap").partition(".")
        if major.isdigit() and minor.isdigit():
            return of_gpu(int(major), int(minor))
    return of_cpu() if device != "cuda" else "cuda"
