"""The effect of int8 on a trained network, by the way and place of its calibration; tables.

  snakemake --cores 1 --until import_weights --configfile config/evidence/precision-resnet20.yaml
  python benchmarks/quantizing.py --study config/evidence/precision-resnet20.yaml
  python benchmarks/quantizing.py --study config/evidence/precision-resnet20.yaml --layers

Each way is judged by the share of votes that differ from the float32 network's: on test images under the
smoothing noise (10,240 votes of 256 images), on these images without noise, and on the probes of forms that
serve every noise (rs.networks.audit). It is also judged by the ratio, in dB, of the power of the logits about
their mean to that of their errors.

With --layers, each quantized activation is tested alone beside the weights, with the rest in float32. A
second table shows what nncf's fast bias correction would add to each convolution, in two parts (root mean
squares over the output channels): its mean output less that for a constant image of the input channels'
means, which padded borders cause, and the change from rounding those means. Beside them is the true shift,
which rounding the input causes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rs.methods import catalog
from rs.networks import audit
from rs.networks import openvino_program as programs
from rs.networks.images import load_images, open_split
from rs.networks.transformations import copied, transformed
from rs.plan.plan import Plan
from rs.study.study import Study

IMAGES, COPIES, BATCH = 256, 40, 128
OURS = "no bias correction, histogram"
Run = Callable[[Tensor], Tensor]


def ways() -> dict[str, dict[str, Any] | None]:
    """Parameters of nncf.quantize, None where nothing is quantized; the last ones are those of our forms."""
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet as Ranges

    def options(**more: Any) -> dict[str, Any]:
        exact = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE, **more)
        return {"advanced_parameters": exact}

    plain: dict[str, Any] = {"disable_bias_correction": True}
    histogram = {**plain, "activations_range_estimator_params": Ranges.HISTOGRAM}
    return {
        "not quantized": None,
        "nncf's defaults": options(),
        "whole ranges": options(activations_range_estimator_params=Ranges.MINMAX),
        "no bias correction": options(**plain),
        "no bias correction, whole ranges": options(
            **plain, activations_range_estimator_params=Ranges.MINMAX
        ),
        "no bias correction, histogram, sums not quantized": {
            **options(**histogram),
            "ignored_scope": nncf.IgnoredScope(types=["Add"]),
        },
        OURS: options(**histogram),
    }


def quantized(network: nn.Module, examples: Tensor, parameters: dict[str, Any] | None) -> Any:
    import nncf
    import openvino

    calibration = nncf.Dataset([image[None].numpy() for image in examples])
    model = openvino.convert_model(network, example_input=examples[:2].clone())
    if parameters is not None:
        model = nncf.quantize(model, calibration, subset_size=len(examples), **parameters)
    model.reshape([BATCH, *examples.shape[1:]])
    return model


def running(model: Any, hint: str) -> Run:
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": hint}
    request = programs.core().compile_model(model, "CPU", settings).create_infer_request()

    def call(images: Tensor) -> Tensor:
        request.infer({0: images.numpy()})
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    return call


def answers(run: Run, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([run(part) for part in images.split(BATCH)])


def judged(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    """The share of votes that differ, and the ratio of powers in dB."""
    power = (truth - truth.mean(0)).square().mean() / (logits - truth).square().mean()
    return float((logits.argmax(1) != truth.argmax(1)).double().mean()), float(10 * power.log10())


def layers(model: Any, noisy: Tensor, truth: Tensor) -> None:
    """Prints the table of activations."""

    def activations(copy: Any) -> list[Any]:
        return [op for op in copy.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]

    names = [op.get_friendly_name() for op in activations(model)]
    print("\n| in int8 beside the weights | votes that differ | dB |\n|---|---|---|")
    for kept in (None, *names):
        copy = model.clone()
        for op in activations(copy):
            if op.get_friendly_name() != kept:
                op.output(0).replace(op.input_value(0))
        share, power = judged(answers(running(copy, "f32"), noisy), truth)
        print(f"| {(kept or 'nothing').removesuffix('/fq_output_0')} | {share:.2%} | {power:.1f} |")


@torch.no_grad()
def shifts(network: nn.Module, noisy: Tensor) -> None:
    """Prints the table of convolutions."""
    print("\n| convolution | borders | rounded means | true shift | outputs vary by |\n|---|---|---|---|---|")

    def print_row(name: str, layer: nn.Module, layer_input: Tensor, layer_output: Tensor) -> None:
        signed = bool((layer_input < 0).any())
        step = layer_input.abs().max() / (127 if signed else 255)
        flat = layer_input.mean((0, 2, 3))[None, :, None, None].expand(1, *layer_input.shape[1:])
        mean = layer_output.mean((0, 2, 3))
        inputs = flat, (flat / step).round() * step, (layer_input / step).round() * step
        constant, rounded, true = (layer.forward(x).mean((0, 2, 3)) for x in inputs)
        parts = mean - constant, constant - rounded, mean - true
        sizes = [*(part.square().mean().sqrt() for part in parts), layer_output.std()]
        print(f"| {name} |" + "".join(f" {float(size):.4f} |" for size in sizes))

    hooks = [
        layer.register_forward_hook(
            lambda layer, inputs, output, name=name: print_row(name, layer, inputs[0], output)
        )
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    network(noisy)
    for hook in hooks:
        hook.remove()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, required=True, help="its first run is asked")
    parser.add_argument("--layers", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(Study([args.study]))
    run, data = plan.runs[0], plan.data_manifest
    noise = run.observations[0].noise
    audited = audit.load(run.folder / "model.json", data, torch.device("cpu"))
    network = transformed(copied(audited.network), audited.probes, audited.run).network.float()
    network = network.to(memory_format=torch.contiguous_format)
    size = len(open_split(data, "test"))
    images, _ = load_images(data, "test", [i * size // IMAGES for i in range(IMAGES)])
    draws = torch.Generator().manual_seed(1)
    copies = images.repeat_interleave(COPIES, 0)
    noisy = catalog.build("noises", noise).sample(tuple(copies.shape), draws).add_(copies)
    sets = {f"votes under {noise}": noisy, "without noise": images, "probes of every form": audited.probes}
    truths = {name: answers(network, x) for name, x in sets.items()}
    examples, _ = programs.calibrating(data, noise)

    print(f"| int8, {audited.run} | dB |", " | ".join(sets), "|\n|---|---|" + "---|" * len(sets))
    with programs.quiet():
        models = {name: quantized(network, examples, parameters) for name, parameters in ways().items()}
    for name, model in models.items():
        run_it = running(model, "bf16")
        results = [judged(answers(run_it, x), truths[key]) for key, x in sets.items()]
        print(f"| {name} | {results[0][1]:.1f} |", " | ".join(f"{share:.2%}" for share, _ in results), "|")
    if args.layers:
        first = next(iter(sets))
        layers(models[OURS], noisy[::10], truths[first][::10])
        shifts(network, noisy[::80])


if __name__ == "__main__":
    main()
