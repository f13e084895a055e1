"""`hf:owner/name`, or `hf:FOLDER` of a saved model: image classification through transformers.

Sizes, crop, interpolation, mean, std and the scale of the values come from the image processor saved with the
model. The cache is that of the Hugging Face hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from PIL.Image import Image, Resampling
from torch import Tensor, nn

from rs.foreign.preprocessing import Preprocessing, Size
from rs.foreign.recognised import refuse
from rs.foreign.sources import Foreign, Request, digest_of, failed
from rs.networks.transformations import one_line


class Logits(nn.Module):
    """A model of transformers as a map from images to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


def load(request: Request) -> Foreign:
    if request.weights is not None:
        advice = "--weights is for other sources; give the folder of the saved model, hf:FOLDER"
        raise request.fault(advice)
    place = Path(request.name)
    if not (place / "config.json").is_file():
        refuse(f"--model {request.title}", place)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where: dict[str, Any] = {"local_files_only": not request.download}
    model = _model(request, where)
    names = getattr(model.config, "id2label", None) or {}
    classes = tuple(str(names[i]) for i in sorted(names)) or None
    provenance = {"library": f"transformers {transformers.__version__}", "weights": digest_of(model)}
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(request.name, **where)
    except Exception as error:  # a damaged file, or a processor with its own code
        if not _without_processor(request):
            raise failed(request, "its image processor cannot be loaded", error) from error
        # options must then state what it would say
        channels = 1 if getattr(model.config, "num_channels", 3) == 1 else 3
        units = (0.0,) * channels, (1.0,) * channels
        source = f"{request.title}, without an image processor"
        open_scale = Preprocessing(source, None, None, "bilinear", *units, scale_known=False)
        return Foreign(request.title, Logits(model), open_scale, provenance, classes)

    def theirs(image: Image) -> Tensor:
        pixels: Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    try:
        preprocessing = described(processor)
    except (AttributeError, TypeError, ValueError) as error:
        kind = f"the settings of its image processor, a {type(processor).__name__}, are of no known form"
        problem = f"{kind} ({one_line(error)}); use --model timm:... or entry:MODULE:FUNCTION"
        raise request.fault(problem) from error
    return Foreign(request.title, Logits(model), preprocessing, provenance, classes, theirs)


def _without_processor(request: Request) -> bool:
    """Whether the model was saved without an image processor, rather than with an unreadable one."""
    files = [transformers.utils.IMAGE_PROCESSOR_NAME, transformers.utils.PROCESSOR_NAME]
    if Path(request.name).is_dir():
        return not any(Path(request.name, file).exists() for file in files)
    paths = [try_to_load_from_cache(request.name, file) for file in files]
    if request.download:  # the cache notes what the hub lacks; a file neither there nor noted was not reached
        return not any(file is None or isinstance(file, str) for file in paths)
    return not any(isinstance(file, str) for file in paths)


def _model(request: Request, where: dict[str, Any]) -> nn.Module:
    """Raises UserError where the model is not available, and for weights without a classifier."""
    automatic = transformers.AutoModelForImageClassification
    try:
        model, info = automatic.from_pretrained(
            request.name, output_loading_info=True, dtype=torch.float32, **where
        )
    except Exception as error:  # not there, no network, no image classifier, a damaged file
        if Path(request.name).is_dir():
            raise failed(request, "cannot be loaded", error) from error
        if request.download:
            raise failed(request, "download failed", error) from error
        problem = "not in the cache of the Hugging Face hub, and no folder; give --download"
        raise request.fault(f"{problem} ({type(error).__name__})") from error
    missing = sorted(info.get("missing_keys") or [])
    if missing:
        problem = f"its weights lack {missing[0]}: a model without classes certifies nothing"
        raise request.fault(problem)
    network: nn.Module = model
    return network


def described(processor: Any) -> Preprocessing:
    """The preprocessing that the settings state. Comparing an image finds what the processor does beyond."""
    resize, size = _sizes(processor)
    factor = float(processor.rescale_factor) if processor.do_rescale else 1.0
    mean = _channels(processor.image_mean) if processor.do_normalize else (0.0, 0.0, 0.0)
    std = _channels(processor.image_std) if processor.do_normalize else (1.0, 1.0, 1.0)
    scale = 255 * factor
    if abs(scale - 1) < 1e-6:
        scale = 1.0  # 1/255 is written with few digits
    units = tuple(m / scale for m in mean), tuple(s / scale for s in std)
    resample = getattr(processor, "resample", None)
    kind = Resampling(int(Resampling.BILINEAR if resample is None else resample)).name.lower()
    return Preprocessing(f"transformers, {type(processor).__name__}", size, resize, kind, *units)


def _sizes(processor: Any) -> tuple[int | Size | None, Size | None]:
    """The size to resize to, and the crop."""
    target = processor.size if processor.do_resize else None
    edge, height, width = (_of(target, key) for key in ("shortest_edge", "height", "width"))
    crops = bool(getattr(processor, "do_center_crop", False))
    sides = [_of(processor.crop_size, key) for key in ("height", "width")] if crops else [None]
    crop = (sides[0], sides[1]) if sides[0] and sides[1] else None
    share = getattr(processor, "crop_pct", None)
    if share and edge:  # ConvNeXT: below 384 it crops, from there on it squeezes into a square
        return (int(edge / share), (edge, edge)) if edge < 384 else ((edge, edge), (edge, edge))
    if type(processor).__name__.startswith("Levit") and edge:
        edge = int(256 / 224 * edge)
    resize: int | Size | None = edge or ((height, width) if height and width else None)
    size = crop if crop else resize if isinstance(resize, tuple) else None
    return resize, size


def _of(size: Any, key: str) -> int | None:
    value = getattr(size, key, None) if not isinstance(size, dict) else size.get(key)
    return None if value is None else int(value)


def _channels(values: Any) -> tuple[float, ...]:
    return (float(values),) * 3 if isinstance(values, float | int) else tuple(map(float, values))
