"""Files that mean no good, or are no pictures at all: read, or refused in one line by both readers."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from codec.imagery import layout, reader
from codec.imagery.reader import open_image
from codec.training.data import open_pictures
from constellation.common.errors import UserError
from tests.codec.imagery.image_cases import CASES, GREY, RGB, THREE, chunk, pixels_of, scene_at, write_tiff

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


@pytest.mark.parametrize(
    "name", ["16bit.png", "palette_trns.png", "rgba.webp", "cmyk.jpg", "palette16.tif", "nodata.tif"]
)
def test_a_file_cut_anywhere_is_read_or_refused_in_one_line(tmp_path, name):
    CASES[name][0](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    refused = 0
    for length in np.linspace(0, len(whole) - 1, 40).astype(int):
        (tmp_path / name).write_bytes(whole[:length])
        for read in (scene_at, lambda path: open_pictures(path)[0]):
            try:
                source = read(tmp_path / name)
                pixels_of(source)
            except UserError as error:
                assert "not a readable image" in str(error)
                refused += 1
    assert refused > 40


@pytest.mark.parametrize("name", ["16bit.png", "rgba.webp", "cmyk.jpg", "palette16.tif", "float32.tif"])
def test_a_file_damaged_anywhere_is_read_or_refused_in_one_line(tmp_path, name):
    CASES[name][0](tmp_path / name)
    whole, random = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    for _ in range(30):
        data = bytearray(whole)
        for at in random.integers(0, min(len(whole), 600), 3):
            data[at] = random.integers(256)
        (tmp_path / name).write_bytes(bytes(data))
        for read in (scene_at, lambda path: open_pictures(path)[0]):
            try:
                source = read(tmp_path / name)
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
    for read in (scene_at, open_pictures):
        with pytest.raises(UserError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value) and "a.tif" in str(caught.value)


def header_of_png(width, height):
    data = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", data) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(0, 0), (0, 9), (10**6, 10**6), (2**31 - 1, 1), (2**20 + 1, 1)])
def test_a_header_of_an_impossible_size_is_refused_before_a_pixel_is_read(tmp_path, size):
    (tmp_path / "a.png").write_bytes(header_of_png(*size))
    for read in (scene_at, open_pictures):
        with pytest.raises(UserError, match="not a readable image"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize(("interleave", "bands"), [("pixel", 3), ("band", 1)])
def test_a_tiff_of_one_huge_strip_is_refused(tmp_path, monkeypatch, interleave, bands):
    options = {"blockysize": 64, "compress": "deflate", "photometric": "RGB", "interleave": interleave}
    write_tiff(tmp_path / "a.tif", THREE.astype(np.uint16), **options)
    monkeypatch.setattr(layout, "MAX_BLOCK_BYTES", 2 * 64 * 64 * bands)
    open_image(tmp_path / "a.tif", "just fits")
    monkeypatch.setattr(layout, "MAX_BLOCK_BYTES", 2 * 64 * 64 * bands - 1)
    for read in (scene_at, open_pictures):
        with pytest.raises(UserError, match="stored as blocks of 64x64 px, too large"):
            read(tmp_path / "a.tif")


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
    for read in (scene_at, open_pictures):
        with pytest.raises(UserError, match="Permission denied"):
            read(tmp_path / "a.png")


def test_a_folder_without_permission_is_one_line(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    monkeypatch.setattr(os, "listdir", refused)
    for read in (scene_at, open_pictures):
        with pytest.raises(UserError, match="Permission denied"):
            read(tmp_path)


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
    for read in (scene_at, open_pictures):
        try:
            read(tmp_path)
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
    for number in range(1000):
        (tmp_path / f"{number:05}.png").write_bytes(b"rubbish")
    Image.fromarray(RGB).save(tmp_path / "good.png")
    scene = scene_at(tmp_path)
    assert scene.name == "good.png" and len(scene.notes) == 21 and "980 more" in scene.notes[-1]
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
        "import re, sys\n"
        "from pathlib import Path\n"
        "from codec.imagery.reader import open_image\n"
        "image = open_image(Path(sys.argv[1]), 'a')\n"
        "assert not image.read_valid(10000, 10000, 64, 64).any()\n"
        "assert not image.read(10000, 10000, 64, 64).any()\n"
        # the high-water mark of this program alone: ru_maxrss would count the tests' process that started it
        "print(int(re.search(r'VmHWM:\\s+([0-9]+)', Path('/proc/self/status').read_text())[1]) >> 10)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.tif")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 700  # MiB, of which the block cache may take 122
