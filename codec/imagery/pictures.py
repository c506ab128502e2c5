"""Image files of any size as windows of 8-bit RGB: the readers behind `codec/training/data.py`."""

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

from constellation.common.errors import UserError

RASTER_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", *RASTER_SUFFIXES)
MAX_MEMORY_PIXELS = 64 << 20  # of a PNG, JPEG or WebP kept in memory; larger ones go through a temporary file
MAX_PICTURE_PIXELS = 4 << 30  # STAR's largest picture has 0.9e9
CACHE_BYTES = 2 << 30  # decoded pictures kept in memory, the least recently used first out
# what the suffixes promise: a VRT would read whatever files it names
DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
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
    """The reader that suits a file's type and size. Raises `UserError` where its header cannot be read or its
    size is beyond reason."""
    if path.suffix.lower() in RASTER_SUFFIXES:
        with _open_raster(path, name) as raster:
            return RasterFile(path, name, raster.height, raster.width)
    height, width, wide = _picture_size(path, name)
    if height * width > MAX_PICTURE_PIXELS:
        raise UserError(
            f"data {name}: {width} x {height} px, expected at most {MAX_PICTURE_PIXELS} px in all"
        )
    if wide:
        return RasterFile(path, name, height, width)
    kind = PictureFile if height * width <= MAX_MEMORY_PIXELS else MappedFile
    return kind(path, name, height, width, cache)


def _picture_size(path: Path, name: str) -> tuple[int, int, bool]:
    """(height, width, whether its one band is wider than 8 bits) from the header."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.height, image.width, image.mode[0] in "IF"
    except Image.DecompressionBombError:
        with _open_raster(path, name) as raster:
            return raster.height, raster.width, raster.dtypes[0] != "uint8"
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"data {name}: not a readable picture ({error})") from None


def _open_raster(path: Path, name: str):
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path, driver=DRIVERS[path.suffix.lower()])
    except RasterioError as error:
        raise UserError(f"data {name}: not a readable raster ({error})") from None


def _read_rgb(raster, name: str, window, stretch: tuple[float, float] | None) -> np.ndarray:
    """uint8 [h, w, 3] of a window: the first three bands, one band three times, or the colours of a palette;
    black where there is no data.

    Samples wider than 8 bits are stretched from `stretch` to 0..255.
    """
    from rasterio.enums import ColorInterp
    from rasterio.errors import RasterioError

    try:
        bands = np.ma.asarray(
            raster.read(_rgb_bands(raster), window=window, masked=raster.nodata is not None)
        )
        if raster.colorinterp[0] == ColorInterp.palette:
            table = np.zeros((256, 3), np.uint8)
            for index, colour in raster.colormap(1).items():
                table[index] = colour[:3]
            return table[bands.filled(0)[0]]
    except (RasterioError, ValueError, IndexError) as error:
        raise UserError(f"data {name}: cannot be decoded ({str(error).splitlines()[0]})") from None
    if stretch is not None:
        low, high = stretch
        bands = np.ma.masked_invalid(bands.astype(np.float32))
        bands = np.clip((bands - low) * (255 / (high - low)), 0, 255).round()
    pixels = bands.filled(0).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0))


def _rgb_bands(raster) -> list[int]:
    return [1, 2, 3] if raster.count >= 3 else [1]


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
    """A PNG, JPEG or WebP too large for memory: decoded once, strip by strip, into a memory-mapped file of
    the temporary folder."""

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
        key = hashlib.sha256(
            f"{self.path.resolve()} {status.st_size} {status.st_mtime_ns}".encode()
        ).hexdigest()[:24]
        target = Path(tempfile.gettempdir()) / f"codec-pixels-{key}.npy"
        if not target.exists():
            self._decode_to(target)
        return np.load(target, mmap_mode="r")

    def _decode_to(self, target: Path) -> None:
        from rasterio.windows import Window

        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        try:
            pixels = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=np.uint8, shape=(self.height, self.width, 3)
            )
            with open(temporary, "r+b") as file:
                os.posix_fallocate(
                    file.fileno(), 0, temporary.stat().st_size
                )  # a full disk is an error here, and a bus error in the map
            with _open_raster(self.path, self.name) as raster:
                for top in range(0, self.height, STRIP_ROWS):
                    rows = min(STRIP_ROWS, self.height - top)
                    pixels[top : top + rows] = _read_rgb(
                        raster, self.name, Window(0, top, self.width, rows), None
                    )
            pixels.flush()
            os.replace(temporary, target)
        except OSError as error:
            raise UserError(
                f"data {self.name}: no room in {target.parent} for its {3 * self.height * self.width} bytes ({error.strerror})"
            ) from None
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
            return _read_rgb(raster, self.name, Window(left, top, width, height), self._stretch)

    @cached_property
    def _stretch(self) -> tuple[float, float] | None:
        """(low, high) of samples wider than 8 bits, from a decimated read of the whole; None for 8-bit
        samples."""
        from rasterio.errors import RasterioError

        with _open_raster(self.path, self.name) as raster:
            if raster.dtypes[0] == "uint8":
                return None
            scale = max(1.0, max(self.height, self.width) / STRETCH_SAMPLE_PX)
            bands, shape = (
                _rgb_bands(raster),
                (max(1, int(self.height / scale)), max(1, int(self.width / scale))),
            )
            try:
                sample = raster.read(bands, out_shape=(len(bands), *shape), masked=raster.nodata is not None)
            except RasterioError as error:
                raise UserError(
                    f"data {self.name}: cannot be decoded ({str(error).splitlines()[0]})"
                ) from None
        values = np.ma.asarray(sample).compressed()
        values = values[np.isfinite(values)]
        if not values.size:
            return 0.0, 1.0
        low, high = np.percentile(values.astype(np.float64), STRETCH_PERCENTILES)
        return float(low), float(max(high, low + 1e-6))
