"""Engines and number formats for a vote's forward pass, interleaved in one process; a table at the end.

  pip install openvino nncf torchao onnx onnxruntime   # what is not installed is left out, and named
  python benchmarks/engines.py
  python benchmarks/engines.py --models lenet --rounds 9 --start
  python benchmarks/engines.py --models lenet resnet20 --only "openvino int8, bfloat16" --votes
  python benchmarks/engines.py --models resnet20 --only openvino --weights FILE.safetensors

Every contestant maps a batch of float32 images to float32 logits, in one thread:

  torch      our compiled form (rs.networks.inference) in float32 and bfloat16
  pt2e       torchao's PT2E quantization (x86 inductor quantizer) and torch.compile: int8, the rest float32
  openvino   float32, bfloat16; int8 as our forms are made (rs.networks.openvino_program), the rest in float32
             or bfloat16
  onnxruntime  float32; int8 by static quantization, per channel, in both of its formats

Activations are calibrated on the same noisy images. Weights are untrained, unless --weights names a trained
network's (speeds hardly depend on them). Times are CPU times of the process, in rounds of a few tenths of a
second, as medians. Ratios to `torch bfloat16` are medians of the rounds' ratios, so that other work on the
machine affects both sides. With --start each contestant is started in two fresh processes, first on an empty
folder and then on the files of the first start: CPU seconds from after the imports to the first logits. With
--votes a whole vote is timed: fresh noise on an image, the forward pass, the count.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from networks import network_of, shape_of
from products import products, timed
from safetensors.torch import load_file
from sampling import multiply_adds
from torch import Tensor, nn

from rs.machine.devices import device_name
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited
from rs.networks.inference import InferenceForm
from rs.networks.openvino_program import core, quantized

SIGMA, CALIBRATING = 0.25, 256
BATCHES = {"lenet": 256}
ONE_THREAD = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """A network, a batch of noisy images, others to calibrate on, and a folder for the files made from it."""

    name: str
    network: nn.Module
    images: Tensor
    calibrating: Tensor
    folder: Path


def subject_of(name: str, batch: int, folder: Path, weights: Path | None = None) -> Subject:
    shape, draws = shape_of(name), torch.Generator().manual_seed(0)
    noisy = torch.rand(batch + CALIBRATING, *shape, generator=draws)
    noisy += SIGMA * torch.randn(noisy.shape, generator=draws)
    network = network_of(name)
    if weights is not None:
        network.load_state_dict(load_file(weights))
    return Subject(name, network, noisy[:batch], noisy[batch:], folder)


def compiled(subject: Subject, precision: str) -> Run:
    audited = Audited(subject.network, {"classes": 10}, subject.calibrating[:128], subject.name, False)
    settings = {"precision": precision, "batch": len(subject.images), "compiled": True}
    form = InferenceForm(audited, settings, torch.device("cpu"))
    assert settings.items() <= form.description.items()  # it may fall back
    return form


def pt2e(subject: Subject) -> Run:
    from torch._inductor import config as inductor
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    layout = torch.channels_last
    images = subject.images.contiguous(memory_format=layout)
    network = torch.export.export(subject.network.to(memory_format=layout), (images,)).module()
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(network, quantizer)
    with torch.no_grad():
        for part in subject.calibrating.split(len(images)):
            if len(part) == len(images):
                prepared(part.contiguous(memory_format=layout))
        run = torch.compile(convert_pt2e(prepared))

    def call(x: Tensor) -> Tensor:
        with torch.no_grad(), inductor.patch(freezing=True):
            return run(x.contiguous(memory_format=layout))  # type: ignore[no-any-return]

    return call


def openvino(subject: Subject, precision: str, quantize: bool) -> Run:
    import openvino as ov

    file = subject.folder / f"{subject.name}-{'int8' if quantize else 'float'}.xml"
    if not file.exists():
        model = ov.convert_model(subject.network, example_input=subject.calibrating[:2])
        if quantize:
            import nncf

            model = quantized(nncf, model, subject.calibrating)
        model.reshape(list(subject.images.shape))
        ov.save_model(model, file, compress_to_fp16=False)
    settings = {**ONE_THREAD, "INFERENCE_PRECISION_HINT": precision}
    request = core().compile_model(core().read_model(file), "CPU", settings).create_infer_request()

    def call(x: Tensor) -> Tensor:
        request.infer({0: x.numpy()}, share_inputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data)

    return call


def onnxruntime(subject: Subject, quantized: str | None) -> Run:
    import onnxruntime as ort

    plain = subject.folder / f"{subject.name}.onnx"
    file = plain.with_suffix(f".{quantized}.onnx") if quantized else plain
    if not plain.exists():
        names = {"input_names": ["x"], "output_names": ["y"], "opset_version": 17}
        torch.onnx.export(subject.network, (subject.images,), plain, dynamo=False, **names)
    if quantized and not file.exists():
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Given(CalibrationDataReader):
            def __init__(self) -> None:
                size = len(subject.images)
                parts = (part for part in subject.calibrating.split(size) if len(part) == size)
                self.batches = iter([{"x": part.numpy()} for part in parts])

            def get_next(self) -> dict[str, object] | None:
                return next(self.batches, None)

        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        folded = plain.with_suffix(".folded.onnx")  # onnxruntime advises this: batch norm would stay float
        quant_pre_process(plain, folded)
        quantize_static(folded, file, Given(), QuantFormat[quantized], per_channel=True, **kinds)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


BASE = "torch bfloat16"
CONTESTANTS: dict[
    str, tuple[tuple[str, ...], Callable[[Subject], Run]]
] = {  # packages that each needs, how it is made
    BASE: ((), lambda s: compiled(s, "bfloat16")),
    "torch float32": ((), lambda s: compiled(s, "float32")),
    "pt2e int8": (("torchao",), pt2e),
    "openvino float32": (("openvino",), lambda s: openvino(s, "f32", False)),
    "openvino bfloat16": (("openvino",), lambda s: openvino(s, "bf16", False)),
    "openvino int8, float32": (("openvino", "nncf"), lambda s: openvino(s, "f32", True)),
    "openvino int8, bfloat16": (("openvino", "nncf"), lambda s: openvino(s, "bf16", True)),
    "onnxruntime float32": (("onnx", "onnxruntime"), lambda s: onnxruntime(s, None)),
    "onnxruntime int8, QDQ": (("onnx", "onnxruntime"), lambda s: onnxruntime(s, "QDQ")),
    "onnxruntime int8, QOperator": (("onnx", "onnxruntime"), lambda s: onnxruntime(s, "QOperator")),
}


def voted(subject: Subject, run: Run) -> Callable[[], Tensor]:
    """A batch of votes on one image, as rs.networks.inference casts them."""
    noise, image, size = Gaussian(SIGMA), subject.calibrating[0], len(subject.images)
    draws, counts, one = torch.Generator().manual_seed(0), torch.zeros(10, dtype=torch.int64), torch.ones(1)

    def call() -> Tensor:
        logits = run(noise.sample((size, *image.shape), draws).add_(image))
        return counts.scatter_add_(0, logits.argmax(1), one.long().expand(size))

    return call


def start(name: str, key: str, batch: int, folder: Path) -> list[float]:
    """CPU seconds to the first logits in two fresh processes: on an empty folder, then on its new files."""
    cold = folder / key.replace(" ", "-").replace(",", "")
    cold.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--models", name, "--batch", str(batch), "--once", key]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cold / "inductor")}
    runs = [
        subprocess.run(
            [*command, "--folder", str(cold)], env=environment, capture_output=True, text=True, check=True
        )
        for _ in "12"
    ]
    return [float(run.stdout.splitlines()[-1]) for run in runs]


def once(name: str, key: str, batch: int, folder: Path) -> None:
    """The process that `start` runs."""
    for module in CONTESTANTS[key][0]:
        __import__(module)
    subject, started = subject_of(name, batch, folder), time.process_time()
    CONTESTANTS[key][1](subject)(subject.images)
    print(time.process_time() - started)


def measure(name: str, batch: int, args: argparse.Namespace, folder: Path) -> None:
    """Prints the table of one network."""
    subject, runs = subject_of(name, batch, folder, args.weights), dict[str, Run]()
    for key, (needs, make) in CONTESTANTS.items():
        if args.only and not any(key.startswith(only) for only in (BASE, *args.only)):
            continue
        if lacking := [module for module in needs if importlib.util.find_spec(module) is None]:
            print(f"{key}: left out, {' and '.join(lacking)} not installed")
            continue
        try:
            runs[key] = make(subject)
            runs[key](subject.images)
        except Exception as error:  # a tool's failure on a network is a result
            print(f"{key}: fails: {type(error).__name__}: {str(error).splitlines()[:1]}")
            runs.pop(key, None)
    with torch.no_grad():
        truth = subject.network(subject.images)
    largest = truth.abs().max()
    apart = {key: float((run(subject.images) - truth).abs().max() / largest) for key, run in runs.items()}
    seconds: dict[str, list[float]] = {key: [] for key in runs}
    calls: dict[str, Callable[[], object]] = {
        key: voted(subject, run) if args.votes else functools.partial(run, subject.images)
        for key, run in runs.items()
    }
    for _ in range(args.rounds):
        for key, call in calls.items():
            seconds[key].append(timed(call, args.seconds) / batch)
    work = multiply_adds(name)
    starts = {key: start(name, key, batch, folder) for key in runs} if args.start else {}
    more = " start empty, s | start again, s |" if args.start else ""
    what = "votes" if args.votes else "images"
    print(f"\n| {name}, batches of {batch} | {what}/s | G multiply-adds/s | times {BASE} | differs |{more}")
    print("|---|" + "---|" * (6 if args.start else 4))
    for key, taken in seconds.items():
        times = statistics.median(b / f for b, f in zip(seconds[BASE], taken, strict=True))
        rate = 1 / statistics.median(taken)
        begun = "".join(f" {s:.1f} |" for s in starts.get(key, ()))
        print(f"| {key} | {rate:,.0f} | {rate * work / 1e9:,.0f} | {times:.2f} | {apart[key]:.2g} |{begun}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["lenet", "resnet20", "resnet110"])
    parser.add_argument("--only", nargs="+", help="contestants whose names begin so")
    parser.add_argument("--weights", type=Path, help="of a trained network, for the one of --models")
    parser.add_argument("--batch", type=int, help="default: 256 for lenet, else 128")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of CPU time, each contestant in a round")
    parser.add_argument("--votes", action="store_true", help="with noise and count")
    parser.add_argument("--start", action="store_true", help="also how long each takes to start")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    batches = {name: args.batch or BATCHES.get(name, 128) for name in args.models}
    if args.once:
        once(args.models[0], args.once, batches[args.models[0]], args.folder)
        return
    tools = filter(importlib.util.find_spec, ("torch", "openvino", "nncf", "torchao", "onnxruntime"))
    versions = ", ".join(f"{tool} {importlib.metadata.version(tool)}" for tool in tools)
    print(f"{device_name(torch.device('cpu'))}, one thread; {versions}")
    print("matrix product:", ", ".join(f"{k} {v / 1e9:,.0f} G/s" for k, v in products().items()))
    for name, batch in batches.items():
        with tempfile.TemporaryDirectory() as folder:
            measure(name, batch, args, Path(folder))


if __name__ == "__main__":
    main()
