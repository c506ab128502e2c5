"""OEM files as orbits: against SGP4, skyfield's frames, and what hostile files say."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from constellation.common.errors import UserError
from constellation.formats.elements import oem
from constellation.links.topology import grid_edges
from constellation.orbit.frames import timescale
from constellation.orbit.orbits import load_constellation
from constellation.scenario.network import OrbitKnobs, RegionKnobs
from constellation.scenario.sight import SightKnobs
from constellation.sight.looks import windows_of
from constellation.sight.targets import Target

EPOCH = "2026-01-01T00:00:00Z"
TIMES_S = np.array([0.0, 33.3, 601.0, 1799.9, 3000.0, 3600.0])
HEAD = """CCSDS_OEM_VERS = 2.0
CREATION_DATE = 2026-01-01T00:00:00
ORIGINATOR = X

META_START
OBJECT_NAME = {name}
OBJECT_ID = 2026-001A
CENTER_NAME = EARTH
REF_FRAME = {frame}
TIME_SYSTEM = {scale}
START_TIME = 2026-01-01T00:00:00
STOP_TIME = 2026-01-01T01:00:00
META_STOP
"""


@pytest.fixture(scope="module")
def shell():
    return load_constellation(OrbitKnobs(pattern="97.6:6/3/1", epoch=EPOCH))


def written(shell, folder, step_s=240.0):
    for name, text in oem(shell, np.arange(0.0, 3601.0, step_s)):
        (folder / f"{name}.oem").write_text(text)
    return OrbitKnobs(source="oem", path=str(folder), epoch=EPOCH, duration_s=3600.0)


def test_ephemerides_of_a_state_every_four_minutes_give_sgp4_to_a_metre(shell, tmp_path):
    again = load_constellation(written(shell, tmp_path))
    assert again.names == shell.names and not again.satrecs
    here, there = again.states_teme_km(TIMES_S), shell.states_teme_km(TIMES_S)
    assert np.linalg.norm((here - there)[..., :3], axis=-1).max() < 1e-3
    assert np.linalg.norm((here - there)[..., 3:], axis=-1).max() < 1e-4
    assert np.array_equal(again.positions_teme_km(TIMES_S), here[..., :3])


def test_the_grid_of_ephemerides_is_the_patterns(shell, tmp_path):
    assert np.array_equal(grid_edges(load_constellation(written(shell, tmp_path))), grid_edges(shell))


@pytest.mark.parametrize("scale, ahead_s", [("UTC", 0.0), ("TAI", 37.0), ("TT", 69.184)])
@pytest.mark.parametrize("frame", ["GCRF", "EME2000", "ITRF2014"])
def test_frames_and_time_scales_are_skyfields(shell, tmp_path, frame, scale, ahead_s):
    """The satellite as skyfield puts it, written in another frame and scale, is where SGP4 has it."""
    satellite = shell.skyfield_satellite(4)
    steps_s = np.arange(0.0, 3601.0, 60.0)
    moments = timescale().utc(2026, 1, 1, 0, 0, steps_s)
    at = satellite.at(moments)
    if frame == "ITRF2014":
        from skyfield.framelib import itrs

        place, speed = at.frame_xyz_and_velocity(itrs)
        states = np.concatenate([place.km, speed.km_per_s])
    else:
        states = np.concatenate([at.xyz.km, at.velocity.km_per_s])
        if frame == "EME2000":
            from skyfield.framelib import ICRS_to_J2000 as bias

            states = np.concatenate([bias @ states[:3], bias @ states[3:]])
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=ahead_s)
    rows = [
        f"{(begin + timedelta(seconds=float(t))).strftime('%Y-%jT%H:%M:%S.%f')} "
        + " ".join(f"{value:.9f}" for value in state)
        for t, state in zip(steps_s, states.T, strict=True)
    ]
    path = tmp_path / "one.oem"
    path.write_text(HEAD.format(name="X", frame=frame, scale=scale) + "\n".join(rows) + "\n")
    found = load_constellation(OrbitKnobs(source="oem", path=str(path), epoch="file"))
    assert abs((found.epoch - datetime(2026, 1, 1, tzinfo=timezone.utc)).total_seconds()) < 1e-3
    off = found.positions_teme_km(TIMES_S[1:-1])[:, 0] - shell.positions_teme_km(TIMES_S[1:-1])[:, 4]
    assert np.linalg.norm(off, axis=1).max() < 1e-3


def test_passes_of_ephemerides_are_those_of_the_pattern(shell, tmp_path):
    """The search looks a little around the edges of the time that the file covers."""
    x, y, z = shell.positions_itrs_km(np.array([1800.0]))[0, 2]
    place = np.degrees([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))]).tolist()
    region, sight = RegionKnobs(), SightKnobs()
    target = [Target("below", *place)]
    again = load_constellation(written(shell, tmp_path))
    here, there = (list(windows_of(one, target, region, sight, 3600.0)) for one in (again, shell))
    assert len(there) > 0
    for one, other in zip(here, there, strict=True):
        for a, b in zip(one.sightings, other.sightings, strict=True):
            assert a.satellite == b.satellite and abs(a.time_s - b.time_s) < 0.1
            assert abs(a.off_nadir_deg - b.off_nadir_deg) < 1e-3


def test_what_lies_outside_the_span_is_refused_and_skip_bad_goes_on(shell, tmp_path):
    knobs = written(shell, tmp_path)
    with pytest.raises(UserError, match=r"P000S000 at 2026-01-01T01:02:01Z: its ephemeris holds from 2026"):
        load_constellation(knobs).positions_teme_km(np.array([3721.0]))
    (name, text) = next(iter(oem(shell, np.arange(0.0, 601.0, 60.0))))
    (tmp_path / f"{name}.oem").write_text(text)
    rest = load_constellation(knobs.model_copy(update={"skip_bad": True}))
    assert rest.names == shell.names[1:] and rest.skipped[0].startswith("P000S000: its ephemeris holds")


ROW = "2026-01-01T00:0{}:00 7000 0 0 0 7.5 0"
GOOD = HEAD.format(name="X", frame="TEME", scale="UTC") + "\n".join(map(ROW.format, range(3)))


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "not an OEM"),
        ("hello", "not an OEM"),
        (GOOD[:120], "CENTER_NAME '', expected EARTH"),
        (GOOD.replace("EARTH", "MARS BARYCENTER"), "CENTER_NAME 'MARS BARYCENTER', expected EARTH"),
        (GOOD.replace("TEME", "RTN"), "REF_FRAME 'RTN'"),
        (GOOD.replace("UTC", "GPS"), "TIME_SYSTEM 'GPS'"),
        (GOOD.replace("7000", "7e300"), "state 1 is"),
        (GOOD.replace("7000", "nan"), "state 1 is nan km"),
        (GOOD.replace("7.5", "x"), "not an OEM.*line"),
        (GOOD.replace("00:01:00 ", "00:02:00 "), "state 3 is not after"),
        (GOOD.replace("2026-01-01T00:01:00 ", "yesterday "), "expected epochs as"),
        (GOOD.rpartition("META_STOP")[0] + "META_STOP\n" + ROW.format(0), "1 states, expected at least 2"),
        ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><oem>&b;</oem>', "not an OEM"),
        ("<oem>" * 5000, "not an OEM"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "not a text file"),
    ],
)
def test_what_is_no_ephemeris_is_one_line(text, said, tmp_path):
    path = tmp_path / "bad.oem"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said) as caught:
        load_constellation(OrbitKnobs(source="oem", path=str(path)))
    assert str(caught.value).startswith(f"orbit.path: {path}") and "\n" not in str(caught.value)


def test_xml_is_read_as_the_package_writes_it(shell, tmp_path):
    from oem import OrbitEphemerisMessage

    name, text = next(iter(oem(shell, np.arange(0.0, 3601.0, 240.0))))
    (tmp_path / "one.kvn").write_text(text)
    OrbitEphemerisMessage.convert(str(tmp_path / "one.kvn"), str(tmp_path / "one.xml"), "xml")
    found = load_constellation(OrbitKnobs(source="oem", path=str(tmp_path / "one.xml"), epoch=EPOCH))
    assert found.names == (name,)
    off = found.positions_teme_km(TIMES_S)[:, 0] - shell.positions_teme_km(TIMES_S)[:, 0]
    assert np.linalg.norm(off, axis=1).max() < 1e-3


def test_a_satellite_in_two_files_and_an_empty_folder_are_refused(shell, tmp_path):
    with pytest.raises(UserError, match=r"0 files named \.oem"):
        load_constellation(OrbitKnobs(source="oem", path=str(tmp_path)))
    for name in ("a.oem", "b.oem"):
        (tmp_path / name).write_text(GOOD + "\n")
    with pytest.raises(UserError, match=r"b.oem: satellite X again"):
        load_constellation(OrbitKnobs(source="oem", path=str(tmp_path)))
