"""Optimizer and learning-rate schedule of a training run."""

from __future__ import annotations

import math

import torch
from torch import nn

from rs.settings.training import Training


def learning_rate(training: Training, epoch: int) -> float:
    """Learning rate of an epoch, 0 <= epoch < epochs.

    It grows linearly over the `warmup` epochs and is full in the last of them. Cosine annealing takes the
    epochs after them; milestones count from the first epoch.
    """
    rate, schedule = training.optimizer.learning_rate, training.schedule
    if epoch < schedule.warmup:
        return rate * (epoch + 1) / schedule.warmup
    if schedule.name == "multistep":
        return rate * schedule.gamma ** sum(epoch >= m for m in schedule.milestones)
    if schedule.name == "cosine":
        done = (epoch - schedule.warmup) / (training.epochs - schedule.warmup)
        return rate * 0.5 * (1 + math.cos(math.pi * done))
    return rate


def make_optimizer(training: Training, model: nn.Module) -> torch.optim.Optimizer:
    chosen = training.optimizer
    if chosen.name == "adam":
        weights = list(model.parameters())
        on_gpu = weights[0].is_cuda  # where CUDA graphs record steps, the step count is on the GPU too
        decay = chosen.weight_decay
        return torch.optim.Adam(weights, chosen.learning_rate, weight_decay=decay, capturable=on_gpu)
    rate, momentum, decay = chosen.learning_rate, chosen.momentum, chosen.weight_decay
    return torch.optim.SGD(model.parameters(), rate, momentum, weight_decay=decay)
