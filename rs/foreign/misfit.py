"""A model of `--model` and images that do not fit each other, in the words of the options.

A grey network on pictures that were read as colour fails with a library's words about channels. Here it is
tried on other images, and the option that makes these is named.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rs.api.inputs import logits_in
from rs.errors import UserError, plural
from rs.foreign.pictures import Pictures
from rs.foreign.preprocessing import Preprocessing, shape
from rs.foreign.sources import Foreign
from rs.methods.data.images import LOSSLESS
from rs.methods.plausible import NARROW
from rs.networks.misfit import Misfit, misfit


def explain(model: Foreign, pictures: Pictures, images: Tensor) -> None:
    """Raises UserError where a refused model would take other images than these float32 [N, C, H, W] in
    [0, 1], or returns its logits inside something else.
    """
    network = model.network.eval()
    low, scale = (sum(v) / len(v) for v in (model.preprocessing.mean, model.preprocessing.std))

    def in_units(x: Tensor) -> object:
        return network((x - low) / scale)

    found = misfit(in_units, images)
    if found is not None:
        read = f"{pictures.place} was read as {shape(images[0])} ({_kind(pictures)})"
        advice = _advice(found, model.preprocessing, pictures)
        raise UserError(f"certify: --model {model.title}: {read}, but it takes {found.text}{advice}")
    with torch.no_grad():
        try:
            output = in_units(images.clone())
        except Exception:  # it takes nothing that was tried; the refusal has its words
            return
    if not isinstance(output, Tensor) and (part := logits_in(output)):
        line = f"returns a {type(output).__name__}, not logits [B, classes]"
        advice = f"let the function return a module whose forward gives the network's output{part}"
        raise UserError(f"certify: --model {model.title}: {line}; {advice}")


def doubt(images: Tensor) -> dict[str, str]:
    """A fact about images [N, C, H, W] in [0, 1] that use a small part of this range; mostly none.

    Pictures saved with levels 0 to 16 are nearly black: noise that a network was trained for drowns them.
    """
    low, high = round(255 * float(images.min())), round(255 * float(images.max()))
    if high - low >= NARROW * 255:
        return {}
    remedy = f"; if {high} is white, save the pictures as v * 255 / {high}" if low == 0 < high else ""
    looked = plural(len(images), "image")
    return {"pixels": f"the {looked} looked at lie between {low} and {high}, and 255 is white{remedy}"}


def _kind(pictures: Pictures) -> str:
    mode = pictures.image(0).mode
    return f"{'grey' if mode in LOSSLESS[1] else 'colour'} pictures, mode {mode}"


def _advice(found: Misfit, preprocessing: Preprocessing, pictures: Pictures) -> str:
    size = "; give --size HxW" if found.kind == "size" else ""
    if found.channels == preprocessing.channels:
        return size
    if found.channels not in LOSSLESS:
        return f"; allowed are networks for {' or '.join(map(str, LOSSLESS))} channels"
    numbers = "" if preprocessing.plain else f", and {plural(found.channels, 'number')} in --mean and --std"
    option = f"--channels {found.channels}{numbers}{size and ', and --size HxW'}"
    if found.channels == 1 and pictures.image(0).mode not in LOSSLESS[1]:
        return f"; convert the pictures to grey and give {option}"
    return f"; give {option}"
