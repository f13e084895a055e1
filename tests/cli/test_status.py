"""What `rs status` refuses in a line."""

from __future__ import annotations

import pytest

from rs.cli.status import status
from rs.errors import UserError


def test_a_folder_without_a_workflow_is_named(plan_of, tiny, tmp_path, monkeypatch, capsys):
    plan = plan_of(tiny)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^Snakefile: is not here; status is asked for"):
        status(plan, [tmp_path / "study0.yaml"])
    assert capsys.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["study0.yaml"]
