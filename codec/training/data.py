"""Training pictures: random crops streamed from images of any size, and two public data sets' layouts.

What `open_pictures(path)` understands, `path` being a file or a folder that is searched to any depth:

    PNG, JPEG, WebP     decoded whole once and kept in memory while they fit, or, above 64 megapixels, in a temporary file read in windows
    TIFF, GeoTIFF       read in windows through rasterio, never whole; 16-bit samples are stretched between their 2nd and 98th percentile
    STAR                Li et al., TPAMI 2025: `img/*.png` (any depth, `train/img`, `val/img`), up to 27,860 x 31,096 px. Where a folder `img`
                        exists, only what lies in such folders is read, so annotations and masks beside it are
                        left alone
    EarthView           Satellogic, arXiv:2501.08111: `*.parquet`, one place per row; column `rgb` holds nested lists [revisits, 3, H, W] of
                        uint8 (384 x 384 px at 1 m), `1m` the near infrared (not used here), `metadata`
                        bounds, times and view angles. Every revisit counts as a picture

Which crop a step sees is a function of (seed, step, place in the global batch) alone: no iterator has a
position to save, so a resumed run sees the same crops, and a run on two processes sees those of one process
with twice the batch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from codec.imagery.pictures import PICTURE_SUFFIXES, Picture, PixelCache, open_picture_file
from constellation.common.errors import UserError

EARTHVIEW_COLUMN = "rgb"  # [revisits, 3, H, W]
MAX_EARTHVIEW_SIDE_PX = 4096


def open_pictures(path: str | Path, key: str = "data") -> list[Picture]:
    """Every picture under `path`, sorted by name; pixels are read later. Raises `UserError` for a file that
    cannot be read, or none; `key`: the command line's word for it."""
    root = Path(path)
    if not root.exists():
        raise UserError(f"{key}={path}: no such file or folder")
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    base = root.parent if root.is_file() else root
    if any("img" in p.relative_to(base).parts[:-1] for p in files):
        files = [p for p in files if "img" in p.relative_to(base).parts[:-1]]
    cache, pictures = PixelCache(), []
    for file in files:
        name = file.relative_to(base).as_posix()
        if file.suffix.lower() == ".parquet":
            pictures += _open_earthview(file, name, cache)
        elif file.suffix.lower() in PICTURE_SUFFIXES:
            pictures.append(open_picture_file(file, name, cache))
    if not pictures:
        raise UserError(
            f"{key}={path}: no pictures found, expected {', '.join(PICTURE_SUFFIXES)} or .parquet"
        )
    return pictures


class EarthViewPicture:
    """One revisit of one row of an EarthView parquet file; the rows of a row group are decoded together and
    cached."""

    def __init__(
        self,
        file: Path,
        name: str,
        group: int,
        row: int,
        revisit: int,
        shape: tuple[int, int],
        cache: PixelCache,
    ) -> None:
        self.name, (self.height, self.width) = name, shape
        self._file, self._group, self._row, self._revisit, self._cache = file, group, row, revisit, cache

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """uint8 [height, width, 3]."""
        rows = self._cache.get(
            (str(self._file), self._group), lambda: _earthview_rows(self._file, self._group)
        )
        return rows[self._row][self._revisit, :, top : top + height, left : left + width].transpose(1, 2, 0)


def _open_earthview(file: Path, name: str, cache: PixelCache) -> list[Picture]:
    import pyarrow
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        if EARTHVIEW_COLUMN not in parquet.schema_arrow.names:
            raise UserError(
                f"data {name}: columns {parquet.schema_arrow.names}, expected EarthView's {EARTHVIEW_COLUMN!r}"
            )
        pictures = []
        for group in range(parquet.num_row_groups):
            for row, pixels in enumerate(_earthview_rows(file, group)):
                label = f"{name}#{group}.{row}"
                pictures += [
                    EarthViewPicture(file, f"{label}.{k}", group, row, k, pixels.shape[2:], cache)
                    for k in range(len(pixels))
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


def _nested_to_array(scalar, name: str) -> np.ndarray:
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
            f"data {name}: {EARTHVIEW_COLUMN!r} is {[revisits, channels, rows, width]}, expected [revisits, 3, H, W]"
        )
    if values.null_count or (span := pyarrow.compute.min_max(values).as_py())["min"] < 0 or span["max"] > 255:
        raise UserError(f"data {name}: {EARTHVIEW_COLUMN!r} has values outside 0 to 255, or none at all")
    return values.to_numpy(zero_copy_only=False).astype(np.uint8).reshape(revisits, channels, rows, width)


def data_digest(pictures: list[Picture]) -> str:
    """First 16 hex digits of SHA-256 over names and sizes: which pictures a model was trained on."""
    lines = "".join(f"{p.name} {p.height} {p.width}\n" for p in pictures)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def split_pictures(pictures: list[Picture], share: float) -> tuple[list[Picture], list[Picture]]:
    """(training, validation): a picture's side depends on its own name alone. Either is the whole list where
    it would be empty."""

    def held_out(picture: Picture) -> bool:
        return int.from_bytes(hashlib.sha256(picture.name.encode()).digest()[:4], "big") < share * 2**32

    training, validation = [p for p in pictures if not held_out(p)], [p for p in pictures if held_out(p)]
    return training or pictures, validation or pictures


class CropSampler:
    """Random square crops, pictures drawn with probability proportional to their area, each crop mirrored in
    half of the cases."""

    def __init__(self, pictures: list[Picture], crop_px: int, seed: int) -> None:
        self.pictures = [p for p in pictures if min(p.height, p.width) >= crop_px]
        if not self.pictures:
            largest = max((min(p.height, p.width) for p in pictures), default=0)
            raise UserError(
                f"crop={crop_px}: no picture is that large, the largest has {largest} px on its shorter side"
            )
        areas = np.array([p.height * p.width for p in self.pictures], dtype=np.float64)
        self.cumulative, self.crop_px, self.seed = np.cumsum(areas / areas.sum()), crop_px, seed

    def batch(self, step: int, slots: range) -> np.ndarray:
        """uint8 [len(slots), 3, crop, crop]: a pure function of (seed, step, slot)."""
        return np.stack([self._crop(step, slot) for slot in slots])

    def _crop(self, step: int, slot: int) -> np.ndarray:
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, step, slot))))
        index = min(
            int(np.searchsorted(self.cumulative, random.random(), side="right")), len(self.pictures) - 1
        )
        picture, size = self.pictures[index], self.crop_px
        top = int(random.integers(picture.height - size + 1))
        left = int(random.integers(picture.width - size + 1))
        pixels = picture.read(top, left, size, size)
        if random.random() < 0.5:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))
