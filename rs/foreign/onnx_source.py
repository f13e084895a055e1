"""`onnx:FILE`: a network in a file, run by onnxruntime on the processor.

It has one float32 input of images [B, C, H, W] or [B, H, W, C], and one output of logits or probabilities.
The file does not contain the units of its input, so options must state them. A batch of fixed size is padded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from rs.foreign.preprocessing import Preprocessing
from rs.foreign.recognised import refuse
from rs.foreign.sources import Foreign, Request, failed
from rs.provenance.digests import file_digest
from rs.provenance.reading import WEIGHTS, check_file

KINDS = {
    "tensor(float16)": "half precision only",
    "tensor(bfloat16)": "half precision only",
    "tensor(double)": "float64",
}


class Session(nn.Module):
    """Images [B, C, H, W] to logits. Copies share the session, which holds no state between calls."""

    def __init__(self, session: Any, batch: int | None, channels_last: bool, output: str) -> None:
        super().__init__()
        self.held = {"session": session}
        self.batch, self.channels_last, self.output = batch, channels_last, output
        self.input = session.get_inputs()[0].name

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        return Session(self.held["session"], self.batch, self.channels_last, self.output)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float().permute(0, 2, 3, 1) if self.channels_last else images.float()
        array = x.contiguous().cpu().numpy()
        batch = self.batch or max(len(array), 1)
        parts = [self._run(array[i : i + batch], batch) for i in range(0, len(array), batch)]
        return torch.from_numpy(np.concatenate(parts)).to(images.device)

    def _run(self, part: np.ndarray, batch: int) -> np.ndarray:
        whole = np.zeros((batch, *part.shape[1:]), np.float32)
        whole[: len(part)] = part
        logits: np.ndarray = self.held["session"].run([self.output], {self.input: whole})[0]
        return logits[: len(part)]


def load(request: Request) -> Foreign:
    if request.weights is not None:
        raise request.fault("the file holds its weights; leave --weights out")
    file = Path(request.name)
    if file.suffix != ".onnx":
        refuse(f"--model {request.title}", file)
    check_file(file, WEIGHTS)
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4  # errors are raised too
    quiet.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spares the processor
    try:
        session = onnxruntime.InferenceSession(str(file), quiet, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has its own exceptions for damaged files and unknown operators
        raise failed(request, "cannot be read", error) from error
    batch, sizes, channels_last = _input(request, session)
    network = Session(session, batch, channels_last, _output(request, session))
    provenance = {"library": f"onnxruntime {onnxruntime.__version__}", "weights": _digest(request, file)}
    channels, *size = (sizes[2], *sizes[:2]) if channels_last else sizes
    known = (size[0], size[1]) if isinstance(size[0], int) and isinstance(size[1], int) else None
    resize = None if known is None else known[0] if known[0] == known[1] else known
    number = channels if channels in (1, 3) else 3
    units = (0.0,) * number, (1.0,) * number
    described = Preprocessing(f"{file}, and options", known, resize, "bilinear", *units, False)
    return Foreign(request.title, network, described, provenance, on_cpu=True)


def _input(request: Request, session: Any) -> tuple[int | None, list[Any], bool]:
    """The batch size if fixed, other sizes (numbers, or names of open ones), whether channels are last."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise request.fault(f"has {len(inputs)} inputs ({', '.join(i.name for i in inputs)}); allowed one")
    (tensor,) = inputs
    if tensor.type != "tensor(float)":
        kind = KINDS.get(tensor.type, f"integers, {tensor.type}" if "int" in tensor.type else tensor.type)
        raise request.fault(f"its input {tensor.name} takes {kind}; allowed float32 (export it so)")
    if len(tensor.shape) != 4:
        raise request.fault(f"its input {tensor.name} is {tensor.shape}; allowed images [B, C, H, W]")
    batch, *sizes = tensor.shape
    last = sizes[2] in (1, 3) and sizes[0] not in (1, 3)
    if not last and isinstance(sizes[0], int) and sizes[0] not in (1, 3):
        raise request.fault(f"its input {tensor.name} is {tensor.shape}; allowed images of 1 or 3 channels")
    return (batch if isinstance(batch, int) and batch > 0 else None), sizes, last


def _output(request: Request, session: Any) -> str:
    outputs = [o for o in session.get_outputs() if o.type == "tensor(float)" and len(o.shape) in (0, 2)]
    named = [o.name for o in outputs if o.name == "logits"] or [o.name for o in outputs]
    if len(named) == 1:
        return str(named[0])
    every = ", ".join(f"{o.name} {o.type}{o.shape}" for o in session.get_outputs())
    raise request.fault(f"its outputs are {every}; allowed one float32 output of logits [B, classes]")


def _digest(request: Request, file: Path) -> str:
    """Digest of the file and of the files that it names for tensors: weights may lie outside it."""
    try:
        tensors = _tensors(onnx.load(file, load_external_data=False))
        places = {e.value for t in tensors for e in t.external_data if e.key == "location"}
    except Exception as error:  # onnxruntime reads some files that are not ONNX
        raise failed(
            request, "not read by the package onnx, which tells where its weights lie", error
        ) from error
    outside = [f"{place} {file_digest(file.parent / place)}\n" for place in sorted(places)]
    return hashlib.sha256("".join([*outside, file_digest(file)]).encode()).hexdigest()


def _tensors(message: Any) -> Iterator[Any]:
    """The tensors of the graph, of graphs in its nodes, and of functions."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(part)
