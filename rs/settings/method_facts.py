"""The facts that a method's class states, required and optional ones, with defaults. No torch.

This list serves the schema, the check of plug-ins, and callers of objects that may lack a fact;
rs.methods.interfaces explains the facts. A test compares the three.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Output = Literal["logits", "image"]  # output of a network for an image

REQUIRED: dict[str, tuple[str, ...]] = {
    "datasets": ("shape", "classes", "sizes"),
    "models": ("shapes",),
    "objectives": (),
    "noises": ("family",),
    "certificates": ("norms", "needs", "rigorous"),
    "attacks": ("norm", "access"),
}


class Fact(NamedTuple):
    """An optional fact: the type of its value, the value that holds where a method does not state it, and
    whether the method's schema holds it, for readers that must not import the method.
    """

    type: Any
    default: Any
    in_schema: bool = True


OPTIONAL: dict[str, dict[str, Fact]] = {
    "datasets": {"mean": Fact(tuple[float, ...], None, False), "std": Fact(tuple[float, ...], None, False)},
    "models": {
        "name": Fact(str, None, False),
        "output": Fact(Output, "logits"),
        "networks": Fact(dict[str, Output], {}),
    },
    "objectives": {
        "output": Fact(Output, "logits"),
        "networks": Fact(dict[str, Output], {}),
        "noises": Fact(frozenset[str], None),
        "calibrates": Fact(bool, False),
        "passes": Fact(dict[str, Any], None),
    },
    "noises": {
        "below_dimension": Fact(tuple[str, ...], ()),
        "dimension_less": Fact(dict[str, dict[str, int]], {}),
        "constant": Fact(bool, False),
        "free_norm": Fact(float, None),
    },
    "certificates": {
        "anytime": Fact(bool, False),
        "rule": Fact(str, None),
        "bound": Fact(Literal["clopper_pearson", "hoeffding", "bernstein"], "clopper_pearson"),
        "accuracy_factor": Fact(float | None, 1.0, False),
        "freedom": Fact(float, 0),
        "spends": Fact(tuple[dict[str, Any], ...], ()),
        "capped": Fact(frozenset[str], frozenset()),
        "parameters_only": Fact(bool, False),
    },
    "attacks": {
        "passes": Fact(dict[str, Any], None),
        "samples": Fact(int, 1, False),
        "keeps_broken": Fact(bool, False, False),
        "bounded": Fact(bool, True, False),
    },
}
