"""How often a method runs a network forward and back, from which the cost of a study is computed. No torch.

A method states its `passes`: kind of pass -> (number of successive passes, copies of each image in a pass).
Each is a number, a parameter of the method by its name in a study (for a list, its length), or several of
them: passes multiply, copies add. So `{"ascent": ("steps", "samples")}` is `steps` successive ascents, each
on all noisy copies. An attack's passes are for one image; `radii` stands for the number of its positive
radii. Conditions (`warmup`, stopping early) are not counted, so the result is the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

# Cost of each kind in forward passes, by multiply-adds: an ascent includes the gradient of the image; an
# update includes those of the weights and a step of the optimizer.
KINDS = {"forward": 1, "ascent": 2, "update": 3}

Count: TypeAlias = int | str | tuple[int | str, ...]
Passes: TypeAlias = dict[str, tuple[Count, Count]]


def _numbers(count: Any, values: Mapping[str, Any]) -> list[int]:
    numbers = [values[c] if isinstance(c, str) else c for c in (count if _several(count) else [count])]
    return [len(v) if _several(v) else int(v) for v in numbers]


def _several(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def counted(passes: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """For each kind: number of successive passes, and copies of an image in each, for these parameters."""
    return {
        kind: (math.prod(_numbers(times, values)), sum(_numbers(copies, values)))
        for kind, (times, copies) in passes.items()
    }


def wrong_passes(passes: Any, parameters: set[str]) -> str:
    """What is wrong with stated passes, for a method with these parameters; empty where nothing is."""
    if not isinstance(passes, dict) or not set(passes) <= set(KINDS):
        return f"its `passes` must map some of {', '.join(KINDS)} to (passes, copies)"
    for kind, pair in passes.items():
        if not (_several(pair) and len(pair) == 2):
            return f"its `passes` of {kind} must be two: how many one after another, and copies in each"
        for count in (c for part in pair for c in (part if _several(part) else [part])):
            if isinstance(count, str) and count not in parameters:
                return f"its `passes` of {kind} name {count!r}, which is none of its parameters"
            if not isinstance(count, str) and (isinstance(count, bool) or not isinstance(count, int)):
                return f"its `passes` of {kind} hold {count!r}; allowed are whole numbers and parameters"
    return ""
