"""Flipped bits and foreign files: one line that names the file, or the same numbers; never others."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tampered import refusal, tables_of
from tiny_images import load_split
from tiny_study import Workspace

from rs.errors import UserError
from rs.networks import checkpoints
from rs.plan.calibrated import read_calibration
from rs.plan.draw_paths import files_of
from rs.provenance.files import KEY, read_json, read_table
from rs.provenance.run_files import read_attacked, read_certified
from rs.stages.draw_files import read_votes


def flips(content: bytes, many: int) -> Iterator[bytes]:
    """`content` with one bit flipped, at `many` places from its beginning to its end."""
    draw = np.random.default_rng(0)
    for at in np.unique(np.linspace(0, len(content) - 1, many).astype(int)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << draw.integers(8)
        yield bytes(damaged)


FILES: dict[str, Any] = {
    "draws": (lambda s: s.job("sample").outputs["draws"], read_votes),
    "certified": (lambda s: s.job("certify").outputs["certified"], read_certified),
    "attacks": (lambda s: s.job("attack").outputs["attacks"], read_attacked),
    "metrics": (lambda s: s.job("train").outputs["metrics"], read_table),
    "calibration": (lambda s: s.job("calibrate", "nal").outputs["calibration"], read_calibration),
    "manifest": (lambda s: s.job("train").outputs["manifest"], read_json),
}


@pytest.mark.parametrize("kind", FILES)
def test_no_flipped_bit_goes_unnoticed(space: Workspace, kind: str) -> None:
    where, read = FILES[kind]
    path = space.path(where(space))
    read(path)
    content = path.read_bytes()
    for damaged in flips(content, 400):
        path.write_bytes(damaged)
        refusal(lambda: read(path), path)
    path.write_bytes(content)
    read(path)


def test_no_flipped_bit_of_weights_or_images_goes_unnoticed(space: Workspace) -> None:
    model, data = space.path(space.job("train").outputs["manifest"]), space.path(space.plan.data_manifest)
    weights, images = model.with_suffix(".safetensors"), data.with_name("test.safetensors")
    for path, read in (
        (weights, lambda: checkpoints.load(model, data)),
        (images, lambda: load_split(data, "test")),
    ):
        content = path.read_bytes()
        for damaged in flips(content, 60):
            path.write_bytes(damaged)
            refusal(read, path)
        path.write_bytes(content)
        read()


def test_no_flipped_bit_of_a_checkpoint_to_continue_from_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "resume-0.pt"
    torch.save({"network": {"w": torch.arange(500.0)}, "epoch": 1, "name": path.name}, path)
    saved, content = checkpoints.load_resume(path), path.read_bytes()
    unnoticed = 0
    for damaged in flips(content, 400):
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            found = checkpoints.load_resume(path)
            assert found["epoch"] == 1
            assert torch.equal(found["network"]["w"], saved["network"]["w"])
            unnoticed += 1
    assert unnoticed < 200, "no more than fields that nothing reads, as times and padding"
    for damaged in (b"", content[:-30], content[: len(content) // 2], b"PK\x03\x04", b"junk" * 99):
        path.write_bytes(damaged)
        refusal(lambda: checkpoints.load_resume(path), path)
    path.write_bytes(content)
    path.rename(path.with_name("resume-1.pt"))
    message = refusal(
        lambda: checkpoints.load_resume(path.with_name("resume-1.pt")), path.with_name("resume-1.pt")
    )
    assert "is resume-0.pt" in message


def unsealed(path: Path) -> None:
    """The file as it was written before there were checksums."""
    if path.suffix == ".json":
        path.write_text(
            json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "checksum"})
        )
        return
    table, made = read_table(path)
    made = {k: v for k, v in made.items() if k not in ("checksum", "content", "model") or "form" in made}
    made.pop("checksum", None)
    kept = {**(table.schema.metadata or {}), KEY: json.dumps(made).encode()}
    pq.write_table(table.replace_schema_metadata(kept), path, compression="zstd")


def test_files_from_before_checksums_are_read_and_marked(space: Workspace) -> None:
    before = tables_of(space)
    certify = space.job("certify")
    draws = files_of(
        space.path(certify.inputs["folder"]),
        certify.inputs["shards"],
        *(certify.spec[k] for k in ("n0", "n", "block")),
    )
    for path in (*draws[0], *draws[1][0], *draws[1][1]):
        unsealed(path)
    space.run(certify)
    assert read_table(space.path(certify.outputs["certified"]))[1]["content"] == "not checked"
    unsealed(space.path(space.job("attack").outputs["attacks"]))
    unsealed(space.path(space.job("train").outputs["manifest"]))
    after = tables_of(space)
    assert [row.pop("content") for row in after["runs"]] == ["3 files not checked", None]
    assert [row.pop("content") for row in before["runs"]] == [None, None]
    for seconds in (row for tables in (before, after) for row in tables["provenance"]):
        seconds.pop("seconds")  # certify took them a second time
    assert str(after) == str(before)  # NaN is not itself
