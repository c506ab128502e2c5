"""GeoTIFF and GeoJSON of a run, read back by what shares no code with GDAL: Pillow's tags, pyproj,
shapely-free arithmetic."""

import json

import numpy as np
import pyproj
import pytest
from PIL import Image

import dlrc.commands.geo as geo
from codec.maps.assignment import KEPT, REMOTE
from constellation.common.errors import UserError
from dlrc.report.gains import KINDS, kind_of, saved_bytes, saved_from, view_row
from dlrc.report.page import write_map
from dlrc.report.page.day import map_contents, map_page
from dlrc.store.results import Held, Images
from ground.cells import Cells
from ground.records import Fates
from tests.dlrc.run_cases import one_round, record, run
from tests.nodes.sights.test_orbit_capture import looks_of, striped  # noqa: F401  # the fixture


def flown(looks):
    records = [record(0, place, geometry=look.geometry) for place, look in enumerate(looks)]
    held = {(0, place): Images(look.image, look.image, look.image) for place, look in enumerate(looks)}
    return run(rounds=(one_round(0, *records),), gallery=Held(held))


@pytest.mark.parametrize("grid", ["map", "sensor"])
def test_a_mosaic_read_by_pillow_has_the_ground_where_pyproj_says(striped, grid, tmp_path):  # noqa: F811
    looks = looks_of(f"scene.path={striped}", "sight.gsd_m=20", f"sight.grid={grid}")
    made = flown(looks)
    image, laid = geo.mosaic(made, made.rounds[0], "dlrc")
    geo.write_geotiff(tmp_path / "a.tif", image, laid)
    with Image.open(tmp_path / "a.tif") as file:
        pixels, tags = np.asarray(file), dict(file.tag_v2)
    assert pixels.shape == image.shape and (pixels == image).all()
    scale, tie = tags[33550], tags[33922]
    assert tags[34735][:4] and scale[0] == scale[1] == 20.0 and tie[:3] == (0, 0, 0)
    there = np.argwhere(pixels[:, :, 3] == 255)
    rows, cols = there[:: max(1, len(there) // 200)].T
    x, y = tie[3] + (cols + 0.5) * scale[0], tie[4] - (rows + 0.5) * scale[1]
    lon, lat = pyproj.Transformer.from_crs(laid[0], "EPSG:4326", always_xy=True).transform(x, y)
    utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32617", always_xy=True)
    east, north = utm.transform(lon, lat)
    zero = utm.transform(-79.8, 43.68)
    expected = (east - zero[0] + 4000) / 20 - 0.5, (zero[1] + 3000 - north) / 20 - 0.5
    off = pixels[rows, cols, :2].astype(float) - np.stack(
        [expected[0] * 250 / 400, expected[1] * 250 / 300], axis=1
    )
    assert np.abs(off).mean() < 1.0 and np.quantile(np.abs(off), 0.95) < 2.5  # counts; 0.7 a pixel


def test_footprints_are_polygons_around_what_was_seen(striped, tmp_path, monkeypatch, capsys):  # noqa: F811
    looks = looks_of(f"scene.path={striped}", "sight.gsd_m=20")
    made = flown(looks)
    monkeypatch.setattr(geo, "open_run", lambda path: made)
    geo.COMMAND.work(type("Given", (), {"own": geo.GeoKeys(run="x", out=str(tmp_path / "geo"))})())
    told = json.loads((tmp_path / "geo" / "looks.geojson").read_text())
    assert len(told["features"]) == len(looks) and "round000_rebuilt.tif" in capsys.readouterr().out
    for one, look in zip(told["features"], looks, strict=True):
        ring = np.array(one["geometry"]["coordinates"][0][0])
        assert (ring[0] == ring[-1]).all() and len(ring) == 5
        area, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*ring.T)
        assert area == pytest.approx((64 * 20) ** 2, rel=0.01)  # counter-clockwise, and as large as the patch
        assert one["properties"]["off_nadir_deg"] == look.geometry.off_nadir_deg


def test_the_map_of_a_run_says_what_its_looks_table_says(striped):  # noqa: F811
    looks = looks_of(f"scene.path={striped}", "sight.gsd_m=20")
    made = flown(looks)
    told = map_contents(made)
    (round_,) = told["rounds"]
    assert [one["time_s"] for one in round_["looks"]] == sorted(
        round(one.geometry.time_s, 1) for one in looks
    )
    for one in round_["looks"]:
        parts = sum(one[kind] for kind in (*KINDS, "side"))
        assert parts == pytest.approx(one["independent"] - one["dlrc"], abs=0.3)
    west, south, east, north = told["box"]
    assert all(west < lon < east and south < lat < north for lon, lat in round_["looks"][0]["corners"])
    assert map_page(made).count("default-src 'none'") == 1


def test_a_run_of_windows_has_no_footprints_and_no_map(monkeypatch, tmp_path):
    monkeypatch.setattr(geo, "open_run", lambda path: run())
    assert write_map(run(), tmp_path) is None and not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"no view says where it is, expected a run with capture.mode=orbit"):
        geo.COMMAND.work(type("Given", (), {"own": geo.GeoKeys(run="x")})())


def test_gains_add_up_to_what_was_saved():
    one = record(0, 0)
    parts = saved_bytes(one)
    assert sum(parts.values()) == pytest.approx(one.independent.total - one.dlrc.total)
    assert set(parts) == {*KINDS, "side"}


def test_what_was_saved_belongs_to_the_view_that_it_was_copied_from():
    owner = np.full((4, 4), -1)
    owner[0], owner[1], owner[2] = 3, 2 + 1024, 3 + 2 * 1024
    bits = np.where(owner >= 0, 0.0, 8.0)
    fates = Fates(np.where(owner >= 0, REMOTE, KEPT), owner >= 0, owner)
    cells = Cells(bits, np.full((4, 4), 8.0), np.zeros((4, 4)), np.zeros((4, 4)))
    one = record(5, 2, fates=fates, cells=cells)
    assert saved_from(one) == {(3, 5): 4.0, (2, 4): 4.0, (3, 3): 4.0}
    assert [kind_of(one, source) for source in ((3, 5), (2, 4), (3, 3))] == list(KINDS)
    assert view_row(one)["copied_from"] == "2@4:4 3@3:4 3@5:4"
