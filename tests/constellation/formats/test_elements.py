"""OEM and OMM, read by tools that are not ours."""

import numpy as np
import pytest

from constellation.formats.elements import oem, omm
from constellation.orbit.omm import read_omm
from constellation.orbit.orbits import load_constellation
from constellation.scenario.network import OrbitKnobs

NOTATIONS = ("kvn", "xml", "json", "csv")


@pytest.fixture(scope="module")
def shell():
    return load_constellation(OrbitKnobs(pattern="97.6:6/3/1", epoch="2026-01-01T00:00:00Z"))


def test_an_oem_read_by_the_package_oem_is_sgp4_to_a_metre(shell, tmp_path):
    """Between the states as well, where it interpolates by itself."""
    from astropy.time import Time
    from oem import OrbitEphemerisMessage

    times_s = np.array([600.0, 1234.5, 1830.25, 3000.0])
    exact_km = shell.positions_teme_km(times_s)
    for satellite, (name, text) in enumerate(oem(shell, np.arange(0.0, 3601.0, 60.0))):
        path = tmp_path / f"{name}.oem"
        path.write_text(text)
        (segment,) = OrbitEphemerisMessage.open(path).segments
        assert segment.metadata["OBJECT_NAME"] == shell.names[satellite]
        for step, time_s in enumerate(times_s):
            state = segment(Time("2026-01-01T00:00:00", scale="utc") + time_s / 86400)
            assert np.linalg.norm(state.position - exact_km[step, satellite]) < 1e-3


@pytest.mark.parametrize("notation", NOTATIONS)
def test_an_omm_gives_the_orbits_again_to_a_metre_after_a_day(shell, notation, tmp_path):
    path = tmp_path / f"shell.{notation}"
    path.write_text(omm(shell, notation))
    again = load_constellation(OrbitKnobs(source="omm", path=str(path), epoch="2026-01-01T00:00:00Z"))
    assert again.names == shell.names
    there_km, here_km = (one.positions_teme_km(np.array([0.0, 86400.0])) for one in (shell, again))
    assert np.linalg.norm(there_km - here_km, axis=-1).max() < 1e-3


@pytest.mark.parametrize("notation", ["kvn", "xml"])
def test_ccsds_ndm_reads_the_omm_as_the_standards_schema_has_it(shell, notation, tmp_path):
    from ccsds_ndm.ndm_io import NdmIo

    text = omm(shell, notation) if notation == "xml" else omm(shell, "kvn").split("\n\n")[0] + "\n"
    path = tmp_path / f"shell.{notation}"
    path.write_text(text)
    message = NdmIo().from_path(path)
    one = message.omm[0] if notation == "xml" else message
    elements = one.body.segment.data.mean_elements
    assert float(elements.inclination.value) == pytest.approx(97.6, abs=1e-9)
    assert one.body.segment.metadata.object_name == shell.names[0]


@pytest.mark.parametrize("notation", ["csv", "xml"])
def test_sgp4s_own_reader_takes_the_omm(shell, notation, tmp_path):
    from sgp4 import omm as reader
    from sgp4.api import Satrec

    path = tmp_path / f"shell.{notation}"
    path.write_text(omm(shell, notation))
    with open(path) as file:
        fields = next(iter(reader.parse_csv(file) if notation == "csv" else reader.parse_xml(file)))
    record = Satrec()
    reader.initialize(record, fields)
    assert record.no_kozai == pytest.approx(shell.satrecs[0].no_kozai, rel=1e-12)


def test_messages_of_our_own_are_good_ones(shell, tmp_path):
    path = tmp_path / "shell.omm"
    path.write_text(omm(shell, "kvn"))
    assert [one.fault for one in read_omm(str(path))] == [""] * 6
