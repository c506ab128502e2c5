"""The page of a run from orbits on a map, with a slider through its time: where satellites were, what each
look saw, what it cost and from where it was copied. The page interpolates positions and computes nothing
else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from codec.imagery.colours import false_colour
from codec.imagery.scene import open_scene
from constellation.common.errors import UserError
from constellation.network import SpaceSegment
from constellation.orbit.orbits import subset
from constellation.sight.targets import targets_of
from dlrc.report.gains import KINDS, saved_bytes, saved_from
from dlrc.report.page.contents import coastline
from dlrc.report.page.html import page
from dlrc.report.page.pictures import webp
from dlrc.report.sheet import colour_of
from dlrc.report.tables import finite, link_bytes
from dlrc.store.results import Run
from ground.records import RoundRecord, SatelliteRecord
from nodes.sights.ground import ground_of

MAP = "map.html"
MAX_TRACKS = 64  # satellites whose ground tracks a page holds
MAX_STEPS = 3000
QUICKLOOK_PX = 640
MAX_READ_PX = 1 << 26  # of a scene, for its quick-look
_AROUND = 0.35  # of the footprints' extent, that the map of the ground shows beside them
Box = tuple[float, float, float, float]  # west, south, east, north, degrees


def has_looks(run: Run) -> bool:
    """Whether orbits decided who looked when."""
    return any(one.geometry is not None for record in run.rounds for one in record.satellites)


def map_page(run: Run) -> str:
    """The page, as one HTML document; of a run that `has_looks`."""
    data = map_contents(run)
    return page("map.html", f"{run.scenario.name}: who saw what, when", data, ("base.js", "map.js"), False)


def map_contents(run: Run) -> dict[str, Any]:
    """What the page says."""
    scenario = run.scenario
    views = [one for record in run.rounds for one in record.satellites]
    looks = [(record, one) for record in run.rounds for one in record.satellites if one.geometry]
    until_s = max([scenario.orbit.duration_s, *(one.geometry.time_s for _, one in looks if one.geometry)])
    box = _box(one for _, one in looks)
    satellites = max((one.satellite for one in views), default=0) + 1
    space, notes = _space(run)
    return {
        "name": scenario.name,
        "satellites": scenario.satellites,
        "listen": scenario.dlrc.listen,
        "memory": scenario.dlrc.remembers,
        "estimate": scenario.codec.context == "open",
        "scene": run.facts.scene_source if run.facts.scene_real else "built-in scene, no real picture",
        "until_s": until_s,
        "exact": sum(one.exact for one in views),
        "views": len(views),
        "rounds": [_round(record) for record in run.rounds],
        "targets": [vars(one) for one in targets_of(scenario.sight.targets, scenario.region)]
        if not notes
        else [],
        "station": {
            "name": scenario.ground.each[0].name,
            "longitude_deg": scenario.ground.longitude_deg,
            "latitude_deg": scenario.ground.latitude_deg,
        },
        "tracks": None if space is None else _tracks(run, space, until_s),
        "epoch": "" if space is None else space.constellation.epoch.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "coast": coastline(),
        "box": box,
        "quicklook": None if box is None else _quicklook(run, box),
        "colours": ["#" + bytes(colour_of(i)).hex() for i in range(max(satellites, scenario.satellites))],
    }


def _space(run: Run) -> tuple[SpaceSegment | None, str]:
    """The constellation, if the file of its orbits is still there."""
    try:
        targets_of(run.scenario.sight.targets, run.scenario.region)
        return SpaceSegment(run.scenario), ""
    except UserError as error:
        return None, str(error)


def _round(record: RoundRecord) -> dict[str, Any]:
    looks = sorted((_look(one) for one in record.satellites if one.geometry), key=lambda look: look["time_s"])
    return {
        "number": record.number,
        "looks": looks,
        "listened": len(record.listened),
        "looked_away": len(record.looked_away),
        "t_round_s": finite(record.t_round_s),
        "link_bytes": link_bytes(record),
    }


def _look(one: SatelliteRecord) -> dict[str, Any]:
    geometry = one.geometry
    assert geometry is not None
    parts = saved_bytes(one)
    sources = sorted(saved_from(one).items(), key=lambda item: (-item[1], item[0]))
    named = ("off_nadir_deg", "incidence_deg", "azimuth_deg", "sun_elevation_deg", "sun_azimuth_deg")
    return {
        "satellite": one.satellite,
        "name": geometry.name,
        "time_s": round(geometry.time_s, 1),
        **{key: round(getattr(geometry, key), 2) for key in named},
        "gsd_m": round(float(np.sqrt(geometry.gsd_along_m * geometry.gsd_across_m)), 2),
        "corners": [[round(part, 6) for part in corner] for corner in geometry.corners],
        "outcome": one.outcome.value,
        "independent": one.independent.total,
        "dlrc": one.dlrc.total,
        **{kind: round(parts[kind], 1) for kind in (*KINDS, "side")},
        "sources": [[s, number, round(saved, 1)] for (s, number), saved in sources],
    }


def _box(views: Any) -> Box | None:
    """Around all footprints; None where they are not together (several places, or the date line)."""
    corners = np.array([corner for one in views for corner in one.geometry.corners]).reshape(-1, 2)
    (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
    if east - west > 5 or north - south > 5:
        return None
    wide, high = _AROUND * (east - west), _AROUND * (north - south)
    return float(west - wide), float(south - high), float(east + wide), float(north + high)


def _tracks(run: Run, space: SpaceSegment, until_s: float) -> dict[str, Any]:
    """Points below the satellites, longitudes and geocentric latitudes in hundredths of a degree, int16 [T,
    S]; of those that looked at any time, and of others as far as there is room."""
    looking = sorted({one.satellite for record in run.rounds for one in record.satellites if one.geometry})
    shown = looking[:MAX_TRACKS]
    if run.scenario.satellites == len(space.constellation):  # a participant is one satellite in every round
        rest = [s for s in range(run.scenario.satellites) if s not in set(shown)]
        shown = sorted([*shown, *rest[: MAX_TRACKS - len(shown)]])
    else:
        shown = []
    step_s = max(60.0, until_s / MAX_STEPS)
    times_s = np.arange(0.0, until_s + step_s, step_s)
    if not shown:
        return {"step_s": step_s, "satellites": [], "longitude": "", "latitude": ""}
    km = subset(space.constellation, shown).positions_itrs_km(times_s)
    lon = np.degrees(np.arctan2(km[..., 1], km[..., 0]))
    lat = np.degrees(np.arcsin(km[..., 2] / np.linalg.norm(km, axis=-1)))
    return {"step_s": step_s, "satellites": shown, "longitude": _packed(lon), "latitude": _packed(lat)}


def _packed(degrees: np.ndarray) -> str:
    return base64.b64encode(np.rint(100 * degrees).astype("<i2").tobytes()).decode()


def _quicklook(run: Run, box: Box) -> str | None:
    """The scene below the footprints, north up, as a picture for the page; None where it is not there, or
    rounds look at several."""
    if len({one.place.scene for record in run.rounds for one in record.satellites if one.place}) != 1:
        return None
    scenario = run.scenario
    place = scenario.region.longitude_deg, scenario.region.latitude_deg
    try:
        scene = open_scene(scenario.scene, scenario.seed, 0)
        ground = ground_of(scene, scenario.sight, place, scenario.seed)
        lon, lat = _lattice(box)
        rows, cols = (np.rint(part).astype(np.int64) for part in ground.where.pixels(lon, lat))
        here = (rows >= 0) & (rows < scene.height) & (cols >= 0) & (cols < scene.width)
        if not here.any():
            return None
        top, left, bottom, right = rows[here].min(), cols[here].min(), rows[here].max(), cols[here].max()
        high, wide = int(bottom - top + 1), int(right - left + 1)
        if high * wide > MAX_READ_PX:
            return None
        whole = scene.read(int(top), int(left), high, wide)
    except (UserError, ValueError):
        return None
    picture = np.full((*lon.shape, 3), 128, np.uint8)
    picture[here] = _shown(whole, scenario.scene.colours)[rows[here] - top, cols[here] - left]
    return "data:image/webp;base64," + base64.b64encode(webp(picture, lossless=False)).decode()


def _shown(picture: np.ndarray, colours: str) -> np.ndarray:
    return picture if picture.dtype == np.uint8 and picture.shape[2] == 3 else false_colour(picture, colours)


def _lattice(box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of a picture's pixels, about square on the ground."""
    west, south, east, north = box
    high = (north - south) / max(1e-9, (east - west) * np.cos(np.radians((north + south) / 2)))
    sides: Sequence[int] = (QUICKLOOK_PX, int(QUICKLOOK_PX * high))
    if high > 1:
        sides = int(QUICKLOOK_PX / high), QUICKLOOK_PX
    lon = west + (np.arange(max(1, sides[0])) + 0.5) / max(1, sides[0]) * (east - west)
    lat = north - (np.arange(max(1, sides[1])) + 0.5) / max(1, sides[1]) * (north - south)
    return tuple(np.meshgrid(lon, lat))  # type: ignore[return-value]
