"""Cells without data in the studies: counted in no figure, and a view of nothing else is no fault."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from constellation.common.cli import perform
from constellation.common.errors import UserError
from constellation.scenario.load import build_scenario
from dlrc.studies.common.baselines import coded_bytes, decode, encode, measure, seen_in
from dlrc.studies.common.registration import registered_rasters
from dlrc.studies.common.sights import Sights
from dlrc.studies.common.statistics import summarise
from dlrc.studies.common.variants import Trial
from dlrc.studies.paper import visual
from dlrc.studies.paper.rd_halo import against_plain
from dlrc.studies.paper.rd_rounds import Configuration, Row
from dlrc.studies.questions.multiview import pair_rows, pairs_of
from dlrc.studies.questions.robustness import pick, survey
from ground.metrics import psnr_db
from nodes.process.board import load_board

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
SIDE = 128
HALF = (np.arange(SIDE)[:, None] + np.zeros(SIDE)) % 40 < 18
PICTURE = np.random.default_rng(0).integers(1, 255, (SIDE // 8, SIDE // 8, 3)).repeat(8, 0).repeat(8, 1)


def written(path, hidden, **profile):
    """A picture whose `hidden` cells are 255, which the file says are no data."""
    samples = np.where(hidden[:, :, None], 255, PICTURE).astype(np.uint8).transpose(2, 0, 1)
    form = {"driver": "GTiff", "nodata": 255} | profile
    with rasterio.open(path, "w", height=SIDE, width=SIDE, count=3, dtype="uint8", **form) as dataset:
        dataset.write(samples)
    return path


def scenario_of(path, **knobs):
    small = {"patch_px": 64, "window_px": SIDE}
    return build_scenario({"satellites": 2, "scene": {"path": str(path)}, "capture": small} | knobs)


def sights_of(path):
    scenario = scenario_of(path)
    return Sights(scenario.scene, scenario.capture, scenario.seed)


def test_other_codecs_are_measured_over_what_a_patch_shows(tmp_path):
    sights = sights_of(written(tmp_path / "half.tif", HALF))
    view, _ = sights.look(0, 0)
    assert 0 < view.valid.sum() < view.valid.size
    for point in measure(seen_in(sights), 1, tmp_path / "points.csv", ""):
        data = encode(point.codec, view.image, point.quality)
        assert point.bpp == pytest.approx(8 * coded_bytes(point.codec, data) / view.valid.sum())
        image = np.ascontiguousarray(decode(point.codec, data))
        assert point.psnr_db == pytest.approx(psnr_db(view.image, image, view.valid))


def test_a_patch_of_nothing_has_no_points(tmp_path, capsys):
    sights = sights_of(written(tmp_path / "none.tif", np.ones((SIDE, SIDE), bool)))
    assert measure(seen_in(sights), 2, tmp_path / "points.csv", "") == []
    assert "window 0 is left out" in capsys.readouterr().err


def row(number, satellite, **values):
    return replace(
        Row(number, satellite, satellite, "a", 4096, 16, 8, 0, 8, 10, 50, 4, 2, 10, 100, 4, 10, *QUALITY),
        **values,
    )


QUALITY = 29.9, 30.0, 0.9, 0.9, 1, 1, 0
BLIND = {"pixels": 0, "psnr_d": np.nan, "psnr_i": np.nan, "ms_ssim_d": np.nan, "ms_ssim_i": np.nan}


def test_a_satellite_that_sees_nothing_does_not_take_the_quality_of_its_window_away():
    line = summarise([row(0, 0), row(0, 1, **BLIND), row(1, 0, **BLIND)], 2)
    assert line.d_psnr.value == line.d_psnr_median.value == line.d_psnr_worst == pytest.approx(-0.1)
    assert line.bpp["y_i"] == 8 * 300 / 4096


def test_a_study_of_nothing_but_hidden_cells_divides_by_none():
    line = summarise([row(0, 0, **BLIND)], 1)
    assert np.isnan([line.bpp["y_i"], line.psnr_i.value, line.d_psnr_worst]).all()
    wide, plain = Configuration("bmshj", 0.013, "dense", 32), Configuration("bmshj", 0.013, "dense", 0)
    rows = [row(0, 0, psnr_d=30.5), row(0, 1, **BLIND)]
    (found,) = against_plain({wide: rows, plain: rows}).values()
    assert found.d_psnr.value == pytest.approx(0.5)


def test_the_lowest_priority_satellite_must_see_something_to_be_drawn(tmp_path):
    path = written(tmp_path / "none.tif", np.ones((SIDE, SIDE), bool))
    words = ["satellites=2", f"scene.path={path}", "capture.patch_px=64", f"capture.window_px={SIDE}"]
    with pytest.raises(UserError, match=r"window=0: satellite 1 sees nothing but hidden cells"):
        perform(visual.COMMAND, ["models=bmshj", "crop=32", f"output={tmp_path}", *words])


def test_a_window_of_hidden_cells_is_left_out_and_named(tmp_path, capsys):
    scenario = scenario_of(written(tmp_path / "none.tif", np.ones((SIDE, SIDE), bool)))
    trial = Trial(scenario, load_board(scenario.codec))
    assert survey(trial, 1, pick(["none"]), tmp_path / "rows.csv") == []
    assert "window 0 is left out" in capsys.readouterr().err


def test_pictures_of_a_pair_are_compared_where_both_show_something(tmp_path):
    folder = tmp_path / "pairs" / "twins"
    folder.mkdir(parents=True)
    written(folder / "x_A.tif", HALF)
    written(folder / "x_B.tif", np.zeros((SIDE, SIDE), bool))
    scenario = scenario_of("", capture={"patch_px": SIDE, "window_px": SIDE})
    rows = pair_rows(
        Trial(scenario, load_board(scenario.codec)), pairs_of(tmp_path / "pairs"), tmp_path / "r.csv"
    )
    assert all(row["psnr_between_pictures_db"] == 100 for row in rows) and len(rows) == 3


def test_only_what_a_file_says_itself_registers_it(tmp_path):
    place = {"crs": "EPSG:32633", "transform": from_origin(500000, 5000000, 10, 10)}
    nothing = np.zeros((SIDE, SIDE), bool)
    for name, form in (("tif", {"driver": "GTiff"}), ("png", {"driver": "PNG"})):
        first, second = (written(tmp_path / f"{n}.{name}", nothing, **form, **place) for n in "ab")
        assert registered_rasters(first, second) == (name == "tif")
    assert (tmp_path / "a.png.aux.xml").is_file()  # where PNG's georeference is
