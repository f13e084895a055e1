"""Seeds. Every draw comes from a generator seeded by (study seed, purpose, image index, block index).

The image index is the position in the full split, so sampling noise depends on neither the subset, the shard
nor the run.
"""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

Purpose = Literal["train", "select", "estimate", "attack", "judge", "calibrate", "randomise", "network"]
PURPOSES: tuple[str, ...] = get_args(Purpose)


def derive_seed(seed: int, purpose: Purpose, *indices: int) -> int:
    """A 63-bit seed, a hash of its arguments; seeds of different arguments count as independent."""
    if purpose not in PURPOSES:
        raise ValueError(f"purpose {purpose!r}: one of {', '.join(PURPOSES)}")
    text = ":".join([str(int(seed)), purpose, *(str(int(i)) for i in indices)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stored_uniform(seed: int, image: int) -> float:
    """The one uniform number in [0, 1) of an image, for randomised bounds: 53 bits of its hash."""
    return (derive_seed(seed, "randomise", image) >> 10) / 2.0**53
