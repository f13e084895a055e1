"""A user's own images in Parquet files, in Hugging Face's layout of image data: a column of structs with the
encoded image (`bytes`) and its origin (`path`), and a column of labels.

Rows keep their order: an image's position is its row in the files of its split, sorted by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from rs.errors import UserError
from rs.methods.data.images import Shape, Sizes, hidden, resident
from rs.methods.interfaces import Split
from rs.provenance.reading import check_file


@dataclass(frozen=True)
class ImageParquet:
    """Your own images in Parquet files in `data_dir`/`folder` (columns: image{bytes, path} and label).

    `train` and `test` name files, or patterns of files such as train-*.parquet. Images of another size than
    `shape` are refused; with `resize` they are cut to its aspect ratio and resized.
    """

    source: ClassVar[str] = "your own images (Parquet, as Hugging Face lays out image data)"

    folder: str
    shape: Shape
    classes: Annotated[int, Field(ge=2, le=1_000_000)]
    sizes: Sizes = field(hash=False)
    train: str = "train.parquet"
    test: str = "test.parquet"
    image: str = "image"
    label: str = "label"
    resize: bool = False

    def load(self, data_dir: str | None) -> dict[str, Split]:
        folder = Path(data_dir or "data") / self.folder
        return {"train": self._split(folder, self.train), "test": self._split(folder, self.test)}

    def _split(self, folder: Path, pattern: str) -> Split:
        try:
            found = sorted(folder.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            raise UserError(f"data image-parquet: {pattern!r} is no file or pattern in {folder}") from error
        # a * also matches hidden files
        files = [file for file in found if not hidden(file.name) or hidden(Path(pattern).name)]
        if not files:
            raise UserError(f"{folder / pattern}: no such file (data_dir or RS_DATA_DIR says where it lies)")
        labels = np.concatenate([self._labels(file) for file in files])
        encoded = (item for file in files for item in self._encoded(file))
        return resident(encoded, labels, self.shape, self.resize)

    def _open(self, file: Path) -> pq.ParquetFile:
        check_file(file)
        try:
            found = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{file}: truncated, or no Parquet file ({reason}); copy it again") from error
        columns = found.schema_arrow
        for name in (self.image, self.label):
            if name not in columns.names:
                raise UserError(f"{file}: lacks the column {name}; it has {', '.join(columns.names)}")
        kind = columns.field(self.image).type
        if not pa.types.is_struct(kind) or "bytes" not in [kind.field(i).name for i in range(len(kind))]:
            raise UserError(f"{file}: column {self.image} is {kind}; it must be a struct of bytes and path")
        if not pa.types.is_integer(columns.field(self.label).type):
            kind = columns.field(self.label).type
            raise UserError(f"{file}: column {self.label} is {kind}; it must be whole numbers from 0")
        return found

    def _labels(self, file: Path) -> np.ndarray:
        labels = _read(file, lambda: self._open(file).read(columns=[self.label])[self.label])
        if labels.null_count:
            row = labels.is_null().to_numpy().argmax()
            raise UserError(f"{file}: row {row}: {self.label} is empty")
        return labels.to_numpy().astype(np.int64)  # type: ignore[no-any-return]

    def _encoded(self, file: Path) -> Iterator[tuple[bytes, str]]:
        """The encoded image and the place of every row."""
        row, batches = 0, self._open(file).iter_batches(1000, columns=[self.image])
        while (batch := _read(file, lambda: next(batches, None))) is not None:
            for image in batch.column(0).to_pylist():
                path = (image or {}).get("path")
                place = f"{file}: row {row}" + (f" ({path})" if path else "")
                if not image or not image["bytes"]:
                    raise UserError(f"{place}: holds no image bytes")
                yield image["bytes"], place
                row += 1


def _read(file: Path, read: Callable[[], Any]) -> Any:
    """Calls `read`. Damage shows when the pages are read, not when the file is opened."""
    try:
        return read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{file}: truncated or corrupt ({reason}); copy it again") from error
