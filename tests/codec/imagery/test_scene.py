"""Scenes: every format reads as 8-bit RGB, window by window, and bad files are one-line errors."""

import numpy as np
import pytest
import rasterio
from PIL import Image

from codec.imagery.scene import default_data_folder, open_scene
from constellation.common.errors import UserError
from constellation.scenario.imaging import SceneKnobs

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

RNG = np.random.default_rng(7)


def smooth(height=96, width=128, bands=3):
    """A picture that survives lossy formats: slow ramps."""
    rows, cols = np.mgrid[:height, :width]
    return np.stack(
        [(rows + (band + 1) * cols) * 255 / (height + (band + 1) * width) for band in range(bands)], axis=2
    ).astype(np.uint8)


def write_tiff(path, samples, **options):  # samples: [h, w, bands]
    height, width, bands = samples.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=samples.dtype, **options
    ) as dataset:
        dataset.write(samples.transpose(2, 0, 1))


def opened(path, window_px=64, round=0, seed=0, **knobs):
    return open_scene(SceneKnobs(path=str(path), **knobs), seed, round, window_px)


@pytest.mark.parametrize(
    "suffix, options, tolerance",
    [(".png", {}, 0), (".webp", {"lossless": True}, 0), (".tif", {}, 0), (".jpg", {"quality": 95}, 6)],
)
def test_every_format_gives_the_pixels_of_the_window(tmp_path, suffix, options, tolerance):
    picture = smooth()
    Image.fromarray(picture).save(tmp_path / f"scene{suffix}", **options)
    scene = opened(tmp_path / f"scene{suffix}")
    assert (scene.height, scene.width, scene.real) == (96, 128, True)
    window = scene.read(10, 20, 40, 50)
    assert window.dtype == np.uint8 and window.shape == (40, 50, 3)
    assert np.abs(window.astype(int) - picture[10:50, 20:70]).max() <= tolerance


def test_a_single_band_is_repeated_and_alpha_is_dropped(tmp_path):
    picture = smooth()
    Image.fromarray(picture[:, :, 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([picture, np.full((96, 128), 9, np.uint8)])).save(tmp_path / "alpha.png")
    Image.fromarray(np.dstack([picture[:, :, 0], np.full((96, 128), 9, np.uint8)])).save(
        tmp_path / "grey_alpha.png"
    )
    grey = np.repeat(picture[:, :, :1], 3, axis=2)
    assert np.array_equal(opened(tmp_path / "grey.png").read(0, 0, 96, 128), grey)
    assert np.array_equal(opened(tmp_path / "alpha.png").read(0, 0, 96, 128), picture)
    assert np.array_equal(opened(tmp_path / "grey_alpha.png").read(0, 0, 96, 128), grey)


def test_a_palette_is_looked_up(tmp_path):
    picture = Image.fromarray(smooth()).quantize(16)
    picture.save(tmp_path / "palette.png")
    assert np.array_equal(
        opened(tmp_path / "palette.png").read(3, 4, 50, 60), np.asarray(picture.convert("RGB"))[3:53, 4:64]
    )


def test_of_more_than_three_bands_the_first_three_are_read_and_it_says_so(tmp_path):
    samples = smooth(bands=5)
    write_tiff(tmp_path / "many.tif", samples, photometric="MINISBLACK", alpha="no")
    scene = opened(tmp_path / "many.tif")
    assert "bands 1, 2, 3 of 5" in scene.source
    assert np.array_equal(scene.read(0, 0, 96, 128), samples[:, :, :3])


def test_16_bit_samples_scale_by_percentiles_of_the_whole_image_or_in_full(tmp_path):
    samples = smooth().astype(np.uint16) * 20 + 300
    write_tiff(tmp_path / "deep.tif", samples)
    low, high = np.percentile(samples, (2, 98))
    expected = np.clip(np.rint((samples - low) * 255 / (high - low)), 0, 255)
    scene = opened(tmp_path / "deep.tif")
    assert "scene.scale_16bit=percentile" in scene.source
    assert np.array_equal(scene.read(0, 0, 96, 128), expected)
    assert np.array_equal(scene.read(30, 40, 8, 9), expected[30:38, 40:49])  # a window is scaled as the whole
    full = opened(tmp_path / "deep.tif", scale_16bit="full").read(0, 0, 96, 128)
    assert np.array_equal(full, np.rint(samples.astype(float) * 255 / 65535))


def test_percentiles_leave_no_data_cells_out(tmp_path):
    samples = smooth().astype(np.uint16) * 20 + 300
    samples[:40] = 0
    write_tiff(tmp_path / "holes.tif", samples, nodata=0)
    low, high = np.percentile(samples[40:], (2, 98))
    window = opened(tmp_path / "holes.tif").read(40, 0, 56, 128)
    assert np.array_equal(window, np.clip(np.rint((samples[40:] - low) * 255 / (high - low)), 0, 255))


def test_16_bit_png_of_three_bands_reads(tmp_path):
    samples = smooth().astype(np.uint16) * 257
    with rasterio.open(
        tmp_path / "deep.png", "w", driver="PNG", height=96, width=128, count=3, dtype="uint16"
    ) as dataset:
        dataset.write(samples.transpose(2, 0, 1))
    assert np.array_equal(opened(tmp_path / "deep.png", scale_16bit="full").read(0, 0, 96, 128), smooth())


def test_a_window_of_a_huge_image_reads_without_the_image(tmp_path):
    import tracemalloc

    with rasterio.open(
        tmp_path / "huge.tif",
        "w",
        driver="GTiff",
        height=16384,
        width=16384,
        count=3,
        dtype="uint8",
        tiled=True,
        compress="deflate",
        sparse_ok=True,
    ) as dataset:
        dataset.write(
            np.full((3, 256, 256), 99, np.uint8), window=rasterio.windows.Window(8192, 8192, 256, 256)
        )
    tracemalloc.start()
    window = opened(tmp_path / "huge.tif", window_px=1024).read(8200, 8200, 200, 200)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (window == 99).all() and peak_bytes < 16 << 20


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.write_bytes(b""), "not a readable image"),
        (lambda path: path.write_bytes(b"<VRTDataset/>"), "not a readable image"),
        (
            lambda path: Image.fromarray(smooth(20, 30)).save(path),
            "30x20 px, smaller than the window of 64 px",
        ),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, make, expected):
    path = tmp_path / "scene.png"
    make(path)
    with pytest.raises(UserError, match=expected) as caught:
        opened(path)
    assert str(caught.value).startswith(f"scene.path={path}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_truncated_file_is_an_error_and_never_grey(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(RNG.integers(0, 256, (128, 128, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="not a readable image"):
        opened(path).read(100, 0, 28, 128)


def test_a_file_of_another_suffix_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="expected an image"):
        opened(tmp_path / "notes.txt")


def test_the_images_of_a_folder_take_turns_in_an_order_of_the_seed(tmp_path):
    for name in "abcde":
        Image.fromarray(smooth()).save(tmp_path / f"{name}.png")
    names = [opened(tmp_path, round=round, seed=3).name for round in range(10)]
    assert set(names[:5]) == {f"{name}.png" for name in "abcde"} and names[5:] == names[:5]
    assert names == [opened(tmp_path, round=round, seed=3).name for round in range(10)]
    assert any(
        names[:5] != [opened(tmp_path, round=round, seed=seed).name for round in range(5)]
        for seed in range(5)
    )


def test_a_folder_skips_what_is_too_small_or_damaged_with_a_note(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "good.png")
    Image.fromarray(smooth(20, 30)).save(tmp_path / "small.png")
    (tmp_path / "broken.tif").write_bytes(b"II*\0rubbish")
    (tmp_path / "notes.txt").write_text("not an image, not mentioned")
    scene = opened(tmp_path, round=5)
    assert scene.name == "good.png" and len(scene.notes) == 2
    assert any("small.png: 30x20 px, smaller than the window" in note for note in scene.notes)


def test_a_folder_without_a_usable_image_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no image in this folder"):
        opened(tmp_path)
    Image.fromarray(smooth(20, 30)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match="none of its 1 images is usable"):
        opened(tmp_path)


def test_a_window_that_leaves_the_scene_is_a_bug():
    with pytest.raises(ValueError, match="leaves the scene of 128x128 px"):
        open_scene(SceneKnobs(size_px=128), 0, 0).read(100, 0, 64, 64)


def test_without_a_path_the_scene_is_built_in_and_says_so():
    scene = open_scene(SceneKnobs(size_px=256), 5, 0, 256)
    assert (
        not scene.real
        and scene.source == "built-in procedural scene, seed 5; give scene.path= for real images"
    )
    with pytest.raises(UserError, match=r"scene.size_px=256: smaller than the window of 512 px"):
        open_scene(SceneKnobs(size_px=256), 5, 0, 512)


def test_the_data_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DLRC_DATA", str(tmp_path))
    assert default_data_folder() == tmp_path
    monkeypatch.setenv("DLRC_DATA", str(tmp_path / "absent"))
    assert default_data_folder() is None


def test_real_scenes_read_where_they_are_at_hand():
    folder = default_data_folder()
    if folder is None or not (folder / "scenes").is_dir():
        pytest.skip("no real images here (DLRC_DATA)")
    for round in range(4):
        window = open_scene(SceneKnobs(path=str(folder / "scenes")), 0, round, 512).read(0, 0, 64, 64)
        assert window.shape == (64, 64, 3)
