"""Sections without their defaults and with them are the same section."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rs.provenance.digests import dumps
from rs.study.schema import defaults, prune, schema

TRAINING = schema()["$defs"]["run"]["properties"]["training"]
PARTS = {
    "epochs": st.sampled_from([10, 10.0, 1, 90]),
    "batch_size": st.sampled_from([128, 64]),
    "precision": st.sampled_from(["float32", "bfloat16"]),
    "optimizer": st.fixed_dictionaries(
        {}, optional={"name": st.sampled_from(["sgd", "adam"]), "momentum": st.sampled_from([0.9, 0, 0.5])}
    ),
    "schedule": st.fixed_dictionaries(
        {}, optional={"name": st.sampled_from(["constant", "cosine"]), "milestones": st.just([])}
    ),
}


@given(st.fixed_dictionaries({}, optional=PARTS))
def test_pruned_and_filled_sections_are_the_same_section(section):
    short, full = prune(section, TRAINING), defaults(TRAINING, section)
    assert dumps(prune(full, TRAINING)) == dumps(short)
    assert dumps(defaults(TRAINING, short)) == dumps(full)
    assert prune(short, TRAINING) == short


def test_every_method_prunes_to_what_was_given():
    definitions = schema()["$defs"]
    for kind in ("models", "objectives", "noises", "certificates", "attacks"):
        for name, method in definitions[kind].items():
            bare = {"name": name, **{k: 0.5 for k in method["x-required"] if k not in ("name", "radii")}}
            choice = {
                "allOf": [
                    {
                        "if": {"properties": {"name": {"const": name}}},
                        "then": {"$ref": f"#/$defs/{kind}/{name}"},
                    }
                ]
            }
            assert prune(defaults(method, bare), choice) == bare, name
