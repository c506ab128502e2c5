"""From the scene to a camera's frame, and from a frame to the common map grid.

A pixel of the frame sees the ground that its ray meets, with the terrain in the way; where it is coarser
than the scene, scene pixels are averaged first. A frame is half as large again as the patch that is cut
from it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.sight.camera import Camera
from constellation.sight.earth import geodetic, meet_terrain, point_km
from nodes.sights.ground import Ground

MAX_READ_PX = 1 << 26
_MARGIN = 16  # px: the spline's prefilter has decayed below 1e-8 of a count there


@value
class Frame:
    """What a camera takes. image: float64 [S, S, 3]; seen: bool [S, S], where it shows the scene. origin:
    (row, column) of its first pixel, counted from where the camera looks, px."""

    image: np.ndarray
    seen: np.ndarray
    origin: tuple[float, float]


def frame_of(ground: Ground, camera: Camera, size_px: int, offset_px: tuple[float, float]) -> Frame | None:
    """A frame of a camera around the pixel `offset_px`, (rows, columns) from its middle; None where it shows
    nothing of the scene. Raises `UserError` where a frame covers too much of a fine scene."""
    origin = offset_px[0] - (size_px - 1) / 2, offset_px[1] - (size_px - 1) / 2
    rows, cols = np.meshgrid(*(np.arange(size_px) + first for first in origin), indexing="ij")
    point = meet_terrain(camera.position_km, camera.rays(rows, cols), ground.terrain)
    lon, lat, _ = geodetic(point)
    at = ground.where.pixels(lon, lat)
    image, seen = _sampled(ground, *at)
    return None if image is None else Frame(image, seen, origin)


def _sampled(ground: Ground, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """The scene at float pixel coordinates, [S, S]: float64 [S, S, 3], and where it is in the scene."""
    height, width = ground.where.height, ground.where.width
    with np.errstate(invalid="ignore"):
        seen = (rows >= -0.5) & (rows <= height - 0.5) & (cols >= -0.5) & (cols <= width - 0.5)
    if not seen.any():
        return None, seen
    coarser = max(1, int(np.floor(_step(rows, cols, seen) + 0.25)))
    low = [max(0, int(np.floor(part[seen].min())) - _MARGIN * coarser) for part in (rows, cols)]
    high = [
        min(side, int(np.ceil(part[seen].max())) + 1 + _MARGIN * coarser)
        for part, side in ((rows, height), (cols, width))
    ]
    sides = [h - b for h, b in zip(high, low, strict=True)]
    if sides[0] * sides[1] > MAX_READ_PX:
        raise UserError(
            f"sight.gsd_m: a frame covers {sides[1]}x{sides[0]} px of scene {ground.scene.name}, expected "
            f"at most "
            f"{MAX_READ_PX} in all; give a finer gsd_m, smaller patches or a coarser scene"
        )
    if ground.scene.valid is not None:
        there = ground.scene.read_valid(*low, *sides)
        nearest = [
            np.clip(np.rint(np.where(seen, part, b)).astype(np.int64) - b, 0, side - 1)
            for part, b, side in zip((rows, cols), low, sides, strict=True)
        ]
        seen &= there[nearest[0], nearest[1]]
    block = _averaged(ground.scene.read(*low, *sides), coarser)
    at = [
        (np.where(np.isfinite(part), part, b) - b - (coarser - 1) / 2) / coarser
        for part, b in zip((rows, cols), low, strict=True)
    ]
    image = np.stack(
        [map_coordinates(block[:, :, band], at, order=3, mode="mirror") for band in range(block.shape[2])],
        axis=2,
    )
    return image, seen


def _step(rows: np.ndarray, cols: np.ndarray, seen: np.ndarray) -> float:
    """How many scene pixels a frame's pixel is wide, mean over both directions."""
    steps = [
        np.hypot(np.diff(rows, axis=a), np.diff(cols, axis=a))[np.diff(seen, axis=a) == 0] for a in (0, 1)
    ]
    return float(np.mean([np.nanmedian(one) for one in steps if one.size] or [1.0]))


def _averaged(block: np.ndarray, coarser: int) -> np.ndarray:
    """Means of squares of pixels; the last ones of an incomplete square stand in for the missing ones."""
    if coarser == 1:
        return block.astype(np.float64)
    pad = [(0, -side % coarser) for side in block.shape[:2]]
    block = np.pad(block, [*pad, (0, 0)], mode="edge")
    height, width = (side // coarser for side in block.shape[:2])
    return block.reshape(height, coarser, width, coarser, -1).mean(axis=(1, 3))


def on_map(
    ground: Ground, frame: Frame, believed: Camera, corner: tuple[int, int], size_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """A square of the map grid from a frame, as a satellite makes it that believes to look like `believed` at
    level ground: float64 [size, size, 3], and where it shows the scene. corner: of its first pixel on the
    grid."""
    rows, cols = np.meshgrid(*(np.arange(size_px) + c for c in corner), indexing="ij")
    places = frame_pixels(ground, believed, rows, cols)
    at = [part - first for part, first in zip(places, frame.origin, strict=True)]
    inside = np.logical_and.reduce([(part >= 0) & (part <= frame.seen.shape[0] - 1) for part in at])
    image = np.stack(
        [map_coordinates(plane, at, order=3, mode="mirror") for plane in np.moveaxis(frame.image, 2, 0)],
        axis=2,
    )
    seen = map_coordinates(frame.seen.astype(np.float64), at, order=1, mode="nearest") > 1 - 1e-6
    return image, seen & inside


def frame_pixels(ground: Ground, camera: Camera, rows: np.ndarray, cols: np.ndarray) -> list[np.ndarray]:
    """Where pixels of the map grid are in a camera's frame, [rows, columns] from its middle, px; level
    ground.

    Exact at a lattice of 7 x 7, and by a polynomial between, to 1e-4 px."""
    low, high = (np.array([f(part) for part in (rows, cols)], dtype=np.float64) for f in (np.min, np.max))
    knots = (1 - np.cos(np.pi * (np.arange(7) + 0.5) / 7)) / 2
    lattice = np.meshgrid(*(low[i] + (high[i] - low[i]) * knots for i in (0, 1)), indexing="ij")
    lon, lat = ground.grid.places(*lattice)
    away = point_km(lon, lat, ground.level_m) - camera.position_km
    right, down, ahead = (away @ axis for axis in camera.axes)
    exact = np.stack([down / ahead, right / ahead], axis=-1).reshape(-1, 2) / camera.pixel_rad
    powers = [(i, j) for i in range(5) for j in range(5 - i)]

    def terms(points: list[np.ndarray]) -> np.ndarray:
        y, x = ((2 * points[i] - low[i] - high[i]) / max(high[i] - low[i], 1e-9) for i in (0, 1))
        return np.stack([y**i * x**j for i, j in powers], axis=-1)

    fit = np.linalg.lstsq(terms([part.ravel() for part in lattice]), exact, rcond=None)[0]
    found = terms([rows, cols]) @ fit
    return [found[..., 0], found[..., 1]]
