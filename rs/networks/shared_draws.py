"""Whether the votes of one batch share a random draw of the network, on noisy copies of one image.

A network that draws at random may vote if it draws for each image on its own (rs.networks.audit). Let the
logits of two votes of a batch have the correlation rho from a draw that they share. B votes then vary as
B / (1 + (B - 1) rho) independent ones do, and a bound for independent ones is too good. With B = 512, rho
= 0.1 leaves 10 of them, which no comparison of a few images shows. So whole batches are compared here, in
the inference form of the votes or, in a study, before a network is kept. Of C calls let V be the variance
between the calls' means of a logit, and W the mean variance within a call. Without a shared draw B V / W
has about the F distribution with C - 1 and C (B - 1) degrees of freedom, as means of B logits are nearly
normal; with one it is 1 + (B - 1) rho times as large. Votes are functions of the logits, so they are
correlated no more than these if both are normal.

Not seen is a shared draw that makes B V / W less than about three times as large.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy import special
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.chance import kept_chance, seeded
from rs.machine.memory import ran_out
from rs.networks.inference import InferenceForm
from rs.smoothing.noise import Noise

CALLS, BATCH, LEAST = 32, 512, 16
ERROR = 1e-6  # probability of refusing a network without shared draws, over all classes


def check_independent(form: InferenceForm, noise: Noise, image: Tensor) -> None:
    """Raises UserError where batches of votes on `image` [C, H, W] share draws of the network."""
    source = torch.Generator(form.device).manual_seed(0)

    def answers(rows: int) -> Tensor:
        return form(noise.sample((rows, *image.shape), source).add_(image))

    _refuse_shared(answers, form.batch, form.run)


def check_network(network: nn.Module, image: Tensor, run: str) -> None:
    """The same before there is a form, in batches of BATCH copies of `image` [C, H, W], or of as many as the
    memory holds: without noise, beside which a shared draw would be a smaller part of the variance.
    """

    def answers(rows: int) -> Tensor:
        found: Tensor = network(image.expand(rows, *image.shape).clone())  # which it may change
        return found

    batch = BATCH
    while True:
        try:
            return _refuse_shared(answers, batch, run)
        except Exception as error:  # each library has its own type of error
            if batch <= LEAST or not ran_out(error):
                raise
        batch //= 2


@torch.no_grad()
def _refuse_shared(answers: Callable[[int], Tensor], batch: int, run: str) -> None:
    """`answers` gives the logits [rows, classes] of one call with so many rows."""
    means, variances = [], []
    with kept_chance():
        seeded(2)
        for _ in range(CALLS):
            logits = answers(batch).double()
            means.append(logits.mean(0))
            variances.append(logits.var(0))
    between, within = torch.stack(means).var(0), torch.stack(variances).mean(0)
    varying = between > 0
    ratio = float((batch * between / within)[varying].max()) if bool(varying.any()) else 0.0
    if ratio > largest_ratio(batch, len(within)):
        vary = f"{batch} votes vary as {batch / min(ratio, batch):.2g} independent ones"
        raise UserError(
            f"{run}: its draws at random are shared by the images of a batch: {vary}; votes must be "
            "independent, which every certificate assumes"
        )


def largest_ratio(batch: int, classes: int) -> float:
    """The quantile of B V / W that networks without shared draws exceed with probability ERROR."""
    return float(special.fdtri(CALLS - 1, CALLS * (batch - 1), 1 - ERROR / classes))
