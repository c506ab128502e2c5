"""Time scale and frames: UTC epochs, skyfield's time scale, TEME to ITRS, points of the ground."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import numpy as np

from constellation.common.errors import UserError

EARTH_RADIUS_KM = 6378.137  # WGS-84 equatorial, for line of sight


def parse_epoch(text: str) -> datetime:
    """ISO 8601 -> aware UTC datetime (no zone means UTC). Raises `UserError`."""
    try:
        epoch = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise UserError(
            f"orbit.epoch: found {text!r}, expected ISO 8601 UTC, for example 2026-01-01T00:00:00Z"
        ) from None
    epoch = epoch if epoch.tzinfo else epoch.replace(tzinfo=timezone.utc)
    if not 1957 <= epoch.year <= 2150:
        raise UserError(f"orbit.epoch: found year {epoch.year}, expected 1957 to 2150")
    return epoch.astimezone(timezone.utc)


def julian_date_utc(moment: datetime) -> float:
    """Days, UTC (no leap second is counted, as in SGP4)."""
    reference = datetime(2000, 1, 1, 12, tzinfo=timezone.utc)
    return 2451545.0 + (moment - reference).total_seconds() / 86400.0


@lru_cache(maxsize=1)
def timescale() -> Any:
    """skyfield's time scale with its built-in leap seconds and Delta T: no network."""
    from skyfield.api import load

    return load.timescale(builtin=True)


def teme_to_itrs_at(time: Any) -> np.ndarray:
    """Rotations R with r_itrs = R @ r_teme at a skyfield `Time` [T]: float64 [T, 3, 3]."""
    from skyfield.framelib import itrs
    from skyfield.sgp4lib import TEME

    to_itrs, to_teme = itrs.rotation_at(time), TEME.rotation_at(time)  # both from GCRS, [3, 3, T]
    return np.einsum("ikt,jkt->tij", to_itrs, to_teme)


def itrs_of_ground_point_km(
    latitude_deg: float, longitude_deg: float, elevation_m: float = 0.0
) -> np.ndarray:
    """Earth-fixed position of a WGS-84 point, km: float64 [3]."""
    from skyfield.api import wgs84

    return np.asarray(wgs84.latlon(latitude_deg, longitude_deg, elevation_m).itrs_xyz.km, dtype=np.float64)
