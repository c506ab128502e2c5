"""The one reader of image files, for training and for flight: any PNG, JPEG, WebP, TIFF or GeoTIFF as 8-bit
RGB, window by window.

The file is asked for everything (`layout.py`), and nothing beside it: side files (.aux.xml, .ovr, .msk, .tfw)
are neither read nor written, so two people with the same file see the same pixels. The rules:

* bands named red, green and blue, in words or by the format's tags, are those; else the first three; else the
  first one, three times. The caller may choose others;
* alpha is no colour: cells of alpha 0 are hidden, all others are read as they are. Also hidden are cells
  outside a mask, cells in which every band that is read has the no-data value, and cells without a finite
  number in each of them. Hidden cells are zero, and `read_valid` says which they are;
* a palette of any depth is looked up; where 0 is white, counts are turned round; CMYK and YCbCr of 8 bits are
  converted by the format's driver, other colour spaces are refused;
* samples become 8 bits by `scaling.py`, alike in every window;
* for a codec of other pictures all of its bands are read, with the scale that it was trained with, as
  16-bit counts;
* EXIF's orientation is not applied: rows are as stored, as they are in the file's own coordinates.

Files are opened and read through rasterio (GDAL), so a window of a 16,000 px image costs the window, some
blocks or scan lines of the file and a bounded cache."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codec.imagery.layout import Layout, UnreadableError, layout_of, layout_of_bands
from codec.imagery.scaling import Bands, of_depth, of_percentiles
from constellation.common.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
OVERVIEW_PX = 512  # side of the decimated read that percentiles are taken from
OPEN_FILES = 1 << 16  # whose headers are remembered
_last = threading.local()  # key: of the file that this thread read last; dataset: it, where it stays open

_DRIVERS = {  # by first bytes, so that no file can smuggle in a VRT or a remote data set
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
}
_GDAL = {
    # Side files do not change what is read
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",  # and none is written
    "GDAL_CACHEMAX": 128_000_000,  # bytes
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",  # a truncated JPEG is an error, not grey
    "GDAL_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class ImageFile:
    """An image file whose header has been read and found good. label: the words that errors name it by, for
    example `scene.path=a.png`. rule: of `scaling.py`, for samples wider than 8 bits."""

    path: Path
    label: str
    layout: Layout
    rule: str
    scaled: Bands | None = None
    """of a codec for other pictures than 8-bit RGB: every band of the layout becomes 16-bit counts by it"""

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """The window with top left corner (row, col), inside the image: np.uint8 [height, width, 3]; with
        `scaled`, np.uint16 [height, width, bands].

        Raises `UserError` where the file turns out to be damaged."""
        self._prepare()
        with reopened(self.path, self.label) as dataset:
            return self._pixels(dataset, (row, col, height, width))

    def read_valid(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """Which pixels of that window are not hidden, np.bool_ [height, width]. Raises `UserError`."""
        if not self.layout.masked:
            return np.ones((height, width), dtype=bool)
        self._prepare()
        with reopened(self.path, self.label) as dataset:
            window = _window(row, col, height, width)
            return self._valid(dataset, dataset.read(list(self.layout.bands), window=window), window)

    def strips(self, rows: int) -> Iterator[np.ndarray]:
        """The whole image from the top down, np.uint8 [at most `rows`, W, 3] at a time, opened once: formats
        without blocks are decoded once. Raises `UserError`."""
        height, width = self.layout.height, self.layout.width
        self._prepare()
        with opened(self.path, self.label) as dataset:
            for top in range(0, height, rows):
                yield self._pixels(dataset, (top, 0, min(rows, height - top), width))

    def _prepare(self) -> None:
        """Read what all windows share, which opens the file by itself."""
        if self.scaled is None:
            _ = self.palette if self.layout.palette else self.scaling

    def _pixels(self, dataset: Any, place: tuple[int, int, int, int]) -> np.ndarray:
        window, layout = _window(*place), self.layout
        samples = dataset.read(list(layout.bands), window=window)  # [bands, height, width]
        if self.scaled is not None:
            pixels = self.scaled.to_counts(samples).transpose(1, 2, 0)
        elif layout.palette:
            pixels = self._colours(samples)[:, :, :3]
        else:
            counts = self.scaling.to_8bit(samples)
            counts = 255 - counts if layout.inverted else counts
            pixels = np.broadcast_to(counts, (3, *counts.shape[1:])).transpose(1, 2, 0)
        if layout.masked:
            pixels = pixels * self._valid(dataset, samples, window)[:, :, None]
        return np.ascontiguousarray(pixels)

    def _valid(self, dataset: Any, samples: np.ndarray, window: Any) -> np.ndarray:
        """Which pixels of a window that may hide some are not hidden. samples: of the window, [bands, h,
        w]."""
        valid = dataset.read_masks(list(self.layout.bands), window=window).any(axis=0)
        if self.layout.palette:
            valid &= self._colours(samples)[:, :, 3] > 0
        elif self.layout.dtype.startswith("float"):
            valid &= np.isfinite(samples).all(axis=0)
        return valid

    def _colours(self, samples: np.ndarray) -> np.ndarray:
        return self.palette[np.minimum(samples[0], len(self.palette) - 1)]

    @functools.cached_property
    def palette(self) -> np.ndarray:
        """Red, green, blue, alpha by number, np.uint8 [colours + 1, 4]; the last, black and hidden, stands
        for all numbers without a colour. Raises `UserError`."""
        with opened(self.path, self.label) as dataset:
            colours = dataset.colormap(self.layout.bands[0])
        table = np.zeros((max(colours, default=-1) + 2, 4), dtype=np.uint8)
        table[list(colours)] = list(colours.values())
        table.flags.writeable = False
        return table

    @functools.cached_property
    def scaling(self) -> Bands:
        """From the whole file, so it is the same for every window. Raises `UserError`."""
        layout = self.layout
        count, kind = len(layout.bands), np.dtype(layout.dtype).kind
        if layout.dtype == "uint8":
            return of_depth(count, layout.bits)
        if self.rule == "full":
            if kind == "f":
                raise UserError(
                    f"{self.label}: {layout.dtype} samples have no full range, expected percentile"
                )
            return of_depth(count, layout.bits - (kind == "i"))
        shape = (count, min(layout.height, OVERVIEW_PX), min(layout.width, OVERVIEW_PX))
        with opened(self.path, self.label) as dataset:
            overview = dataset.read(list(layout.bands), out_shape=shape, masked=True)
        try:
            return of_percentiles(count, overview.compressed())
        except ValueError as error:
            raise UserError(f"{self.label}: cannot be scaled to 8 bits: {error}") from None


def open_image(
    path: Path, label: str, bands: tuple[int, ...] = (), rule: str = "percentile", scaled: Bands | None = None
) -> ImageFile:
    """Read and check the header of a file; pixels are read later. bands: 1-based, one or three; empty: the
    file decides. scaled: of a codec for other pictures than 8-bit RGB, whose bands are as many as it has;
    empty: all of the file.

    Raises `UserError` for what this project cannot or should not read."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{label}: not a readable image: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise UserError(f"{label}: not a readable image: no regular file")
    return _open_image(path, label, (bands, rule), scaled, (status.st_mtime_ns, status.st_size))


def read_samples(path: Path, label: str, chosen: tuple[int, ...] = ()) -> np.ndarray:
    """All samples as they are, [bands, H, W], of the chosen bands (1-based; none: all but alpha). Raises
    `UserError`."""
    with opened(path, label) as dataset:
        usable = tuple(b for b, colour in enumerate(dataset.colorinterp, 1) if colour.name != "alpha")
        layout = layout_of(dataset, chosen or usable)
        return dataset.read(list(layout.bands))


@functools.lru_cache(maxsize=OPEN_FILES)
def _open_image(
    path: Path,
    label: str,
    reading: tuple[tuple[int, ...], str],
    scaled: Bands | None,
    _version: tuple[int, int],
) -> ImageFile:
    bands, rule = reading
    with opened(path, label) as dataset:
        if scaled is not None:
            return ImageFile(path, label, layout_of_bands(dataset, bands, scaled.count), rule, scaled)
        return ImageFile(path, label, layout_of(dataset, bands), rule)


@contextlib.contextmanager
def opened(path: Path, label: str) -> Iterator[Any]:
    """The rasterio data set at `path`; whatever goes wrong with the file becomes a one-line `UserError`."""
    with _reading(path, label), _open(path) as dataset:
        yield dataset


@contextlib.contextmanager
def reopened(path: Path, label: str) -> Iterator[Any]:
    """As `opened`, but a file that a thread reads twice in a row stays open until it reads another: a format
    without blocks is then decoded once, and not from its top for every window."""
    with _reading(path, label):
        status = path.stat()
        key = path, status.st_ino, status.st_mtime_ns, status.st_size, os.getpid()
        again = getattr(_last, "key", None) == key
        if not again:
            _last.key, _last.dataset = key, None  # what was kept is closed
        dataset, _last.dataset = _last.dataset or _open(path), None
        try:
            yield dataset
        except BaseException:
            dataset.close()
            raise
        if again:
            _last.dataset = dataset
        else:
            dataset.close()


def _open(path: Path) -> Any:
    import rasterio

    return rasterio.open(path.resolve(), driver=_driver(path))


@contextlib.contextmanager
def _reading(path: Path, label: str) -> Iterator[None]:
    from rasterio import Env
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    _quieten()
    try:
        with warnings.catch_warnings(), Env(**_GDAL):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield
    except (RasterioError, CPLE_BaseError, OSError, MemoryError, UnicodeError, UnreadableError) as error:
        reason = str(error.__cause__ or error).replace(str(path), path.name)
        raise UserError(_printable(f"{label}: not a readable image: {reason[:200]}")) from None


@functools.cache
def _quieten() -> None:
    logging.getLogger("rasterio").addHandler(logging.NullHandler())  # its errors arrive as exceptions


def _driver(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    for magic, driver in _DRIVERS.items():
        if head.startswith(magic):
            return driver
    raise UnreadableError(f"it starts with {head!r}, expected PNG, JPEG, TIFF or WebP")


def _printable(text: str) -> str:
    """File names may hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _window(row: int, col: int, height: int, width: int) -> Any:
    from rasterio.windows import Window

    return Window(col, row, width, height)  # pyright: ignore[reportCallIssue]  # attrs makes its __init__
