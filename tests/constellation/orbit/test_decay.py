"""Element sets that no longer hold: decayed, too old, or of another theory; TLE files of other people."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.network import SpaceSegment
from constellation.orbit.orbits import MAX_TIME_S, load_constellation, sample_times_s, subset
from constellation.orbit.tle import read_tle
from constellation.passes.contacts import contact_windows
from constellation.scenario.load import build_scenario
from constellation.scenario.network import GroundKnobs, OrbitKnobs

CASES = Path(__file__).parent / "cases"


def case(name, epoch, **knobs):
    return OrbitKnobs(source="tle", path=str(CASES / name), epoch=epoch, **knobs)


# The elements are of 2025-02-27; SGP4 fails between 1.0 and 3.8 days later and then answers again, at 110
# astronomical units and more.
@pytest.mark.parametrize("name", ["sgp4_137_decay.tle", "decayed4.tle"])
@pytest.mark.parametrize(
    "epoch", ["2025-02-28T04:00:00Z", "2025-03-02T05:40:00Z", "2025-03-04T00:00:00Z", "2025-03-20T00:00:00Z"]
)
def test_a_decayed_satellite_is_refused_by_name_at_whatever_time_after(name, epoch):
    satellites = load_constellation(case(name, epoch))
    with pytest.raises(UserError, match=r"satellite 55897: its elements do not hold: .*1\.0 days after"):
        satellites.positions_teme_km(np.array([0.0]))
    with pytest.raises(UserError, match=r"orbit.skip_bad=true goes on without it"):
        contact_windows(satellites, GroundKnobs(), 0.0, 86400.0)


def test_elements_are_good_until_they_decay():
    satellites = load_constellation(case("sgp4_137_decay.tle", "2025-02-27T04:00:00Z"))
    radius_km = np.linalg.norm(satellites.positions_teme_km(np.arange(0, 70000, 600.0)), axis=-1)
    assert (radius_km > 6400).all() and (radius_km < 6750).all()
    with pytest.raises(UserError, match=r"satellite 55897"):  # one call further than what was followed so far
        satellites.positions_teme_km(np.array([20 * 86400.0]))


def test_bad_satellites_are_left_out_on_request_and_named():
    orbit = case("mixed_decay.tle", "2025-02-10T00:00:00Z")
    with pytest.raises(UserError, match=r"satellite 55897"):
        load_constellation(orbit).positions_teme_km(np.array([0.0]))
    rest = load_constellation(orbit.model_copy(update={"skip_bad": True}))
    assert rest.names == ("STARLINK-1928",) and rest.positions_teme_km(np.array([0.0])).shape == (1, 1, 3)
    assert "1 satellite left out (orbit.skip_bad): 55897: its elements do not hold" in rest.notes[0]
    assert subset(rest, [0]).notes == rest.notes


def test_a_file_of_bad_satellites_alone_is_refused():
    with pytest.raises(UserError, match=r"none of its satellites can be used \(55897: .* days away"):
        load_constellation(case("sgp4_137_decay.tle", "2026-01-01T00:00:00Z", skip_bad=True))


def test_a_catalogue_number_without_leading_zeros_is_read():
    satellites = load_constellation(case("c600_asis.tle", "2021-05-27T00:00:00Z"))
    radius_km = np.linalg.norm(satellites.positions_teme_km(np.array([0.0])), axis=-1)
    assert satellites.names == ("CALSPHERE",) and 7300 < radius_km < 7500


def retyped(line, column, character):
    line = line[:column] + character + line[column + 1 : 68]
    return line + str(sum(int(c) if c.isdigit() else c == "-" for c in line) % 10)


def test_a_tle_of_another_theory_is_refused_by_name(tmp_path):
    title, first, second = (CASES / "c600_asis.tle").read_text().splitlines()
    (tmp_path / "xp.tle").write_text("\n".join([title, retyped(first, 62, "4"), second]))
    with pytest.raises(UserError, match=r"line 3 \(CALSPHERE\): ephemeris type 4, expected 0"):
        load_constellation(OrbitKnobs(source="tle", path=str(tmp_path / "xp.tle")))


def test_an_omm_given_as_tle_is_told_where_it_belongs():
    with pytest.raises(UserError, match=r"orbit.source=omm"):
        load_constellation(case("omm_doy.json", "2026-01-01T00:00:00Z"))


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, 400), junk=st.binary(max_size=4))
def test_a_damaged_tle_is_read_or_refused_and_never_ends_otherwise(tmp_path_factory, cut, junk):
    data = (CASES / "mixed_decay.tle").read_bytes()
    path = tmp_path_factory.mktemp("tle") / "damaged"
    for damaged in (data[:cut], data[:cut] + junk + data[cut + len(junk) :]):
        path.write_bytes(damaged)
        try:
            assert all(one.name for one in read_tle(str(path)))
        except UserError as error:
            assert "\n" not in str(error)


def test_a_folder_a_pipe_and_a_huge_file_are_refused(tmp_path, monkeypatch):
    import os

    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path, tmp_path / "pipe", "zero\0byte"):
        with pytest.raises(UserError):
            read_tle(str(name))
    monkeypatch.setattr("constellation.orbit.elements.MAX_FILE_BYTES", 100)
    with pytest.raises(UserError, match=r"expected at most 100"):
        read_tle(str(CASES / "mixed_decay.tle"))


def test_more_instants_than_a_million_and_times_beyond_ten_years_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"orbit.step_s=0.001: 43200000 instants"):
        sample_times_s(OrbitKnobs(step_s=1e-3))
    satellites = load_constellation(OrbitKnobs(pattern="53:4/2/1"))
    with pytest.raises(UserError, match=r"expected at most 3.16"):
        satellites.positions_teme_km(np.array([0.0, 2 * MAX_TIME_S]))
    with pytest.raises(UserError, match=r"expected at most 3.16"):
        satellites.positions_teme_km(np.array([np.nan]))


def test_a_run_says_at_its_beginning_which_satellites_it_goes_without():
    from dlrc.report.lines import opening

    orbit = case("mixed_decay.tle", "2025-02-10T00:00:00Z", skip_bad=True)
    scenario = build_scenario({"satellites": 1, "orbit": orbit.model_dump()})
    model, facts = SimpleNamespace(n=192, m=320), SimpleNamespace(scene_source="procedural")
    first, last = opening(scenario, scenario.codec, facts, model).splitlines()
    assert first.startswith("note: 1 satellite left out (orbit.skip_bad): 55897")
    assert "1 satellite of TLE mixed_decay.tle, 4 rounds" in last


def test_too_few_satellites_in_a_file_are_told_by_its_name():
    orbit = case("mixed_decay.tle", "2025-02-10T00:00:00Z", skip_bad=True)
    scenario = build_scenario({"satellites": 2, "orbit": orbit.model_dump()})
    with pytest.raises(UserError, match=r"satellites=2: the constellation TLE mixed_decay.tle has only 1"):
        SpaceSegment(scenario)
