"""Ensembles as base classifiers (Horvath, Mueller, Fischer & Vechev, "Boosting Randomized Smoothing with
Variance Reduced Classifiers", ICLR 2022).

The base classifier is argmax_c of the mean of L networks' logits. It is one deterministic function of the
noisy image, so certificates hold as for any network. Why it helps: let z be a class's margin under the noise,
and let the networks' margins have variance s^2 and pairwise correlation r over the noise. The mean has the
same expectation and the variance s^2 (1 + r (L - 1)) / L, and a vote is wrong where the margin is below 0.

With `consensus: K` the first K members answer first, and the others are asked only where these disagree
(rs.networks.averaged). That is another function of the noisy image, so another base classifier with its own
votes, draws and certificates. Its answer is the full ensemble's except where the first K agree and the mean
of all would give another class. K = 1 is the first member alone, K = L the full ensemble. The order of the
members matters.

Nothing is trained: members are runs of the study, one per seed, or imported networks; their weights are
copied (rs.stages.join). Departures: the released code collects the remaining images until they fill a batch;
here they go at once into smaller batches, of a size that the inference form fixes. Its learned weights for
members and its hard voting, which breaks ties at random, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from rs.errors import UserError
from rs.networks import checkpoints
from rs.networks.averaged import Averaged
from rs.settings.limits import MOST_ENTRIES
from rs.settings.references import NetworksOf


@dataclass(frozen=True)
class Ensemble:
    """The mean of the `members`: runs with all their seeds, or the named ones. With `consensus` K the first K
    members answer first, and the others only where these disagree.
    """

    name: ClassVar[str] = "ensemble"
    source: ClassVar[str] = "Horvath, Mueller, Fischer & Vechev, ICLR 2022"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ()
    networks: ClassVar[dict[str, str]] = {"members": "logits"}

    members: NetworksOf
    consensus: Annotated[int, Field(ge=1, le=MOST_ENTRIES)] | None = None
    average: Literal["logits", "softmax"] = "logits"

    def build(
        self, shape: tuple[int, int, int], classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> nn.Module:
        """`Averaged` of the members with fresh weights: [B, C, H, W] -> logits [B, classes].

        Raises UserError if the labels were not replaced by networks, as a plan does.
        """
        data = {"shape": list(shape), "classes": classes, "mean": list(mean), "std": list(std)}
        built: list[nn.Module] = []
        for member in self.members:
            part: Any = member
            if not isinstance(part, dict):
                raise UserError(f"model {self.name}: member {part!r} is the label of a run of a study")
            built.append(checkpoints.build_model(part["model"], data))
        return Averaged(built, self.consensus, self.average)
