"""Battery of a satellite: sunlight, eclipse, load (for `priority.rule=energy`).

The Sun by the Astronomical Almanac's low-precision formulas (page C5 of any year's: 0.01 deg and 1e-4 au
between 1950 and 2050), in the mean equator and equinox of date, which TEME follows within arcseconds. The
Earth is a sphere. Sunlight dims through the penumbra as the Earth's disc covers the Sun's (Montenbruck and
Gill, Satellite Orbits, 2000, section 3.4.2).

The array delivers `solar_w` in full sunlight, whatever the attitude. All satellites have `initial_charge` six
hours before the epoch, so that at the epoch they already differ by where they are in their day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np

from constellation.clock import ComputeTimes
from constellation.orbit.frames import EARTH_RADIUS_KM
from constellation.orbit.orbits import Constellation, subset
from constellation.scenario.network import EnergyKnobs

AU_KM = 149_597_870.7  # IAU 2012 Resolution B2
SUN_RADIUS_KM = 695_700.0  # IAU 2015 Resolution B3, nominal
WARM_UP_S = 6 * 3600.0
STEP_S = 30.0
_BLOCK_STEPS = 20_000
_J2000 = datetime(2000, 1, 1, 12, tzinfo=timezone.utc)


def sun_position_km(epoch: datetime, times_s: np.ndarray) -> np.ndarray:
    """Geocentric Sun in mean equator and equinox of date, km: float64 [T] seconds after `epoch` -> float64
    [T, 3]."""
    days = (epoch - _J2000).total_seconds() / 86400 + np.asarray(times_s, dtype=np.float64) / 86400
    mean_longitude_deg = 280.460 + 0.9856474 * days
    anomaly = np.radians(357.528 + 0.9856003 * days)
    longitude = np.radians(mean_longitude_deg + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 0.0000004 * days)
    distance_km = AU_KM * (1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly))
    direction = np.stack(
        [np.cos(longitude), np.cos(obliquity) * np.sin(longitude), np.sin(obliquity) * np.sin(longitude)],
        axis=-1,
    )
    return distance_km[..., None] * direction


def sunlit_fraction(
    positions_km: np.ndarray,  # [..., 3], TEME
    sun_km: np.ndarray,  # [..., 3], same frame; broadcasts
) -> np.ndarray:
    """Share of the Sun's disc that a satellite sees: 1 in sunlight, 0 in the umbra, float64 [...]."""
    to_sun = sun_km - positions_km
    sun_distance, earth_distance = np.linalg.norm(to_sun, axis=-1), np.linalg.norm(positions_km, axis=-1)
    sun = np.arcsin(SUN_RADIUS_KM / sun_distance)  # apparent radii, rad
    earth = np.arcsin(np.minimum(1.0, EARTH_RADIUS_KM / earth_distance))
    cosine = -np.einsum("...i,...i", positions_km, to_sun) / (sun_distance * earth_distance)
    apart = np.arccos(np.clip(cosine, -1.0, 1.0))
    return 1.0 - _covered(sun, earth, apart)


def _covered(sun: np.ndarray, earth: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Share of a disc of radius `sun` behind one of radius `earth`, centres `apart` from each other (plane
    circles)."""
    between = (apart > np.abs(earth - sun)) & (apart < earth + sun)
    safe = np.where(between, apart, np.maximum(earth, sun))
    x = (safe**2 + sun**2 - earth**2) / (2 * safe)
    y = np.sqrt(np.maximum(0.0, sun**2 - x**2))
    lens = (
        sun**2 * np.arccos(np.clip(x / sun, -1, 1))
        + earth**2 * np.arccos(np.clip((safe - x) / earth, -1, 1))
        - safe * y
    )
    inside = np.minimum(1.0, (earth / sun) ** 2)  # a far satellite sees the Earth cross the Sun
    return np.where(between, lens / (math.pi * sun**2), np.where(apart <= np.abs(earth - sun), inside, 0.0))


def eclipse_fraction_circular(altitude_km: float, beta_deg: float) -> float:
    """Share of a circular orbit in the shadow cylinder: acos(sqrt(h^2 + 2 R h) / ((R + h) cos beta)) / pi,
    beta: Sun above the orbit's plane."""
    radius_km = EARTH_RADIUS_KM + altitude_km
    ratio = math.sqrt(altitude_km**2 + 2 * EARTH_RADIUS_KM * altitude_km) / (
        radius_km * math.cos(math.radians(beta_deg))
    )
    return math.acos(ratio) / math.pi if ratio < 1 else 0.0


def sunlight(constellation: Constellation, times_s: np.ndarray) -> np.ndarray:
    """`sunlit_fraction` of every satellite at every time: float64 [T] -> float64 [T, S]."""
    positions_km = constellation.positions_teme_km(times_s)
    return sunlit_fraction(positions_km, sun_position_km(constellation.epoch, times_s)[:, None, :])


def mean_load_w(knobs: EnergyKnobs, times: ComputeTimes, transmit_s: float, period_s: float) -> float:
    """Mean load of a satellite that computes one patch (`times`, LIC and DLRC) and transmits for `transmit_s`
    in every `period_s`, W."""
    busy, sending = (min(1.0, part / period_s) for part in (times.lic_s + times.dlrc_s, transmit_s))
    return knobs.idle_w + knobs.compute_w * busy + knobs.transmit_w * sending


def charge_after(
    sunlit: np.ndarray,  # float64 [T, S], of T successive steps
    step_s: float,
    knobs: EnergyKnobs,
    load_w: float,
    charge: np.ndarray,  # float64 [S], state of charge before the first step, 0 to 1
) -> np.ndarray:
    """State of charge after each step, float64 [T, S]: full batteries stay full, empty ones stay at 0 (the
    load is shed)."""
    gain = (knobs.solar_w * sunlit - load_w) * (step_s / 3600 / knobs.battery_wh)
    states = np.empty_like(gain)
    for step, change in enumerate(gain):
        charge = np.clip(charge + change, 0.0, 1.0)
        states[step] = charge
    return states


def charge_at(
    constellation: Constellation,
    members: Sequence[int] | np.ndarray,
    time_s: float,
    knobs: EnergyKnobs,
    load_w: float | None = None,
) -> np.ndarray:
    """State of charge of the members, float64 [N], 0 to 1, integrated since six hours before the epoch.
    load_w: mean load, W (None: `idle_w`).

    Takes some 15 ms for 8 satellites at the epoch and 3 ms more for each simulated hour. Raises `UserError`
    where SGP4 cannot go."""
    fleet = subset(constellation, list(members))
    charge = np.full(len(fleet), knobs.initial_charge)
    steps = max(1, round((time_s + WARM_UP_S) / STEP_S))
    step_s = (time_s + WARM_UP_S) / steps
    for first in range(0, steps, _BLOCK_STEPS):
        middles_s = -WARM_UP_S + step_s * (np.arange(first, min(steps, first + _BLOCK_STEPS)) + 0.5)
        charge = charge_after(
            sunlight(fleet, middles_s), step_s, knobs, knobs.idle_w if load_w is None else load_w, charge
        )[-1]
    return charge


def energy_metric(
    constellation: Constellation,
    members: Sequence[int] | np.ndarray,
    time_s: float,
    knobs: EnergyKnobs,
    load_w: float | None = None,
) -> np.ndarray:
    """Priority metric of `priority.rule=energy`: state of charge, float64 [N]; who has more keeps more. Full
    batteries tie (then id decides)."""
    return charge_at(constellation, members, time_s, knobs, load_w)
