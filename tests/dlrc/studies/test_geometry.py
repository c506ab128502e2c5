"""`dlrc study geometry`: settings, what views share, and the tables."""

import math
from types import SimpleNamespace

import pytest

from constellation.common.errors import UserError
from constellation.scenario.load import load_scenario
from constellation.sight.geometry import LATTICE, Geometry
from dlrc.studies.orbits.geometry import GeometryKeys, by_angle, settings_of, table, view_rows, window_row


def geometry(time_s, row_px, off_nadir_deg):
    grid = tuple((row_px + 32.0 * i, 32.0 * j) for i in range(LATTICE) for j in range(LATTICE))
    return Geometry(
        "P",
        time_s,
        "here",
        off_nadir_deg,
        off_nadir_deg,
        90.0,
        5.0,
        5.0,
        30.0,
        0.0,
        grid,
        grid,
        "",
        (0, 0, 5),
    )


def view(satellite, geometry, spent):
    total = SimpleNamespace
    return SimpleNamespace(
        satellite=satellite,
        geometry=geometry,
        independent=total(total=1000),
        dlrc=total(total=spent),
        exact=True,
    )


@pytest.fixture(scope="module")
def rows():
    views = (view(3, geometry(100.0, 64.0, 25.0), 600), view(5, geometry(0.0, 0.0, 10.0), 1000))
    record = SimpleNamespace(number=0, satellites=(*views, view(7, None, 0)))
    looks = view_rows(record, 128)
    return looks, window_row(record, looks)


def test_views_are_compared_with_those_before_them_in_time(rows):
    looks, window = rows
    assert [look["satellite"] for look in looks] == [5, 3]
    assert [look["shared"] for look in looks] == [0.0, 0.5]  # half a patch further down
    assert looks[1]["view_angle_deg"] == pytest.approx(15.0) and looks[1]["after_s"] == 100.0
    assert (window["looks"], window["between_s"], window["shared"]) == (2, 100.0, 0.5)
    assert (window["independent_bytes"], window["dlrc_bytes"]) == (2000, 1600)


def test_tables_have_a_line_a_setting_and_a_line_an_angle(rows):
    window = rows[1]
    alone = {
        **window,
        "looks": 1,
        "shared": math.nan,
        "independent_bytes": 1000,
        "dlrc_bytes": 1000,
        "exact": 1,
    }
    found = [
        {"series": "patch_px", "value": 128.0, **window},
        {"series": "patch_px", "value": 256.0, **alone},
    ]
    one, two = table(found).splitlines()[1:]
    assert one.split()[1:] == ["128", "2.0", "100", "50.0%", "15.0", "20.0%", "3/2"]
    assert two.split()[1:] == ["256", "1.0", "nan", "nan%", "nan", "0.0%", "1/1"]
    assert by_angle(found).splitlines()[1:] == ["   15 to  20 deg            1    50.0%            40.0%"]


def test_settings_change_one_knob_each():
    base = load_scenario("orbit_pass", ["rounds=1"])
    own = GeometryKeys(altitudes_km=(400.0,), patches_px=(512,), pointings_deg=(0.1,), spacings_deg=(5.0,))
    found = {name: scenario for name, _, scenario in settings_of(base, own)}
    assert found["altitude_km"].orbit.altitude_km == 400 and found["pointing_deg"].sight.pointing_deg == 0.1
    assert found["patch_px"].capture.patch_px == 512 and found["patch_px"].capture.window_px == 1024
    assert found["spacing_deg"].orbit.node_spread_deg == 10.0
    with pytest.raises(UserError, match=r"spacings_deg=181: 2 planes"):
        list(settings_of(base, own.model_copy(update={"spacings_deg": (181.0,)})))
