"""How a method names the network of another run. No torch."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic.json_schema import SkipJsonSchema

# In a study a label; in a spec what the plan makes of it; where an objective uses it, the network itself.
NetworkOf: TypeAlias = str | SkipJsonSchema[Any]
