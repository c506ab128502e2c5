"""Contact windows against skyfield, and the downlink along a pass."""

from pathlib import Path

import numpy as np
import pytest
from skyfield.api import wgs84

from constellation.common.errors import UserError
from constellation.links.budget import rate_bps
from constellation.orbit.orbits import load_constellation, subset
from constellation.passes.contacts import contact_windows, downlink_rate_bps, link_metric, next_contact
from constellation.scenario.network import GroundKnobs, OrbitKnobs

HALF_DAY_S = 43200.0
MADRID = GroundKnobs(
    name="Madrid", latitude_deg=40.43, longitude_deg=-4.25, elevation_m=770.0, min_elevation_deg=10.0
)
SVALBARD = GroundKnobs(
    name="Svalbard", latitude_deg=78.23, longitude_deg=15.39, elevation_m=450.0, min_elevation_deg=10.0
)


@pytest.fixture(scope="module")
def constellation():
    return load_constellation(OrbitKnobs(pattern="53:24/6/1"))


def skyfield_passes(constellation, satellite, ground, begin_s, end_s):
    """(rise, set) of every complete pass, seconds after the epoch, by skyfield's own search."""
    begin, end = constellation.times(np.array([begin_s, end_s]))
    station = wgs84.latlon(ground.latitude_deg, ground.longitude_deg, ground.elevation_m)
    times, events = constellation.skyfield_satellite(satellite).find_events(
        station, begin, end, altitude_degrees=ground.min_elevation_deg
    )
    seconds = (times.tt - begin.tt) * 86400 + begin_s if len(times) else []
    passes, rise = [], None
    for second, event in zip(seconds, events):
        if event == 0:
            rise = second
        elif event == 2 and rise is not None:
            passes.append((rise, second))
            rise = None
    return np.array(passes).reshape(-1, 2)


def complete(windows, satellite):
    mine = windows.of(satellite)
    whole = (mine.rise_s > windows.begin_s) & (mine.set_s < windows.end_s)
    return np.stack([mine.rise_s[whole], mine.set_s[whole]], axis=1)


@pytest.mark.parametrize("mask_deg", [0.0, 10.0, 60.0])
def test_windows_agree_with_skyfield_within_a_second(constellation, mask_deg):
    ground = MADRID.model_copy(update={"min_elevation_deg": mask_deg})
    windows = contact_windows(constellation, ground, 0.0, HALF_DAY_S)
    seen = 0
    for satellite in range(0, 24, 3):
        expected = skyfield_passes(constellation, satellite, ground, 0.0, HALF_DAY_S)
        found = complete(windows, satellite)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max(initial=0.0) < 1.0
        seen += len(found)
    assert seen > 0


def test_at_rise_and_set_skyfield_sees_the_satellite_on_the_mask(constellation):
    windows = contact_windows(constellation, MADRID, 1.0, HALF_DAY_S, [0])
    station = wgs84.latlon(MADRID.latitude_deg, MADRID.longitude_deg, MADRID.elevation_m)
    when = constellation.times(complete(windows, 0).ravel())
    elevation, _, _ = (constellation.skyfield_satellite(0) - station).at(when).altaz()
    np.testing.assert_allclose(elevation.degrees, 10.0, atol=1e-3)


def test_a_search_that_begins_inside_a_pass_cuts_it(constellation):
    whole = contact_windows(constellation, MADRID, 0.0, HALF_DAY_S)
    pick = int(np.flatnonzero(whole.rise_s > 0)[0])
    middle_s = float(whole.rise_s[pick] + whole.set_s[pick]) / 2
    satellite = int(whole.satellite[pick])
    later, earlier = (
        contact_windows(constellation, MADRID, *span, [satellite])
        for span in ((middle_s, HALF_DAY_S), (0.0, middle_s))
    )
    assert later.rise_s[0] == middle_s and later.set_s[0] == pytest.approx(whole.set_s[pick], abs=0.05)
    assert earlier.set_s[-1] == middle_s and earlier.rise_s[-1] == pytest.approx(whole.rise_s[pick], abs=0.05)


def test_a_satellite_that_never_sets_has_one_window():
    high = load_constellation(OrbitKnobs(pattern="0:8/1/0", altitude_km=35786.0))
    windows = contact_windows(high, MADRID, 0.0, HALF_DAY_S)
    assert len(windows) in (2, 3, 4)
    assert (windows.rise_s == 0).all() and (windows.set_s == HALF_DAY_S).all()


def test_no_satellite_of_53_degrees_ever_meets_svalbard(constellation):
    assert len(contact_windows(constellation, SVALBARD, 0.0, HALF_DAY_S)) == 0
    assert link_metric(constellation, [0, 5], 0.0, SVALBARD).tolist() == [-86400.0, -86400.0]


def test_the_highest_point_is_higher_than_rise_and_set(constellation):
    windows = contact_windows(constellation, MADRID, 0.0, HALF_DAY_S)
    assert ((windows.rise_s <= windows.culmination_s) & (windows.culmination_s <= windows.set_s)).all()
    assert (windows.max_elevation_deg >= 10.0 - 1e-6).all() and (windows.max_elevation_deg <= 90).all()


def test_windows_of_some_satellites_are_those_of_all(constellation):
    every, some = (
        contact_windows(constellation, MADRID, 0.0, HALF_DAY_S),
        contact_windows(constellation, MADRID, 0.0, HALF_DAY_S, [7, 3]),
    )
    for satellite in (3, 7):
        np.testing.assert_allclose(some.of(satellite).rise_s, every.of(satellite).rise_s)
    assert set(some.satellite) == {3, 7}


def test_the_mean_rate_of_a_window_is_the_mean_along_the_pass(constellation):
    windows = contact_windows(constellation, MADRID, 0.0, HALF_DAY_S)
    pick = int(windows.duration_s.argmax())
    times_s = np.linspace(windows.rise_s[pick] + 1e-3, windows.set_s[pick] - 1e-3, 2001)
    along = downlink_rate_bps(constellation, int(windows.satellite[pick]), times_s, MADRID)
    mean = ((along[1:] + along[:-1]) / 2).mean()
    assert windows.mean_rate_bps[pick] == pytest.approx(mean, rel=1e-4)
    assert along.argmax() == pytest.approx(1000, abs=60)  # fastest where nearest: in the middle


def test_the_rate_is_the_link_budget_at_skyfields_range_and_zero_below_the_mask(constellation):
    windows = contact_windows(constellation, MADRID, 0.0, HALF_DAY_S)
    satellite, time_s = int(windows.satellite[5]), float(windows.culmination_s[5])
    station = wgs84.latlon(MADRID.latitude_deg, MADRID.longitude_deg, MADRID.elevation_m)
    _, _, distance = (
        (constellation.skyfield_satellite(satellite) - station)
        .at(constellation.times(np.array([time_s]))[0])
        .altaz()
    )
    found = downlink_rate_bps(constellation, satellite, np.array([time_s, windows.rise_s[5] - 30.0]), MADRID)
    assert found[0] == pytest.approx(float(rate_bps(distance.km, MADRID.downlink)), rel=1e-4)
    assert found[1] == 0


def test_the_link_metric_prefers_contact_now_then_soonest(constellation):
    windows = contact_windows(constellation, MADRID, 0.0, HALF_DAY_S)
    pick = int(np.flatnonzero(windows.rise_s > 1000)[0])
    now_s = float(windows.rise_s[pick]) + 10
    members = np.arange(24)
    contact = next_contact(constellation, members, now_s, MADRID)
    metric = link_metric(constellation, members, now_s, MADRID)
    assert contact.wait_s[windows.satellite[pick]] == 0
    waits = contact.wait_s[np.argsort(-metric)]
    assert (np.diff(waits) >= -1e-3).all()


def test_the_metric_does_not_depend_on_the_order_of_the_members(constellation):
    forward, backward = (
        link_metric(constellation, [1, 9, 17], 600.0, MADRID),
        link_metric(constellation, [17, 9, 1], 600.0, MADRID),
    )
    np.testing.assert_array_equal(forward, backward[::-1])


def test_a_subset_keeps_its_satellites_names_and_positions(constellation):
    some = subset(constellation, [4, 2])
    assert some.names == (constellation.names[4], constellation.names[2])
    when = np.array([100.0])
    np.testing.assert_array_equal(
        some.positions_teme_km(when)[0], constellation.positions_teme_km(when)[0][[4, 2]]
    )


def test_an_empty_span_is_refused(constellation):
    with pytest.raises(UserError, match="expected an end after its beginning"):
        contact_windows(constellation, MADRID, 10.0, 10.0)


def test_a_pass_with_two_maxima_culminates_at_the_higher_one():
    # Proba-3 from the Netherlands: up for hours, 45 deg at the first maximum
    path = Path(__file__).parents[1] / "orbit" / "cases" / "proba3.tle"
    satellites = load_constellation(OrbitKnobs(source="tle", path=str(path), epoch="2024-12-08T00:00:00Z"))
    station = GroundKnobs(
        name="53 N 5 E", latitude_deg=53.0, longitude_deg=5.0, elevation_m=0.0, min_elevation_deg=0.0
    )
    windows = contact_windows(satellites, station, 0.0, 2 * 86400.0)
    rises = 22 * 3600 + 57 * 60  # 2024-12-08T22:57Z
    pick = int(np.abs(windows.rise_s - rises).argmin())
    assert abs(windows.rise_s[pick] - rises) < 60
    assert windows.max_elevation_deg[pick] == pytest.approx(88.08, abs=0.01)
    times_s = np.arange(windows.rise_s[pick], windows.set_s[pick], 5.0)
    topos = satellites.skyfield_satellite(0) - wgs84.latlon(53.0, 5.0, 0.0)
    elevation_deg = topos.at(satellites.times(times_s)).altaz()[0].degrees
    assert elevation_deg.max() == pytest.approx(windows.max_elevation_deg[pick], abs=0.05)
    assert times_s[elevation_deg.argmax()] == pytest.approx(windows.culmination_s[pick], abs=6)


def test_no_window_has_a_higher_sample_than_its_culmination(constellation):
    windows = contact_windows(constellation, MADRID, 0.0, HALF_DAY_S)
    station = wgs84.latlon(MADRID.latitude_deg, MADRID.longitude_deg, MADRID.elevation_m)
    for pick in range(0, len(windows), 7):
        topos = constellation.skyfield_satellite(int(windows.satellite[pick])) - station
        times_s = np.linspace(windows.rise_s[pick], windows.set_s[pick], 200)
        highest_deg = topos.at(constellation.times(times_s)).altaz()[0].degrees.max()
        assert highest_deg <= windows.max_elevation_deg[pick] + 1e-3


def test_a_span_of_more_than_a_year_is_refused(constellation):
    with pytest.raises(UserError, match="expected at most a year"):
        contact_windows(constellation, MADRID, 0.0, 1e9)
