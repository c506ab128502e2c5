"""What is on the ground: an image file, a folder of them, or the built-in procedural scene, read window by
window.

All formats (PNG, JPEG, TIFF, GeoTIFF, WebP) are read through rasterio, so a window of a 16,000 px image costs
the window, some blocks or scan lines of the file and a bounded cache. WebP is the exception: its decoder
needs the whole image, so its size is limited.

A scene is always 8-bit RGB. The rule for everything else:
* one band (or one and alpha): repeated three times; three bands: as they are; more: the first three, said in
  `Scene.source`;
* alpha is dropped; a palette is looked up; CMYK and YCbCr are converted by the format's driver;
* 16-bit samples, `scene.scale_16bit=percentile`: the 2nd to 98th percentile of the used bands together, over
  a decimated overview (at most 512 px a side) of the whole image without its no-data cells, become 0 to 255
  linearly, clipped. So every window of an image is scaled alike, colours keep their balance, and the result
  depends on the file alone;
* 16-bit samples, `scene.scale_16bit=full`: 0 to 65535 (int16: 0 to 32767) become 0 to 255 linearly, clipped;
* other sample types are refused.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from constellation.common.errors import UserError
from constellation.scenario.scenario import SceneKnobs

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
MAX_SIDE_PX = 1 << 20
MAX_WHOLE_PIXELS = 1 << 27  # of a format that cannot be read in windows (WebP): 384 MiB as RGB
MAX_BLOCK_BYTES = 1 << 28  # of one tile or strip, which is decoded whole
OVERVIEW_PX = 512
PERCENTILES = (2.0, 98.0)

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
    # Side files (.aux.xml, .ovr, .tfw) do not change what is read
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",  # and none is written
    "GDAL_CACHEMAX": 128_000_000,  # bytes
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",  # a truncated JPEG is an error, not grey
    "GDAL_NUM_THREADS": "1",
}
_SCENE_STREAM = 0x5CE9E  # names the random stream that orders the images of a folder


@dataclass(frozen=True)
class Scene:
    """One image of the ground, 8-bit RGB, `height` x `width` px.

    real: whether it is a picture (False: the procedural scene). source: one sentence for the report. notes:
    what was skipped, and why. valid: where the picture shows anything, as windows of np.bool_ [height, width]; None:
    everywhere. Hidden cells read as zero."""

    name: str
    height: int
    width: int
    real: bool
    source: str
    reader: Callable[[int, int, int, int], np.ndarray] = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()
    valid: Callable[[int, int, int, int], np.ndarray] | None = field(default=None, repr=False, compare=False)

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """The window with top left corner (row, col), np.uint8 [height, width, 3]; it must lie inside the
        scene.

        Raises `UserError` where the file turns out to be damaged.
        """
        self._check(row, col, height, width)
        return self.reader(row, col, height, width)

    def read_valid(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """Which pixels of that window show anything, np.bool_ [height, width]."""
        self._check(row, col, height, width)
        if self.valid is None:
            return np.ones((height, width), dtype=bool)
        return self.valid(row, col, height, width)

    def _check(self, row: int, col: int, height: int, width: int) -> None:
        inside = 0 <= row < row + height <= self.height and 0 <= col < col + width <= self.width
        if not inside:
            raise ValueError(
                f"window {height}x{width} at ({row}, {col}) leaves the scene of {self.height}x{self.width} px"
            )


def open_scene(knobs: SceneKnobs, seed: int, round: int, window_px: int = 1) -> Scene:
    """The scene of one round. Of a folder, the images not smaller than `window_px` take turns, in an order
    drawn from `seed`.

    Raises `UserError` where `scene.path` is absent, unreadable, smaller than the window, or a folder without
    a usable image."""
    if not knobs.path:
        return _procedural(knobs, seed, window_px)
    path = Path(knobs.path).expanduser()
    if path.is_dir():
        return _of_folder(path, knobs, seed, round, window_px)
    if not path.is_file():
        raise UserError(f"scene.path={knobs.path}: no such file or folder")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"scene.path={knobs.path}: expected an image ({', '.join(SUFFIXES)}) or a folder of them"
        )
    info = _inspect(path)
    _check_size(str(path), info.height, info.width, window_px)
    return _of_file(path, info, knobs)


def default_data_folder() -> Path | None:
    """The folder of real images: DLRC_DATA, or `../shared/data` beside the repository; None where there is
    none."""
    named = os.environ.get("DLRC_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


def _check_size(path: str, height: int, width: int, window_px: int) -> None:
    if min(height, width) < window_px:
        raise UserError(f"scene.path={path}: {width}x{height} px, smaller than the window of {window_px} px")


def _procedural(knobs: SceneKnobs, seed: int, window_px: int) -> Scene:
    from codec.imagery.procedural import render

    if knobs.size_px < window_px:
        raise UserError(f"scene.size_px={knobs.size_px}: smaller than the window of {window_px} px")
    return Scene(
        name=f"procedural-{seed}",
        height=knobs.size_px,
        width=knobs.size_px,
        real=False,
        source=f"built-in procedural scene, seed {seed}; give scene.path= for real images",
        reader=functools.partial(render, seed),
    )


# ---------------------------------------------------------------- files


@dataclass(frozen=True)
class _Info:
    """What the header of an image says. bands: the 1-based bands that are read (one or three). note: what is
    left out, or empty."""

    height: int
    width: int
    dtype: str
    bands: tuple[int, ...]
    palette: bool
    note: str


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The rasterio data set at `path`; whatever goes wrong with the file becomes a one-line `UserError`."""
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    logging.getLogger("rasterio").addHandler(logging.NullHandler())  # its errors arrive as exceptions
    try:
        with warnings.catch_warnings(), rasterio.Env(**_GDAL):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path.resolve(), driver=_driver(path)) as dataset:
                yield dataset
    except (RasterioError, CPLE_BaseError, OSError, MemoryError) as error:
        reason = str(error.__cause__ or error).replace(str(path), path.name)
        raise UserError(f"scene.path={path}: not a readable image: {reason[:200]}") from None


def _driver(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    for magic, driver in _DRIVERS.items():
        if head.startswith(magic):
            return driver
    raise OSError(f"it starts with {head!r}, expected PNG, JPEG, TIFF or WebP")


def _inspect(path: Path) -> _Info:
    """Read and check the header; raises `UserError` for what this project cannot or should not read."""
    stat = path.stat()
    return _inspect_cached(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=4096)
def _inspect_cached(path: Path, _mtime_ns: int, _size: int) -> _Info:
    from rasterio.enums import ColorInterp

    with _opened(path) as dataset:
        height, width, dtypes = dataset.height, dataset.width, set(dataset.dtypes)
        colours, driver, blocks = dataset.colorinterp, dataset.driver, dataset.block_shapes
    if max(height, width) > MAX_SIDE_PX or (driver == "WEBP" and height * width > MAX_WHOLE_PIXELS):
        raise UserError(f"scene.path={path}: {width}x{height} px, more than this project reads of {driver}")
    kinds = sorted(dtypes)
    if kinds not in (["uint8"], ["uint16"], ["int16"]):
        raise UserError(
            f"scene.path={path}: samples are {', '.join(kinds)}, expected 8-bit or 16-bit integers"
        )
    if max(rows * cols for rows, cols in blocks) * len(colours) * 2 > MAX_BLOCK_BYTES:
        raise UserError(
            f"scene.path={path}: stored as blocks of {blocks[0]} px, too large to read; store it tiled"
        )
    usable = [band for band, colour in enumerate(colours, start=1) if colour != ColorInterp.alpha]
    if not usable:
        raise UserError(f"scene.path={path}: no band besides alpha")
    bands = tuple(usable[:3]) if len(usable) >= 3 else (usable[0],)
    note = f"bands {', '.join(map(str, bands))} of {len(usable)}" if len(usable) not in (1, 3) else ""
    return _Info(height, width, kinds[0], bands, colours[0] == ColorInterp.palette, note)


def _of_file(path: Path, info: _Info, knobs: SceneKnobs, notes: tuple[str, ...] = ()) -> Scene:
    details = [text for text in (info.note, _scale_text(info, knobs)) if text]
    source = f"{path.name}, {info.width}x{info.height} px" + "".join(f", {text}" for text in details)
    stat = path.stat()
    reader = functools.partial(_read_window, path, info, knobs.scale_16bit, stat.st_mtime_ns)
    return Scene(path.name, info.height, info.width, True, source, reader, notes)


def _scale_text(info: _Info, knobs: SceneKnobs) -> str:
    return "" if info.dtype == "uint8" else f"{info.dtype} scaled by scene.scale_16bit={knobs.scale_16bit}"


def _read_window(
    path: Path, info: _Info, rule: str, mtime_ns: int, row: int, col: int, height: int, width: int
) -> np.ndarray:
    from rasterio.windows import Window

    low, high = (0.0, 255.0) if info.dtype == "uint8" else _range_16bit(path, info, rule, mtime_ns)
    with _opened(path) as dataset:
        samples = dataset.read(
            list(info.bands), window=Window(col, row, width, height)
        )  # [bands, height, width]
        palette = dataset.colormap(1) if info.palette else None
    if palette is not None:
        table = np.array([palette.get(index, (0, 0, 0))[:3] for index in range(256)], dtype=np.uint8)
        return table[samples[0]]
    if info.dtype != "uint8":
        samples = _to_8bit(samples, low, high)
    if len(samples) == 1:
        samples = np.repeat(samples, 3, axis=0)
    return np.ascontiguousarray(samples.transpose(1, 2, 0))


def _to_8bit(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    """Linear from [low, high] to [0, 255], clipped, rounded; np.uint8 of the same shape."""
    scaled = (samples.astype(np.float64) - low) * 255.0 / max(high - low, 1.0)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=256)
def _range_16bit(path: Path, info: _Info, rule: str, _mtime_ns: int) -> tuple[float, float]:
    if rule == "full":
        return 0.0, float(np.iinfo(info.dtype).max)
    with _opened(path) as dataset:
        shape = (len(info.bands), min(info.height, OVERVIEW_PX), min(info.width, OVERVIEW_PX))
        overview = dataset.read(list(info.bands), out_shape=shape, masked=True)
    values = overview.compressed()
    if values.size == 0:
        return 0.0, float(np.iinfo(info.dtype).max)
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)


# ---------------------------------------------------------------- folders


def _of_folder(folder: Path, knobs: SceneKnobs, seed: int, round: int, window_px: int) -> Scene:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UserError(f"scene.path={folder}: no image in this folder ({', '.join(SUFFIXES)})")
    usable, notes = [], []
    for path in files:
        try:
            info = _inspect(path)
            _check_size(path.name, info.height, info.width, window_px)
        except UserError as error:
            notes.append("skipped " + str(error).removeprefix("scene.path="))
        else:
            usable.append((path, info))
    if not usable:
        raise UserError(f"scene.path={folder}: none of its {len(files)} images is usable; first: {notes[0]}")
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, _SCENE_STREAM])))
    path, info = usable[stream.permutation(len(usable))[round % len(usable)]]
    return _of_file(path, info, knobs, tuple(notes))
