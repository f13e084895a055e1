"""Images in Parquet files, and in what the `datasets` library saves to disk: which column, which split, which
labels.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rs.errors import UserError
from rs.foreign.image_sources import open_pictures
from rs.foreign.pictures import spread

KIND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((2, 2), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def table(values, labels=None, named: bool = False) -> pa.Table:
    images = pa.array([{"bytes": png(v), "path": f"{v}.png"} for v in values], KIND)
    columns = {"image": images} | ({} if labels is None else {"label": pa.array(labels, pa.int64())})
    made = pa.table(columns)
    info = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    return made.replace_schema_metadata(info) if named else made


def opened(place: str, split: str | None = None, labelled: bool = True):
    return open_pictures(Path(place), split, labelled)


def values(pictures) -> list[int]:
    return [int(np.asarray(pictures.image(i))[0, 0]) for i in range(len(pictures))]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_row_groups_and_files_follow_one_another():
    Path("data").mkdir()
    pq.write_table(table(range(5), [0, 1, 0, 1, 0], named=True), "data/test-0.parquet", row_group_size=2)
    pq.write_table(table(range(5, 8), [1, 1, 0], named=True), "data/test-1.parquet")
    found = opened("data")
    assert values(found) == list(range(8))
    assert found.labels == [0, 1, 0, 1, 0, 1, 1, 0]
    assert found.groups == ("cat", "dog")
    assert found.where(3) == "data: row 3"
    assert [values(found)[i] for i in (7, 0, 5)] == [7, 0, 5]
    assert opened("data", labelled=False).labels is None


def test_a_split_is_chosen():
    Path("data").mkdir()
    for i, split in enumerate(("train", "test")):
        pq.write_table(table([i]), f"data/{split}-00000-of-00001.parquet")
    assert values(opened("data", "test")) == [1]
    assert opened("data", "test").labels is None
    with pytest.raises(UserError, match="data: several splits; give --split: test, train"):
        opened("data")
    with pytest.raises(UserError, match="no split dev; allowed: test, train"):
        opened("data", "dev")
    assert values(opened("data/train-00000-of-00001.parquet")) == [0]


def save(place: Path, made: pa.Table, **state) -> None:
    """As Dataset.save_to_disk lays it out."""
    place.mkdir(parents=True)
    file = str(place / "data-00000-of-00001.arrow")
    with pa.OSFile(file, "wb") as sink, pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)
    fields = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None, **state}
    (place / "state.json").write_text(json.dumps(fields))
    (place / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))


def test_a_folder_of_the_datasets_library():
    save(Path("saved/test"), table([3, 4], [1, 0]))
    found = opened("saved/test")
    assert (values(found), found.labels, found.groups) == ([3, 4], [1, 0], ("cat", "dog"))
    Path("saved/dataset_dict.json").write_text(json.dumps({"splits": ["test"]}))
    assert values(opened("saved", "test")) == [3, 4]
    with pytest.raises(UserError, match="several splits; give --split: test"):
        opened("saved")
    save(Path("other"), table([1], [0]), _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(UserError, match=r"save it after flatten_indices\(\)"):
        opened("other")


def test_labels_that_are_kept_secret_are_none():
    pq.write_table(table([1, 2], [-1, -1]), "a.parquet")
    assert opened("a.parquet").labels is None
    pq.write_table(table([1, 2], [1, -1]), "b.parquet")
    with pytest.raises(UserError, match=r"b.parquet: row 1: no label; give --unlabelled"):
        opened("b.parquet")
    assert opened("b.parquet", labelled=False).labels is None


def test_tables_without_images():
    pq.write_table(pa.table({"x": [1, 2]}), "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet: no column of images; .* it has x"):
        opened("a.parquet")
    pq.write_table(table([]), "b.parquet")
    with pytest.raises(UserError, match=r"b.parquet: holds no image"):
        opened("b.parquet")
    path = pa.table({"image": pa.array([{"bytes": None, "path": "a.png"}], KIND)})
    pq.write_table(path, "c.parquet")
    with pytest.raises(UserError, match=r"c.parquet: row 0: a path instead of an image"):
        opened("c.parquet").image(0)
    Path("d.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"d.parquet: not a complete Parquet file"):
        opened("d.parquet")
    Path("e.txt").touch()
    with pytest.raises(UserError, match=r"e.txt: no folder of images and no Parquet file"):
        opened("e.txt")


def test_files_of_other_columns():
    Path("data").mkdir()
    pq.write_table(table([0], [1]), "data/test-0.parquet")
    pq.write_table(table([1]).rename_columns(["picture"]), "data/test-1.parquet")
    message = r"^data/test-1.parquet: other columns than in the files before: picture; .*0.parquet has image"
    with pytest.raises(UserError, match=message):
        opened("data")
    pq.write_table(pa.table({"x": [1]}), "data/test-1.parquet")
    with pytest.raises(UserError, match=r"^data/test-1.parquet: no column of images"):
        opened("data")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"[1]", "features: a list; must be an object with info"),
        (b'{"info": 3}', "features: a int; must be an object with features"),
        (b'{"info": {"features": {"label": [1]}}}', "features: a list; must be an object with names"),
        (b'{"info": {"features": {"label": {"names": 5}}}}', "names of label: must be a list"),
        (b"{", "metadata: not JSON"),
        (b'{"info": null}', None),
        (b'{"info": {"features": {"label": null}}}', None),
        (b"{}", None),
    ],
)
def test_descriptions_of_other_forms(written, message):
    made = table([1, 2], [0, 1]).replace_schema_metadata({b"huggingface": written})
    pq.write_table(made, "a.parquet")
    if message is None:
        assert (opened("a.parquet").labels, opened("a.parquet").groups) == ([0, 1], ())
        return
    with pytest.raises(UserError) as raised:
        opened("a.parquet")
    assert str(raised.value).startswith("a.parquet: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("state", ["[1]", "{}", '{"_data_files": []}', '{"_data_files": [{"name": "a"}]}'])
def test_a_saved_data_set_that_lists_no_files(state):
    save(Path("saved"), table([3], [1]))
    Path("saved/state.json").write_text(state)
    with pytest.raises(UserError, match=r"^saved/state.json: _data_files: must be a list of"):
        opened("saved")
    Path("saved/dataset_dict.json").write_text('{"splits": null}')
    with pytest.raises(UserError, match=r"^saved/dataset_dict.json: splits: must be a list of names"):
        opened("saved", "test")


def test_images_are_spread_over_the_whole():
    assert spread(10, 3) == [0, 3, 6]
    assert spread(3, 10) == spread(3, None) == [0, 1, 2]
