"""What orbits let satellites see: the same ground at the same place, hidden where the scene ends, errors as
asked for."""

import numpy as np
import pyproj
import pytest

from codec.imagery.georeference import georeference_of, laid_around
from constellation.common.errors import UserError
from constellation.network import SpaceSegment
from constellation.scenario.load import load_scenario
from constellation.sight.geometry import LATTICE, Geometry, at_fractions
from nodes.process.preflight import check_inputs
from nodes.sights.seeing import check_targets, orbital

ORBIT = (
    "capture.mode=orbit", "satellites=24", "orbit.pattern=97.6:24/3/1", "orbit.duration_s=86400", "rounds=2",
    "capture.patch_px=64", "scene.size_px=512", "codec.device=cpu", "region.latitude_deg=43.68",
    "region.longitude_deg=-79.8", "orbit.epoch=2026-06-01T00:00:00Z",
)  # fmt: skip


def looks_of(*words, number=0):
    scenario = load_scenario("dense", [*ORBIT, *words])
    space = SpaceSegment(scenario)
    return orbital(space, scenario, (scenario.scene, scenario.capture))(number, range(24))


@pytest.fixture
def striped(tmp_path):
    """A georeferenced scene in UTM, whose columns brighten eastwards and rows southwards, 20 m pixels."""
    import rasterio
    from rasterio.transform import from_origin

    path = tmp_path / "scene.tif"
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32617", always_xy=True).transform(-79.8, 43.68)
    rows, cols = np.meshgrid(np.arange(300), np.arange(400), indexing="ij")
    image = np.stack([cols * 250 / 400, rows * 250 / 300, np.full(rows.shape, 90.0)]).round().astype(np.uint8)
    place = {"crs": "EPSG:32617", "transform": from_origin(x - 4000, y + 3000, 20, 20)}
    with rasterio.open(
        path, "w", driver="GTiff", height=300, width=400, count=3, dtype="uint8", **place
    ) as file:
        file.write(image)
    return path


@pytest.mark.parametrize("grid", ["map", "sensor"])
@pytest.mark.parametrize("aim", ["target", "swath"])
def test_a_view_shows_the_ground_that_its_geometry_tells(striped, grid, aim):
    """The colour at a point of the patch is the scene's at the longitude and latitude told of it."""
    words = (f"scene.path={striped}", "sight.gsd_m=20", f"sight.grid={grid}", f"sight.aim={aim}")
    views = looks_of(*words)
    assert views
    for look in views:
        geometry = look.geometry
        at = (np.arange(8, 60, 4) + 0.5) / 64
        lon, lat = np.moveaxis(at_fractions(geometry.ground, *np.meshgrid(at, at, indexing="ij")), -1, 0)
        rows, cols = georeference_of(striped).pixels(lon, lat)
        seen = look.image[8:60:4, 8:60:4].astype(float)
        assert np.abs(seen[..., 0] - cols * 250 / 400).max() < 2.1  # counts: 0.6 a pixel, rounded twice
        assert np.abs(seen[..., 1] - rows * 250 / 300).max() < 2.1


def test_views_of_the_map_grid_agree_where_they_overlap():
    first, second = looks_of("sight.pointing_deg=0.01")[:2]
    shift = [second.place[i] - first.place[i] for i in (0, 1)]
    assert all(part % 16 == 0 for part in shift)
    common = np.isin(second.footprint, first.footprint)
    expected = np.maximum(0, 4 - abs(shift[0]) // 16) * np.maximum(0, 4 - abs(shift[1]) // 16)
    assert common.sum() == expected > 0
    pixels = np.kron(common, np.ones((16, 16), bool))
    back = np.kron(np.isin(first.footprint, second.footprint), np.ones((16, 16), bool))
    difference = first.image[back].astype(float) - second.image[pixels]
    assert np.abs(difference).mean() < 6 and np.abs(difference).mean() > 0  # other sampling, same ground


def test_what_a_satellite_does_not_know_of_its_pointing_moves_what_it_sees():
    sure, unsure = (looks_of("sight.pointing_deg=0", f"sight.knowledge_deg={k}")[0] for k in (0, 0.005))
    assert sure.place == unsure.place and np.abs(sure.image.astype(float) - unsure.image).mean() > 3


def test_beyond_the_scene_is_hidden(striped):
    x, y = pyproj.Transformer.from_crs("EPSG:32617", "EPSG:4326", always_xy=True).transform(
        *pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32617", always_xy=True).transform(-79.8, 43.68)
    )
    edge = laid_around((x, y), (300, 400), 20.0).places(np.array([150.0]), np.array([2.0]))
    words = (f"scene.path={striped}", "sight.gsd_m=20", "sight.pointing_deg=0")
    here = (f"region.longitude_deg={edge[0][0]:.6f}", f"region.latitude_deg={edge[1][0]:.6f}")
    for look in looks_of(*words, *here):
        assert look.valid is not None and 0.3 < look.valid.mean() < 0.7
        assert not look.image[~look.valid].any()


def test_terrain_leans_away_from_whoever_sees_it_from_the_side():
    flat, hilly = (looks_of("sight.pointing_deg=0", f"sight.relief_m={r}") for r in (0, 800))
    moved = [
        (a.geometry.off_nadir_deg, np.abs(a.image.astype(float) - b.image).mean())
        for a, b in zip(flat, hilly, strict=True)
    ]
    assert max(moved)[1] > 3


def test_geometry_goes_through_a_round_and_its_record():
    from dataclasses import asdict

    geometry = looks_of()[0].geometry
    import json

    assert Geometry.of(json.loads(json.dumps(asdict(geometry)))) == geometry
    assert len(geometry.ground) == LATTICE**2 and geometry.on_map
    assert not looks_of("sight.grid=sensor")[0].geometry.on_map


def test_a_target_beside_the_scene_is_refused(striped):
    words = (*ORBIT, f"scene.path={striped}", "sight.gsd_m=20", "region.latitude_deg=10")
    scenario = load_scenario("dense", words)
    with pytest.raises(UserError, match=r"no target lies in scene scene.tif, whose middle is 43.68"):
        check_targets(scenario, scenario.scene)
    with pytest.raises(UserError, match=r"sight.gsd_m=9000: scene scene.tif has pixels of 20"):
        check_inputs(load_scenario("dense", (*ORBIT, f"scene.path={striped}", "sight.gsd_m=9000")))


def test_flaws_that_geometry_replaces_are_refused():
    with pytest.raises(
        UserError, match=r"capture.jitter_px=0.5: with capture.mode=orbit the geometry decides"
    ):
        load_scenario("dense", ("capture.mode=orbit", "capture.jitter_px=0.5"))
