"""One reader for training and for flight: it asks the file, and is surprised by none."""

import logging
import tempfile

import numpy as np
import pytest
from PIL import Image

from codec.imagery import pictures
from codec.imagery.reader import open_image
from codec.training.data import open_pictures
from codec.training.fleet.tiles import read_tiles
from constellation.common.errors import UserError
from constellation.scenario.imaging import SceneKnobs
from tests.codec.imagery.image_cases import (
    CASES,
    GREY,
    HOLE,
    RGB,
    THREE,
    chunk,
    pixels_of,
    scene_at,
    write_png,
    write_tiff,
)

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    write, expected, seen, tolerance = CASES[request.param]
    write(tmp_path / request.param)
    return tmp_path / request.param, expected, seen, tolerance


def test_a_scene_shows_what_the_file_says(case):
    path, expected, _, tolerance = case
    found = pixels_of(scene_at(path))
    assert found.dtype == np.uint8 and found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= tolerance


def test_training_sees_the_same_pixels_as_flight(case):
    path, *_ = case
    assert np.array_equal(pixels_of(open_pictures(path)[0]), pixels_of(scene_at(path)))


def test_tiles_on_the_device_are_the_same_pixels(case):
    path, *_ = case
    (tile,) = read_tiles(path.parent, 1)
    assert np.array_equal(tile, pixels_of(open_pictures(path)[0]))


def test_what_is_hidden_is_zero_and_said_window_by_window(case):
    path, _, seen, _ = case
    scene = scene_at(path)
    valid = scene.read_valid(0, 0, 64, 64)
    assert np.array_equal(valid, np.ones((64, 64), bool) if seen is None else seen)
    assert (pixels_of(scene)[~valid] == 0).all()
    assert np.array_equal(scene.read_valid(30, 25, 20, 30), valid[30:50, 25:55])


def test_every_window_is_scaled_as_the_whole(case):
    path, *_ = case
    scene = scene_at(path)
    assert np.array_equal(scene.read(30, 25, 20, 30), pixels_of(scene)[30:50, 25:55])


@pytest.mark.parametrize("name", ["16bit.png", "rgba.png", "palette_trns.png", "1bit.png"])
def test_a_picture_kept_in_a_file_is_the_one_kept_in_memory(tmp_path, monkeypatch, name):
    CASES[name][0](tmp_path / name)
    held = pixels_of(open_pictures(tmp_path / name)[0])
    monkeypatch.setattr(pictures, "MAX_MEMORY_PIXELS", 100)
    monkeypatch.setattr(pictures, "STRIP_ROWS", 23)
    assert np.array_equal(pixels_of(open_pictures(tmp_path / name)[0]), held)


# ---------------------------------------------------------------- bands


def test_bands_are_chosen_by_number_for_files_that_name_none(tmp_path):
    write_tiff(tmp_path / "a.tif", np.stack([*THREE[::-1], GREY]), photometric="MINISBLACK", alpha="no")
    scene = scene_at(tmp_path / "a.tif", bands="3,2,1")
    assert np.array_equal(pixels_of(scene), RGB) and "bands 3, 2, 1 of 4" in scene.source
    assert np.array_equal(pixels_of(scene_at(tmp_path / "a.tif", bands="4"))[:, :, 1], GREY)
    with pytest.raises(UserError, match=r"scene.bands=3,2,9, expected bands of 1, 2, 3, 4"):
        scene_at(tmp_path / "a.tif", bands="3,2,9")


@pytest.mark.parametrize("text", ["a", "-1", "3;2;1", "1,,2"])
def test_other_words_for_bands_are_refused(text):
    with pytest.raises(ValueError, match="bands"):
        SceneKnobs(bands=text)


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"), "6, 4, 2"),
        (("Band 1: Blue", "Band 2: Green", "Band 3: Red", "Band 4: NIR"), "3, 2, 1"),
        (("B02", "B03", "B04", "B08"), "1, 2, 3"),
        (("red", "green", "green", "blue"), "1, 2, 3"),
        (("red edge", "green", "blue", "nir"), "1, 2, 3"),
    ],
)
def test_only_colours_that_are_named_once_each_decide(tmp_path, names, bands):
    write_tiff(tmp_path / "a.tif", np.stack([GREY] * len(names)), names, photometric="MINISBLACK", alpha="no")
    assert f"bands {bands} of {len(names)}" in scene_at(tmp_path / "a.tif").source


def test_a_cell_is_hidden_only_where_every_band_has_no_data(tmp_path):
    bands = THREE.copy()
    bands[0][HOLE] = 255  # saturated in red, not absent
    write_tiff(tmp_path / "a.tif", bands, nodata=255)
    scene = scene_at(tmp_path / "a.tif")
    assert scene.read_valid(0, 0, 64, 64).all() and np.array_equal(pixels_of(scene), bands.transpose(1, 2, 0))


# ---------------------------------------------------------------- what lies beside the file, and what does no


ASIDE = """<PAMDataset><PAMRasterBand band="1"><NoDataValue>100</NoDataValue>
<ColorInterp>Blue</ColorInterp></PAMRasterBand></PAMDataset>"""


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_side_files_change_nothing(tmp_path, name):
    Image.fromarray(GREY).save(tmp_path / name)
    (tmp_path / f"{name}.aux.xml").write_text(ASIDE)
    for source in (open_pictures(tmp_path / name)[0], scene_at(tmp_path / name)):
        assert np.array_equal(pixels_of(source)[:, :, 0], GREY)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.aux.xml"]


def test_reading_windows_adds_no_handler_of_log_messages(tmp_path):
    write_tiff(tmp_path / "a.tif", THREE)
    scene = scene_at(tmp_path / "a.tif")
    scene.read(0, 0, 8, 8)
    before = len(logging.getLogger("rasterio").handlers)
    for _ in range(20):
        scene.read(0, 0, 8, 8)
    assert len(logging.getLogger("rasterio").handlers) == before


def test_a_large_picture_leaves_nothing_in_the_temporary_folder_and_trusts_nothing_there(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(pictures, "MAX_MEMORY_PIXELS", 100)
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    Image.fromarray(RGB).save(tmp_path / "a.png")
    first = open_pictures(tmp_path / "a.png")[0]
    assert np.array_equal(pixels_of(first), RGB) and not list(shared.iterdir())
    for name in ("a.npy", "codec-pixels-0.npy"):
        np.save(shared / name, np.zeros_like(RGB))
    assert np.array_equal(pixels_of(open_pictures(tmp_path / "a.png")[0]), RGB)


def test_a_full_temporary_folder_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "MAX_MEMORY_PIXELS", 100)
    monkeypatch.setattr(pictures.os, "posix_fallocate", full)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"data a.png: no room in .* for its 12288 bytes"):
        pixels_of(open_pictures(tmp_path / "a.png")[0])


def test_orientation_is_said_and_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(RGB[:40]).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    scene = scene_at(tmp_path / "a.jpg")
    assert (scene.height, scene.width) == (40, 64) and "not turned (EXIF orientation 6)" in scene.source
    assert np.abs(pixels_of(open_pictures(tmp_path / "a.jpg")[0]).astype(int) - RGB[:40]).max() < 6


# ---------------------------------------------------------------- scales


@pytest.mark.parametrize("rule", ["percentile", "full"])
def test_eight_bit_samples_stay_what_they_are(tmp_path, rule):
    write_tiff(tmp_path / "a.tif", THREE)
    assert np.array_equal(pixels_of(scene_at(tmp_path / "a.tif", scale_16bit=rule)), RGB)


def test_the_full_range_is_that_of_the_declared_depth_and_floats_have_none(tmp_path):
    write_tiff(tmp_path / "a.tif", GREY.astype(np.uint16) * 16, nbits=12)
    found = pixels_of(scene_at(tmp_path / "a.tif", scale_16bit="full"))[:, :, 0]
    assert np.array_equal(found, np.rint(GREY * 16.0 * 255 / 4095))
    write_tiff(tmp_path / "b.tif", GREY.astype(np.float32))
    with pytest.raises(UserError, match="float32 samples have no full range, expected percentile"):
        scene_at(tmp_path / "b.tif", scale_16bit="full").read(0, 0, 8, 8)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e30, np.nan, np.inf])
def test_a_flat_picture_of_floats_reads(tmp_path, value):
    write_tiff(tmp_path / "a.tif", np.full((64, 64), value, np.float32))
    scene = scene_at(tmp_path / "a.tif")
    assert pixels_of(scene).max() == 0 and scene.read_valid(0, 0, 64, 64).all() == np.isfinite(value)


def test_floats_beyond_all_measure_are_refused_in_one_line(tmp_path):
    samples = np.where(HOLE, 1.7e308, -1.7e308)
    write_tiff(tmp_path / "a.tif", samples)
    with pytest.raises(UserError, match="cannot be scaled to 8 bits"):
        pixels_of(scene_at(tmp_path / "a.tif"))


def test_a_file_that_changes_is_read_anew(tmp_path):
    write_tiff(tmp_path / "a.tif", THREE)
    assert open_image(tmp_path / "a.tif", "a").layout.dtype == "uint8"
    write_tiff(tmp_path / "a.tif", THREE.astype(np.uint16))
    assert open_image(tmp_path / "a.tif", "a").layout.dtype == "uint16"


def test_numbers_without_a_colour_are_hidden(tmp_path):
    write_png(
        tmp_path / "a.png", 8, 3, np.where(HOLE, 200, 1).astype(np.uint8), chunk(b"PLTE", bytes(range(6)))
    )
    try:
        scene = scene_at(tmp_path / "a.png")
        assert np.array_equal(scene.read_valid(0, 0, 64, 64), ~HOLE) and pixels_of(scene)[0, 0].tolist() == [
            3,
            4,
            5,
        ]
    except UserError as error:  # libpng may refuse such a file
        assert "not a readable image" in str(error)


def test_windows_read_in_any_order_are_those_of_the_file_as_it_is_now(tmp_path):
    rng, path = np.random.default_rng(3), tmp_path / "a.png"
    for turn in range(2):  # the second picture takes the place of one that is held open
        picture = rng.integers(0, 255, (90 + turn, 60, 3), dtype=np.uint8)
        Image.fromarray(picture).save(path)
        image = open_image(path, "a")
        for top in (70, 0, 40, 70, 10):
            assert np.array_equal(image.read(top, 5, 16, 40), picture[top : top + 16, 5:45])


def test_a_file_that_is_cut_off_while_it_is_open_is_a_line_and_then_read_anew(tmp_path):
    path, picture = tmp_path / "a.png", np.random.default_rng(3).integers(0, 255, (200, 80, 3), np.uint8)
    Image.fromarray(picture).save(path)
    image, whole = open_image(path, "a"), path.read_bytes()
    for _ in range(2):
        image.read(0, 0, 16, 16)
    path.write_bytes(whole[:9000])
    with pytest.raises(UserError, match="not a readable image"):
        image.read(150, 0, 16, 16)
    path.write_bytes(whole)
    assert np.array_equal(image.read(150, 0, 16, 16), picture[150:166, :16])
