"""A subset of the images of a split."""

from __future__ import annotations

from dataclasses import dataclass

from rs.settings.limits import Images, Position


@dataclass(frozen=True)
class Subset:
    """Every `skip`-th image of a split from position `first` on, at most `max` of them (by default all)."""

    skip: Images = 1
    max: Images | None = None
    first: Position = 0

    def positions(self, size: int) -> range:
        """The subset's positions in the full split of `size` images."""
        chosen = range(self.first, size, self.skip)
        return chosen if self.max is None else chosen[: self.max]
