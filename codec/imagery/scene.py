"""What is on the ground: an image file, a folder of them, or the built-in procedural scene, read window by
window.

How a file becomes 8-bit RGB is `reader.py`'s; here it is decided which file a round looks at."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from codec.imagery.reader import SUFFIXES, ImageFile, open_image
from codec.imagery.scaling import Bands
from constellation.common.errors import UserError
from constellation.scenario.imaging import SceneKnobs

MAX_NOTES = 20  # of files that a folder skips
_SCENE_STREAM = 0x5CE9E  # names the random stream that orders the images of a folder


@dataclass(frozen=True)
class Scene:
    """One image of the ground, `height` x `width` px: 8-bit RGB, or 16-bit counts of a codec's own bands.

    real: whether it is a picture (False: the procedural scene). source: one sentence for the report. notes:
    what was skipped, and why. valid: where the picture shows anything, as windows of np.bool_ [height,
    width]; None: everywhere. Hidden cells read as zero. path: its file; None: the procedural scene. bands:
    of 16-bit counts, np.uint16 [height, width, bands]; 0: 8-bit RGB."""

    name: str
    height: int
    width: int
    real: bool
    source: str
    reader: Callable[[int, int, int, int], np.ndarray] = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()
    valid: Callable[[int, int, int, int], np.ndarray] | None = field(default=None, repr=False, compare=False)
    path: Path | None = None
    bands: int = 0

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


def open_scene(
    knobs: SceneKnobs, seed: int, round: int, window_px: int = 1, scaled: Bands | None = None
) -> Scene:
    """The scene of one round. Of a folder, the images not smaller than `window_px` take turns, in an order
    drawn from `seed`. scaled: the bands of a codec for other pictures than 8-bit RGB.

    Raises `UserError` where `scene.path` is absent, unreadable, smaller than the window, or a folder without
    a usable image."""
    if not knobs.path:
        if scaled is not None:
            raise UserError(
                f"scene.path: missing; the codec has {scaled.count} bands, the built-in scene is RGB"
            )
        return _procedural(knobs, seed, window_px)
    try:
        path = Path(knobs.path).expanduser()
        path.stat()
        if path.is_dir():
            return _of_folder(path, _Reading(knobs, window_px, scaled), seed, round)
    except FileNotFoundError:
        raise UserError(f"scene.path={knobs.path}: no such file or folder") from None
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # a circle of links, no permission, no such user's home
        raise UserError(f"scene.path={knobs.path}: {getattr(error, 'strerror', None) or error}") from None
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"scene.path={knobs.path}: expected an image ({', '.join(SUFFIXES)}) or a folder of them"
        )
    return _of_file(_opened(path, _Reading(knobs, window_px, scaled)), knobs)


def default_data_folder() -> Path | None:
    """The folder of real images: DLRC_DATA, or `../shared/data` beside the repository; None where there is
    none."""
    named = os.environ.get("DLRC_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


@dataclass(frozen=True)
class _Reading:
    """How files are read, and how large they must be at least."""

    knobs: SceneKnobs
    window_px: int
    scaled: Bands | None


def _opened(path: Path, reading: _Reading) -> ImageFile:
    """The file as knobs and codec read it. Raises `UserError` where it cannot be read or is smaller than the
    window."""
    knobs, window_px = reading.knobs, reading.window_px
    bands = tuple(int(number) for number in knobs.bands.split(",")) if knobs.bands else ()
    if reading.scaled is None and len(bands) not in (0, 1, 3):
        raise UserError(f"scene.bands={knobs.bands}: expected one number or three, the codec sees RGB")
    image = open_image(path, f"scene.path={path}", bands, knobs.scale_16bit, reading.scaled)
    height, width = image.layout.height, image.layout.width
    if min(height, width) < window_px:
        raise UserError(f"scene.path={path}: {width}x{height} px, smaller than the window of {window_px} px")
    return image


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


def _of_file(image: ImageFile, knobs: SceneKnobs, notes: tuple[str, ...] = ()) -> Scene:
    layout, name = image.layout, image.path.name
    details = [*layout.notes]
    if image.scaled is not None:
        details.append(f"{image.scaled.count} bands of {layout.dtype} by the codec's own scales")
    elif layout.dtype != "uint8" and not layout.palette:
        details.append(f"{layout.dtype} scaled by scene.scale_16bit={knobs.scale_16bit}")
    source = f"{name}, {layout.width}x{layout.height} px" + "".join(f", {text}" for text in details)
    valid = image.read_valid if layout.masked else None
    bands = 0 if image.scaled is None else image.scaled.count
    size = layout.height, layout.width
    return Scene(name, *size, True, source, image.read, notes, valid, image.path, bands)


def _of_folder(folder: Path, reading: _Reading, seed: int, round: int) -> Scene:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UserError(f"scene.path={folder}: no image in this folder ({', '.join(SUFFIXES)})")
    usable, notes = [], []
    for path in files:
        try:
            usable.append(_opened(path, reading))
        except UserError as error:
            notes.append("skipped " + str(error).removeprefix(f"scene.path={folder}{os.sep}"))
    if not usable:
        raise UserError(f"scene.path={folder}: none of its {len(files)} images is usable; first: {notes[0]}")
    if len(notes) > MAX_NOTES:
        notes[MAX_NOTES:] = [f"skipped {len(notes) - MAX_NOTES} more files of {folder}"]
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, _SCENE_STREAM])))
    image = usable[stream.permutation(len(usable))[round % len(usable)]]
    return _of_file(image, reading.knobs, tuple(notes))
