"""What is worth a look: points of the ground with priorities, from a CSV file or the region's point alone."""

from __future__ import annotations

import csv
import io
import math

from constellation.common.errors import UserError, naming
from constellation.common.frozen import value
from constellation.orbit.elements import text_of
from constellation.scenario.network import RegionKnobs

MAX_TARGETS = 10_000
_LATITUDE = ("latitude_deg", "latitude", "lat")
_LONGITUDE = ("longitude_deg", "longitude", "lon", "lng")
_PRIORITY = ("priority", "frp", "weight")


@value
class Target:
    """priority: above 0; a look at one of 2 is worth two looks at one of 1."""

    name: str
    longitude_deg: float
    latitude_deg: float
    priority: float = 1.0


def targets_of(path: str, region: RegionKnobs) -> tuple[Target, ...]:
    """The targets of a file; none given: the region's point. Raises `UserError`."""
    if not path:
        return (Target("region", region.longitude_deg, region.latitude_deg),)
    with naming("sight.targets"):
        return _read(path)


def _read(path: str) -> tuple[Target, ...]:
    rows = csv.DictReader(io.StringIO(text_of(path)))
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    latitude, longitude, priority = (
        next((names[one] for one in given if one in names), None)
        for given in (_LATITUDE, _LONGITUDE, _PRIORITY)
    )
    if latitude is None or longitude is None:
        raise UserError(
            f"{path}: found columns {', '.join(names) or 'none'}, expected lat and lon, and priority"
        )
    found = []
    for number, row in enumerate(rows, start=2):
        where = f"{path} line {number}"
        lat, lon = (_number(row, key, where) for key in (latitude, longitude))
        worth = 1.0 if priority is None else _number(row, priority, where)
        if not (-90 <= lat <= 90 and -180 <= lon <= 180 and 0 < worth < 1e9):
            raise UserError(
                f"{where}: found {lat:g}, {lon:g}, {worth:g}, expected a latitude, a longitude, a "
                f"priority above 0"
            )
        found.append(Target(f"{number - 1}", lon, lat, worth))
        if len(found) > MAX_TARGETS:
            raise UserError(f"{path}: more than {MAX_TARGETS} targets")
    if not found:
        raise UserError(f"{path}: no target, expected lines of lat and lon below a header")
    return tuple(found)


def _number(row: dict, key: str, where: str) -> float:
    try:
        number = float(row.get(key) or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: {key} {str(row.get(key))[:32]!r}, expected a number")
    return number
