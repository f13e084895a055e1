"""Whether votes belong to these images and this network: digests that counts carry in their origin."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rs.api.voting import Ready

COPIES = 4  # noisy copies of each image, which tell apart networks with the same weights


def images_digest(x: Tensor) -> str:
    """SHA-256 of the images float32 [N, C, H, W], in their order."""
    hasher = hashlib.sha256()
    _add(hasher, "images", x)
    return hasher.hexdigest()


def each_digest(x: Tensor) -> np.ndarray:
    """BLAKE2b, 8 bytes in hexadecimal, of each of the images float32 [N, C, H, W]: str [N].

    Values are rounded to 1/65535 first. 8-bit images then have the same digests however they were divided by
    255, since k/255 is a multiple of 1/65535 and another last bit of the float rounds to it, too.
    """
    digests = []
    for image in x:
        values = np.rint(image.detach().cpu().numpy().astype(np.float64) * 65535).astype("<u2")
        hasher = hashlib.blake2b(f"{list(values.shape)}\n".encode(), digest_size=8)
        hasher.update(values.tobytes())
        digests.append(hasher.hexdigest())
    return np.array(digests)


def network_digest(ready: Ready, x: Tensor) -> str:
    """SHA-256 of the network's weights, and of its logits, in its form, for noisy copies of the images `x`.

    Weights tell apart networks that seldom answer differently; logits tell apart networks without weights or
    with other code. Both are compared to the last bit: another rounding is another base classifier.
    """
    hasher, network, form = hashlib.sha256(), ready.audited.network, ready.form
    for name, weight in chain(network.named_parameters(), network.named_buffers()):
        if weight.layout == torch.strided and not weight.is_quantized:  # other weights show in the logits
            _add(hasher, name, weight)
    source = torch.Generator(form.device).manual_seed(0)
    for part in x.split(form.batch):
        for _ in range(COPIES):
            noisy = ready.noise.sample(tuple(part.shape), source).add_(part.to(form.device))
            _add(hasher, "logits", form(noisy))
    return hasher.hexdigest()


def origin_of(ready: Ready, noise: dict[str, Any], x: Tensor) -> dict[str, Any]:
    """What counts record of the classifier and the images. A network that draws at random has no digest."""
    origin: dict[str, Any] = {"form": ready.form.description, "noise": noise, "images": images_digest(x)}
    origin["each image"] = each_digest(x)
    return origin if ready.audited.chance else origin | {"network": network_digest(ready, x)}


def _add(hasher: hashlib._Hash, name: str, values: Tensor) -> None:
    hasher.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
    plain = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    hasher.update(plain.numpy().tobytes())
