"""The inference form: the one shape in which a network votes, is judged and predicts.

Precision, memory format, batch shape, folded batch norm and whether it is compiled are fixed before an
image's first vote (rs.stages.form) and stored with the draws: a bfloat16 network, or another batch shape,
rounds differently and is its own base classifier.

Batch norm is folded into the convolution before it, in float64, before any rounding. Compiled forms go
through `torch.compile` with frozen weights, with CUDA graphs on a GPU; a job that finds its network kept on
disk (rs.networks.kept_forms) starts no compiler. Batches are padded to one shape: another one would be
compiled anew and round differently.

A form is compared with the plain network (float32, contiguous, not folded, not compiled) before it is used,
on probes that are the same for all jobs of a run (rs.networks.audit), so that all of them come to the same
one: what is not the same function, or rounds too many votes away, is left out with a warning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.devices import warn_if_slow
from rs.networks import kept_forms
from rs.networks.audit import Audited
from rs.networks.transformations import (
    DIFFERING,
    Transformed,
    copied,
    differing,
    one_line,
    out_of_memory,
    transformed,
    warn,
)
from rs.settings.sampling import FORM

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
NOT_FINITE = "logits are not finite: the network did not train, or its range is too small"
PLAIN_BATCH = 16  # the plain network's, in which the float32 truth about the probes is computed


class InferenceForm:
    """Calls a network on batches of exactly `batch` images: float32 images in, float32 logits out."""

    passes: int | None = None  # of an ensemble's members, where some images are not answered by all

    def __init__(self, audited: Audited, form: dict[str, Any], device: torch.device) -> None:
        """`form` has `precision`, `batch` and `compiled`; it is compared with the network on its probes. A
        network that draws at random cannot be compared and stays plain. The given one is left as it is.
        """
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32
        torch.backends.cuda.matmul.allow_tf32 = False
        warn_if_slow(form["precision"], device)
        self.batch, self.device, self.run = int(form["batch"]), device, audited.run
        self.classes = int(audited.manifest["classes"])
        # rows so far with a logit that is infinite or NaN
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
            self._choose(plain, form, audited.probes.to(device))

    def _choose(self, plain: Transformed, form: dict[str, Any], probes: Tensor) -> None:
        """Takes the first of `_variants` that votes as the plain network does, and says what came before."""
        with torch.no_grad():
            parts = [self._checked(plain.network(x.clone())) for x in probes.split(PLAIN_BATCH)]
        votes, shown = torch.cat(parts).argmax(1), transformed(plain.network, probes, self.run)
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
        """Precision, compiled or not, and network: the form asked for, then plainer ones."""
        if form["compiled"]:
            yield form["precision"], True, shown
        yield form["precision"], False, shown
        if form["precision"] != "float32":
            yield "float32", False, shown
        yield "float32", False, plain

    def _take(self, using: Transformed, precision: str, compile_it: bool) -> None:
        self.dtype, self.layout = PRECISIONS[precision], using.layout
        network = copied(using.network, self.run).to(self.dtype)
        self.network: Callable[[Tensor], Tensor] = Compiled(network, self.device) if compile_it else network
        layout = str(using.layout).removeprefix("torch.")
        self.description = {"precision": precision, "batch": self.batch, "compiled": compile_it}
        self.description |= {"folded": using.folded, "layout": layout, "device": self.device.type}
        self._input: Tensor | None = None

    def _differing(self, probes: Tensor, votes: Tensor, fatal: bool) -> float | str:
        """Share of the probes with another vote, or why there are no votes, where another form may have some.

        What the compiler stumbles over is the form stage's business: it fixes one form for all jobs.
        """
        try:
            return differing(self, probes, votes, self.batch)
        except UserError:
            raise
        except Exception as error:
            if fatal or out_of_memory(error):
                raise
            return one_line(error)

    def _checked(self, logits: Any) -> Tensor:
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if not isinstance(logits, Tensor) or logits.dim() != 2 or logits.shape[1] != self.classes:
            raise UserError(f"{self.run}: its output is {shape}; expected [batch, {self.classes}] logits")
        return logits

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of B <= batch images [B, C, H, W], good until the next call."""
        shape = (self.batch, *images.shape[1:])
        if self._input is None or self._input.shape != shape:
            self._input = torch.zeros(shape, dtype=self.dtype, device=self.device)
            self._input = self._input.contiguous(memory_format=self.layout)
        self._input[: len(images)].copy_(images)  # rounds and reorders in one pass
        self._input[len(images) :].zero_()
        logits = self._checked(self.network(self._input)).float()
        if len(logits) != self.batch:
            raise UserError(f"{self.run}: {len(logits)} rows of logits for a batch of {self.batch} images")
        return logits[: len(images)]

    def vote(
        self, image: Tensor, votes: int, noise: Callable[[int], Tensor], betas: Sequence[float] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Counts int64 [classes] of `votes` predictions of `image` [C, H, W] + noise(rows) [rows, C, H, W].

        Also the sums and sums of squares of softmax(beta * logits), float64 [len(betas), classes]. All stay
        on the device, nothing waits for it, and memory does not grow with `votes`. `check` comes after.
        """
        counts = torch.zeros(self.classes, dtype=torch.int64, device=self.device)
        sums = torch.zeros(len(betas), self.classes, dtype=torch.float64, device=self.device)
        squares = torch.zeros_like(sums)
        one = torch.ones((), dtype=torch.int64, device=self.device)
        for start in range(0, votes, self.batch):
            rows = min(self.batch, votes - start)
            # `add_` belongs to the noise (rs.methods.noise.exact_gaussian): no other addition is as exact
            logits = self(noise(rows).add_(image))
            self.broken += (~logits.isfinite().all(1)).sum()
            # bincount would make a GPU wait for the host
            counts.scatter_add_(0, logits.argmax(1), one.expand(rows))
            for i, beta in enumerate(betas):
                for total, of in zip((sums, squares), moments(logits, beta), strict=True):
                    total[i] += of
        return counts, sums, squares

    def keep(self, probes: Tensor) -> str | None:
        """Keeps the compiled form for later processes; why not, if so. `probes` [N, C, H, W] fill a batch."""
        if not isinstance(self.network, Compiled):
            return None
        batch = probes.repeat(-(-self.batch // len(probes)), 1, 1, 1)[: self.batch]
        plain = batch.to(self.dtype).contiguous(memory_format=self.layout)
        return self.network.keep([plain, plain.flip(0).mul(1.5)])

    def check(self) -> None:
        """Raises UserError where a logit of any vote so far was infinite or NaN. Waits for the device."""
        if int(self.broken):
            raise UserError(f"{self.run}: {int(self.broken)} votes: {NOT_FINITE}")


def moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Sums of softmax(beta * logits) and of its squares over the rows of logits [B, classes], in float64."""
    scores = (beta * logits).softmax(1).double()
    return scores.sum(0), scores.square().sum(0)


def form_of(audited: Audited, form: dict[str, Any], device: torch.device) -> InferenceForm:
    """The network's inference form; one that does not ask all of itself about every image brings its own."""
    made: Callable[..., InferenceForm] = getattr(audited.network, "voting_form", InferenceForm)
    return made(audited, form, device)


class Compiled:
    """A network compiled for one shape, with its weights frozen as constants: from a kept file where there is
    one. RuntimeError where it would quietly run another form.
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
        """What torch.compile makes in this process; where it is needed, since its import takes seconds."""
        options: dict[str, Any] = {"triton.cudagraphs": self.device.type == "cuda"}
        made: Callable[[Tensor], Tensor] = torch.compile(
            self.network, dynamic=False, fullgraph=True, options=options
        )
        return made

    def trace(self, images: Tensor) -> Tensor:
        """Logits of `traced`."""
        from torch._dynamo import config as dynamo  # inside: as above
        from torch._inductor import config as inductor

        # asked of the configuration while a network is traced, which is at its first call: the option of
        # torch.compile comes too late. Past its limit of networks the tracer would run them uncompiled.
        with inductor.patch(freezing=True), dynamo.patch(fail_on_recompile_limit_hit=True):
            logits: Tensor = self.traced(images)
        return logits

    def keep(self, batches: Sequence[Tensor]) -> str | None:
        """Keeps it for later processes, or says why not."""
        return kept_forms.keep(self.network, self.trace, batches)
