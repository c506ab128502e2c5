"""Where the Sun stands over a point of the ground."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from constellation.orbit.frames import teme_to_itrs_at, timescale
from constellation.passes.energy import sun_position_km
from constellation.sight.camera import azimuth_deg, incidence_deg
from constellation.sight.earth import point_km


def sun_elevation_deg(epoch: datetime, time_s: float, place: tuple[float, float]) -> tuple[float, float]:
    """Elevation above the horizon, without refraction, and azimuth from north by east, of the Sun at a
    longitude and latitude; to 0.02 deg (Astronomical Almanac's formula)."""
    sun_km = sun_position_km(epoch, np.array([time_s]))[0]
    at = timescale().from_datetimes([epoch + timedelta(seconds=time_s)])
    sun_km = teme_to_itrs_at(at)[0] @ sun_km
    point = point_km(place[0], place[1], 0.0)
    return 90.0 - float(incidence_deg(sun_km, point)), float(azimuth_deg(point, sun_km))
