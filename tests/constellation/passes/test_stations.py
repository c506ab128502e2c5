"""Several stations, and horizons around them."""

import numpy as np
import pytest

from constellation.common.errors import UserError
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import contact_windows, next_contact, station_windows
from constellation.scenario.load import load_network
from constellation.scenario.network import GroundKnobs, OrbitKnobs
from constellation.scenario.stations import parse_mask, parse_station

SPAN_S = 6 * 3600.0
OPEN = GroundKnobs(min_elevation_deg=5.0)


@pytest.fixture(scope="module")
def constellation():
    return load_constellation(OrbitKnobs(pattern="53:24/3/1"))


def test_each_station_takes_link_and_mask_from_ground_unless_it_says_otherwise():
    ground = GroundKnobs(min_elevation_deg=7.0, antennas=2, stations=("Kiruna", "Here:1:2:3:20:1@0/30"))
    kiruna, here = ground.each
    assert (kiruna.name, kiruna.min_elevation_deg, kiruna.antennas) == ("Kiruna", 7.0, 2)
    assert (here.latitude_deg, here.longitude_deg, here.elevation_m) == (1.0, 2.0, 3.0)
    assert (here.min_elevation_deg, here.antennas, here.mask) == (20.0, 1, "0/30")
    assert here.downlink == ground.downlink
    assert GroundKnobs().each == (GroundKnobs(),)


def test_knobs_of_stations_leave_the_digests_of_older_runs_alone():
    plain = load_network("edge_space_com")
    assert plain.digest == load_network("edge_space_com", ["ground.antennas=0"]).digest
    assert plain.digest != load_network("edge_space_com", ["ground.stations=Kiruna,Troll"]).digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Svalbrad", "did you mean Svalbard"),
        ("X:91:0", "latitude 91"),
        ("X:1", "expected NAME:LATITUDE"),
        ("X:1:2:3:4:1.5", "whole number"),
        ("X:1:nan", "expected a number"),
        ("X:1:2@90", "AZIMUTH/ELEVATION"),
        ("X:1:2@0/5+0/6", "no azimuth twice"),
    ],
)
def test_a_station_that_is_none_is_told_in_one_line(text, says):
    with pytest.raises(UserError, match=says) as caught:
        parse_station(text)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("ground.stations: ")


def test_two_stations_of_one_name_are_refused():
    with pytest.raises(UserError, match="no station twice"):
        load_network("edge_space_com", ["ground.stations=Troll,troll"])


def test_a_flat_horizon_is_a_mask(constellation):
    flat = contact_windows(constellation, OPEN.model_copy(update={"mask": "0/25+180/25"}), 0.0, SPAN_S)
    mask = contact_windows(constellation, OPEN.model_copy(update={"min_elevation_deg": 25.0}), 0.0, SPAN_S)
    assert flat.satellite.tolist() == mask.satellite.tolist() and len(mask) > 3
    assert np.allclose(flat.rise_s, mask.rise_s, atol=0.01)
    assert np.allclose(flat.culmination_s, mask.culmination_s, atol=0.5)


def test_a_horizon_hides_what_skyfield_sees_behind_it(constellation):
    """Rise and set against an azimuth and elevation that skyfield computes, second by second."""
    from skyfield.api import wgs84

    corners = "0/5+80/5+100/40+170/40+190/5"
    ground = OPEN.model_copy(update={"mask": corners})
    windows = contact_windows(constellation, ground, 0.0, SPAN_S)
    place = wgs84.latlon(ground.latitude_deg, ground.longitude_deg, ground.elevation_m)
    table = np.array(parse_mask(corners))
    times_s = np.arange(0.0, SPAN_S, 5.0)
    for satellite in (0, 5, 13):
        seen = (constellation.skyfield_satellite(satellite) - place).at(constellation.times(times_s)).altaz()
        lowest = np.interp(seen[1].degrees, table[:, 0], table[:, 1], period=360)
        above = seen[0].degrees > lowest
        mine = windows.of(satellite)
        ours = ((times_s[:, None] >= mine.rise_s) & (times_s[:, None] <= mine.set_s)).any(axis=1)
        near = (np.abs(times_s[:, None] - np.concatenate([mine.rise_s, mine.set_s])) < 6.0).any(axis=1)
        assert (ours == above)[~near].all()
    assert len(windows) != len(contact_windows(constellation, OPEN, 0.0, SPAN_S)) or (
        windows.duration_s.sum() < contact_windows(constellation, OPEN, 0.0, SPAN_S).duration_s.sum() - 60
    )


def test_the_next_contact_is_that_of_the_station_that_comes_first(constellation):
    both = OPEN.model_copy(update={"stations": ("Matera", "Santiago")})
    found = next_contact(constellation, np.arange(24), 0.0, both)
    alone = [next_contact(constellation, np.arange(24), 0.0, station) for station in both.each]
    assert np.array_equal(found.wait_s, np.minimum(alone[0].wait_s, alone[1].wait_s))
    windows = station_windows(constellation, both, 0.0, SPAN_S)
    assert [one.ground for one in windows] == ["Matera", "Santiago"]


def test_what_looks_at_one_station_refuses_several(constellation):
    with pytest.raises(UserError, match="several stations"):
        contact_windows(constellation, OPEN.model_copy(update={"stations": ("Matera",)}), 0.0, SPAN_S)
