"""Training steps as CUDA graphs: one launch a step, where a small network's steps are bound by launches.

A step is a fixed sequence of kernels on fixed memory as long as the learning rate, the objective's phase and
the number of images stay the same. The first steps of each such kind run as they are written (libraries and
optimizers set themselves up in them), the next one is recorded, and from then on replayed. Noise comes from
one generator that the graphs know: it is seeded anew for every epoch and advances by as much in a replay as
in the step itself. Recorded and written steps run on one stream, so that nothing has to wait between them.

What cannot be recorded (a step that waits for the GPU) runs as it is written, after one warning.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator

import torch
from torch import Tensor

WRITTEN = 3  # steps of a kind before it is recorded


class CapturedSteps:
    """Takes the steps of one training on one GPU. `draws` is the generator for all their noise."""

    def __init__(self, device: torch.device) -> None:
        self.draws = torch.Generator(device)
        self.totals: dict[str, Tensor] = {}
        self._stream = torch.cuda.Stream(device)
        self._kind: Hashable = None
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._taken: Counter[int] = Counter()
        self._records = True

    @contextlib.contextmanager
    def epoch(self, seed: int) -> Iterator[None]:
        """Everything inside runs on this object's stream; noise and totals start anew."""
        outside = torch.cuda.current_stream(self._stream.device)
        self.draws.manual_seed(seed)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            for total in self.totals.values():
                total.zero_()
            yield
        outside.wait_stream(self._stream)

    def take(self, kind: Hashable, chosen: Tensor, step: Callable[[Tensor], None]) -> None:
        """`step(chosen)`, where steps of one `kind` and number of chosen images are the same kernels."""
        if kind != self._kind:
            self._kind, self._graphs, self._taken = kind, {}, Counter()
        size = len(chosen)
        if size in self._graphs:
            graph, place = self._graphs[size]
            place.copy_(chosen)
            graph.replay()
            return
        if self._records and self._taken[size] >= WRITTEN and self._record(chosen, step):
            self._graphs[size][0].replay()
            return
        self._taken[size] += 1
        step(chosen)

    def _record(self, chosen: Tensor, step: Callable[[Tensor], None]) -> bool:
        """Whether the step could be recorded; nothing is computed either way."""
        graph, place = torch.cuda.CUDAGraph(), chosen.clone()
        graph.register_generator_state(self.draws)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                step(place)
        except RuntimeError as error:
            self._records = False
            reason = str(error).splitlines()[0]
            warnings.warn(f"training steps are not recorded as CUDA graphs: {reason}", RuntimeWarning, 2)
            return False
        self._graphs[len(chosen)] = graph, place
        return True
