"""Sun, shadow and battery against published examples, analytic eclipses, and conservation of energy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.energy import (AU_KM, EARTH_RADIUS_KM, SUN_RADIUS_KM, average_load_w, eclipse_share_of_circle, energy_metric,
                                  simulate_charge, sun_position_km, sunlight, sunlit_share)
from constellation.orbits import load_constellation
from constellation.space import EnergyKnobs, OrbitKnobs

ALTITUDE_KM = 550.0


def circle_km(beta_rad: float, count: int = 20000) -> np.ndarray:
    """A circular orbit whose plane has the Sun, on the x axis, `beta` out of it: [count, 3]."""
    angle = 2 * np.pi * (np.arange(count) + 0.5) / count
    radius = EARTH_RADIUS_KM + ALTITUDE_KM
    along, across = np.array([np.cos(beta_rad), 0.0, np.sin(beta_rad)]), np.array([0.0, 1.0, 0.0])
    return radius * (np.cos(angle)[:, None] * along + np.sin(angle)[:, None] * across)


def test_sun_agrees_with_vallados_example_5_1():
    # 2006-04-02 00:00 UTC: r = (0.9771945, 0.1924424, 0.0834308) AU, mean of date
    found = sun_position_km(np.array([2453827.5]))[0] / AU_KM
    assert np.degrees(np.arccos(found @ [0.9771945, 0.1924424, 0.0834308] / np.linalg.norm(found) / np.linalg.norm(
        [0.9771945, 0.1924424, 0.0834308]))) < 0.01


def test_sun_agrees_with_meeus_example_25a():
    # 1992-10-13 00:00 TD: apparent right ascension 198.38083 deg, declination -7.78507 deg, R = 0.99766 AU
    x, y, z = sun_position_km(np.array([2448908.5]))[0]
    distance = np.sqrt(x * x + y * y + z * z)
    assert np.degrees(np.arctan2(y, x)) % 360 == pytest.approx(198.38083, abs=0.01)
    assert np.degrees(np.arcsin(z / distance)) == pytest.approx(-7.78507, abs=0.01)
    assert distance / AU_KM == pytest.approx(0.99766, abs=1e-4)


@pytest.mark.parametrize("beta_deg", [0, 20, 45, 60])
@pytest.mark.parametrize("shadow", ["cylindrical", "conical"])
def test_eclipse_share_of_a_circular_orbit_is_the_analytic_one_within_a_percent(beta_deg, shadow):
    beta = np.radians(beta_deg)
    share = 1 - sunlit_share(circle_km(beta), np.array([AU_KM, 0.0, 0.0]), shadow).mean()
    assert share == pytest.approx(eclipse_share_of_circle(ALTITUDE_KM, beta), rel=0.01)


def test_no_eclipse_where_the_orbit_faces_the_sun():
    assert eclipse_share_of_circle(ALTITUDE_KM, np.radians(80)) == 0
    assert sunlit_share(circle_km(np.radians(80)), np.array([AU_KM, 0.0, 0.0])).min() == 1


def test_sgp4_satellites_are_dark_as_long_as_the_analytic_circle():
    satellites = load_constellation(OrbitKnobs(pattern="53:6/6/1"))
    times_s = np.arange(0, 86400.0, 20.0)
    dark = 1 - sunlight(satellites, np.arange(6), times_s).mean(axis=0)
    sun = sun_position_km(satellites.times(times_s).ut1)
    sun /= np.linalg.norm(sun, axis=1, keepdims=True)
    positions = satellites.positions_teme_km(times_s)
    for s in range(6):
        normal = np.cross(positions[:-1, s], positions[1:, s])
        beta = np.arcsin((normal * sun[:-1]).sum(axis=1) / np.linalg.norm(normal, axis=1))
        expected = np.mean([eclipse_share_of_circle(ALTITUDE_KM, b) for b in beta[::50]])
        assert dark[s] == pytest.approx(expected, rel=0.01)


def test_penumbra_is_half_covered_where_the_suns_centre_touches_the_limb():
    distance_km = 7000.0
    limb = np.arcsin(EARTH_RADIUS_KM / distance_km)
    position = distance_km * np.array([-np.cos(limb), np.sin(limb), 0.0])
    sun = position + AU_KM * np.array([1.0, 0.0, 0.0])  # seen exactly along the limb
    share = float(sunlit_share(position, sun))
    assert 0.45 < share < 0.55
    assert float(sunlit_share(-distance_km * np.array([1.0, 0, 0]), np.array([AU_KM, 0, 0]))) == 0
    assert SUN_RADIUS_KM / AU_KM == pytest.approx(np.radians(0.2666), rel=0.01)  # half a degree wide


knobs = st.builds(EnergyKnobs, battery_wh=st.floats(1, 200), solar_w=st.floats(0, 200), initial_charge=st.floats(0, 1))


@given(knobs, st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=30), st.floats(0, 200))
def test_energy_is_conserved_and_charge_stays_between_empty_and_full(energy, sunlit, load_w):
    light = np.array(sunlit)
    times_s = 60.0 * np.arange(len(light))
    charge = simulate_charge(times_s, light, load_w, energy)
    gained = (energy.solar_w * light[:-1]).sum(axis=0) / 60
    used = load_w * (len(light) - 1) / 60
    before, after = charge.charge_wh[0], charge.charge_wh[-1]
    np.testing.assert_allclose(before + gained, after + used - charge.short_wh + charge.spilled_wh, atol=1e-9)
    assert charge.charge_wh.min() >= 0 and charge.charge_wh.max() <= energy.battery_wh


def test_who_comes_out_of_the_dark_has_less():
    satellites = load_constellation(OrbitKnobs(pattern="53:40/2/1"))
    every = np.arange(40)
    metric = energy_metric(satellites, every, 0.0, EnergyKnobs())
    assert metric.shape == (40,) and 0 <= metric.min() < metric.max() <= 1
    np.testing.assert_array_equal(metric[[7, 3]], energy_metric(satellites, [7, 3], 0.0, EnergyKnobs()))
    last_half_hour = sunlight(satellites, every, np.arange(-1800.0, 0.0, 60.0)).mean(axis=0)
    assert metric[last_half_hour == 0].mean() < metric[last_half_hour == 1].mean()


def test_load_follows_the_shares_of_time():
    assert average_load_w(EnergyKnobs(), 0.5, 0.25) == 30 + 20 + 5
