"""The inference form: the one configuration in which a network votes, judges and predicts.

Precision, memory format, batch shape, folded batch norm and whether it is compiled are fixed before an
image's first vote (rs.stages.form) and stored with the draws. A network in bfloat16, or with another batch
shape, rounds differently and is another base classifier.

Batch norm is folded into the convolution before it, in float64, before any rounding. Compiled forms use
`torch.compile` with frozen weights, with CUDA graphs on a GPU; a job that finds its compiled network on disk
(rs.networks.kept_forms) starts no compiler. Batches are padded to one shape: another one would be compiled
anew and round differently.

A form is compared with the plain network (float32, contiguous, not folded, not compiled) before its use. The
probes are the same for all jobs of a run (rs.networks.audit), so all jobs arrive at the same form. A
transformation that changes the function, or whose rounding changes too many votes, is left out with a
warning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.devices import warn_if_slow
from rs.machine.float32 import full_float32
from rs.machine.memory import ran_out
from rs.networks import kept_forms
from rs.networks.audit import Audited, check_batches
from rs.networks.transformations import (
    DIFFERING,
    Transformed,
    copied,
    differing,
    one_line,
    transformed,
    warn,
)
from rs.settings.sampling import FORM

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PLAIN_BATCH = 16  # batch size of the plain network for the float32 reference on the probes
NOT_FINITE = "logits are not finite: the network did not train, or its range is too small"


class InferenceForm:
    """Calls a network on batches of exactly `batch` images: float32 images in, float32 logits out."""

    passes: int | None = None  # member passes of an ensemble that asks only some members about some images

    def __init__(self, audited: Audited, form: dict[str, Any], device: torch.device) -> None:
        """`form` has `precision`, `batch` and `compiled`; it is compared with the network on its probes. A
        network that draws at random cannot be compared and stays plain. The given network is not changed.
        """
        warn_if_slow(form["precision"], device)
        self.batch, self.device, self.run = int(form["batch"]), device, audited.run
        self.classes = int(audited.manifest["classes"])
        # number of rows so far with an infinite or NaN logit
        self.broken = torch.zeros((), dtype=torch.int64, device=device)
        self.compared: dict[str, Any] = {}
        self.fallbacks: list[str] = []
        plain = Transformed(copied(audited.network, self.run).to(device), False, torch.contiguous_format, {})
        if audited.chance:
            if form["precision"] != "float32" or form["compiled"]:
                warn(self.run, "draws at random, so it votes in float32 and is not compiled")
            self._take(plain, "float32", False)
            self.description["chance"] = True
        else:
            with full_float32(device):
                self._choose(plain, form, audited.probes.to(device))

    def _choose(self, plain: Transformed, form: dict[str, Any], probes: Tensor) -> None:
        """Takes the first of `_variants` that votes as the plain network does, and records why earlier ones
        do not.
        """
        with torch.no_grad():
            logits = torch.cat([self._checked(plain.network(x.clone())) for x in probes.split(PLAIN_BATCH)])
        check_batches(plain.network, probes, logits, (PLAIN_BATCH, self.batch), self.run)
        votes, shown = logits.argmax(1), transformed(plain.network, probes, self.run)
        for precision, compile_it, using in self._variants(form, shown, plain):
            self._take(using, precision, compile_it)
            found = self._differing(probes, votes, using is plain or compile_it)
            if isinstance(found, float) and found <= DIFFERING[self.dtype]:
                self.compared = {**using.compared, "differing_votes": found, "probes": len(probes)}
                return
            why = found if isinstance(found, str) else f"{found:.1%} of its votes are not the network's"
            chosen = ", ".join(f"{key} {self.description[key]}" for key in (*FORM, "folded", "layout"))
            self.fallbacks.append(f"{chosen}: {why}")
            warn(self.run, f"falls back on a plainer inference form than {self.fallbacks[-1]}")
        raise UserError(f"{self.run}: its votes depend on the batch that an image is in: {why}")

    @staticmethod
    def _variants(
        form: dict[str, Any], shown: Transformed, plain: Transformed
    ) -> Iterator[tuple[str, bool, Transformed]]:
        """Precision, compiled or not, and network: the requested form, then plainer ones."""
        if form["compiled"]:
            yield form["precision"], True, shown
        yield form["precision"], False, shown
        if form["precision"] != "float32":
            yield "float32", False, shown
        yield "float32", False, plain

    def _take(self, using: Transformed, precision: str, compile_it: bool) -> None:
        self.dtype = PRECISIONS[precision]
        self.layout = layout_of(using.layout, self.dtype, self.device)
        network = copied(using.network, self.run).to(self.dtype)
        if self.layout is not using.layout:
            network = network.to(memory_format=self.layout)
        self.network: Callable[[Tensor], Tensor] = Compiled(network, self.device) if compile_it else network
        layout = str(self.layout).removeprefix("torch.")
        self.description = {"precision": precision, "batch": self.batch, "compiled": compile_it}
        self.description |= {"folded": using.folded, "layout": layout, "device": self.device.type}
        self._input: Tensor | None = None

    def _differing(self, probes: Tensor, votes: Tensor, fatal: bool) -> float | str:
        """Share of the probes with another vote, or the error if this form fails and another one may not.

        Compiler errors are raised: the form stage handles them, since it fixes one form for all jobs.
        """
        try:
            return differing(self, probes, votes, self.batch)
        except UserError:
            raise
        except Exception as error:
            if fatal or ran_out(error):
                raise
            return one_line(error)

    def _checked(self, logits: Any) -> Tensor:
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if not isinstance(logits, Tensor) or logits.dim() != 2 or logits.shape[1] != self.classes:
            raise UserError(f"{self.run}: its output is {shape}; expected [batch, {self.classes}] logits")
        return logits

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of B <= batch images [B, C, H, W]; the next call overwrites them."""
        shape = (self.batch, *images.shape[1:])
        if self._input is None or self._input.shape != shape:
            self._input = torch.zeros(shape, dtype=self.dtype, device=self.device)
            self._input = self._input.contiguous(memory_format=self.layout)
        self._input[: len(images)].copy_(images)  # rounds and reorders in one pass
        self._input[len(images) :].zero_()
        with full_float32(self.device):
            logits = self._checked(self.network(self._input)).float()
        if len(logits) != self.batch:
            raise UserError(f"{self.run}: {len(logits)} rows of logits for a batch of {self.batch} images")
        return logits[: len(images)]

    def vote(
        self, image: Tensor, votes: int, noise: Callable[[int], Tensor], betas: Sequence[float] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Counts int64 [classes] of `votes` predictions of `image` [C, H, W] + noise(rows) [rows, C, H, W].

        Also the sums and sums of squares of softmax(beta * logits), float64 [len(betas), classes]. All stay
        on the device without synchronisation, and memory does not grow with `votes`. The caller calls `check`
        afterwards.
        """
        counts = torch.zeros(self.classes, dtype=torch.int64, device=self.device)
        sums = torch.zeros(len(betas), self.classes, dtype=torch.float64, device=self.device)
        squares = torch.zeros_like(sums)
        one = torch.ones((), dtype=torch.int64, device=self.device)
        for start in range(0, votes, self.batch):
            rows = min(self.batch, votes - start)
            # the noise's own `add_`: exact noise is added on its grid (rs.methods.noise.exact_gaussian)
            logits = self(noise(rows).add_(image))
            self.broken += (~logits.isfinite().all(1)).sum()
            # bincount would make a GPU wait for the host
            counts.scatter_add_(0, logits.argmax(1), one.expand(rows))
            for i, beta in enumerate(betas):
                for total, of in zip((sums, squares), moments(logits, beta), strict=True):
                    total[i] += of
        return counts, sums, squares

    def keep(self, probes: Tensor) -> str | None:
        """Keeps the compiled form for later processes; returns why it could not. `probes` [N, C, H, W] fill a
        batch.
        """
        if not isinstance(self.network, Compiled):
            return None
        batch = probes.repeat(-(-self.batch // len(probes)), 1, 1, 1)[: self.batch]
        plain = batch.to(self.dtype).contiguous(memory_format=self.layout)
        with full_float32(self.device):
            return self.network.keep([plain, plain.flip(0).mul(1.5)])

    def check(self) -> None:
        """Raises UserError where a logit of any vote so far was infinite or NaN. Waits for the device."""
        if int(self.broken):
            raise UserError(f"{self.run}: {int(self.broken)} votes: {NOT_FINITE}")


def moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Sums of softmax(beta * logits) and of its squares over the rows of logits [B, classes], in float64."""
    scores = (beta * logits).softmax(1).double()
    return scores.sum(0), scores.square().sum(0)


def layout_of(shown: torch.memory_format, dtype: torch.dtype, device: torch.device) -> torch.memory_format:
    """The memory format to compute in, where the network is the same function in `shown`.

    Without TF32, cuDNN has fast float32 convolutions in contiguous memory only: ResNets voted 1.6 to 3 times
    slower in channels_last than a plain loop in contiguous memory (docs/evidence/gpu.md).
    """
    slow = dtype == torch.float32 and device.type == "cuda"
    return torch.contiguous_format if slow else shown


def form_of(audited: Audited, form: dict[str, Any], device: torch.device) -> InferenceForm:
    """The network's inference form. A network that does not use all its parts for every image has its own."""
    make: Callable[..., InferenceForm] = getattr(audited.network, "voting_form", InferenceForm)
    return make(audited, form, device)


class Compiled:
    """A network compiled for one shape, with its weights frozen as constants; loaded from a kept file if
    there is one. Raises RuntimeError where torch would silently run it uncompiled.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = network, device
        self._kept: dict[torch.Size, kept_forms.Run | None] = {}

    def __call__(self, images: Tensor) -> Tensor:
        if images.shape not in self._kept:
            self._kept[images.shape] = kept_forms.find(self.network, images)
        kept = self._kept[images.shape]
        return self.trace(images) if kept is None else kept(images)

    @functools.cached_property
    def traced(self) -> Callable[[Tensor], Tensor]:
        """The function that torch.compile makes in this process, compiled on first use: the import takes
        seconds.
        """
        options: dict[str, Any] = {"triton.cudagraphs": self.device.type == "cuda"}
        compiled: Callable[[Tensor], Tensor] = torch.compile(
            self.network, dynamic=False, fullgraph=True, options=options
        )
        return compiled

    def trace(self, images: Tensor) -> Tensor:
        """Logits of `traced`."""
        from torch._dynamo import config as dynamo  # imported on first use, as above
        from torch._inductor import config as inductor

        # Set while the network is traced, at its first call: the option of torch.compile takes effect too
        # late. Beyond its limit of networks the tracer would otherwise run them uncompiled.
        with inductor.patch(freezing=True), dynamo.patch(fail_on_recompile_limit_hit=True):
            logits: Tensor = self.traced(images)
        return logits

    def keep(self, batches: Sequence[Tensor]) -> str | None:
        """Keeps the compiled network for later processes; returns why it could not."""
        return kept_forms.keep(self.network, self.trace, batches)
