"""In digests the limits of a class's fields do not count; what may change a value counts and is followed."""

from __future__ import annotations

import pytest

from rs.provenance.plain_syntax import Definition, Module


def of_field(annotation: str) -> Definition:
    return Module(f"class Method:\n    share: {annotation} = 0.5\n").names["Method"]


@pytest.mark.parametrize(
    "limits", ["Field(gt=0)", "pydantic.Field(gt=0, le=2)", "Field(gt=0), WithJsonSchema({'minimum': 0})"]
)
def test_limits_of_a_field_do_not_count(limits: str) -> None:
    assert of_field(f"Annotated[float, {limits}]").text == of_field("float").text


@pytest.mark.parametrize("other", ["AfterValidator(scaled)", "scaled", "Constraints(to_lower=scaled)"])
def test_what_may_change_a_value_counts(other: str) -> None:
    field = of_field(f"Annotated[float, Field(gt=0), {other}]")
    assert field.text != of_field("float").text
    assert field.text == of_field(f"Annotated[float, {other}, Field(le=1)]").text
    assert ("scaled",) in field.written
