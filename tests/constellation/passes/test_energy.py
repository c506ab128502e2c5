"""Sun, shadow and battery against published and analytic values."""

import math
from datetime import datetime, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from constellation.clock import ComputeTimes
from constellation.orbit.orbits import load_constellation
from constellation.passes.energy import (
    AU_KM,
    EARTH_RADIUS_KM,
    charge_after,
    charge_at,
    eclipse_fraction_circular,
    energy_metric,
    mean_load_w,
    sun_position_km,
    sunlight,
    sunlit_fraction,
)
from constellation.scenario.network import EnergyKnobs, OrbitKnobs

SUN = np.array([AU_KM, 0.0, 0.0])


def right_ascension_declination_deg(position_km):
    x, y, z = position_km / np.linalg.norm(position_km)
    return math.degrees(math.atan2(y, x)) % 360, math.degrees(math.asin(z))


def test_the_sun_is_where_meeus_puts_it():
    # Meeus, Astronomical Algorithms, 2nd ed., example 25.a: 1992 October 13.0 TD, apparent place, and R in
    # au.
    sun = sun_position_km(datetime(1992, 10, 13, tzinfo=timezone.utc), np.zeros(1))[0]
    ascension, declination = right_ascension_declination_deg(sun)
    assert ascension == pytest.approx(198.38083, abs=0.015)
    assert declination == pytest.approx(-7.78507, abs=0.01)
    assert np.linalg.norm(sun) / AU_KM == pytest.approx(0.99766, abs=1e-4)


def test_the_sun_crosses_the_equator_at_the_equinox():
    equinox = datetime(
        2026, 3, 20, 14, 46, tzinfo=timezone.utc
    )  # to the minute, from the almanacs of that year
    assert right_ascension_declination_deg(sun_position_km(equinox, np.zeros(1))[0])[1] == pytest.approx(
        0, abs=0.01
    )


def test_sunlight_is_full_before_the_earth_and_none_behind_it():
    behind, before, beside = np.array([[-7000.0, 0, 0], [7000.0, 0, 0], [0.0, 7000, 0]])
    assert sunlit_fraction(np.array([behind, before, beside]), SUN).tolist() == [0.0, 1.0, 1.0]


def test_the_penumbra_dims_steadily_from_full_to_none():
    y = np.linspace(EARTH_RADIUS_KM - 60, EARTH_RADIUS_KM + 60, 121)
    lit = sunlit_fraction(np.stack([np.full_like(y, -3000.0), y, np.zeros_like(y)], axis=1), SUN)
    assert lit[0] == 0 and lit[-1] == 1 and (np.diff(lit) >= -1e-12).all()
    assert lit[60] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("altitude_km", [400.0, 550.0, 1200.0])
@pytest.mark.parametrize("beta_deg", [0.0, 30.0, 55.0])
def test_the_eclipse_fraction_of_a_circle_is_analytic_within_one_percent(altitude_km, beta_deg):
    angle = np.linspace(0, 2 * np.pi, 20001)[:-1]
    beta = math.radians(beta_deg)
    across = np.array([math.sin(beta), 0.0, math.cos(beta)])  # the orbit's normal
    along = np.array([math.cos(beta), 0.0, -math.sin(beta)])
    orbit = (EARTH_RADIUS_KM + altitude_km) * (
        np.cos(angle)[:, None] * along + np.sin(angle)[:, None] * np.cross(across, along)
    )
    dark = 1 - sunlit_fraction(orbit, SUN).mean()
    assert dark == pytest.approx(eclipse_fraction_circular(altitude_km, beta_deg), rel=0.01)


def test_the_eclipse_fraction_of_a_propagated_satellite_is_analytic_within_one_percent():
    constellation = load_constellation(OrbitKnobs(pattern="53:4/4/0"))
    times_s = np.arange(
        0, 95.5 * 60 * 3, 2.0
    )  # three revolutions, so that where the window begins matters little
    positions = constellation.positions_teme_km(times_s)
    sun = sun_position_km(constellation.epoch, times_s).mean(axis=0)
    dark = 1 - sunlight(constellation, times_s).mean(axis=0)
    for satellite in range(4):
        normal = np.cross(positions[0, satellite], positions[300, satellite])
        beta_deg = 90 - math.degrees(
            math.acos(abs(normal @ sun) / np.linalg.norm(normal) / np.linalg.norm(sun))
        )
        altitude_km = np.linalg.norm(positions[:, satellite], axis=1).mean() - EARTH_RADIUS_KM
        assert dark[satellite] == pytest.approx(
            eclipse_fraction_circular(altitude_km, beta_deg), rel=0.01, abs=0.001
        )


def test_an_orbit_along_the_terminator_never_sees_the_shadow():
    assert eclipse_fraction_circular(550.0, 80.0) == 0.0


@given(arrays(np.float64, (30, 3), elements=st.floats(0, 1)), st.floats(0, 200), st.floats(0, 1))
def test_charge_stays_between_empty_and_full(sunlit, load_w, initial):
    states = charge_after(sunlit, 600.0, EnergyKnobs(), load_w, np.full(3, initial))
    assert (states >= 0).all() and (states <= 1).all()


@given(st.floats(0, 100))
def test_a_battery_away_from_its_limits_keeps_account_of_every_watt_hour(load_w):
    knobs = EnergyKnobs(battery_wh=1000.0, solar_w=60.0)
    sunlit = np.array([[1.0], [0.0], [0.5]])
    states = charge_after(sunlit, 3600.0, knobs, load_w, np.array([0.5]))
    assert states[-1, 0] == pytest.approx(0.5 + (60 * 1.5 - 3 * load_w) / 1000)


def test_satellites_differ_at_the_epoch_and_a_heavier_load_leaves_less():
    constellation = load_constellation(OrbitKnobs(pattern="53:40/4/1"))
    knobs = EnergyKnobs()
    light, heavy = (charge_at(constellation, range(40), 0.0, knobs, load_w) for load_w in (30.0, 60.0))
    assert len(np.unique(light.round(6))) > 5
    assert (heavy < light + 1e-12).all() and heavy.mean() < light.mean()


def test_the_charge_of_a_satellite_does_not_depend_on_its_company():
    constellation = load_constellation(OrbitKnobs(pattern="53:40/4/1"))
    together, alone = (
        energy_metric(constellation, [3, 30, 12], 3000.0, EnergyKnobs()),
        energy_metric(constellation, [30], 3000.0, EnergyKnobs()),
    )
    assert together[1] == alone[0]


def test_the_load_counts_how_long_the_computer_and_the_transmitter_are_on():
    times = ComputeTimes(1.0, 1.0, 1.0, 1.0, 1.0)
    assert mean_load_w(EnergyKnobs(), times, transmit_s=6.0, period_s=60.0) == pytest.approx(
        30 + 40 * 5 / 60 + 20 * 6 / 60
    )
    assert mean_load_w(EnergyKnobs(), times, transmit_s=60.0, period_s=1.0) == pytest.approx(90)
