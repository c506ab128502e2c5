"""Image files of any size as windows of 8-bit RGB: the readers behind `codec/data.py`."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from constellation.errors import UserError

RASTER_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", *RASTER_SUFFIXES)
MAX_MEMORY_PIXELS = 64 << 20  # of a PNG, JPEG or WebP kept in memory; larger ones go through a temporary file
MAX_PICTURE_PIXELS = 4 << 30  # STAR's largest picture has 0.9e9
CACHE_BYTES = 2 << 30  # decoded pictures kept in memory, the least recently used first out
STRIP_ROWS = 256  # of a large picture decoded at a time
STRETCH_PERCENTILES = (2, 98)  # what becomes 0 and 255 of samples wider than 8 bits
STRETCH_SAMPLE_PX = 1024  # side of the decimated read that the percentiles are taken from


class Picture(Protocol):
    """One picture that can be read in windows."""

    name: str  # path below the data folder, "/" between parts
    height: int
    width: int

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """uint8 [height, width, 3]; the window lies inside the picture."""


class PixelCache:
    """Decoded arrays (or lists of them) by key; the least recently used are dropped beyond `limit_bytes`."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit, self._held, self._items = limit_bytes, 0, OrderedDict()

    def get(self, key: Hashable, decode: Callable[[], Any]) -> Any:
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key]
        item = self._items[key] = decode()
        self._held += _nbytes(item)
        while self._held > self._limit and len(self._items) > 1:
            self._held -= _nbytes(self._items.popitem(last=False)[1])
        return item


def _nbytes(item: Any) -> int:
    return sum(array.nbytes for array in item) if isinstance(item, list) else item.nbytes


def open_picture_file(path: Path, name: str, cache: PixelCache) -> Picture:
    """The reader that suits a file's type and size. Raises `UserError` where its header cannot be read or its size is beyond reason."""
    if path.suffix.lower() in RASTER_SUFFIXES:
        with _open_raster(path, name) as raster:
            return RasterFile(path, name, raster.height, raster.width)
    height, width = _picture_size(path, name)
    if height * width > MAX_PICTURE_PIXELS:
        raise UserError(f"data {name}: {width} x {height} px, expected at most {MAX_PICTURE_PIXELS} px in all")
    kind = PictureFile if height * width <= MAX_MEMORY_PIXELS else MappedFile
    return kind(path, name, height, width, cache)


def _picture_size(path: Path, name: str) -> tuple[int, int]:
    """(height, width) from the header."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.height, image.width
    except Image.DecompressionBombError:
        with _open_raster(path, name) as raster:
            return raster.height, raster.width
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"data {name}: not a readable picture ({error})") from None


def _open_raster(path: Path, name: str):
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioError as error:
        raise UserError(f"data {name}: not a readable raster ({error})") from None


@dataclass(frozen=True)
class PictureFile:
    """A PNG, JPEG or WebP that fits in memory: decoded once, kept in the cache."""

    path: Path
    name: str
    height: int
    width: int
    cache: PixelCache = field(repr=False, compare=False)

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        return self.cache.get(self.name, self._decode)[top : top + height, left : left + width]

    def _decode(self) -> np.ndarray:
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(self.path) as image:
                    return np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"data {self.name}: cannot be decoded ({error})") from None


@dataclass(frozen=True)
class MappedFile:
    """A PNG, JPEG or WebP too large for memory: decoded once, strip by strip, into a memory-mapped file of the temporary folder."""

    path: Path
    name: str
    height: int
    width: int
    cache: PixelCache = field(repr=False, compare=False)

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        return np.array(self._pixels[top : top + height, left : left + width])

    @cached_property
    def _pixels(self) -> np.ndarray:
        status = self.path.stat()
        key = hashlib.sha256(f"{self.path.resolve()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:24]
        target = Path(tempfile.gettempdir()) / f"codec-pixels-{key}.npy"
        if not target.exists():
            self._decode_to(target)
        return np.load(target, mmap_mode="r")

    def _decode_to(self, target: Path) -> None:
        from rasterio.windows import Window

        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        try:
            pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(self.height, self.width, 3))
            with _open_raster(self.path, self.name) as raster:
                for top in range(0, self.height, STRIP_ROWS):
                    rows = min(STRIP_ROWS, self.height - top)
                    bands = raster.read(window=Window(0, top, self.width, rows))
                    pixels[top : top + rows] = _to_rgb(bands, None)
            pixels.flush()
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class RasterFile:
    """A TIFF or GeoTIFF, read in windows: a tiled one touches only the tiles of the window."""

    path: Path
    name: str
    height: int
    width: int

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        from rasterio.windows import Window

        with _open_raster(self.path, self.name) as raster:
            return _to_rgb(raster.read(window=Window(left, top, width, height)), self._stretch)

    @cached_property
    def _stretch(self) -> tuple[float, float] | None:
        """(low, high) of samples wider than 8 bits, from a decimated read of the whole; None for 8-bit samples."""
        with _open_raster(self.path, self.name) as raster:
            if raster.dtypes[0] == "uint8":
                return None
            scale = max(1.0, max(self.height, self.width) / STRETCH_SAMPLE_PX)
            sample = raster.read(out_shape=(raster.count, max(1, int(self.height / scale)), max(1, int(self.width / scale))), masked=True)
        values = sample.compressed()
        values = values[np.isfinite(values)]
        if not values.size:
            return 0.0, 1.0
        low, high = np.percentile(values.astype(np.float64), STRETCH_PERCENTILES)
        return float(low), float(max(high, low + 1e-6))


def _to_rgb(bands: np.ndarray, stretch: tuple[float, float] | None) -> np.ndarray:
    """[bands, h, w] -> uint8 [h, w, 3]: the first three bands, or one repeated."""
    bands = bands[:3] if len(bands) >= 3 else np.repeat(bands[:1], 3, axis=0)
    if stretch is not None:
        low, high = stretch
        bands = np.clip((np.nan_to_num(bands.astype(np.float32)) - low) * (255 / (high - low)), 0, 255).round()
    return np.ascontiguousarray(bands.astype(np.uint8).transpose(1, 2, 0))
