"""A voter for images of which one may break the network, without loss for those that share its batches."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from rs.api.voting import VoterAtHand
from rs.stages.voter import Totals
from rs.statistics.seeding import Purpose


class ByImage(VoterAtHand):
    """Refuses only the image whose own logits are not finite, and only before it draws more. Completed blocks
    of the other images in its batches are returned first.
    """

    def noisy(self, row: int, purpose: Purpose, block: int, votes: int) -> Iterator[Tensor]:
        self.refuse_broken()
        return super().noisy(row, purpose, block, votes)

    def vote(self, row: int, purpose: Purpose, block: int, votes: int) -> Totals:
        self.refuse_broken()
        return super().vote(row, purpose, block, votes)

    def is_broken(self, row: int) -> bool:
        """Whether a logit of the row-th image was not finite."""
        return bool(self._seen[1, row])

    def refuse_broken(self) -> None:
        """Raises UserError where a logit of any image was not finite."""
        self._refuse_broken()
