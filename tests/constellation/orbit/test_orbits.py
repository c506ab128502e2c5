"""Orbits against skyfield, Vallado's vectors and analytic Walker geometry; TLE and OMM files, good and
bad."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyfield.framelib import itrs

from constellation.common.errors import UserError
from constellation.orbit.frames import parse_epoch
from constellation.orbit.orbits import constellation_positions, load_constellation, sample_times_s
from constellation.orbit.walker import SGP4_RADIUS_KM, parse_walker
from constellation.scenario.network import OrbitKnobs

# Vallado et al. 2006 (AIAA 2006-6753), satellite 00005, TEME km at 0 and 360 minutes after its epoch
VALLADO = (
    "1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4753",
    "2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667",
)
VALLADO_KM = {
    0: (7022.46529266, -1400.08296755, 0.03995155),
    360: (-7154.03120202, -3783.17682504, -3536.19412294),
}
ISS = (
    "1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927",
    "2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537",
)


def tle_file(tmp_path, *lines):
    path = tmp_path / "satellites.tle"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def walker(pattern, **knobs):
    return load_constellation(OrbitKnobs(pattern=pattern, **knobs))


def test_positions_agree_with_skyfield_to_a_metre_in_both_frames():
    constellation = walker("53:60/6/2")
    times_s = np.arange(0, 43200, 977.0)
    earth_fixed, inertial = constellation.positions_itrs_km(times_s), constellation.positions_teme_km(times_s)
    for index in (0, 17, 59):
        reference = (
            constellation.skyfield_satellite(index).at(constellation.times(times_s)).frame_xyz(itrs).km.T
        )
        assert np.abs(earth_fixed[:, index] - reference).max() < 1e-3
    assert np.allclose(np.linalg.norm(earth_fixed, axis=-1), np.linalg.norm(inertial, axis=-1), atol=1e-6)


def test_a_tle_file_gives_vallados_positions(tmp_path):
    orbit = OrbitKnobs(
        source="tle", path=tle_file(tmp_path, "VANGUARD 1", *VALLADO), epoch="2000-06-27T18:50:19.733568Z"
    )
    positions_km = constellation_positions(orbit, np.array([0.0, 360 * 60.0]))
    assert np.allclose(positions_km[:, 0], [VALLADO_KM[0], VALLADO_KM[360]], atol=1e-3)
    assert load_constellation(orbit).names == ("VANGUARD 1",)


def test_sgp4_gets_the_semi_major_axis_that_the_altitude_asks_for():
    for pattern in ("0:4/1/0", "53:4/1/0", "97.6:4/1/0"):
        axis_km = (
            np.array([record.a for record in walker(pattern, altitude_km=550.0).satrecs]) * SGP4_RADIUS_KM
        )
        assert np.allclose(axis_km, SGP4_RADIUS_KM + 550.0, atol=1e-6)


def test_satellites_stay_within_ten_kilometres_of_the_altitude():
    radius_km = np.linalg.norm(walker("53:100/10/1").positions_teme_km(np.arange(0, 6000, 60.0)), axis=-1)
    assert np.abs(radius_km - SGP4_RADIUS_KM - 550).max() < 10


@pytest.mark.parametrize("kind,spread_deg", [("delta", 360), ("star", 180)])
def test_planes_are_spread_evenly_and_satellites_evenly_inside_them(kind, spread_deg):
    constellation = walker("53:120/8/3", kind=kind)
    nodes = np.degrees([record.nodeo for record in constellation.satrecs]).reshape(8, 15)
    anomalies = np.degrees([record.mo for record in constellation.satrecs]).reshape(8, 15)
    assert np.allclose(nodes, nodes[:, :1]) and np.allclose(np.diff(nodes[:, 0]), spread_deg / 8)
    assert np.allclose(np.diff(anomalies, axis=1) % 360, 360 / 15)
    assert np.allclose(np.diff(anomalies[:, 0]) % 360, 3 * 360 / 120)  # F * 360 / T from plane to plane


def test_positions_lie_in_as_many_planes_as_the_pattern_says():
    constellation = walker("70:60/6/1")
    position, later = constellation.positions_teme_km(np.array([0.0, 1.0]))
    normal = np.cross(position, later)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    groups = normal.reshape(6, 10, 3)
    assert (np.einsum("psi,pi->ps", groups, groups[:, 0]) > np.cos(np.radians(0.2))).all()
    between = np.einsum("pi,qi->pq", groups[:, 0], groups[:, 0])
    assert (between[~np.eye(6, dtype=bool)] < np.cos(np.radians(5))).all()


@settings(max_examples=10, deadline=None)
@given(
    planes=st.integers(1, 9),
    per_plane=st.integers(1, 9),
    inclination=st.floats(1, 179),
    time_s=st.floats(0, 86400),
)
def test_a_delta_pattern_without_phasing_is_unchanged_by_a_turn_of_one_plane(
    planes, per_plane, inclination, time_s
):
    constellation = walker(f"{inclination:.3f}:{planes * per_plane}/{planes}/0")
    position = constellation.positions_teme_km(np.array([time_s]))[0].reshape(planes, per_plane, 3)
    turn = 2 * np.pi / planes
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    assert np.abs(position @ rotation.T - np.roll(position, -1, axis=0)).max() < 1e-3


def test_one_block_of_times_equals_many_blocks():
    constellation = walker("53:20/4/1")
    times_s = np.arange(10) * 60.0
    whole = constellation.positions_itrs_km(times_s)
    assert np.array_equal(whole[7:], constellation.positions_itrs_km(times_s[7:]))


def test_the_window_is_sampled_720_times():
    times_s = sample_times_s(OrbitKnobs())
    assert (
        len(times_s) == 720 and times_s[1] == 60.0 and len(sample_times_s(OrbitKnobs(duration_s=10.0))) == 1
    )


@pytest.mark.parametrize(
    "pattern,expected",
    [
        ("53:1000/24/1", "multiple of the planes"),
        ("53:10/5/5", "phasing 5, expected 0 to 4"),
        ("53,10,5,1", "expected inclination_deg:total/planes/phasing"),
        ("190:10/5/1", "inclination 190"),
        ("53:0/1/0", "0 satellites"),
        ("53:99999999/1/0", "99999999 satellites"),
        ("53:10/0/0", "0 planes"),
    ],
)
def test_a_bad_pattern_is_refused_in_one_line(pattern, expected):
    with pytest.raises(UserError, match=expected) as error:
        parse_walker(pattern)
    assert "\n" not in str(error.value) and "orbit.pattern" in str(error.value)


@pytest.mark.parametrize(
    "change,expected",
    [
        (lambda a, b: (a, b[:-1] + "0"), r"line 3: checksum 0, expected 7 \(satellite 25544\)"),
        (lambda a, b: (a[:-3], b), "line 2: 66 characters, expected 69"),
        (lambda a, b: (a,), "line 2: the second line is missing"),
        (lambda a, b: (a, "VANGUARD"), "line 3: found 'VANGUARD', expected line 2"),
        (lambda a, b: (a, VALLADO[1]), "line 3: second line of satellite 00005, expected of 25544"),
        (lambda a, b: (b,), "line 2: found a second line"),
        (lambda a, b: (a, b, a, b), "line 4: satellite 25544 again, it is already in line 2"),
        (lambda a, b: (a, b.replace("51.6416", "51.A4F6")), "line 3: checksum|line 3: malformed"),
    ],
)
def test_a_bad_tle_is_refused_with_its_line_number(tmp_path, change, expected):
    path = tle_file(tmp_path, "0 ISS", *change(*ISS))
    with pytest.raises(UserError, match=expected):
        load_constellation(OrbitKnobs(source="tle", path=path))


def test_elements_far_from_the_simulated_time_are_refused_by_name(tmp_path):
    path = tle_file(tmp_path, "ISS", *ISS)
    fresh = load_constellation(OrbitKnobs(source="tle", path=path, epoch="2008-10-10T00:00:00Z"))
    assert fresh.positions_teme_km(np.array([0.0])).shape == (1, 1, 3)
    with pytest.raises(
        UserError,
        match=r"satellite ISS: elements are .* days away from the simulated time, expected at most 30",
    ):
        fresh.positions_teme_km(np.array([0.0, 20 * 86400.0]))


def test_a_file_that_is_missing_binary_or_empty_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"No such file"):
        load_constellation(OrbitKnobs(source="tle", path=str(tmp_path / "none.tle")))
    (tmp_path / "binary.tle").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"not a text file"):
        load_constellation(OrbitKnobs(source="tle", path=str(tmp_path / "binary.tle")))
    with pytest.raises(UserError, match=r"no element sets"):
        load_constellation(OrbitKnobs(source="tle", path=tle_file(tmp_path, "# nothing")))
    with pytest.raises(UserError, match=r"orbit.path: found nothing"):
        load_constellation(OrbitKnobs(source="omm"))


def test_a_bad_epoch_is_refused():
    assert parse_epoch("2026-01-01").isoformat() == "2026-01-01T00:00:00+00:00"
    for text in ("yesterday", "0001-01-01"):
        with pytest.raises(UserError, match=r"orbit.epoch"):
            parse_epoch(text)
