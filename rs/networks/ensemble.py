"""Ensembles as base classifiers (Horvath, Mueller, Fischer & Vechev, "Boosting Randomized Smoothing with
Variance Reduced Classifiers", ICLR 2022).

The base classifier is argmax_c of the mean of L networks' logits. It is one deterministic function of the
noisy image, so certificates hold as for any network. Why it helps: let z be a class's margin under the noise
and the networks' margins have variance s^2 and pairwise correlation r over the noise; the mean's variance is
then s^2 (1 + r (L - 1)) / L at the same mean, and a vote goes wrong where the margin is below 0.

With `consensus: K` the first K members answer first, and the others are asked only where these disagree
(rs.networks.averaged). That is another function of the noisy image, so another base classifier: its votes,
draws and certificates are its own. It is the full ensemble's answer except where the first K agree and the
mean of all would say something else. K = 1 is the first member alone, K = L the full ensemble. The order of
the members counts.

Nothing is trained: members are runs of the study, one for each seed, or imported networks; their weights are
copied (rs.stages.join). Departures: the released code keeps the images that are left until they fill a
batch; here they are asked about in smaller batches at once, of a size that the inference form fixes. Its
learned weights for members and its hard voting, which breaks ties at random, are left out.
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
    """The mean of the `members`, runs with all their seeds or those named. With `consensus` the first so many
    answer first, and the others only where these disagree.
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

        Raises UserError where a plan has not put the networks in the place of the labels.
        """
        data = {"shape": list(shape), "classes": classes, "mean": list(mean), "std": list(std)}
        built: list[nn.Module] = []
        for member in self.members:
            part: Any = member
            if not isinstance(part, dict):
                raise UserError(f"model {self.name}: member {part!r} is the label of a run of a study")
            built.append(checkpoints.build_model(part["model"], data))
        return Averaged(built, self.consensus, self.average)
