"""What a satellite can see of the ground, as polygons: GeoJSON (RFC 7946), and packets of CZML.

A footprint is where rays of a cone about the nadir meet the WGS-84 ellipsoid; a cone wider than the Earth
ends at the horizon. Polygons that cross the antimeridian are cut there, those around a pole go up to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.show.data import ViewData

EQUATOR_KM, POLE_KM = 6378.137, 6356.752314245  # WGS-84
CORNERS = 48
MAX_FOOTPRINTS = 100_000
_COLOR = [255, 179, 64, 60]


@value
class Footprint:
    """One satellite at one instant. corners: float64 [CORNERS, 2], longitude and latitude in degrees,
    counter-clockwise seen from above."""

    satellite: int
    name: str
    begin_s: float
    end_s: float
    corners: np.ndarray


def footprint_corners(position_km: np.ndarray, off_nadir_deg: float, corners: int = CORNERS) -> np.ndarray:
    """Edge of what a satellite sees within so many degrees of the nadir (of the Earth's centre): Earth-fixed
    position, km, float64 [3] -> longitude and latitude, degrees, float64 [corners, 2]."""
    radius_km = float(np.linalg.norm(position_km))
    down = -position_km / radius_km
    side = np.cross(down, [0.0, 0.0, 1.0])
    side = side / np.linalg.norm(side) if np.linalg.norm(side) > 1e-9 else np.array([1.0, 0.0, 0.0])
    ahead = np.cross(down, side)
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    around = np.cos(turn)[:, None] * side - np.sin(turn)[:, None] * ahead
    stretch = np.array([1 / EQUATOR_KM, 1 / EQUATOR_KM, 1 / POLE_KM])
    low, high = np.zeros(corners), np.full(corners, np.radians(off_nadir_deg))
    if not (_reach(position_km, down, around, high, stretch) > 0).all():
        for _ in range(40):  # the widest angle at which the ray still meets the ground
            middle = (low + high) / 2
            hits = _reach(position_km, down, around, middle, stretch) > 0
            low, high = np.where(hits, middle, low), np.where(hits, high, middle)
        high = low
    reach_km = _reach(position_km, down, around, high, stretch)
    point = position_km + reach_km[:, None] * _rays(down, around, high)
    flat = (EQUATOR_KM / POLE_KM) ** 2
    latitude = np.degrees(np.arctan2(point[:, 2] * flat, np.hypot(point[:, 0], point[:, 1])))
    return np.stack([np.degrees(np.arctan2(point[:, 1], point[:, 0])), latitude], axis=1)


def _rays(down: np.ndarray, around: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return np.cos(angle)[:, None] * down + np.sin(angle)[:, None] * around


def _reach(
    position_km: np.ndarray, down: np.ndarray, around: np.ndarray, angle: np.ndarray, stretch: np.ndarray
) -> np.ndarray:
    """How far along each ray the ellipsoid is, km; 0 where it is missed."""
    start, ray = position_km * stretch, _rays(down, around, angle) * stretch
    a, b, c = (ray**2).sum(axis=1), ray @ start, float(start @ start) - 1
    root = b**2 - a * c
    return np.where(root >= 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0.0)


def footprints_of(view: ViewData, off_nadir_deg: float, everybody: bool = False) -> list[Footprint]:
    """At every instant the footprints of those that observe the region, or of all."""
    finer = (len(view.track_s) - 1) // max(1, len(view.times_s) - 1)
    until_s = np.append(view.times_s[1:], view.times_s[-1])
    found = []
    for step, (begin_s, end_s) in enumerate(zip(view.times_s.tolist(), until_s.tolist(), strict=True)):
        who = range(len(view.names)) if everybody else view.participants[step]
        for satellite in (int(one) for one in who if one >= 0):
            corners = footprint_corners(view.positions_km[step * finer, satellite], off_nadir_deg)
            found.append(Footprint(satellite, view.names[satellite], begin_s, end_s, corners))
        if len(found) > MAX_FOOTPRINTS:
            raise UserError(
                f"export: more than {MAX_FOOTPRINTS} footprints; give a smaller hours=, a larger "
                "orbit.step_s=, or links=participants"
            )
    return found


def geojson(view: ViewData, footprints: Iterable[Footprint]) -> str:
    """A feature collection, a feature a line."""
    rows = [json.dumps(feature, separators=(",", ":")) for feature in _features(view, footprints)]
    return '{"type":"FeatureCollection","features":[\n' + ",\n".join(rows) + "\n]}\n"


def _features(view: ViewData, footprints: Iterable[Footprint]) -> Iterator[dict[str, Any]]:
    for one in footprints:
        yield {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings(one.corners)]},
            "properties": {
                "satellite": one.satellite,
                "name": one.name,
                "begin": view.utc(one.begin_s),
                "end": view.utc(one.end_s),
            },
        }


def czml_packets(view: ViewData, footprints: Iterable[Footprint]) -> Iterator[dict[str, Any]]:
    """A polygon for each footprint, there while it is."""
    for number, one in enumerate(footprints):
        flat = [round(float(part), 6) for lon, lat in one.corners for part in (lon, lat, 0.0)]
        yield {
            "id": f"footprint-{number}-satellite-{one.satellite}",
            "availability": f"{view.utc(one.begin_s)}/{view.utc(one.end_s)}",
            "polygon": {
                "positions": {"cartographicDegrees": flat},
                "material": {"solidColor": {"color": {"rgba": _COLOR}}},
                "height": 0,
            },
        }


def rings(corners: np.ndarray) -> list[list[list[float]]]:
    """The polygon as closed rings within -180 to 180 degrees, counter-clockwise."""
    longitude = np.unwrap(corners[:, 0], period=360)
    latitude = corners[:, 1]
    turns = longitude[-1] + _short_way(longitude[-1], corners[0, 0]) - longitude[0]
    points = np.stack([longitude, latitude], axis=1)
    if abs(turns) > 180:  # around a pole: up to it and back
        pole = 90.0 if latitude.mean() > 0 else -90.0
        last = longitude[0] + np.copysign(360, turns)
        points = np.concatenate([points, [[last, latitude[0]], [last, pole], [longitude[0], pole]]])
    out = []
    for shift in range(-720, 1081, 360):
        piece = _clip(_clip(points - [shift, 0], -180.0, 1), 180.0, -1)
        if len(piece) > 2:
            area = float(
                np.sum(piece[:, 0] * np.roll(piece[:, 1], -1) - np.roll(piece[:, 0], -1) * piece[:, 1])
            )
            piece = piece if area > 0 else piece[::-1]
            ring = np.round(np.concatenate([piece, piece[:1]]), 6).tolist()
            out += [ring] if abs(area) > 1e-9 else []
    return out


def _short_way(before: float, after: float) -> float:
    return float((after - before + 180) % 360 - 180)


def _clip(points: np.ndarray, at: float, sign: int) -> np.ndarray:
    """The part of a polygon on one side of a meridian (Sutherland and Hodgman)."""
    kept: list[np.ndarray] = []
    for here, there in zip(points, np.roll(points, -1, axis=0), strict=True):
        inside, next_inside = sign * (here[0] - at) >= 0, sign * (there[0] - at) >= 0
        if inside:
            kept.append(here)
        if inside != next_inside:
            share = (at - here[0]) / (there[0] - here[0])
            kept.append(here + share * (there - here))
    return np.array(kept).reshape(-1, 2)
