"""Sunlight and battery: what `priority.rule=energy` rests on.

Sun: the low-precision formulas of the Astronomical Almanac (page C5; Vallado, Fundamentals of Astrodynamics, algorithm 29), 0.01 deg from 1950 to
2050; mean equator and equinox of date, which is TEME to within the nutation (0.005 deg). Shadow: a spherical Earth; `conical` (umbra and
penumbra, the part of the solar disc that is covered) or `cylindrical`. Battery: charge goes up by what the array yields and down by the load,
between empty and full, without losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from constellation.orbits import EARTH_RADIUS_KM, Constellation
from constellation.space import EnergyKnobs

AU_KM = 149_597_870.7  # IAU 2012 Resolution B2
SUN_RADIUS_KM = 695_700.0  # IAU 2015 Resolution B3, nominal
STEP_S = 30.0
METRIC_SPAN_S = 3 * 3600.0  # of charge and discharge that `energy_metric` looks back on: about two orbits
J2000_JD = 2451545.0

Shadow = Literal["conical", "cylindrical"]


@dataclass(frozen=True, eq=False)
class Charge:
    """Battery over time, S satellites: charge_wh float64 [T, S] at each instant; spilled_wh, short_wh float64 [S]: array yield that
    found the battery full, load that found it empty."""

    times_s: np.ndarray
    charge_wh: np.ndarray
    spilled_wh: np.ndarray
    short_wh: np.ndarray


def sun_position_km(julian_date: np.ndarray) -> np.ndarray:
    """The Sun from the Earth's centre, mean equator of date: float64 [T] (UT1 or TT: a minute is 0.0007 deg) -> float64 [T, 3]."""
    days = np.asarray(julian_date, dtype=np.float64) - J2000_JD
    anomaly = np.radians(357.528 + 0.9856003 * days)
    longitude = np.radians(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    distance_km = AU_KM * (1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly))
    direction = np.stack([np.cos(longitude), np.cos(obliquity) * np.sin(longitude), np.sin(obliquity) * np.sin(longitude)], axis=-1)
    return distance_km[..., None] * direction


def sunlit_share(position_km: np.ndarray, sun_km: np.ndarray, shadow: Shadow = "conical") -> np.ndarray:
    """The visible part of the solar disc, 0 (umbra) to 1: positions [..., 3] and the Sun, broadcastable to them -> float64 [...].

    conical: overlap of two discs as seen from the satellite (Montenbruck & Gill, Satellite Orbits, section 3.4.2).
    """
    to_sun = sun_km - position_km
    sun_range = np.linalg.norm(to_sun, axis=-1)
    radius = np.linalg.norm(position_km, axis=-1)
    behind = np.einsum("...i,...i", position_km, to_sun) / sun_range  # along the direction to the Sun; negative on the night side
    if shadow == "cylindrical":
        off_axis = np.sqrt(np.maximum(radius**2 - behind**2, 0.0))
        return np.where((behind < 0) & (off_axis < EARTH_RADIUS_KM), 0.0, 1.0)
    sun_disc = np.arcsin(SUN_RADIUS_KM / sun_range)
    earth_disc = np.arcsin(np.minimum(EARTH_RADIUS_KM / radius, 1.0))
    apart = np.arccos(np.clip(-behind / radius, -1.0, 1.0))
    return 1.0 - _covered(sun_disc, earth_disc, apart)


def _covered(sun: np.ndarray, earth: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Covered part of a small disc of angular radius `sun` by one of radius `earth`, centres `apart`; plane geometry, radians."""
    safe = np.clip(apart, np.abs(earth - sun) + 1e-12, np.maximum(earth + sun - 1e-12, 1e-12))
    x = (safe**2 + sun**2 - earth**2) / (2 * safe)
    y = np.sqrt(np.maximum(sun**2 - x**2, 0.0))
    lens = sun**2 * np.arccos(np.clip(x / sun, -1, 1)) + earth**2 * np.arccos(np.clip((safe - x) / earth, -1, 1)) - safe * y
    inside = np.where(earth >= sun, 1.0, (earth / sun) ** 2)
    return np.where(apart >= earth + sun, 0.0, np.where(apart <= np.abs(earth - sun), inside, np.clip(lens / (np.pi * sun**2), 0, 1)))


def sunlight(constellation: Constellation, satellites: np.ndarray, times_s: np.ndarray, shadow: Shadow = "conical") -> np.ndarray:
    """Sunlit share of some satellites over time: int64 [N], float64 [T] seconds after the epoch -> float64 [T, N]."""
    chosen = Constellation(tuple(constellation.names[i] for i in satellites), tuple(constellation.satrecs[i] for i in satellites),
                           constellation.epoch, max_age_days=constellation.max_age_days)
    sun_km = sun_position_km(constellation.times(times_s).ut1)
    return sunlit_share(chosen.positions_teme_km(times_s), sun_km[:, None, :], shadow)


def simulate_charge(times_s: np.ndarray, sunlit: np.ndarray, load_w: np.ndarray, knobs: EnergyKnobs, initial_wh: np.ndarray | None = None) -> Charge:
    """Charge of S batteries: times [T], sunlit share [T, S], load broadcastable to [T, S]. Each interval takes its first instant's values.

    Energy is conserved: initial + yield = final + load - short + spilled.
    """
    load_w = np.broadcast_to(load_w, sunlit.shape)
    charge = np.empty_like(sunlit, dtype=np.float64)
    charge[0] = knobs.initial_charge * knobs.battery_wh if initial_wh is None else initial_wh
    spilled, short = np.zeros(sunlit.shape[1]), np.zeros(sunlit.shape[1])
    gain_wh = (knobs.solar_w * sunlit - load_w)[:-1] * (np.diff(times_s) / 3600)[:, None]
    for step, change in enumerate(gain_wh):
        wanted = charge[step] + change
        charge[step + 1] = np.clip(wanted, 0.0, knobs.battery_wh)
        spilled += np.maximum(wanted - knobs.battery_wh, 0.0)
        short += np.maximum(-wanted, 0.0)
    return Charge(np.asarray(times_s), charge, spilled, short)


def average_load_w(knobs: EnergyKnobs, compute_share: float = 0.0, transmit_share: float = 0.0) -> float:
    """Mean load for shares of the time spent computing and transmitting (from `clock.round_timeline` and the rounds' spacing)."""
    return knobs.idle_w + compute_share * knobs.compute_w + transmit_share * knobs.transmit_w


def energy_metric(constellation: Constellation, satellites: np.ndarray, time_s: float, energy: EnergyKnobs, compute_share: float = 0.5) -> np.ndarray:
    """Metric of `priority.rule=energy`, larger is better: state of charge (0 to 1) at an instant, int64 [N] -> float64 [N].

    Two orbits earlier every battery had `energy.initial_charge`; since then they have differed by their own day and night, under
    the idle load and a computer that is busy `compute_share` of the time.
    """
    times_s = np.linspace(time_s - METRIC_SPAN_S, time_s, int(METRIC_SPAN_S / STEP_S) + 1)
    charge = simulate_charge(times_s, sunlight(constellation, satellites, times_s), average_load_w(energy, compute_share), energy)
    return charge.charge_wh[-1] / energy.battery_wh


def eclipse_share_of_circle(altitude_km: float, beta_rad: float) -> float:
    """Part of a circular orbit in a cylindrical shadow, analytic; beta: the Sun's angle out of the orbital plane.

    acos(sqrt(h^2 + 2 R h) / ((R + h) cos beta)) / pi (Vallado, section 5.3).
    """
    radius = EARTH_RADIUS_KM + altitude_km
    cosine = np.sqrt(altitude_km**2 + 2 * EARTH_RADIUS_KM * altitude_km) / (radius * np.cos(beta_rad))
    return float(np.arccos(min(cosine, 1.0)) / np.pi)
