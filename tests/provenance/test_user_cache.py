"""A user without a home folder (a container without users) computes all the same: nothing is kept."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
import torch
from tiny_networks import small

from rs.networks import kept_forms
from rs.provenance import user_cache
from rs.provenance.code import code_digest
from rs.provenance.known_code import known_digest
from rs.report.tracking.store import StoreError, open_store

CERTIFY = ("rs.stages.certify:certify",)


@pytest.fixture(autouse=True)
def homeless(monkeypatch):
    def unknown(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError):
        Path.home()


def test_the_cache_can_hold_nothing():
    folder = user_cache.folder("code")
    assert known_digest(CERTIFY) == code_digest(CERTIFY)
    assert folder.is_absolute()
    assert not folder.exists()
    with pytest.raises(OSError, match="Not a directory"):
        folder.mkdir(parents=True)


def test_a_form_that_cannot_be_kept_is_used_all_the_same():
    network, batch = small().bfloat16(), torch.zeros(32, 1, 8, 8, dtype=torch.bfloat16)
    assert "Not a directory" in str(kept_forms.keep(network, network, [batch]))
    assert kept_forms.find(network, batch) is None
    kept_forms.clear()


def test_mlflow_which_needs_one_is_told_in_a_line(tmp_path):
    with (
        pytest.raises(StoreError, match="MLflow needs a home folder, and this user has none; set HOME"),
        open_store(f"sqlite:///{tmp_path}/mlflow.db") as client,
    ):
        client.search_experiments()
