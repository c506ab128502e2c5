"""Orbit mean-elements messages in every notation and habit, and those that SGP4 must not propagate."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.orbit.omm import read_omm
from constellation.orbit.orbits import constellation_positions, load_constellation
from constellation.scenario.network import OrbitKnobs

CASES = Path(__file__).parent / "cases"
ISS = (
    "1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927",
    "2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537",
)
OMM = {
    "OBJECT_NAME": "ISS",
    "OBJECT_ID": "1998-067A",
    "EPOCH": "2008-09-20T12:25:40.104192",
    "MEAN_MOTION": "15.72125391",
    "ECCENTRICITY": "0.0006703",
    "INCLINATION": "51.6416",
    "RA_OF_ASC_NODE": "247.4627",
    "ARG_OF_PERICENTER": "130.5360",
    "MEAN_ANOMALY": "325.0288",
    "EPHEMERIS_TYPE": "0",
    "CLASSIFICATION_TYPE": "U",
    "NORAD_CAT_ID": "25544",
    "ELEMENT_SET_NO": "292",
    "REV_AT_EPOCH": "56353",
    "BSTAR": "-0.11606E-4",
    "MEAN_MOTION_DOT": "-.00002182",
    "MEAN_MOTION_DDOT": "0",
}
# The example of CCSDS 502.0-B, figure 4-2, with this satellite's numbers
KVN = """CCSDS_OMM_VERS = 2.0
COMMENT EPOCH = not this one
CREATION_DATE = 2008-09-21T00:00:00
ORIGINATOR = NOAA/USA
OBJECT_NAME = ISS
OBJECT_ID = 1998-067A
CENTER_NAME = EARTH
REF_FRAME = TEME
TIME_SYSTEM = UTC
MEAN_ELEMENT_THEORY = SGP/SGP4
EPOCH = 2008-264T12:25:40.104192
MEAN_MOTION = 15.72125391 [rev/day]
ECCENTRICITY = 0.0006703
INCLINATION = 51.6416 [deg]
RA_OF_ASC_NODE = 247.4627 [deg]
ARG_OF_PERICENTER = 130.5360 [deg]
MEAN_ANOMALY = 325.0288 [deg]
GM = 398600.8 [km**3/s**2]
EPHEMERIS_TYPE =
CLASSIFICATION_TYPE = U
NORAD_CAT_ID = 25544
BSTAR = -0.11606E-4 [1/ER]
MEAN_MOTION_DOT = -0.00002182 [rev/day**2]
"""
HEAD = {"CCSDS_OMM_VERS": "3.0", "COMMENT": "GENERATED VIA SPACE-TRACK.ORG API", "CENTER_NAME": "EARTH"}


def xml(fields, namespace=""):
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ndm{namespace}><omm id="CCSDS_OMM_VERS" version="2.0">'
        "<header/>"
        "<body><segment><metadata><COMMENT/><REF_FRAME>TEME</REF_FRAME></metadata>"
        f"<data><meanElements>{inside}"
        "</meanElements><tleParameters/></data></segment></body></omm></ndm>"
    )


def csv(fields, mark=""):
    return f"{mark}{','.join(fields)}\r\n{','.join(fields.values())}\r\n"


NOTATIONS = {
    "json of strings": json.dumps([OMM]),
    "json of numbers": json.dumps(
        [
            {
                **OMM,
                "MEAN_MOTION": 15.72125391,
                "NORAD_CAT_ID": 25544,
                "BSTAR": -0.11606e-4,
                "ELEMENT_SET_NO": 292,
            }
        ]
    ),
    "one json message with a head and nulls": json.dumps({**HEAD, **OMM, "DECAY_DATE": None, "GP_ID": 1}),
    "json in sections": json.dumps({"metadata": HEAD, "data": {"meanElements": OMM}}),
    "csv": csv(OMM),
    "csv with a byte order mark": csv(OMM, "\ufeff"),
    "csv in lower case, by semicolons": csv(OMM).replace(",", ";").replace("EPOCH", "epoch"),
    "xml": xml(OMM),
    "xml in a namespace": xml(OMM, ' xmlns="urn:ccsds:schema:ndmxml"'),
    "kvn": KVN,
    "kvn without what SGP4 does not need": "\n".join(
        line
        for line in KVN.splitlines()
        if not line.startswith(("OBJECT_ID", "EPHEM", "CLASS", "NORAD", "MEAN_MOTION_DOT"))
    ),
    "calendar date without decimals of the second": json.dumps({**OMM, "EPOCH": "2008-09-20T12:25:40"}),
    "day of the year, nine decimals, Z": json.dumps({**OMM, "EPOCH": "2008-264T12:25:40.104192000Z"}),
}


def omm_file(tmp_path, text, encoding="utf-8"):
    (tmp_path / "omm").write_bytes(text.encode(encoding))
    return str(tmp_path / "omm")


@pytest.mark.parametrize("notation", NOTATIONS)
def test_every_notation_gives_the_positions_of_the_tle(tmp_path, notation):
    (tmp_path / "tle").write_text("\n".join(ISS))
    times_s = np.array([0.0, 3600.0])
    found, expected = (
        constellation_positions(OrbitKnobs(source=source, path=path, epoch="2008-09-20T12:00:00Z"), times_s)
        for source, path in (("omm", omm_file(tmp_path, NOTATIONS[notation])), ("tle", str(tmp_path / "tle")))
    )
    tolerance_km = 1.0 if "without decimals" in notation else 0.05  # 0.1 s of flight
    assert np.abs(found - expected).max() < tolerance_km


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_names_survive_the_encodings_that_files_come_in(tmp_path, encoding):
    path = omm_file(tmp_path, json.dumps([{**OMM, "OBJECT_NAME": "MÉTÉO 1"}], ensure_ascii=False), encoding)
    assert [one.name for one in read_omm(path)] == ["MÉTÉO 1"]


def test_two_kvn_messages_in_one_file_are_two_satellites(tmp_path):
    second = KVN.replace("25544", "25545").replace("= ISS", "= ZARYA")
    assert [one.name for one in read_omm(omm_file(tmp_path, KVN + second))] == ["ISS", "ZARYA"]


@pytest.mark.parametrize(
    "case,name", [("omm_null", "25544"), ("omm_doy", "ISS (ZARYA)"), ("omm_9digit", "STARLINK-11320")]
)
def test_valid_files_of_other_people_are_read(case, name):
    orbit = OrbitKnobs(source="omm", path=str(CASES / f"{case}.json"), epoch="2026-01-01T12:00:00Z")
    satellites = load_constellation(orbit)
    radius_km = np.linalg.norm(satellites.positions_teme_km(np.array([0.0])), axis=-1)
    assert satellites.names == (name,) and 6700 < radius_km < 6900


@settings(max_examples=20, deadline=None)
@given(number=st.integers(1, 10**12))
def test_the_catalogue_number_never_moves_a_satellite(tmp_path_factory, number):
    folder = tmp_path_factory.mktemp("omm")
    plain, numbered = (
        read_omm(omm_file(folder, json.dumps({**OMM, "NORAD_CAT_ID": n, "REV_AT_EPOCH": n})))[0].record.sgp4(
            2454730.0, 0.5
        )
        for n in (5, number)
    )
    assert plain == numbered


@pytest.mark.parametrize(
    "change,says",
    [
        ({"EPHEMERIS_TYPE": 4}, "EPHEMERIS_TYPE 4, expected 0"),
        ({"MEAN_ELEMENT_THEORY": "DSST"}, "MEAN_ELEMENT_THEORY DSST, expected SGP4"),
        ({"MEAN_ELEMENT_THEORY": "SGP4-XP"}, "MEAN_ELEMENT_THEORY SGP4-XP"),
        ({"REF_FRAME": "EME2000"}, "REF_FRAME EME2000, expected TEME"),
        ({"CENTER_NAME": "MOON"}, "CENTER_NAME MOON, expected EARTH"),
        ({"TIME_SYSTEM": "TAI"}, "TIME_SYSTEM TAI, expected UTC"),
    ],
)
def test_elements_that_are_not_sgp4s_are_refused_by_name_or_left_out(tmp_path, change, says):
    other = {**OMM, "OBJECT_NAME": "OTHER", "NORAD_CAT_ID": "2"}
    path = omm_file(tmp_path, json.dumps([{**OMM, **change}, other]))
    orbit = OrbitKnobs(source="omm", path=path, epoch="2008-09-20T12:00:00Z")
    with pytest.raises(UserError, match=rf"message 1 \(ISS\): {says}"):
        load_constellation(orbit)
    rest = load_constellation(orbit.model_copy(update={"skip_bad": True}))
    assert rest.names == ("OTHER",) and "ISS: " + says in rest.notes[0]


def test_extrapolated_elements_of_xp_are_refused():
    with pytest.raises(UserError, match=r"ISS .ZARYA.*EPHEMERIS_TYPE 4"):
        load_constellation(OrbitKnobs(source="omm", path=str(CASES / "omm_xp.json")))


@pytest.mark.parametrize(
    "text,says",
    [
        ('[{"OBJECT_NAME": "A"}]', r"message 1 \(A\): field EPOCH is missing"),
        (json.dumps({**OMM, "BSTAR": ""}), r"message 1 \(ISS\): field BSTAR is missing"),
        ('{"a"', "not an OMM file"),
        ("[]", "no element sets"),
        ("[1]", "not an OMM file"),
        ("[" * 100_000, "not an OMM file"),
        ("<a>" * 1000, "not an OMM file"),
        ("<ndm/>", "no element sets"),
        ("<!DOCTYPE x><ndm/>", "entities are refused"),
        ("\n".join(ISS), "not an OMM file.*no columns EPOCH"),
        ("", "not an OMM file"),
        (NOTATIONS["json of strings"][:-40], "not an OMM file"),
        (xml(OMM)[:-40], "not an OMM file"),
        (json.dumps([OMM, OMM]), "message 2: satellite 25544 again, it is already in message 1"),
        (
            json.dumps([{**OMM, "MEAN_MOTION": "fast"}]),
            r"message 1 \(ISS\): MEAN_MOTION 'fast', expected a number",
        ),
        (json.dumps([{**OMM, "MEAN_MOTION": "-1"}]), "MEAN_MOTION '-1', expected a number from 1e-06 to 20"),
        (json.dumps([{**OMM, "MEAN_MOTION": True}]), "MEAN_MOTION 'True'"),
        (
            json.dumps([{**OMM, "INCLINATION": float("nan")}]),
            "INCLINATION 'nan', expected a number from 0 to 180",
        ),
        (json.dumps([{**OMM, "ECCENTRICITY": "1e999"}]), "ECCENTRICITY '1e999'"),
        (json.dumps([{**OMM, "EPOCH": "2026-02-30T00:00:00"}]), "EPOCH '2026-02-30T00:00:00', expected UTC"),
        (json.dumps([{**OMM, "EPOCH": "2026-366T00:00:00"}]), "EPOCH '2026-366T00:00:00'"),
        (json.dumps([{**OMM, "EPOCH": "2026-01-01T00:00:00+02:00"}]), "expected UTC as"),
    ],
)
def test_a_bad_omm_is_refused_in_one_line_with_the_message_and_field(tmp_path, text, says):
    with pytest.raises(UserError, match=says) as error:
        load_constellation(OrbitKnobs(source="omm", path=omm_file(tmp_path, text)))
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@settings(max_examples=150, deadline=None)
@given(notation=st.sampled_from(sorted(NOTATIONS)), cut=st.floats(0, 1), junk=st.binary(max_size=8))
def test_a_damaged_file_is_read_or_refused_and_never_ends_otherwise(tmp_path_factory, notation, cut, junk):
    data = NOTATIONS[notation].encode()
    place = int(cut * len(data))
    path = tmp_path_factory.mktemp("omm") / "damaged"
    for damaged in (data[:place], data[:place] + junk + data[place + len(junk) :]):
        path.write_bytes(damaged)
        try:
            assert all(one.name for one in read_omm(str(path)))
        except UserError as error:
            assert "\n" not in str(error)
