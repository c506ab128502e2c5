"""Training pictures: random crops streamed from images of any size, and two public data sets' layouts.

What `open_pictures(path)` understands, `path` being a file or a folder that is searched to any depth:

- PNG, JPEG, WebP: decoded once and kept in memory while they fit, or, above 64 megapixels, in a temporary
  file.
- TIFF, GeoTIFF: read in windows, never whole.
- STAR (Li et al., TPAMI 2025): `img/*.png` (any depth, `train/img`, `val/img`), up to 27,860 x 31,096 px.
  Where a folder `img` exists, only what lies in such folders is read, so annotations and masks beside it are
  left alone.
- EarthView (Satellogic, arXiv:2501.08111): `*.parquet`, one place per row; column `rgb` holds nested lists
  [revisits, 3, H, W] of uint8 (384 x 384 px at 1 m), `1m` the near infrared (not used here), `metadata`
  bounds, times and view angles. Every revisit counts as a picture.

Files are read by the reader that satellites use (`codec/imagery/reader.py`): depth, bands, palettes and
hidden cells are treated alike; hidden cells are black.

Which crop a step sees is a function of (seed, step, place in the global batch) alone: no iterator has a
position to save, so a resumed run sees the same crops, and a run on two processes sees those of one process
with twice the batch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from codec.imagery.earthview import open_earthview
from codec.imagery.pictures import Picture, PixelCache, open_picture_file, open_samples
from codec.imagery.reader import SUFFIXES, read_samples
from codec.imagery.scaling import Bands, of_training
from constellation.common.errors import UserError

VALIDATION_CROPS, VALIDATION_PX, VALIDATION_SEED = 12, 256, 12345
SHARE_SHRUNK = 0.7  # of the crops, where any are


def open_bands(path: str | Path, bands: str, scaled: Bands | None, key: str = "data") -> list[Picture]:
    """Every picture under `path` as bands of 16-bit counts. bands: numbers by commas, or all. scaled: of each
    band; None: from these pictures. Raises `UserError`."""
    chosen = () if bands == "all" else tuple(int(number) for number in bands.split(","))
    base, files = _files(path, key)
    named = [(file, file.relative_to(base).as_posix()) for file in files if file.suffix.lower() in SUFFIXES]
    if not named:
        raise UserError(f"{key}={path}: no pictures found, expected {', '.join(SUFFIXES)}")
    if scaled is None:
        try:
            scaled = of_training([read_samples(file, f"{key} {name}", chosen) for file, name in named])
        except ValueError as error:
            raise UserError(f"{key}={path}: {error}; bands= chooses some that all have") from None
    return [open_samples(file, name, chosen, scaled) for file, name in named]


def open_data(path: str | Path, key: str, bands: str, scaled: Bands | None) -> list[Picture]:
    """`open_bands`, or where none are named `open_pictures`. Raises `UserError`."""
    return open_bands(path, bands, scaled, key) if bands else open_pictures(path, key)


def scales_of(pictures: list[Picture]) -> Bands | None:
    """What the pictures' samples are scaled by; None for 8-bit RGB."""
    image = getattr(pictures[0], "image", None)
    return None if image is None else image.scaled


def open_pictures(path: str | Path, key: str = "data") -> list[Picture]:
    """Every picture under `path`, sorted by name; pixels are read later. Raises `UserError` for a file that
    cannot be read, or none; `key`: the command line's word for it."""
    base, files = _files(path, key)
    cache, pictures = PixelCache(), []
    for file in files:
        name = file.relative_to(base).as_posix()
        if file.suffix.lower() == ".parquet":
            pictures += open_earthview(file, name, cache)
        elif file.suffix.lower() in SUFFIXES:
            pictures.append(open_picture_file(file, name, cache))
    if not pictures:
        raise UserError(f"{key}={path}: no pictures found, expected {', '.join(SUFFIXES)} or .parquet")
    return pictures


def _files(path: str | Path, key: str) -> tuple[Path, list[Path]]:
    """(what names are below, files that may be pictures, sorted). Raises `UserError`."""
    root = Path(path)
    try:
        root.stat()
        files = sorted(_files_below(root)) if root.is_dir() else [root]
    except FileNotFoundError:
        raise UserError(f"{key}={path}: no such file or folder") from None
    except (OSError, ValueError) as error:  # a circle of links, no permission, a name that cannot be
        raise UserError(f"{key}={path}: {getattr(error, 'strerror', None) or error}") from None
    base = root if root.is_dir() else root.parent
    if any("img" in p.relative_to(base).parts[:-1] for p in files):
        files = [p for p in files if "img" in p.relative_to(base).parts[:-1]]
    return base, files


def _files_below(folder: Path) -> Iterator[Path]:
    """Files at any depth; links to folders are not followed, so a circle of them ends. Raises `OSError` for a
    folder that cannot be listed."""

    def refuse(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from (path for path in (Path(parent, name) for name in names) if path.is_file())


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
    half of the cases. shrink: above 1, SHARE_SHRUNK of them are up to so many times as large, as far as the
    picture is, and made small, and all are turned by quarters."""

    def __init__(self, pictures: list[Picture], crop_px: int, seed: int, shrink: float = 1.0) -> None:
        self.pictures = [p for p in pictures if min(p.height, p.width) >= crop_px]
        if not self.pictures:
            largest = max((min(p.height, p.width) for p in pictures), default=0)
            raise UserError(
                f"crop={crop_px}: no picture is that large, the largest has {largest} px on its shorter side"
            )
        areas = np.array([p.height * p.width for p in self.pictures], dtype=np.float64)
        self.cumulative, self.crop_px, self.seed = np.cumsum(areas / areas.sum()), crop_px, seed
        self.shrink = shrink

    def batch(self, step: int, slots: range) -> np.ndarray:
        """uint8 (samples: uint16) [len(slots), bands, crop, crop]: a pure function of (seed, step, slot)."""
        return np.stack([self._crop(step, slot) for slot in slots])

    def picture_of(self, step: int, slot: int) -> Picture:
        """The picture that a crop is of."""
        return self._draw(step, slot)[0]

    def _draw(self, step: int, slot: int) -> tuple[Picture, np.random.Generator]:
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, step, slot))))
        index = min(
            int(np.searchsorted(self.cumulative, random.random(), side="right")), len(self.pictures) - 1
        )
        return self.pictures[index], random

    def _crop(self, step: int, slot: int) -> np.ndarray:
        (picture, random), size = self._draw(step, slot), self.crop_px
        extent = size
        if self.shrink > 1 and random.random() < SHARE_SHRUNK:
            most = min(self.shrink, min(picture.height, picture.width) / size)
            extent = round(size * (1 + random.random() * (most - 1)))
        top = int(random.integers(picture.height - extent + 1))
        left = int(random.integers(picture.width - extent + 1))
        pixels = picture.read(top, left, extent, extent)
        if random.random() < 0.5:
            pixels = pixels[:, ::-1]
        if self.shrink > 1:
            pixels = np.rot90(pixels, int(random.integers(4)))
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return pixels if extent == size else shrunk(pixels, size)


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """Pixels [bands, S, S], uint8 or uint16, as [bands, side, side] of the same type: bicubic, low-pass
    first."""
    values = torch.from_numpy(pixels.astype(np.float32))[None]
    small = F.interpolate(values, (side, side), mode="bicubic", antialias=True, align_corners=False)[0]
    return small.round().clamp(0, np.iinfo(pixels.dtype).max).numpy().astype(pixels.dtype)


def validation_crops(
    held_out: list[Picture], training: list[Picture], crop_px: int, given: bool
) -> np.ndarray:
    """uint8 [VALIDATION_CROPS, 3, P, P] of held-out pictures: P = VALIDATION_PX, or `crop_px` where none is
    as large. Where even that is more than they have: of the training pictures, unless they were `given` by
    val=. Raises `UserError`."""
    smallest = min(crop_px, VALIDATION_PX)
    for pictures, px in [(held_out, VALIDATION_PX), (held_out, smallest)] + (
        [] if given else [(training, smallest)]
    ):
        if any(min(p.height, p.width) >= px for p in pictures):
            if pictures is training and training is not held_out:
                print(f"note: no held-out picture of {px} px; validation is on training pictures", flush=True)
            return CropSampler(pictures, px, VALIDATION_SEED).batch(0, range(VALIDATION_CROPS))
    raise UserError(f"val=: no picture of {smallest} px on its shorter side")
