"""A network as a program of OpenVINO: in float32 or bfloat16, or in int8 by nncf's post-training
quantization.

In int8, weights have a scale for each output channel and activations one for each tensor. An activation's
range minimises the mean squared error of rounding and cutting off (nncf's histogram) on CALIBRATING training
images under the noise of the votes. It is fixed before the first vote, from other images and other noise than
any vote's. The parts that nncf does not quantize are computed in bfloat16 where the processor has it, in
float32 elsewhere: two device classes, which never merge.

Two defaults of nncf are replaced, which caused four fifths of the votes that a trained ResNet-20 changed
(docs/evidence/engine.md):
- Its default range is the mean over images of each image's own range, and cuts off everything beyond.
- Its fast bias correction compares a layer's mean output with the rounded layer's output for a constant image
  of its channels' means. The difference reflects padded borders and how one number rounds. It is a hundred
  times the shift that rounding noisy values really causes.

The program (graph, weights, scales) is kept with the form and named by its digest: another library, processor
or noise may calibrate differently, and makes another base classifier. Products of bytes are summed exactly
only by processors with VNNI; others saturate, and are refused.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import logging
import os
import re
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.methods import catalog
from rs.networks.images import load_images, open_split
from rs.networks.transformations import one_line
from rs.statistics.seeding import derive_seed

FUSED = re.compile(rb'\s*<attribute name="fused_names"[^>]*/>')  # names of layers that were fused away
CALIBRATING, SEED = 256, 0  # number of images, evenly over the training split; seed of their noise
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}
IN_TORCH = "engine: torch in float32 or bfloat16"
INSTALL = "pip install -e '.[openvino]'"


@dataclass(frozen=True)
class Program:
    """OpenVINO's graph and weights for one shape of batches, and how its activations were calibrated."""

    graph: bytes
    weights: bytes
    calibration: dict[str, Any]

    @functools.cached_property
    def digest(self) -> str:
        return sha256(self.graph + b"\0" + self.weights).hexdigest()

    def packed(self) -> dict[str, Any]:
        """The program as a JSON value."""
        parts = {"graph": self.graph, "weights": self.weights}
        encoded = {key: base64.b64encode(zlib.compress(value)).decode() for key, value in parts.items()}
        return {**encoded, "calibration": self.calibration, "sha256": self.digest}


def unpacked(stored: Any, place: Path) -> Program:
    """The program in the file `place`. Raises UserError where it holds none, or not the one that was
    written.
    """
    try:
        graph, weights = (zlib.decompress(base64.b64decode(stored[key])) for key in ("graph", "weights"))
        program = Program(graph, weights, dict(stored["calibration"]))
        whole = program.digest == stored["sha256"]
    except (KeyError, TypeError, ValueError, zlib.error):
        whole = False
    if not whole:
        raise UserError(f"{place}: holds no whole program; remove it and run the form stage again")
    return program


def calibrating(data: Path, noise: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """Noisy training images [256, C, H, W] on the CPU (fewer for a smaller split), and a record of them."""
    size = len(open_split(data, "train"))
    count = min(CALIBRATING, size)
    images, _ = load_images(data, "train", [i * size // count for i in range(count)])
    draws = torch.Generator().manual_seed(derive_seed(SEED, "calibrate"))
    noisy = catalog.build("noises", noise).sample(tuple(images.shape), draws).add_(images)
    source = {"images": count, "of": "train", "noise": noise, "seed": SEED}
    return noisy, {**source, "range": "histogram", "bias_correction": False}


def build(network: nn.Module, examples: Tensor, form: dict[str, Any], calibration: Any, run: str) -> Program:
    """The float32 network on the CPU as a program for the `form`, in int8 calibrated on the `examples` [N, C,
    H, W]; `calibration` is the record of these. The same network, images, versions and processor give the
    same program.
    """
    quantizes = form["precision"] == "int8"
    with quiet():
        openvino, nncf = imported("openvino"), imported("nncf") if quantizes else None
        try:
            model = openvino.convert_model(network, example_input=examples[:2].clone())
            if nncf is not None:
                model = quantized(nncf, model, examples)
            model.reshape([int(form["batch"]), *examples.shape[1:]])
            model.set_friendly_name("network")
            for number, op in enumerate(model.get_ordered_ops()):  # else numbers go on through the process
                op.set_friendly_name(f"{op.get_type_name()} {number}")
            with tempfile.TemporaryDirectory(prefix="rs-program-") as folder:
                graph, weights = Path(folder) / "program.xml", Path(folder) / "program.bin"
                openvino.serialize(model, graph, weights)
                parts = FUSED.sub(b"", graph.read_bytes()), weights.read_bytes()
        except Exception as error:  # a network can make the converter raise anything
            what = "cannot be quantized to int8" if quantizes else "cannot be converted for OpenVINO"
            advice = "use precision: bfloat16" if quantizes else "use engine: torch"
            raise UserError(f"{run}: {what} ({one_line(error)}); {advice}") from error
    return Program(*parts, calibration if quantizes else {})


def quantized(nncf: Any, model: Any, examples: Tensor) -> Any:
    """OpenVINO's `model` in int8, calibrated on examples [N, C, H, W]. Raises ValueError where no layer can
    be quantized, and any exception of nncf.
    """
    from nncf.quantization import range_estimator

    dataset = nncf.Dataset([image[None].numpy() for image in examples])
    ranges = nncf.AdvancedQuantizationParameters(
        # nncf would halve the range of the first weights, for processors that saturate
        overflow_fix=nncf.OverflowFix.DISABLE,
        disable_bias_correction=True,
        activations_range_estimator_params=range_estimator.RangeEstimatorParametersSet.HISTOGRAM,
    )
    in_int8 = nncf.quantize(model, dataset, subset_size=len(examples), advanced_parameters=ranges)
    if not any(op.get_type_name() == "FakeQuantize" for op in in_int8.get_ops()):
        raise ValueError("no layer of it can be")
    return in_int8


def running(program: Program, precision: str) -> Callable[[Tensor], Tensor]:
    """A function from float32 images of the program's shape to logits, which the next call overwrites. It
    runs in torch's number of threads.
    """
    with quiet():
        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1}
        settings |= {"INFERENCE_PRECISION_HINT": HINTS[precision], "ENABLE_CPU_PINNING": False}
        model = core().read_model(program.graph, program.weights)
        request = core().compile_model(model, "CPU", settings).create_infer_request()

    def call(images: Tensor) -> Tensor:
        request.infer({0: images.numpy()}, share_inputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data)

    return call


@functools.cache
def core() -> Any:
    """OpenVINO's core: one for all programs, kept as long as the process. Raises UserError where OpenVINO is
    not installed.

    On Linux a core's CPU plug-in gives the thread's signal handlers a stack of its own. When the core is
    freed, that stack is unmapped and the one before it put back. If the older of two cores is freed first,
    the stack put back in the end is gone, and the next signal that Python handles (Ctrl-C, or a child's end
    once a torch DataLoader had workers) is a segmentation fault (openvino 2026.4).
    """
    return imported("openvino").Core()


def imported(name: str) -> Any:
    """The library. Raises UserError where it is not installed."""
    try:
        if name == "nncf":
            import nncf

            return nncf
        import openvino

        return openvino
    except ImportError as error:
        raise UserError(f"sampling: {name} is not installed; {INSTALL}, or {IN_TORCH}") from error


def check_processor(form: dict[str, Any], device: torch.device) -> None:
    """Raises UserError for a GPU, and in int8 for a processor without VNNI."""
    if device.type != "cpu":
        what = "precision: int8" if form["precision"] == "int8" else "engine: openvino"
        raise UserError(f"sampling: {what} votes on processors; set sampling.device and training.device: cpu")
    if form["precision"] == "int8" and not sums_bytes():
        raise UserError("sampling: precision: int8 needs a processor with VNNI; use float32 or bfloat16")


@functools.cache
def sums_bytes() -> bool:
    """Whether the processor sums products of bytes in 32 bits."""
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text().split()
        return bool({"avx512_vnni", "avx_vnni", "amx_int8"} & {*flags})
    return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Runs without the libraries' progress bars, messages and usage statistics. They send the latter unless
    told that they run in continuous integration.
    """
    for library in ("nncf", "torch.utils.cpp_extension"):  # nncf imports the latter, which looks for CUDA
        logging.getLogger(library).setLevel(logging.ERROR)
    with (
        _variable("CI", "true"),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Sets an environment variable inside and restores it afterwards."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
