"""Ground stations as words: `NAME`, or `NAME:LATITUDE:LONGITUDE[:ELEVATION_M[:MASK_DEG[:ANTENNAS]]]`, and the
horizon around one as `AZIMUTH/ELEVATION+...`, after an @ behind a station.

Places that are named alone are public ground stations, to a hundredth of a degree."""

from __future__ import annotations

import math
from dataclasses import dataclass

from constellation.common.errors import UserError
from constellation.common.text import nearest, shown

# name -> degrees north, degrees east, metres
KNOWN = {
    "Svalbard": (78.23, 15.41, 500.0),
    "Kiruna": (67.86, 20.96, 402.0),
    "Inuvik": (68.32, -133.55, 50.0),
    "Fairbanks": (64.86, -147.85, 160.0),
    "Weilheim": (47.88, 11.08, 660.0),
    "Matera": (40.65, 16.70, 530.0),
    "Wallops": (37.95, -75.46, 10.0),
    "Maspalomas": (27.76, -15.63, 205.0),
    "Hawaii": (19.01, -155.66, 370.0),
    "Malindi": (-3.00, 40.19, 10.0),
    "Alice Springs": (-23.76, 133.88, 560.0),
    "Hartebeesthoek": (-25.89, 27.71, 1540.0),
    "Dongara": (-29.05, 115.35, 250.0),
    "Santiago": (-33.15, -70.67, 710.0),
    "Punta Arenas": (-52.94, -70.85, 20.0),
    "Troll": (-72.01, 2.54, 1270.0),
}
MAX_CORNERS = 720  # of a horizon
_LONGEST_NAME = 64
_FORM = "NAME:LATITUDE:LONGITUDE[:ELEVATION_M[:MASK_DEG[:ANTENNAS]]][@AZIMUTH/ELEVATION+...]"


@dataclass(frozen=True)
class Place:
    """One station's words. None: as `ground` says. mask: azimuth and elevation in degrees, by azimuth."""

    name: str
    latitude_deg: float
    longitude_deg: float
    elevation_m: float = 0.0
    min_elevation_deg: float | None = None
    antennas: int | None = None
    mask: str | None = None


def parse_station(text: str, key: str = "ground.stations") -> Place:
    """One station. Raises `UserError` that names the key and what was found."""
    words, at, mask = text.partition("@")
    parts = [part.strip() for part in words.split(":")]
    name = parts[0]
    if at:
        parse_mask(mask, key)
    if len(parts) == 1:
        near = {known.lower(): known for known in KNOWN}.get(name.lower())
        if near is None:
            close = nearest(name, KNOWN)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(KNOWN)}"
            raise UserError(f"{key}: {shown(name)} is no known station; {hint}; or give {_FORM}")
        return Place(near, *KNOWN[near], mask=mask if at else None)
    if not 3 <= len(parts) <= 6 or not 0 < len(name) <= _LONGEST_NAME:
        raise UserError(f"{key}: found {shown(text)}, expected {_FORM}")
    numbers = [_number(part, text, key) for part in parts[1:]]
    bounds = ((-90, 90), (-180, 180), (-12000, 1e5), (0, 89.999), (0, 10**6))
    for value, (low, high), what in zip(
        numbers, bounds, ("latitude", "longitude", "elevation", "mask", "antennas"), strict=False
    ):
        if not low <= value <= high:
            raise UserError(f"{key}: {shown(name)[1:-1]}: {what} {value:g}, expected {low:g} to {high:g}")
    if len(numbers) == 5 and numbers[4] != int(numbers[4]):
        raise UserError(f"{key}: {shown(name)[1:-1]}: {numbers[4]:g} antennas, expected a whole number")
    return Place(
        name,
        numbers[0],
        numbers[1],
        numbers[2] if len(numbers) > 2 else 0.0,
        numbers[3] if len(numbers) > 3 else None,
        int(numbers[4]) if len(numbers) > 4 else None,
        mask if at else None,
    )


def parse_mask(text: str, key: str = "ground.mask") -> tuple[tuple[float, float], ...]:
    """A horizon `0/5+90/20+180/10`: (azimuth, elevation) in degrees, ascending by azimuth; between them the
    horizon is straight, over north as well. Nothing: no horizon. Raises `UserError`."""
    if not text.strip():
        return ()
    corners = []
    for corner in text.split("+"):
        azimuth, slash, elevation = corner.partition("/")
        if not slash:
            raise UserError(f"{key}: found {shown(corner)}, expected AZIMUTH/ELEVATION, joined by +")
        corners.append((_number(azimuth, corner, key), _number(elevation, corner, key)))
    azimuths = [azimuth for azimuth, _ in corners]
    if len(corners) > MAX_CORNERS or len(set(azimuths)) < len(azimuths):
        raise UserError(f"{key}: expected at most {MAX_CORNERS} corners, no azimuth twice")
    for azimuth, elevation in corners:
        if not (0 <= azimuth < 360 and 0 <= elevation < 90):
            raise UserError(
                f"{key}: azimuth {azimuth:g}, elevation {elevation:g}, expected 0 to 360 and 0 to 90 degrees"
            )
    return tuple(sorted(corners))


def _number(text: str, whole: str, key: str) -> float:
    try:
        value = float(text) if len(text) < 64 and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{key}: {shown(text)} in {shown(whole)}, expected a number")
    return value
