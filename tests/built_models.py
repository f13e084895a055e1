"""Networks as the tests of models build them: mean 0.25 and standard deviation 0.5 in every channel."""

from __future__ import annotations

import torch
from torch import nn

from rs.methods import catalog, models

# classifiers; a denoiser takes images of any shape, and so does what is joined of others
ALL = {name: cls for name in models.METHODS if (cls := catalog.find("models", name)).shapes}


def build(name: str, shape=None, classes: int = 10, **options) -> nn.Module:
    shape = shape or ALL[name].shapes[0]
    return ALL[name](**options).build(shape, classes, (0.25,) * shape[0], (0.5,) * shape[0])


def statistics(model: nn.Module, shape) -> nn.Module:
    """In evaluation mode and float64, with the statistics of one batch and random scales: as if trained."""
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.1)
        norm.momentum = None  # the plain average
    model.double().train()
    with torch.no_grad():
        model(torch.rand(4, *shape, dtype=torch.float64))
    return model.eval()
