"""EarthView (Satellogic, arXiv:2501.08111): pictures in `*.parquet`, one place per row.

Column `rgb` holds nested lists [revisits, 3, H, W] of uint8 (384 x 384 px at 1 m)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from codec.imagery.pictures import Picture, PixelCache
from constellation.common.errors import UserError

EARTHVIEW_COLUMN = "rgb"
MAX_EARTHVIEW_SIDE_PX = 4096


@dataclass(frozen=True)
class _RowGroup:
    """A row group of a parquet file, whose rows are decoded together and cached."""

    file: Path
    number: int
    cache: PixelCache

    def rows(self) -> list[np.ndarray]:
        """uint8 [revisits, 3, H, W] each."""
        key = str(self.file), self.number
        return self.cache.get(key, lambda: _earthview_rows(self.file, self.number))


@dataclass(frozen=True)
class EarthViewPicture:
    """One revisit of one row of an EarthView parquet file."""

    name: str
    height: int
    width: int
    group: _RowGroup
    row: int
    revisit: int

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """uint8 [height, width, 3]."""
        pixels = self.group.rows()[self.row][self.revisit]
        return pixels[:, top : top + height, left : left + width].transpose(1, 2, 0)


def open_earthview(file: Path, name: str, cache: PixelCache) -> list[Picture]:
    """Every revisit of every row of a parquet file. Raises `UserError` where it is of another layout."""
    import pyarrow
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        if EARTHVIEW_COLUMN not in parquet.schema_arrow.names:
            raise UserError(f"data {name}: columns {parquet.schema_arrow.names}, expected EarthView's 'rgb'")
        pictures: list[Picture] = []
        for group in range(parquet.num_row_groups):
            held = _RowGroup(file, group, cache)
            for row, pixels in enumerate(_earthview_rows(file, group)):
                revisits, _, height, width = pixels.shape
                pictures += [
                    EarthViewPicture(f"{name}#{group}.{row}.{k}", height, width, held, row, k)
                    for k in range(revisits)
                ]
        return pictures
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"data {name}: not a readable parquet file ({error})") from None
    except (AttributeError, TypeError):
        raise UserError(
            f"data {name}: column {EARTHVIEW_COLUMN!r} is not nested lists of integers [revisits, 3, H, W]"
        ) from None


def _earthview_rows(file: Path, group: int) -> list[np.ndarray]:
    """The rows of one row group, uint8 [revisits, 3, H, W] each."""
    import pyarrow.parquet

    column = pyarrow.parquet.ParquetFile(file).read_row_group(group, columns=[EARTHVIEW_COLUMN]).column(0)
    return [_nested_to_array(column[row], file.name) for row in range(len(column))]


def _nested_to_array(scalar: Any, name: str) -> np.ndarray:
    """A pyarrow value of lists in lists, four deep and rectangular, as uint8 [revisits, 3, H, W]; no Python
    list in between."""
    import pyarrow
    import pyarrow.compute

    values, shape = scalar.values, []
    while values is not None and pyarrow.types.is_nested(values.type) and len(shape) < 4:
        shape.append(len(values))
        if len(values.value_lengths().unique()) > 1:
            raise UserError(
                f"data {name}: {EARTHVIEW_COLUMN!r} has rows of several lengths, expected [revisits, 3, H, W]"
            )
        values = values.flatten()
    if values is None or len(shape) != 3 or not shape[0] or not pyarrow.types.is_integer(values.type):
        raise UserError(
            f"data {name}: column {EARTHVIEW_COLUMN!r} is not nested lists of integers [revisits, 3, H, W]"
        )
    revisits, channels, rows = shape[0], shape[1] // shape[0], shape[2] // max(1, shape[1])
    width = len(values) // max(1, shape[2])
    if (
        revisits * channels * rows * width != len(values)
        or channels != 3
        or not 0 < max(rows, width) <= MAX_EARTHVIEW_SIDE_PX
    ):
        raise UserError(
            f"data {name}: 'rgb' is {[revisits, channels, rows, width]}, expected [revisits, 3, H, W]"
        )
    compute = cast(Any, pyarrow.compute)  # makes its functions when it is imported
    if values.null_count or (span := compute.min_max(values).as_py())["min"] < 0 or span["max"] > 255:
        raise UserError(f"data {name}: {EARTHVIEW_COLUMN!r} has values outside 0 to 255, or none at all")
    return values.to_numpy(zero_copy_only=False).astype(np.uint8).reshape(revisits, channels, rows, width)
