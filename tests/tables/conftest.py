"""What the tests of claims share."""

from __future__ import annotations

from typing import Any

import pytest

from rs.tables.claims import judged


@pytest.fixture
def verdict(plan_of, tiny):
    """Verdict of a claim with these conditions on these tables, and its rows."""

    def judge(*conditions: dict[str, Any], tables: Any, join: str = "all", **study: Any) -> Any:
        entries = [{"metric": "certified_accuracy", "radii": [0.25], **c} for c in conditions]
        claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so", "conditions": entries, "join": join}
        rows = judged(plan_of({**tiny, "claims": [claim], **study}).study, tables)
        return rows[0]["verdict"], rows

    return judge
