"""The committed schema is that of the classes, and tables of contents name every module."""

from __future__ import annotations

import inspect
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from built_methods import SCHEMA

from rs.errors import UserError
from rs.methods import catalog
from rs.study import schema as study_schema


def test_the_committed_schema_is_that_of_the_classes():
    assert json.loads(study_schema.SCHEMA.read_text()) == catalog.schema(), "run `rs schema --write`"


def test_the_schema_is_a_schema():
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def unbounded(schema: Any, path: str = "") -> Iterator[str]:
    """Places of numbers, lists and mappings of free keys that may be as large as they like."""
    if isinstance(schema, list):
        for i, inner in enumerate(schema):
            yield from unbounded(inner, f"{path}/{i}")
    if not isinstance(schema, dict):
        return
    closed = "const" in schema or "enum" in schema
    if schema.get("type") in ("number", "integer") and not closed:
        for one, other in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if one not in schema and other not in schema:
                yield f"{path} has no {one}"
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield f"{path} has no maxItems"
    if isinstance(schema.get("additionalProperties"), dict) and "maxProperties" not in schema:
        yield f"{path} has no maxProperties"
    for key, inner in schema.items():
        if not key.startswith("x-") and key != "default":
            yield from unbounded(inner, f"{path}/{key}")


def test_every_number_has_bounds_and_every_list_a_length():
    """Whatever a study asks for, it cannot hang, fill the memory or overflow a float: see
    rs.settings.limits.
    """
    assert list(unbounded(SCHEMA)) == []
    loose = {"a": {"type": "integer", "minimum": 0}, "b": {"type": "array"}}
    assert list(unbounded(loose)) == ["/a has no maximum", "/b has no maxItems"]


def test_tables_of_contents_are_nothing_else_and_name_every_module():
    """A literal dict: so a method's code digest never depends on its siblings."""
    import ast

    own = {"datasets": "data", "noises": "noise"}
    for kind in catalog.TABLES:
        package = f"rs.methods.{own.get(kind, kind)}"
        module = __import__(package, fromlist=["METHODS"])
        body = ast.parse(inspect.getsource(module)).body
        assert [type(node) for node in body] == [ast.Expr, ast.Assign], package
        listed = {entry.partition(":")[0] for entry in catalog.TABLES[kind].values()}
        present = {f"{package}.{m.name}" for m in pkgutil.iter_modules(module.__path__)}
        classes = [catalog.find(kind, name) for name in catalog.TABLES[kind]]
        assert {c.__module__ for c in classes} == listed
        # what is joined of other networks stands where networks are loaded
        joined = {"rs.networks.denoised", "rs.networks.ensemble"} if kind == "models" else set()
        assert listed - present == joined


def test_a_method_that_the_schema_lacks_yet_says_what_to_run(tiny, refusal, tmp_path, monkeypatch):
    """A line in a table of contents without `rs schema --write`."""
    table = tmp_path / "objectives" / "__init__.py"
    table.parent.mkdir()
    table.write_text('METHODS = {\n    "spread": "rs.methods.objectives.spread:Spread",\n}\n')
    tiny["runs"] = {"spread": {"objective": {"name": "spread"}}}
    assert "runs.spread.objective.name: 'spread'; allowed: adre, " in refusal(tiny)
    monkeypatch.setattr(study_schema, "CONTENTS", tmp_path)
    lacks = "'spread': rs/schema.json lacks this method yet; run `rs schema --write`"
    assert refusal(tiny).endswith(f"runs.spread.objective.name: {lacks}")
    tiny["runs"] = {"spread": {"objective": {"name": "spred"}}}
    assert "'spred'; allowed: adre, " in refusal(tiny)


def test_a_name_that_another_kind_lists_is_not_one_that_the_schema_lacks(tiny, refusal):
    tiny["runs"] = {"cohen": {"objective": {"name": "cohen"}}}
    assert "; allowed: adre, " in refusal(tiny)


def test_wrong_parameters_are_one_line():
    wrong = r"^gaussian.sigma: .*should be 0 or .*greater than or equal to 0.000001"
    with pytest.raises(UserError, match=wrong):
        catalog.build("noises", {"name": "gaussian", "sigma": -1})
    with pytest.raises(UserError, match=r"'nal2' is none of the objectives: .*nal"):
        catalog.find("objectives", "nal2")
