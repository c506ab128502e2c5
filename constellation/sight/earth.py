"""The WGS-84 ellipsoid: where a ray meets it, and points of it in Earth-fixed and geodetic coordinates.

All functions broadcast over leading axes. Kilometres, degrees, heights in metres above the ellipsoid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

EQUATOR_KM, POLE_KM = 6378.137, 6356.752314245  # WGS-84
_E2 = 1 - (POLE_KM / EQUATOR_KM) ** 2
Heights = Callable[[np.ndarray, np.ndarray], np.ndarray]  # longitude, latitude -> metres
Degrees = np.ndarray | float
TERRAIN_STEPS = 8  # each leaves tan(slope) tan(view) of what was wrong


def point_km(longitude_deg: Degrees, latitude_deg: Degrees, height_m: np.ndarray | float) -> np.ndarray:
    """Earth-fixed position of geodetic coordinates, float64 [..., 3]."""
    lon, lat = (np.radians(np.asarray(part, dtype=np.float64)) for part in (longitude_deg, latitude_deg))
    height_km = np.asarray(height_m, dtype=np.float64) / 1000
    normal_km = EQUATOR_KM / np.sqrt(1 - _E2 * np.sin(lat) ** 2)
    across = (normal_km + height_km) * np.cos(lat)
    up = (normal_km * (1 - _E2) + height_km) * np.sin(lat)
    return np.stack([across * np.cos(lon), across * np.sin(lon), up + 0 * lon], axis=-1)


def geodetic(position_km: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Longitude, latitude and height of Earth-fixed positions [..., 3] (Bowring 1985: to 1e-9 deg up to
    10,000 km)."""
    x, y, z = np.moveaxis(np.asarray(position_km, dtype=np.float64), -1, 0)
    across = np.hypot(x, y)
    second = (EQUATOR_KM / POLE_KM) ** 2 - 1
    slope = np.arctan2(z * EQUATOR_KM, across * POLE_KM)
    for _ in range(3):
        lat = np.arctan2(
            z + second * POLE_KM * np.sin(slope) ** 3, across - _E2 * EQUATOR_KM * np.cos(slope) ** 3
        )
        slope = np.arctan2(POLE_KM * np.sin(lat), EQUATOR_KM * np.cos(lat))
    height_km = across * np.cos(lat) + z * np.sin(lat) - EQUATOR_KM * np.sqrt(1 - _E2 * np.sin(lat) ** 2)
    return np.degrees(np.arctan2(y, x)), np.degrees(lat), 1000 * height_km


def up_at(longitude_deg: np.ndarray, latitude_deg: np.ndarray) -> np.ndarray:
    """The ellipsoid's normal, float64 [..., 3]."""
    lon, lat = np.radians(longitude_deg), np.radians(latitude_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0 * lon], axis=-1)


def meet(origin_km: np.ndarray, rays: np.ndarray, height_m: np.ndarray | float = 0.0) -> np.ndarray:
    """Where rays [..., 3] from a point above meet the surface so high above the ellipsoid, Earth-fixed,
    float64 [..., 3]; not a number where they miss it."""
    height_km = np.asarray(height_m, dtype=np.float64)[..., None] / 1000
    stretch = 1 / (np.array([EQUATOR_KM, EQUATOR_KM, POLE_KM]) + height_km)
    start, ray = origin_km * stretch, rays * stretch
    a, b, c = (ray**2).sum(-1), (start * ray).sum(-1), (start**2).sum(-1) - 1
    root = b**2 - a * c
    with np.errstate(invalid="ignore"):
        reach = (-b - np.sqrt(np.where(root >= 0, root, np.nan))) / a
    return origin_km + np.where(reach > 0, reach, np.nan)[..., None] * rays


def meet_terrain(origin_km: np.ndarray, rays: np.ndarray, heights: Heights | None) -> np.ndarray:
    """Where rays meet the terrain; None: the ellipsoid. By repeated steps, which settle where the terrain is
    less steep than the ray; in a fold the point that they settle at."""
    point = meet(origin_km, rays)
    for _ in range(0 if heights is None else TERRAIN_STEPS):
        assert heights is not None
        longitude, latitude, _ = geodetic(point)
        point = meet(origin_km, rays, heights(longitude, latitude))
    return point
