"""Images in tables: Parquet files, and data sets that the `datasets` library saved to disk (Arrow files).

They are read by pyarrow alone. The image column has the library's type Image (a struct of `bytes` and
`path`), or holds bytes. Labels are integers in the first column of LABELS, with names where the file has
them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rs.errors import UserError
from rs.foreign.pictures import Pictures
from rs.methods.data.images import some
from rs.provenance.reading import JSON, check_file, parse_json, read_bytes

LABELS = ("label", "labels", "fine_label")


def parquet(place: Path, split: str | None) -> Pictures | None:
    """The images of a Parquet file, or of a folder of them; None where there are none."""
    files = [place] if place.suffix == ".parquet" and not place.is_dir() else []
    if place.is_dir():
        files = sorted(place.glob("*.parquet")) or sorted(place.glob("data/*.parquet"))
    if not files:
        return None
    splits = sorted({_split_of(file) for file in files})
    if split is not None or (len(splits) > 1 and place.is_dir()):
        files = [file for file in files if _split_of(file) == split]
        if not files:
            problem = "several splits; give --split" if split is None else f"no split {split}; allowed"
            raise UserError(f"{place}: {problem}: {', '.join(splits)}")
    try:
        opened = [pq.ParquetFile(file) for file in files if check_file(file)]
        groups = [(f, g) for f in opened for g in range(f.num_row_groups)]
        sizes = [f.metadata.row_group(g).num_rows for f, g in groups]
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{place}: not a complete Parquet file ({_line(error)})") from error
    schema = opened[0].schema_arrow
    image, label = _columns(str(place), schema)
    for file, other in zip(files, opened, strict=True):
        if _columns(str(file), other.schema_arrow) != (image, label):
            columns = f"{some(other.schema_arrow.names)}; {files[0]} has {some(schema.names)}"
            raise UserError(f"{file}: other columns than in the files before: {columns}")
    names: tuple[str, ...] = ()
    if label and (held := (schema.metadata or {}).get(b"huggingface")) is not None:
        described = parse_json(held, f"{files[0]}: metadata: not JSON")
        names = _named(str(files[0]), described, "info", "features", label, "names")
    labels = [y for f in opened for y in f.read([label]).column(0).to_pylist()] if label else None
    rows = _Rows(sizes, lambda k: groups[k][0].read_row_group(groups[k][1], columns=[image]).column(0))
    return _pictures(place, rows, labels, names)


def saved(place: Path, split: str | None) -> Pictures | None:
    """The images of a folder from `save_to_disk` of a Dataset or a DatasetDict; None for another folder."""
    listed = place / "dataset_dict.json"
    if listed.is_file():
        names = _json(listed).get("splits")
        if not isinstance(names, list):
            raise UserError(f"{listed}: splits: must be a list of names")
        splits = [str(s) for s in names]
        if split not in splits:
            problem = "several splits; give --split" if split is None else f"no split {split}; allowed"
            raise UserError(f"{place}: {problem}: {', '.join(splits)}")
        place = place / split
    state, info = place / "state.json", place / "dataset_info.json"
    if not state.is_file() or not info.is_file():
        return None
    metadata = _json(state)
    if metadata.get("_indices_data_files") or metadata.get("_indices_files"):
        raise UserError(f"{place}: a selection of another data set; save it after flatten_indices()")
    files = _arrow_files(state, metadata)
    try:
        tables = [pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files]
        table = pa.concat_tables(tables)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{place}: not a complete Arrow file ({_line(error)})") from error
    image, label = _columns(str(place), table.schema)
    column, labels = table.column(image), table.column(label).to_pylist() if label else None
    names = _named(str(info), _json(info), "features", label, "names") if label else ()
    return _pictures(place, _Rows([len(column)], lambda _: column), labels, names)


def _arrow_files(state: Path, metadata: dict[str, Any]) -> list[Path]:
    """The data files that `state` lists. Raises UserError where it lists none."""
    listed = metadata.get("_data_files")
    entries = listed if isinstance(listed, list) else []
    names = [entry.get("filename") if isinstance(entry, dict) else None for entry in entries]
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f'{state}: _data_files: must be a list of {{"filename": ...}}, one at least')
    return [state.parent / str(name) for name in names]


class _Rows:
    """A column in pieces; the last piece that was read is kept."""

    def __init__(self, sizes: Sequence[int], read: Callable[[int], pa.ChunkedArray]) -> None:
        self._ends, self._read = list(accumulate(sizes)), read
        self._kept: tuple[int, pa.ChunkedArray] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, i: int) -> Any:
        piece = bisect_right(self._ends, i)
        if self._kept is None or self._kept[0] != piece:
            self._kept = piece, self._read(piece)
        return self._kept[1][i - (self._ends[piece - 1] if piece else 0)].as_py()


def _pictures(place: Path, rows: _Rows, labels: list[int | None] | None, names: tuple[str, ...]) -> Pictures:
    if len(rows) == 0:
        raise UserError(f"{place}: holds no image")

    def content(i: int) -> bytes:
        held = rows[i]
        data = held.get("bytes") if isinstance(held, dict) else held
        if not isinstance(data, bytes):
            raise UserError(f"{place}: row {i}: a path instead of an image; store the images themselves")
        return data

    if labels is not None and all(y is None or y < 0 for y in labels):
        labels = None  # a test split whose labels are secret
    known = None if labels is None else [-1 if y is None else y for y in labels]
    return Pictures(str(place), [f"row {i}" for i in range(len(rows))], content, known, names, True)


def _columns(place: str, schema: pa.Schema) -> tuple[str, str | None]:
    """The names of the columns of images and labels."""

    def holds_images(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):
            return {"bytes", "path"} <= {field.name for field in kind}
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    images = [field.name for field in schema if holds_images(field.type)]
    if len(images) != 1:
        lack = f"several columns of images ({some(images)})" if images else "no column of images"
        raise UserError(
            f"{place}: {lack}; allowed exactly one, a struct of bytes and path; it has {some(schema.names)}"
        )
    whole = [n for n in LABELS if n in schema.names and pa.types.is_integer(schema.field(n).type)]
    return images[0], next(iter(whole), None)


def _named(place: str, node: Any, *path: str) -> tuple[str, ...]:
    """The names of the classes at this path of keys in the `datasets` library's description of a data set."""
    for key in path:
        if node is None:
            return ()
        if not isinstance(node, dict):
            raise UserError(f"{place}: features: a {type(node).__name__}; must be an object with {key}")
        node = node.get(key)
    if node is not None and not isinstance(node, list):
        raise UserError(f"{place}: features: {path[-1]} of {path[-2]}: must be a list")
    return tuple(map(str, node or ()))


def _split_of(file: Path) -> str:
    return file.stem.partition("-")[0]


def _json(file: Path) -> dict[str, Any]:
    content = parse_json(read_bytes(file, JSON), f"{file}: not a complete JSON file")
    return content if isinstance(content, dict) else {}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
