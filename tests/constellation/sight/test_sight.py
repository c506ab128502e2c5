"""Looks and frames against skyfield's topocentric positions and pyproj's geodesy, which share no code with
ours."""

import numpy as np
import pyproj
import pytest
from skyfield.api import wgs84

from constellation.common.errors import UserError
from constellation.network import SpaceSegment
from constellation.scenario.load import load_scenario
from constellation.sight.camera import camera_at, incidence_deg
from constellation.sight.earth import geodetic, meet, meet_terrain, point_km
from constellation.sight.looks import Sighting, assigned, windows_of
from constellation.sight.sun import sun_elevation_deg
from constellation.sight.targets import Target, targets_of

SHELL = (
    "capture.mode=orbit",
    "satellites=24",
    "orbit.pattern=97.6:24/3/1",
    "orbit.duration_s=86400",
    "rounds=6",
)
ECEF = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


def space_of(*words: str) -> SpaceSegment:
    return SpaceSegment(load_scenario("dense", [*SHELL, *words]))


def test_a_look_is_at_the_culmination_that_skyfield_finds_within_a_second():
    space = space_of()
    site = wgs84.latlon(30.25, 120.17)
    for sighting in space.windows[0].sightings + space.windows[1].sightings:
        satellite = space.constellation.skyfield_satellite(sighting.satellite)
        around = space.constellation.times(np.array([sighting.time_s - 300, sighting.time_s + 300]))
        times, events = satellite.find_events(site, *around, altitude_degrees=5.0)
        highest = [t for t, event in zip(times, events, strict=True) if event == 1]
        at = space.constellation.times(np.array([sighting.time_s]))[0]
        assert min(abs((t - at) * 86400) for t in highest) < 1.0


def test_angles_of_a_look_are_skyfields_within_a_hundredth_of_a_degree():
    space = space_of()
    place = point_km(120.17, 30.25, 0.0)
    for window in space.windows:
        for sighting in window.sightings:
            at = space.constellation.times(np.array([sighting.time_s]))[0]
            satellite = space.constellation.skyfield_satellite(sighting.satellite)
            altitude, _, _ = (satellite - wgs84.latlon(30.25, 120.17)).at(at).altaz()
            position = space.state_km(sighting.satellite, sighting.time_s)[:3]
            assert 90 - incidence_deg(position, place) == pytest.approx(altitude.degrees, abs=0.01)
            below = wgs84.subpoint_of(satellite.at(at)).itrs_xyz.km
            there = wgs84.latlon(30.25, 120.17).itrs_xyz.km
            down, away = below - position, there - position
            angle = np.degrees(np.arccos(down @ away / np.linalg.norm(down) / np.linalg.norm(away)))
            assert sighting.off_nadir_deg == pytest.approx(angle, abs=0.01)
            assert sighting.off_nadir_deg <= 45


def test_corners_of_a_frame_lie_where_pyproj_puts_them():
    space = space_of()
    sighting = space.windows[0].sightings[0]
    state = space.state_km(sighting.satellite, sighting.time_s)
    camera = camera_at(state, (120.17, 30.25, 0.0), 5.0)
    rows, cols = np.array([-500.0, -500.0, 500.0, 500.0, 0.0]), np.array([-500.0, 500.0, 500.0, -500.0, 0.0])
    rays = camera.rays(rows, cols)
    lon, lat, height = geodetic(meet(camera.position_km, rays))
    assert np.abs(height).max() < 1e-3
    ground_km = np.stack(ECEF.transform(lon, lat, np.zeros(5)), axis=1) / 1000
    away = ground_km - camera.position_km
    reach = np.linalg.norm(away, axis=1)
    beside = np.linalg.norm(np.cross(away, rays), axis=1) / np.linalg.norm(rays, axis=1)
    assert (1000 * beside < 1.0 * reach / 500).all()  # a metre at 500 km
    assert pyproj.Geod(ellps="WGS84").inv(lon[4], lat[4], 120.17, 30.25)[2] < 0.1


def test_geodetic_coordinates_come_back():
    lon, lat = np.array([-179.9, 0.0, 120.17, 12.0]), np.array([-89.0, 0.0, 30.25, 66.6])
    height = np.array([-100.0, 0.0, 550e3, 8000.0])
    back = geodetic(point_km(lon, lat, height))
    assert np.allclose(back[0], lon, atol=1e-9) and np.allclose(back[1], lat, atol=1e-9)
    assert np.allclose(back[2], height, atol=1e-3)
    assert np.allclose(
        np.stack(ECEF.transform(lon, lat, height), axis=1) / 1000, point_km(lon, lat, height), atol=1e-6
    )


def test_a_ray_meets_a_hill_before_the_ground_behind_it():
    origin = point_km(0.0, 0.0, 500e3)
    ray = (point_km(3.0, 0.0, 0.0) - origin)[None]
    flat = meet_terrain(origin, ray, None)
    hill = meet_terrain(origin, ray, lambda lon, lat: np.full(lon.shape, 1000.0))
    assert geodetic(hill)[2][0] == pytest.approx(1000.0, abs=0.1)
    assert 0 < geodetic(flat)[0][0] - geodetic(hill)[0][0] < 0.02


def test_the_sun_stands_high_at_noon_and_below_at_midnight():
    epoch = space_of().constellation.epoch
    noon, _ = sun_elevation_deg(epoch, 12 * 3600.0 - 120.0 * 240 + 200, (120.0, 0.0))
    assert noon == pytest.approx(67.0, abs=0.6)  # 1 January: declination -23
    assert sun_elevation_deg(epoch, 24 * 3600.0 - 120.0 * 240, (120.0, 0.0))[0] < -60
    lit = space_of("sight.min_sun_deg=10", "rounds=3")
    for window in lit.windows:
        for one in window.sightings:
            assert sun_elevation_deg(epoch, one.time_s, (120.17, 30.25))[0] >= 10


def test_windows_do_not_depend_on_how_time_is_cut():
    space = space_of("rounds=1")
    knobs, target = load_scenario("dense", SHELL), targets_of("", load_scenario("dense", SHELL).region)
    short = list(windows_of(space.constellation, target, knobs.region, knobs.sight, 50_000.0))
    long = list(windows_of(space.constellation, target, knobs.region, knobs.sight, 86_400.0))
    times = [[(o.satellite, o.time_s) for o in w.sightings] for w in short[:-1]]  # the last one is cut
    assert times == [[(o.satellite, o.time_s) for o in w.sightings] for w in long][: len(times)]
    for window in long:
        assert window.end_s - window.begin_s <= knobs.sight.window_s
        assert len({one.satellite for one in window.sightings}) == len(window.sightings)


def test_targets_go_to_whom_they_are_worth_most():
    targets = [Target("a", 0.0, 0.0, 1.0), Target("b", 1.0, 0.0, 5.0)]
    seen = [Sighting(0, 0, 0.0, 10.0), Sighting(0, 1, 1.0, 10.0), Sighting(1, 1, 2.0, 40.0)]
    assert [(o.satellite, o.target) for o in assigned(seen, targets, 2)] == [(0, 1), (1, 1)]
    assert [(o.satellite, o.target) for o in assigned(seen, targets, 1)] == [(0, 1)]
    swapped = [*seen[:2], Sighting(1, 1, 2.0, 12.0)]
    assert [(o.satellite, o.target) for o in assigned(swapped, targets, 1)] == [(0, 0), (1, 1)]


def test_a_list_of_targets_is_read_or_refused_in_one_line(tmp_path):
    region = load_scenario("dense").region
    path = tmp_path / "fires.csv"
    path.write_text("event_id,lat,lon,frp\n1,30.0,120.0,12.5\n2,31,121,3\n")
    assert [(t.latitude_deg, t.priority) for t in targets_of(str(path), region)] == [
        (30.0, 12.5),
        (31.0, 3.0),
    ]
    for text, told in (
        ("a,b\n1,2\n", "expected lat"),
        ("lat,lon\n1,x\n", "line 2"),
        ("lat,lon\n91,0\n", "line 2"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=told):
            targets_of(str(path), region)


def test_more_rounds_than_windows_are_refused():
    with pytest.raises(UserError, match=r"rounds=50.*there are"):
        _ = space_of("rounds=50").windows


def test_with_as_many_participants_as_satellites_each_keeps_its_number():
    space = space_of()
    instant = space.at(1)
    assert instant.members.tolist() == list(range(24))
    assert {n: one.satellite for n, one in instant.sightings.items()} == {19: 19, 18: 18}
    few = space_of("satellites=3").at(1)
    assert {few.members[n] for n in few.sightings} == {18, 19} and len(few.members) == 3
