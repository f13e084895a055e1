"""Checks the arguments of `rs.smooth` and its methods before anything is computed: models and images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rs.api.parameters import array_of
from rs.api.user_model import Called
from rs.errors import UserError, plural
from rs.machine.memory import ran_out
from rs.networks import misfit
from rs.networks.transformations import one_line

Model = nn.Module | Callable[[Tensor], Tensor]
Images = Tensor | np.ndarray
ROUNDING = 1e-4  # what a resize or a colour conversion in float32 or less takes images out of [0, 1]
CHANNELS = (1, 3, 4)  # numbers of channels, to recognise images with channels last


def check_calibrated(verb: str, form: dict[str, Any]) -> None:
    """Raises UserError for int8, which needs training images."""
    if form["precision"] == "int8":
        problem = "int8 is calibrated on training images, which only a study has"
        raise UserError(f"{verb}: precision: {problem}; allowed here: float32, bfloat16")


def network_of(model: Model, verb: str) -> nn.Module:
    """The model as a module. Raises UserError where it cannot be called or has weights other than float32."""
    if not callable(model):
        advice = "give a torch module, or a callable: images [B, C, H, W] in [0, 1] to logits [B, classes]"
        raise UserError(f"{verb}: model: a {type(model).__name__} cannot be called; {advice}")
    if not isinstance(model, nn.Module):
        return Called(model)
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and weight.dtype != torch.float32:
            kind = str(weight.dtype).removeprefix("torch.")
            advice = "give it in float32 (model.float()); precision='bfloat16' rounds it here"
            raise UserError(f"{verb}: model: {name} is {kind}; {advice}")
    if lacking := unfilled(model):
        raise UserError(f"{verb}: model: {lacking}")
    return model


def unfilled(network: nn.Module) -> str:
    """The first weight that is still to come, and what gives it; empty where there is none."""
    for name, weight in chain(network.named_parameters(), network.named_buffers()):
        if is_lazy(weight):
            return f"{name} has no shape before a first pass (a lazy module); call the network once on images"
        if weight.is_meta:
            return f"{name} has a shape and no values (device meta); load its weights"
    return ""


@torch.no_grad()
def classes_of(network: nn.Module, images: Tensor, verb: str) -> int:
    """The number of classes. Raises UserError unless the network returns logits [B, classes >= 2]."""
    size = "x".join(map(str, images.shape[1:]))
    try:
        output: Any = network(images.clone())
    except Exception as error:  # a foreign network may raise anything
        if ran_out(error):
            raise
        problem = f"fails on {len(images)} float32 images of {size} in [0, 1]"
        raise UserError(
            f"{verb}: model: {problem}: {one_line(error)}{misfit.hint(network, images)}"
        ) from error
    if not isinstance(output, Tensor):
        raise UserError(
            f"{verb}: model: returns a {type(output).__name__}, not logits [B, classes]{_hint(output)}"
        )
    if output.dim() != 2 or len(output) != len(images) or output.shape[1] < 2:
        shape = f"{list(output.shape)} for {plural(len(images), 'image')} of {size}"
        raise UserError(
            f"{verb}: model: returns {shape}; it must be logits [B, classes], 2 classes or more"
            f"{_shape_hint(output, len(images))}"
        )
    if not output.is_floating_point():
        kind = str(output.dtype).removeprefix("torch.")
        raise UserError(f"{verb}: model: returns {kind} numbers; logits are floating-point numbers")
    return output.shape[1]


def logits_in(output: Any) -> str:
    """The expression that takes the logits out of another output, as `['logits']`; empty where unknown."""
    for key in ("logits", "out"):
        if hasattr(output, key):
            return f".{key}"
        if isinstance(output, Mapping) and key in output:
            return f"[{key!r}]"
    return "[0]" if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor) else ""


def _hint(output: Any) -> str:
    if isinstance(output, np.ndarray):
        return "; wrap it: lambda x: torch.from_numpy(model(x))"
    part = logits_in(output)
    doubt = ", if that is the logits" if part == "[0]" else ""
    return f"; wrap it: lambda x: model(x){part}{doubt}" if part else ""


def _shape_hint(output: Tensor, images: int) -> str:
    """How to make logits of an output of another shape."""
    if output.shape in ((images,), (images, 1)) and output.is_floating_point():
        return "; one logit z of two classes is torch.stack([0 * z, z], 1) of z.flatten()"
    if output.dim() > 2 and len(output) == images and output[0].numel() == output.shape[1]:
        return "; end it with flatten(1)"
    return ""


def image_tensor(images: Images, verb: str) -> Tensor:
    """float32 [N, C, H, W] on the CPU. Raises UserError for other shapes, types or ranges, and for NaN."""
    if not isinstance(images, Tensor | np.ndarray):
        advice = f"give a tensor or array [N, C, H, W]{_made_of(images)}"
        raise UserError(f"{verb}: images: a {type(images).__name__}; {advice}")
    if not (images.is_floating_point() if isinstance(images, Tensor) else images.dtype.kind == "f"):
        kind = str(images.dtype).removeprefix("torch.")
        raise UserError(f"{verb}: images: {kind}; allowed floating-point numbers in [0, 1] (images / 255)")
    if isinstance(images, np.ndarray):  # torch takes no reversed axes, no foreign byte order, no long doubles
        kept = images.dtype.itemsize <= 8
        images = torch.from_numpy(
            np.require(images, images.dtype.newbyteorder("=") if kept else np.float64, ["C", "W"])
        )
    if images.layout != torch.strided or images.is_meta:
        kind = "without values (device meta)" if images.is_meta else str(images.layout).removeprefix("torch.")
        raise UserError(f"{verb}: images: a tensor {kind}; give a plain one (images.to_dense())")
    x = images.detach().cpu()
    shape = list(x.shape)
    if x.dim() != 4 or min(shape) < 1:
        hint = " (one image: images[None])" if x.dim() == 3 else "; there are no images" * (shape[:1] == [0])
        raise UserError(f"{verb}: images: {shape}; allowed [N, C, H, W]{hint}")
    if shape[1] not in CHANNELS and shape[3] in CHANNELS:
        raise UserError(f"{verb}: images: {shape} has its channels last; allowed [N, C, H, W]")
    finite = x.isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        raise UserError(
            f"{verb}: images: image {int((~finite).int().argmax())} has values that are not finite"
        )
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        levels = low >= 0 and 2 < high <= 255
        advice = "images / 255" if levels else "normalisation belongs into the model"
        if min(low, 1 - high) > -ROUNDING:
            advice = "what rounding added can be cut off (images.clip(0, 1))"
        problem = f"values from {low:.9g} to {high:.9g}; allowed [0, 1]: {advice}"
        raise UserError(f"{verb}: images: {problem}")
    with torch.inference_mode(False):  # an attack takes gradients, which tensors of that mode have not
        return x.float().contiguous().clone() if x.is_inference() else x.float().contiguous()


def _made_of(images: Any) -> str:
    """How to make one tensor of what holds images, in an order that is theirs at each call."""
    from torch.utils.data import DataLoader, Dataset

    if isinstance(images, DataLoader):
        return ": images, labels = map(torch.cat, zip(*loader)), of a loader that does not shuffle"
    if isinstance(images, Dataset):
        return ": torch.stack([image for image, _ in dataset]), and the labels likewise"
    if isinstance(images, list | tuple) and images and isinstance(images[0], Tensor):
        return f": torch.{'cat' if images[0].dim() == 4 else 'stack'}(images)"
    if isinstance(images, list | tuple) and images and isinstance(images[0], np.ndarray):
        return f": np.{'concatenate' if images[0].ndim == 4 else 'stack'}(images)"
    return ": np.array(images, np.float32)" if isinstance(images, list | tuple) else ""


def position_list(positions: ArrayLike | None, images: int, verb: str) -> list[int]:
    """The positions of the images in their data set, which seed their noise: 0, 1, ... by default."""
    if positions is None:
        return list(range(images))
    allowed = f"give a whole number from 0 for each of {plural(images, 'image')}"
    array = array_of(positions, f"{verb}: positions", allowed)
    if array.shape != (images,) or array.dtype.kind not in "iu" or (len(array) and array.min() < 0):
        raise UserError(f"{verb}: positions: {allowed}")
    if len(set(array.tolist())) != images:
        raise UserError(f"{verb}: positions: each position once; two images would meet the same noise")
    return [int(position) for position in array]


def chosen_device(device: str | torch.device, verb: str) -> torch.device:
    """The torch device; `auto` is the GPU where there is one."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch_device = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{verb}: device: {device!r}; allowed auto, cpu, cuda, cuda:1, ...") from error
    if torch_device.type not in ("cpu", "cuda"):
        raise UserError(f"{verb}: device: {device!r}; allowed auto, cpu, cuda, cuda:1, ...")
    if torch_device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"{verb}: device: {device!r}: torch finds no GPU here; allowed auto, cpu")
    if torch_device.type == "cuda" and (torch_device.index or 0) >= (found := torch.cuda.device_count()):
        allowed = ", ".join(["auto", "cpu", *(f"cuda:{i}" for i in range(found))])
        raise UserError(f"{verb}: device: {device!r}: torch finds {plural(found, 'GPU')}; allowed {allowed}")
    return torch_device
