"""Pictures to train on: random windows, many times over, of image files of any size.

TIFFs are read in windows from the disk. Formats that are decoded from their top down are decoded once: into a
cache in memory while they fit, else into a temporary file that is private (it has no name) and vanishes with
the process."""

from __future__ import annotations

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

from codec.imagery.reader import ImageFile, open_image
from codec.imagery.scaling import Bands
from constellation.common.errors import UserError

MAX_MEMORY_PIXELS = 64 << 20  # of a picture kept in memory; larger ones go through a temporary file
CACHE_BYTES = 2 << 30  # decoded pictures kept in memory, the least recently used first out
STRIP_ROWS = 256  # decoded at a time


class Picture(Protocol):
    """One picture that can be read in windows."""

    @property
    def name(self) -> str:
        """Path below the data folder, "/" between parts."""
        ...

    @property
    def height(self) -> int:
        """In px."""
        ...

    @property
    def width(self) -> int:
        """In px."""
        ...

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """np.uint8 [height, width, 3], or np.uint16 [height, width, bands] of pictures of samples; the window
        lies inside the picture."""
        ...


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


def open_samples(path: Path, name: str, chosen: tuple[int, ...], scaled: Bands) -> Picture:
    """A file of bands of samples, as 16-bit counts by the scale of each. Raises `UserError`."""
    return WindowedPicture(name, open_image(path, f"data {name}", chosen, scaled=scaled))


def open_picture_file(path: Path, name: str, cache: PixelCache) -> Picture:
    """The reader that suits a file's format and size. Raises `UserError` where its header cannot be read or
    its size is beyond reason."""
    image = open_image(path, f"data {name}")
    if image.layout.driver == "GTiff":
        return WindowedPicture(name, image)
    fits = image.layout.height * image.layout.width <= MAX_MEMORY_PIXELS
    return HeldPicture(name, image, cache) if fits else MappedPicture(name, image)


@dataclass(frozen=True)
class WindowedPicture:
    """A TIFF or GeoTIFF, read from the disk: a tiled one touches only the tiles of the window."""

    name: str
    image: ImageFile

    @property
    def height(self) -> int:
        return self.image.layout.height

    @property
    def width(self) -> int:
        return self.image.layout.width

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        return self.image.read(top, left, height, width)


@dataclass(frozen=True)
class HeldPicture(WindowedPicture):
    """A PNG, JPEG or WebP that fits in memory: decoded once, kept in the cache."""

    cache: PixelCache = field(repr=False, compare=False)

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        return self.cache.get(self.name, lambda: decode(self.image))[top : top + height, left : left + width]


@dataclass(frozen=True)
class MappedPicture(WindowedPicture):
    """A PNG, JPEG or WebP too large for memory: decoded once, strip by strip, into a file of this process
    alone."""

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        return np.array(self._pixels[top : top + height, left : left + width])

    @cached_property
    def _pixels(self) -> np.ndarray:
        shape, folder = (self.height, self.width, 3), tempfile.gettempdir()
        size = 3 * self.height * self.width
        try:
            # No name: nobody can put another file in its place, and it is gone however the process ends
            with tempfile.TemporaryFile(dir=folder) as file:
                os.posix_fallocate(
                    file.fileno(), 0, size
                )  # a full disk is an error here, a bus error in the map
                pixels = np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
        except OSError as error:
            raise UserError(
                f"data {self.name}: no room in {folder} for its {size} bytes ({error.strerror})"
            ) from None
        _decode_strips(self.image, pixels)
        return pixels


def decode(image: ImageFile) -> np.ndarray:
    """All of an image, np.uint8 [H, W, 3]. Raises `UserError`."""
    if image.layout.driver == "JPEG" and image.layout.dtype == "uint8":
        return _decode_jpeg(image)
    pixels = np.empty((image.layout.height, image.layout.width, 3), dtype=np.uint8)
    _decode_strips(image, pixels)
    return pixels


def _decode_strips(image: ImageFile, pixels: np.ndarray) -> None:
    """All of an image into `pixels`, np.uint8 [H, W, 3]."""
    top = 0
    for strip in image.strips(STRIP_ROWS):
        pixels[top : top + len(strip)] = strip
        top += len(strip)


def _decode_jpeg(image: ImageFile) -> np.ndarray:
    """A JPEG by Pillow's decoder, which the shipped weights were trained with: it and GDAL's differ in how
    chroma is brought to full size."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(image.path, formats=("JPEG",)) as opened:
                return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{image.label}: not a readable image: {error}") from None
