"""Answers: the class that a network gives to each draw of an image's noise, in the order of the draws, and
the files that hold them.

The noise of a block comes in the batches in which votes are drawn (rs.stages.voter), from the same generator.
So code that goes through the batches in order sees the draws that were counted, and may stop after any batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from rs.errors import UserError
from rs.networks.inference import InferenceForm
from rs.provenance.files import ADVICE, read_table, write_table
from rs.stages.voter import JobVoter
from rs.statistics.draws import Votes


def sizes(draws: int, batch: int) -> list[int]:
    """The batch sizes of `draws` copies: full batches and the rest."""
    return [min(batch, draws - start) for start in range(0, draws, batch)]


def answers(form: InferenceForm, noisy: Tensor) -> Tensor:
    """The class of each copy, int64 [B] on the device. The caller calls `form.check` afterwards."""
    logits = form(noisy)
    form.broken += (~logits.isfinite().all(1)).sum()
    return logits.argmax(1)


def count(totals: Tensor, second: Tensor, first: Tensor) -> None:
    """Adds two networks' answers to the same draws, int64 [B], to `totals` int64 [3, classes]: counts of the
    second network, of the first, and of draws on which both agree.
    """
    same = (second == first).long()
    once = torch.ones_like(same)
    for place, of, weight in ((0, second, once), (1, first, once), (2, first, same)):
        totals[place].scatter_add_(0, of, weight)


def refuse_chance(voter: JobVoter) -> None:
    if voter.chance:
        problem = "draws at random at every call, so its answers belong to no draw of the noise"
        raise UserError(f"{voter.run}: {problem}; leave sampling.answers and sampling.source out")


def write(
    path: Path, voter: JobVoter, counts: np.ndarray, columns: dict[str, np.ndarray], code: str, **facts: Any
) -> None:
    """Writes a draw file with `columns` [N, K] beside its `counts` int64 [N, classes]; `facts` join the
    provenance of every draw file.
    """
    table = {
        "image": pa.array(np.asarray(voter.images, np.int64)),
        "label": pa.array(voter.labels.cpu().numpy()),
    }
    for name, values in ({"counts": counts} | columns).items():
        table[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    write_table(path, pa.table(table), voter.origin(code, **facts))


def read_columns(path: Path, names: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """Columns [N, K] of whole numbers. Raises UserError where a draw file has no such column."""
    table, _ = read_table(path, needs=names)
    found = []
    for name in names:
        column = table.column(name).combine_chunks()
        if not pa.types.is_fixed_size_list(column.type) or not pa.types.is_integer(column.type.value_type):
            raise UserError(f"{path}: column {name} holds no whole numbers of one length; {ADVICE}")
        found.append(column.flatten().to_numpy().reshape(len(table), -1))
    return tuple(found)


def read_answers(path: Path, votes: Votes) -> np.ndarray:
    """The class of each vote of a block, [N, draws] in the order of the draws. Raises UserError where the
    answers do not add up to `votes`.
    """
    (found,) = read_columns(path, ("answers",))
    classes = votes.counts.shape[1]
    answered = np.stack([np.bincount(row, minlength=classes) for row in found])
    if answered.shape != votes.counts.shape or (answered != votes.counts).any():
        raise UserError(f"{path}: holds other answers than its votes; {ADVICE}")
    return found
