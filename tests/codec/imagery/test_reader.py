"""One reader for training and for flight: it asks the file, and is surprised by none."""

import logging
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from codec.imagery import layout, pictures
from codec.imagery.reader import open_image
from codec.imagery.scene import open_scene
from codec.training.data import open_pictures
from constellation.common.errors import UserError
from constellation.scenario.scenario import SceneKnobs
from tests.codec.imagery.image_cases import CASES, GREY, HOLE, RGB, THREE, chunk, write_png, write_tiff

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


def scene_at(path, **knobs):
    return open_scene(SceneKnobs(path=str(path), **knobs), 0, 0)


def pixels_of(source):
    return source.read(0, 0, source.height, source.width)


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


@pytest.mark.parametrize("text", ["3,2", "a", "1,2,3,4", "-1", "3;2;1"])
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


# ---------------------------------------------------------------- files that mean no good


@pytest.mark.parametrize(
    "name", ["16bit.png", "palette_trns.png", "rgba.webp", "cmyk.jpg", "palette16.tif", "nodata.tif"]
)
def test_a_file_cut_anywhere_is_read_or_refused_in_one_line(tmp_path, name):
    CASES[name][0](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    refused = 0
    for length in np.linspace(0, len(whole) - 1, 40).astype(int):
        (tmp_path / name).write_bytes(whole[:length])
        for reader in (scene_at, lambda path: open_pictures(path)[0]):
            try:
                source = reader(tmp_path / name)
                pixels_of(source)
            except UserError as error:
                assert "not a readable image" in str(error)
                refused += 1
    assert refused > 40


@pytest.mark.parametrize("name", ["16bit.png", "rgba.webp", "cmyk.jpg", "palette16.tif", "float32.tif"])
def test_a_file_damaged_anywhere_is_read_or_refused_in_one_line(tmp_path, name):
    CASES[name][0](tmp_path / name)
    whole, random = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for at in random.integers(0, min(len(whole), 600), 3):
            data[at] = random.integers(256)
        (tmp_path / name).write_bytes(bytes(data))
        for reader in (scene_at, lambda path: open_pictures(path)[0]):
            try:
                source = reader(tmp_path / name)
                if source.height * source.width < 1 << 24:
                    pixels_of(source)
            except UserError:
                pass


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda path: write_tiff(path, GREY.astype(np.complex64)),
            "samples are complex64, expected one type of",
        ),
        (
            lambda path: write_tiff(path, np.stack([GREY.astype(np.uint16)] * 4), photometric="CMYK"),
            "bands are cyan, magenta, yellow, black, expected",
        ),
        (lambda path: path.write_bytes(b""), "it starts with b''"),
        (lambda path: path.write_bytes(b"II*\0\xff\xff\xff\xff"), "not a readable image"),
        (lambda path: path.mkdir(), "no image in this folder|no pictures found"),
        (lambda path: path.symlink_to(path.name), "symbolic links|No such file|no such file"),
        (lambda path: path.symlink_to("nowhere"), "no such file or folder"),
        (lambda path: os.mkfifo(path), "expected an image|no regular file"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line_by_both(tmp_path, write, message):
    path = tmp_path / "a.tif"
    write(path)
    for reader in (scene_at, open_pictures):
        with pytest.raises(UserError, match=message) as caught:
            reader(path)
        assert "\n" not in str(caught.value) and "a.tif" in str(caught.value)


def header_of_png(width, height):
    data = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", data) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(0, 0), (0, 9), (10**6, 10**6), (2**31 - 1, 1), (2**20 + 1, 1)])
def test_a_header_of_an_impossible_size_is_refused_before_a_pixel_is_read(tmp_path, size):
    (tmp_path / "a.png").write_bytes(header_of_png(*size))
    for reader in (scene_at, open_pictures):
        with pytest.raises(UserError, match="not a readable image"):
            reader(tmp_path / "a.png")


@pytest.mark.parametrize(("interleave", "bands"), [("pixel", 3), ("band", 1)])
def test_a_tiff_of_one_huge_strip_is_refused(tmp_path, monkeypatch, interleave, bands):
    options = {"blockysize": 64, "compress": "deflate", "photometric": "RGB", "interleave": interleave}
    write_tiff(tmp_path / "a.tif", THREE.astype(np.uint16), **options)
    monkeypatch.setattr(layout, "MAX_BLOCK_BYTES", 2 * 64 * 64 * bands)
    open_image(tmp_path / "a.tif", "just fits")
    monkeypatch.setattr(layout, "MAX_BLOCK_BYTES", 2 * 64 * 64 * bands - 1)
    for reader in (scene_at, open_pictures):
        with pytest.raises(UserError, match="stored as blocks of 64x64 px, too large"):
            reader(tmp_path / "a.tif")


def test_a_format_without_windows_has_a_limit_in_training_too(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.webp")
    monkeypatch.setattr(layout, "MAX_WHOLE_PIXELS", 1000)
    with pytest.raises(UserError, match="64x64 px, more than this project reads of WEBP"):
        open_pictures(tmp_path)


def test_a_file_without_permission_is_one_line(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    for reader in (scene_at, open_pictures):
        with pytest.raises(UserError, match="Permission denied"):
            reader(tmp_path / "a.png")


def test_a_folder_without_permission_is_one_line(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    monkeypatch.setattr(os, "listdir", refused)
    for reader in (scene_at, open_pictures):
        with pytest.raises(UserError, match="Permission denied"):
            reader(tmp_path)


@pytest.mark.parametrize("word", ["~nobody_of_that_name/a.png", "a" * 5000 + ".png", "a\0b.png"])
def test_paths_that_cannot_be_are_one_line(word):
    with pytest.raises(UserError):
        scene_at(word)
    with pytest.raises(UserError):
        open_pictures(word)


def test_names_that_are_no_text_can_be_read_or_named(tmp_path):
    name = os.fsdecode(b"caf\xe9\n.png")
    Image.fromarray(RGB).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / name)
    for reader in (scene_at, open_pictures):
        try:
            reader(tmp_path)
        except UserError as error:
            str(error).encode()


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "me.png").symlink_to("me.png")
    Image.fromarray(RGB).save(tmp_path / "sub" / "a.png")
    assert [picture.name for picture in open_pictures(tmp_path)] == ["sub/a.png"]
    assert scene_at(tmp_path / "sub").name == "a.png"


def test_a_folder_of_many_files_is_opened_once_and_its_notes_are_few(tmp_path, monkeypatch):
    from codec.imagery import reader

    for number in range(3000):
        (tmp_path / f"{number:05}.png").write_bytes(b"rubbish")
    Image.fromarray(RGB).save(tmp_path / "good.png")
    scene = scene_at(tmp_path)
    assert scene.name == "good.png" and len(scene.notes) == 21 and "2980 more" in scene.notes[-1]
    opened = []
    monkeypatch.setattr(reader, "layout_of", lambda *_: opened.append(1))
    assert scene_at(tmp_path).name == "good.png" and not opened


def test_reading_needs_memory_for_the_window_alone(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        height=1 << 14,
        width=1 << 14,
        count=3,
        dtype="uint16",
        nodata=0,
        tiled=True,
        compress="deflate",
        sparse_ok=True,
        bigtiff="yes",
    ):
        pass
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from codec.imagery.reader import open_image\n"
        "image = open_image(Path(sys.argv[1]), 'a')\n"
        "assert not image.read_valid(10000, 10000, 64, 64).any()\n"
        "assert not image.read(10000, 10000, 64, 64).any()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.tif")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 700  # MiB, of which the block cache may take 122


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
