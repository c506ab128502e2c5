"""What a satellite sees from its orbit in a round: the camera is turned to the target, takes a frame, and the
patch is a square of the common map grid, or of the sensor (`sight.grid`).

Where it looks follows from the orbit; of chance are the errors of pointing alone, which come from (seed,
satellite, round). The satellite knows its orbit and the time, takes the ground to be level, and knows where
it points but for `sight.knowledge_deg`."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

import numpy as np

from constellation.common.frozen import value
from constellation.network import SpaceSegment
from constellation.scenario.imaging import CaptureKnobs
from constellation.scenario.sight import SightKnobs
from constellation.sight.camera import Camera, azimuth_deg, camera_at, incidence_deg, off_nadir_deg
from constellation.sight.earth import geodetic, meet, point_km
from constellation.sight.geometry import CELL_PX, LATTICE, Geometry, Points, cells_of
from constellation.sight.looks import Sighting
from constellation.sight.sun import sun_elevation_deg
from constellation.sight.targets import Target
from nodes.capture import valid_patch, weathered
from nodes.crew import Look
from nodes.sights.frame import frame_of, on_map
from nodes.sights.ground import Ground

LEAST_SEEN = 0.25  # of a patch: with less of the scene in it, it is no look
_POINTING, _KNOWLEDGE = 0xCA98, 0xCA99  # names of the random streams
_FRAME = 1.5  # of the patch: a square turned by any angle, and more to the side


@value
class Held:
    """One satellite at the moment of its look, so many seconds after the epoch. true, believed: how its
    camera is turned. middle: (row, column) of the patch's middle from where the camera looks, px."""

    name: str
    epoch: datetime
    time_s: float
    target: Target
    true: Camera
    believed: Camera
    middle: tuple[float, float]


def look_from_orbit(
    ground: Ground, held: Held, captured: CaptureKnobs, sight: SightKnobs, key: tuple[int, int, int]
) -> Look | None:
    """The look; None where too little of the scene is in it. key: (seed, round, satellite)."""
    halo, size = captured.halo_px, captured.patch_px
    if sight.grid == "map":
        found = _map_patch(ground, held, captured)
    else:
        frame = frame_of(ground, held.true, size + 2 * halo, held.middle)
        found = None if frame is None else (frame.image, frame.seen, _sensor_corner(ground, held, size))
    if found is None:
        return None
    image, seen, corner = found
    if seen[halo : halo + size, halo : halo + size].mean() < LEAST_SEEN:
        return None
    seen = None if seen.all() else seen
    padded, _, _ = weathered(image, captured, key, seen, ground.scene.bands > 0)
    geometry = geometry_of(ground, held, captured, corner if sight.grid == "map" else None)
    view = np.ascontiguousarray(padded[halo : halo + size, halo : halo + size])
    cells = cells_of(geometry, (size // CELL_PX, size // CELL_PX))
    place = (*_in_window(ground, corner, captured, held.target), ground.scene.name)
    return Look(key[2], key[1], view, padded, cells, place, valid_patch(seen, halo), geometry)


def held_at(
    space: SpaceSegment, sighting: Sighting, targets: tuple[Target, ...], sight: SightKnobs, patch_px: int
) -> Held:
    """A satellite's camera when it looks, turned exactly."""
    target, time_s = targets[sighting.target], sighting.time_s
    middle = 0.0, 0.0
    state = space.state_km(sighting.satellite, time_s)
    if sight.aim == "swath":
        lon, lat, height_m = geodetic(state[:3])
        frame_s = patch_px * sight.gsd_m / _ground_speed_m_s(state, float(height_m))
        time_s = (math.floor(time_s / frame_s) + 0.5) * frame_s  # frames follow the satellite's clock
        state = space.state_km(sighting.satellite, time_s)
        lon, lat, _ = geodetic(state[:3])
        camera = camera_at(state, (float(lon), float(lat), 0.0), sight.gsd_m)
        away = seen_at(camera, target)
        middle = 0.0, (math.floor(away[1] / patch_px) + 0.5) * patch_px
    else:
        camera = camera_at(state, (target.longitude_deg, target.latitude_deg, 0.0), sight.gsd_m)
    flown = space.constellation
    return Held(flown.names[sighting.satellite], flown.epoch, time_s, target, camera, camera, middle)


def _ground_speed_m_s(state: np.ndarray, height_m: float) -> float:
    radius_m = 1000 * float(np.linalg.norm(state[:3]))
    return 1000 * float(np.linalg.norm(state[3:])) * (radius_m - height_m) / radius_m


def seen_at(camera: Camera, target: Target) -> tuple[float, float]:
    """(row, column) of a target from where a camera looks, px."""
    away = point_km(target.longitude_deg, target.latitude_deg, 0.0) - camera.position_km
    right, down, ahead = (float(away @ axis) for axis in camera.axes)
    return down / ahead / camera.pixel_rad, right / ahead / camera.pixel_rad


def unsteady(held: Held, sight: SightKnobs, key: tuple[int, int, int]) -> Held:
    """The same with errors of pointing, which the satellite knows, and of knowing, which it does not."""
    pointing, knowing = (
        bound
        * np.random.Generator(np.random.Philox(np.random.SeedSequence([purpose, *key]))).uniform(-1, 1, 2)
        for purpose, bound in ((_POINTING, sight.pointing_deg), (_KNOWLEDGE, sight.knowledge_deg))
    )
    true = held.true.turned(float(pointing[0]), float(pointing[1]))
    believed = true.turned(float(knowing[0]), float(knowing[1])) if sight.knowledge_deg else true
    return replace(held, true=true, believed=believed)


def _map_patch(
    ground: Ground, held: Held, captured: CaptureKnobs
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]] | None:
    """The patch with its halo on the map grid, where it shows the scene, and the patch's corner."""
    size, halo = captured.patch_px, captured.halo_px
    row, col = _believed_middle(ground, held)
    corner = tuple(
        round((part - (size - 1) / 2) / captured.stride_px) * captured.stride_px for part in (row, col)
    )
    frame = frame_of(ground, held.true, int(_FRAME * (size + 2 * halo)) + 2 * captured.stride_px, held.middle)
    if frame is None:
        return None
    shifted = corner[0] - halo, corner[1] - halo
    image, seen = on_map(ground, frame, held.believed, shifted, size + 2 * halo)
    return image, seen, (corner[0], corner[1])


def _believed_middle(ground: Ground, held: Held) -> tuple[float, float]:
    """(row, column) on the map grid of what the satellite takes for the patch's middle."""
    lon, lat = _believed_ground(ground, held, np.array([held.middle[0]]), np.array([held.middle[1]]))
    rows, cols = ground.grid.pixels(lon, lat)
    return float(rows[0]), float(cols[0])


def _believed_ground(ground: Ground, held: Held, rows: np.ndarray, cols: np.ndarray) -> tuple:
    point = meet(held.believed.position_km, held.believed.rays(rows, cols), ground.level_m)
    return geodetic(point)[:2]


def _sensor_corner(ground: Ground, held: Held, size: int) -> tuple[int, int]:
    row, col = _believed_middle(ground, held)
    return round(row - (size - 1) / 2), round(col - (size - 1) / 2)


def _in_window(
    ground: Ground, corner: tuple[int, int], captured: CaptureKnobs, target: Target
) -> tuple[int, int, int, int]:
    """A patch's corner on the map grid as place in a window around the target, and the window's own."""
    rows, cols = ground.grid.pixels(np.array([target.longitude_deg]), np.array([target.latitude_deg]))
    window = [round(float(part[0])) - captured.window_px // 2 for part in (rows, cols)]
    return corner[0] - window[0], corner[1] - window[1], window[0], window[1]


def geometry_of(
    ground: Ground, held: Held, captured: CaptureKnobs, corner: tuple[int, int] | None
) -> Geometry:
    """How a view was taken. corner: of its patch on the map grid; None: it is the sensor's."""
    size = captured.patch_px
    lattice = [part.ravel() for part in np.meshgrid(*2 * (np.linspace(0, size, LATTICE),), indexing="ij")]
    if corner is not None:
        rows, cols = lattice[0] + corner[0], lattice[1] + corner[1]
        lon, lat = ground.grid.places(rows - 0.5, cols - 0.5)
    else:
        offset = [part - size / 2 + middle for part, middle in zip(lattice, held.middle, strict=True)]
        lon, lat = _believed_ground(ground, held, *offset)
        rows, cols = (part + 0.5 for part in ground.grid.pixels(lon, lat))
    middle = (float(lon[len(lon) // 2]), float(lat[len(lat) // 2]))
    return _told(ground, held, middle, (_points(lon, lat), _points(rows, cols)))


def _points(first: np.ndarray, second: np.ndarray) -> Points:
    return tuple((float(a), float(b)) for a, b in zip(first, second, strict=True))


def _told(ground: Ground, held: Held, middle: tuple[float, float], points: tuple[Points, Points]) -> Geometry:
    camera = held.believed
    here = np.array(held.middle)[:, None] + np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    at = meet(camera.position_km, camera.rays(here[0], here[1]), ground.level_m)
    along, across = (1000 * float(np.linalg.norm(at[step] - at[0])) for step in (1, 2))
    elevation, azimuth = sun_elevation_deg(held.epoch, held.time_s, middle)
    return Geometry(
        name=held.name,
        time_s=held.time_s,
        target=held.target.name,
        off_nadir_deg=float(off_nadir_deg(camera.position_km, at[0])),
        incidence_deg=float(incidence_deg(camera.position_km, at[0])),
        azimuth_deg=float(azimuth_deg(at[0], camera.position_km)),
        gsd_along_m=along,
        gsd_across_m=across,
        sun_elevation_deg=elevation,
        sun_azimuth_deg=azimuth,
        ground=points[0],
        grid=points[1],
        crs=ground.grid.crs,
        origin=(ground.grid.transform[2], ground.grid.transform[5], ground.grid.transform[0]),
    )
