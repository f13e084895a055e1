"""Files of other runs, of others, and values that cannot be, in our places: one line each."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tampered import edited, refusal, tables_of
from tiny_images import load_split
from tiny_study import Workspace

from rs.errors import UserError
from rs.networks import checkpoints
from rs.plan.calibrated import calibrated_epsilon
from rs.plan.draw_paths import files_of
from rs.provenance import run_files
from rs.provenance.files import read_json, read_table, write_json, write_table
from rs.provenance.run_files import read_attacked
from rs.stages import certify as evaluation
from rs.stages.draw_files import read_votes
from rs.stages.execution import as_dict
from rs.tables.aggregate import check_tables
from rs.tables.attacks import read_judged
from rs.tables.certified import claims
from rs.tables.stored import Stored, check_files

pytestmark = pytest.mark.slow


# --- files in the place of others ---


def swapped(space: Workspace, stage: str, key: str) -> tuple[Path, Callable[[], Any]]:
    """Puts the file of run `nal` in the place of run `gaussian`'s; returns that place and its tables."""
    here, there = (space.path(space.job(stage, run).outputs[key]) for run in ("gaussian", "nal"))
    shutil.copy(there, here)
    return here.relative_to(space.folder), lambda: tables_of(space)


@pytest.mark.parametrize(
    ("stage", "key", "says"),
    [
        ("certify", "certified", "was made with another network than that of this run"),
        ("attack", "attacks", "was made with another network than that of this run"),
        ("train", "metrics", "was made from other settings than the file of this place"),
        ("train", "manifest", "belongs to run digits-digits-cnn-nal-"),
    ],
)
def test_a_file_of_another_run_is_no_file_of_this_one(space: Workspace, stage, key, says) -> None:
    path, read = swapped(space, stage, key)
    assert says in refusal(read, path)


def test_draws_of_another_run_or_place_certify_nothing(space: Workspace) -> None:
    certify, other = space.job("certify"), space.job("certify", "nal")
    folder = space.path(certify.inputs["folder"])
    shutil.rmtree(folder)
    shutil.copytree(space.path(other.inputs["folder"]), folder)
    message = refusal(lambda: space.run(certify), certify.inputs["folder"])
    assert "draws of the model" in message
    shard = folder / "estimate-32" / "0-4-1_block0.parquet"
    shutil.copy(shard, shard.with_name("0-4-1_block1.parquet"))
    message = refusal(lambda: read_votes(shard.with_name("0-4-1_block1.parquet")), folder)
    assert message.split("; ")[0].endswith(f"belongs to {shard}")
    shutil.copy(shard, folder / "select-16" / "0-4-1_block0.parquet")
    assert f"belongs to {shard}" in refusal(
        lambda: read_votes(folder / "select-16" / "0-4-1_block0.parquet"), folder
    )


def test_a_network_of_other_data_or_another_run_is_refused(space: Workspace) -> None:
    gaussian, nal = (space.path(space.job("train", run).outputs["manifest"]) for run in ("gaussian", "nal"))
    data = space.path(space.plan.data_manifest)
    manifest = read_json(data)
    made = manifest["provenance"] | {"spec": {"data": {"name": "mnist"}}}
    write_json(data.with_name("other.json"), {**manifest, "provenance": made})
    with pytest.raises(
        UserError, match=r'other.json: of the data set {"name":"mnist"}, not {"name":"digits"}'
    ):
        checkpoints.load(gaussian, data.with_name("other.json"))
    for suffix in (".json", ".safetensors"):
        shutil.copy(nal.with_suffix(suffix), gaussian.with_suffix(suffix))
    assert f"belongs to run {nal.parent.name}" in refusal(lambda: checkpoints.load(gaussian, data), gaussian)


# --- values that cannot be ---


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"radius": float("nan")}, "row 0: radius is nan; allowed finite numbers from 0"),
        ({"radius": -1.0}, "row 0: radius is -1; allowed finite numbers from 0"),
        ({"radius": None}, "row 0: radius is nan"),
        ({"prediction": -2}, "row 0: prediction is -2; allowed finite numbers from -1"),
        ({"prediction": 0.5}, "column prediction holds 0.5; allowed whole numbers"),
        ({"label": -1}, "row 0: label is -1"),
        ({"n": 0}, "row 0: n is 0"),
        ({"votes": -1}, "row 0: votes is -1"),
        ({"runner_up_votes": 65}, "row 0: more votes than the 64 that were drawn"),
        ({"alpha": 2.0}, "row 0: alpha is 2"),
        ({"image": 1}, "certificate cohen, image 1 stands there twice"),
    ],
)
def test_radii_that_cannot_be_stop_the_tables(space: Workspace, columns, says) -> None:
    path = space.job("certify").outputs["certified"]
    edited(space.path(path), **columns)
    assert says in refusal(lambda: tables_of(space), path)


@pytest.mark.parametrize(
    ("votes", "says"),
    [
        ([-1, 33, 0, 0, 0, 0, 0, 0, 0, 0], "allowed 32 in all"),
        (
            [33, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "image 0 has the votes [33, 0, 0, 0, 0, 0, 0, 0, 0, 0]; allowed 32",
        ),
        ([31.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0], "no whole numbers"),
        (None, "holds no votes"),
    ],
)
def test_votes_that_cannot_be_are_refused(space: Workspace, votes, says) -> None:
    path = space.path(space.job("sample", index=1).outputs["draws"])
    edited(path, counts=votes)
    assert says in refusal(lambda: read_votes(path), path)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"votes": [32] + 10 * [0]}, "its prediction"),
        ({"votes": [0] * 10}, "its votes are no 32 votes"),
        ({"votes": [31.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0]}, "its votes are no 32 votes"),
        ({"votes": [1]}, "its votes are no 32 votes (or the first of them) for 10 classes"),
        ({"votes": None}, "its votes are no 32 votes"),
        ({"distortion": 0.5}, "its distortion 0.5 is larger than the radius"),
        ({"distortion": float("nan")}, "distortion is nan"),
        ({"label": 77}, "does not fit its success"),
        ({"steps": -3}, "steps is -3"),
    ],
)
def test_attacks_that_cannot_be_are_refused(space: Workspace, columns, says) -> None:
    path = space.path(space.job("attack").outputs["attacks"])
    first = read_table(path)[0].to_pylist()[0]
    if columns.get("votes") and len(columns["votes"]) == 11:  # a majority for another class
        votes = [0] * 10
        votes[(first["prediction"] + 1) % 10] = 32
        columns = {"votes": votes}
    if "label" in columns:
        columns = {"label": (first["label"] + 1) % 10 if not first["success"] else first["prediction"]}
    edited(path, **columns)
    assert says in refusal(lambda: read_attacked(path), path)


@pytest.mark.parametrize("other", [0, -1])
def test_a_prediction_with_more_votes_than_were_drawn_is_refused(space: Workspace, other: int) -> None:
    """Also where everything else of the row fits, as with one vote less than none for another class."""
    path = space.path(space.job("attack").outputs["attacks"])
    predicted = read_table(path)[0].to_pylist()[0]["prediction"]
    votes = [0] * 10
    votes[predicted], votes[(predicted + 1) % 10] = 33, other
    edited(path, votes=votes)
    assert "row 0: its votes are no 32 votes" in refusal(lambda: read_attacked(path), path)


def test_outcomes_without_a_fault_are_not_looked_at_one_by_one(space: Workspace, monkeypatch) -> None:
    """A look at each of two million rows took 40 of the 105 s of `rs papers`."""
    path = space.path(space.job("attack").outputs["attacks"])

    def looked(*_: object) -> None:
        raise AssertionError("row by row")

    monkeypatch.setattr(run_files, "_refuse_attacked", looked)
    assert len(read_attacked(path)[0])
    edited(path, votes=[-1, 33, 0, 0, 0, 0, 0, 0, 0, 0])
    with pytest.raises(AssertionError, match="row by row"):
        read_attacked(path)


def test_votes_of_a_judge_that_stopped_too_early_are_refused(space: Workspace) -> None:
    """In a file whose judge was to draw 1,000: 64 that agree decide, 32 of them or a close 64 do not."""
    path = space.path(space.job("attack").outputs["attacks"])
    table, made = read_table(path)
    rows = [row | {"votes": [64 * (c == row["prediction"]) for c in range(10)]} for row in table.to_pylist()]
    few = rows[1]["prediction"]

    def written(votes: dict[int, int]) -> None:
        counts = [votes.get(c, 0) for c in range(10)]
        changed = [rows[0], rows[1] | {"votes": counts}, *rows[2:]]
        write_table(path, pa.Table.from_pylist(changed, table.schema), made | {"judge": 1000})

    written({few: 64})
    assert len(read_judged(path)[0]) == len(rows)
    close = {few: 40, (few + 1) % 10: 24}
    for votes in ({few: 32}, close):
        written(votes)
        assert f"row 1: {sum(votes.values())} of 1000 votes, which do not decide" in refusal(
            lambda: read_judged(path), path
        )


@pytest.mark.parametrize("value", [float("nan"), -1.0, 1e30, float("inf"), "0.5", None, True])
@pytest.mark.parametrize("rho", [False, True], ids=["epsilon", "both"])
def test_an_epsilon_that_no_images_have_trains_nothing(space: Workspace, value, rho) -> None:
    path = space.path(space.job("calibrate", "nal").outputs["calibration"])
    reference = f"{path.parents[1].name}/{path.stem}"
    assert 0 < calibrated_epsilon(path, reference, "without_noise", 64) < 8
    found = read_json(path) | {"epsilon_without_noise": value}
    if rho and isinstance(value, float):
        found["rho_without_noise"] = value**2
    write_json(path, found)
    with pytest.raises(UserError, match=r"^[^\n]*\.json: [^\n]*$"):
        calibrated_epsilon(path, reference, "without_noise", 64)


def test_a_calibration_of_another_run_or_other_settings_is_refused(space: Workspace) -> None:
    path = space.path(space.job("calibrate", "nal").outputs["calibration"])
    for reference in (f"{path.parents[1].name}/00000000", f"another-run/{path.stem}"):
        message = refusal(lambda r=reference: calibrated_epsilon(path, r, "with_noise", 64), path)  # type: ignore[misc]
        assert f"is not the calibration {reference}" in message


# --- files that are not ours ---


@pytest.mark.parametrize(
    "what", ["{}", "[]", "null", "junk", "", "[" * 100_000, '{"splits": {}}', '{"a": NaN}']
)
def test_json_that_is_not_ours_is_one_line(space: Workspace, what: str) -> None:
    data = space.path(space.plan.data_manifest)
    model = space.path(space.job("train").outputs["manifest"])
    calibration = space.path(space.job("calibrate", "nal").outputs["calibration"])
    for path, read in (
        (model, lambda: checkpoints.load(model, data)),
        (data, lambda: load_split(data, "test")),
        (calibration, lambda: calibrated_epsilon(calibration, "a/b", "with_noise", 64)),
    ):
        whole = path.read_text()
        path.write_text(what)
        refusal(read, path)
        path.write_text(whole)


def test_parquet_that_is_not_ours_is_one_line(space: Workspace) -> None:
    for stage, key in (("certify", "certified"), ("attack", "attacks"), ("train", "metrics")):
        path = space.path(space.job(stage).outputs[key])
        table, content = pq.read_table(path), path.read_bytes()
        for other in (
            table.replace_schema_metadata(),  # no provenance
            table.drop_columns(table.column_names[:1]),
            table.drop_columns(table.column_names[-1:]).replace_schema_metadata(),
            table.slice(0, 0).replace_schema_metadata(),
        ):
            pq.write_table(other, path)
            refusal(lambda: tables_of(space), path.relative_to(space.folder))
        path.write_bytes(content)
    tables_of(space)
    path = space.plan.tables / "runs.parquet"
    shutil.copy(space.path(space.plan.tables / "training.parquet"), space.path(path))
    with contextlib.chdir(space.folder):
        message = refusal(lambda: check_tables(space.plan), path)
    assert "lacks the columns" in message or "not the table runs" in message


def test_certified_files_are_read_once_for_check_and_claims(space: Workspace, monkeypatch) -> None:
    with contextlib.chdir(space.folder):
        stored = Stored(space.plan)
        monkeypatch.setattr(run_files, "read_table", lambda path, needs: pytest.fail(f"{path}: again"))
        assert {c.columns["run"] for c in claims(stored)} == {p.id for p in space.plan.runs}


def test_certify_says_what_its_votes_came_from(space: Workspace) -> None:
    certify = space.job("certify")
    manifest = read_json(space.path(space.job("train").outputs["manifest"]))
    made = read_table(space.path(certify.outputs["certified"]))[1]
    assert (made["model"], made["content"]) == (manifest["sha256"], "checked")
    assert made["form"]["batch"] == 32
    with contextlib.chdir(space.folder):
        assert check_files(space.plan) == {p.id: [] for p in space.plan.runs}
        files = files_of(Path(as_dict(certify)["inputs"]["folder"]), certify.inputs["shards"], 16, 64, 32)
        with pytest.raises(UserError, match="image 0 has 64 votes, not 128"):
            evaluation.certify({**certify.spec, "n": 128}, *files, Path("x.parquet"), "code")
