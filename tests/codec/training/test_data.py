"""Pictures of any size and layout, read in windows; crops that depend on nothing but (seed, step, slot)."""

import json
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from codec.imagery import pictures
from codec.imagery.pictures import PixelCache
from codec.training.data import CropSampler, data_digest, open_pictures, shrunk, split_pictures
from constellation.common.errors import UserError


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_raster(path, bands, **options):
    import rasterio
    from rasterio.transform import from_origin

    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "crs": "EPSG:32617",
        "transform": from_origin(500000, 4000000, 0.5, 0.5),
        **options,
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(bands)


def write_earthview(path, rows, row_group_size=2):
    """What the public data set stores: nested lists of uint8, and metadata as JSON text."""
    nested = pa.list_(pa.list_(pa.list_(pa.list_(pa.uint8()))))
    table = pa.table(
        {
            "1m": pa.array([row[:, :1].tolist() for row in rows], nested),
            "rgb": pa.array([row.tolist() for row in rows], nested),
            "metadata": [
                json.dumps({"timestamp": ["2022-01-01"] * len(row), "bounds": [0, 0, 1, 1]}) for row in rows
            ],
        }
    )
    pq.write_table(table, path, row_group_size=row_group_size)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_lossless_files_of_every_kind_give_their_pixels_in_any_window(tmp_path, suffix):
    pixels = picture(70, 90)
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", **options)
    (opened,) = open_pictures(tmp_path)
    assert (opened.name, opened.height, opened.width) == (f"a{suffix}", 70, 90)
    assert np.array_equal(opened.read(5, 7, 40, 30), pixels[5:45, 7:37])


def test_a_tiled_geotiff_is_read_in_windows_and_four_bands_become_rgb(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (4, 96, 160), dtype=np.uint8)
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32}
    write_raster(tmp_path / "a.tif", bands, photometric="MINISBLACK", alpha="no", **tiles)
    (opened,) = open_pictures(tmp_path / "a.tif")
    assert np.array_equal(opened.read(16, 33, 48, 64), bands[:3, 16:64, 33:97].transpose(1, 2, 0))


def test_sixteen_bit_samples_are_stretched_between_their_percentiles_and_one_band_is_repeated(tmp_path):
    band = np.linspace(1000, 3000, 64 * 64).reshape(1, 64, 64).astype(np.uint16)
    write_raster(tmp_path / "a.tif", band)
    window = open_pictures(tmp_path)[0].read(0, 0, 64, 64)
    assert window.dtype == np.uint8 and window[0, 0, 0] == 0 and window[-1, -1, 0] == 255
    assert np.array_equal(window[..., 0], window[..., 2]) and abs(int(window[32, 0, 0]) - 128) < 4


def test_a_picture_too_large_for_memory_goes_through_a_mapped_file_with_the_same_pixels(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(pictures, "MAX_MEMORY_PIXELS", 1000)
    monkeypatch.setattr(pictures, "STRIP_ROWS", 32)
    monkeypatch.setattr(pictures.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "in").mkdir()
    pixels = picture(100, 80)
    Image.fromarray(pixels).save(tmp_path / "in" / "a.png")
    (opened,) = open_pictures(tmp_path / "in")
    assert isinstance(opened, pictures.MappedPicture)
    assert np.array_equal(opened.read(10, 20, 64, 50), pixels[10:74, 20:70])


def test_the_star_layout_takes_pictures_from_img_folders_alone(tmp_path):
    for folder in ("train/img", "val/img", "train/masks"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(picture(64, 64)).save(tmp_path / folder / "0001.png")
    (tmp_path / "train" / "img" / "0001.txt").write_text("not a picture")
    assert [p.name for p in open_pictures(tmp_path)] == ["train/img/0001.png", "val/img/0001.png"]


def test_the_earthview_layout_gives_every_revisit_of_every_row(tmp_path):
    rows = [
        np.random.default_rng(k).integers(0, 256, (revisits, 3, 70, 80), dtype=np.uint8)
        for k, revisits in enumerate((2, 1, 3))
    ]
    write_earthview(tmp_path / "train-00000.parquet", rows)
    opened = open_pictures(tmp_path)
    assert [p.name.split("#")[1] for p in opened] == ["0.0.0", "0.0.1", "0.1.0", "1.0.0", "1.0.1", "1.0.2"]
    assert (opened[4].height, opened[4].width) == (70, 80)
    assert np.array_equal(opened[4].read(3, 4, 60, 50), rows[2][1, :, 3:63, 4:54].transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"pixels": [[1]]}, "expected EarthView's 'rgb'"),
        ({"rgb": [[1, 2, 3]]}, "not nested lists"),
        ({"rgb": [[[[[1, 2]], [[3, 4]]]]]}, r"\[1, 2, 1, 2\], expected \[revisits, 3, H, W\]"),
        ({"rgb": [[[[[1, 2]], [[3, 4]], [[5]]]]]}, r"expected \[revisits, 3, H, W\]"),
        ({"rgb": pa.array([[]], pa.list_(pa.list_(pa.list_(pa.list_(pa.uint8())))))}, "not nested lists"),
    ],
)
def test_a_parquet_file_of_another_layout_is_refused_in_one_line(tmp_path, table, message):
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=message):
        open_pictures(tmp_path)


def test_broken_and_missing_files_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        open_pictures(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no pictures found"):
        open_pictures(tmp_path)
    for name in ("a.png", "b.tif", "c.parquet"):
        (tmp_path / name).write_bytes(b"nonsense" * 40)
        with pytest.raises(UserError, match=f"data {name}: not a readable"):
            open_pictures(tmp_path / name)
    Image.fromarray(picture(300, 300)).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cut.png: not a readable image"):
        open_pictures(tmp_path / "cut.png")[0].read(0, 0, 64, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for k, (height, width) in enumerate(((64, 200), (150, 90), (40, 40))):
        Image.fromarray(picture(height, width, seed=k)).save(root / f"{k}.png")
    return root


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 10**6), world=st.sampled_from([1, 2, 4]))
def test_the_global_batch_is_the_same_for_any_number_of_processes(folder, seed, step, world):
    whole = CropSampler(open_pictures(folder), 64, seed).batch(step, range(4))
    share = 4 // world
    parts = [
        CropSampler(open_pictures(folder), 64, seed).batch(step, range(rank * share, (rank + 1) * share))
        for rank in range(world)
    ]
    assert whole.shape == (4, 3, 64, 64) and np.array_equal(whole, np.concatenate(parts))


def test_crops_come_from_all_pictures_that_are_large_enough_in_proportion_to_their_area(folder):
    sampler = CropSampler(open_pictures(folder), 64, seed=1)
    assert [p.name for p in sampler.pictures] == ["0.png", "1.png"]
    assert np.allclose(
        np.diff(sampler.cumulative, prepend=0), np.array([64 * 200, 150 * 90]) / (64 * 200 + 150 * 90)
    )
    crops = sampler.batch(0, range(40))
    assert len({crop.tobytes() for crop in crops}) > 25
    with pytest.raises(UserError, match="crop=256: no picture is that large, the largest has 90 px"):
        CropSampler(open_pictures(folder), 256, seed=1)


def ramps(side):
    """Red rises downwards, green to the right."""
    rows, columns = np.mgrid[:side, :side]
    return np.stack([rows, columns, np.full((side, side), 7)]).astype(np.uint8)


def test_a_picture_made_small_is_the_same_picture_with_wider_steps():
    small = shrunk(ramps(198), 66).astype(int)
    inside = small[:, 8:-8, 8:-8]
    assert small.shape == (3, 66, 66) and (small[2] == 7).all()
    assert (np.diff(inside[0], axis=0) == 3).all() and (np.diff(inside[1], axis=1) == 3).all()
    deep = np.full((7, 64, 64), 60000, np.uint16)
    assert shrunk(deep, 32).dtype == np.uint16 and (shrunk(deep, 32) == 60000).all()


def test_shrunk_crops_are_taken_from_up_to_so_many_times_their_side_and_turned(tmp_path):
    Image.fromarray(ramps(200).transpose(1, 2, 0)).save(tmp_path / "ramp.png")
    crops = CropSampler(open_pictures(tmp_path), 64, seed=3, shrink=2.0).batch(0, range(60)).astype(int)
    assert crops.shape == (60, 3, 64, 64)
    across, down = (
        np.array([np.abs(np.diff(c[:2], axis=axis)).mean((1, 2)) for c in crops]) for axis in (2, 1)
    )
    steps = np.maximum(across, down).max(1)
    assert steps.min() == 1.0 and 1.7 < steps.max() <= 2.0
    assert 10 < (across[:, 0] > down[:, 0]).sum() < 50  # a quarter turn lets red rise sideways
    plain = CropSampler(open_pictures(tmp_path), 64, seed=3).batch(0, range(60)).astype(int)
    assert (np.diff(plain[:, 0], axis=1) == 1).all()


def test_which_pictures_are_held_out_depends_on_their_names_alone(folder):
    opened = open_pictures(folder)
    training, held_out = split_pictures(opened, 0.5)
    again, _ = split_pictures(opened[::-1], 0.5)
    assert {p.name for p in training} == {p.name for p in again} and len(training) + len(held_out) == 3
    assert split_pictures(opened, 0.0) == (opened, opened)
    assert data_digest(opened) != data_digest(opened[:2])


def test_the_cache_forgets_the_least_recently_used_beyond_its_limit():
    cache, decoded = PixelCache(limit_bytes=250), []

    def get(key):
        return cache.get(key, lambda: decoded.append(key) or np.zeros(100, np.uint8))

    for key in "abacab":  # c pushes b out, not a; then b is decoded again
        get(key)
    assert decoded == ["a", "b", "c", "b"]


def test_sixteen_bit_pngs_are_stretched_like_rasters(tmp_path):
    ramp = np.linspace(1000, 60000, 128 * 128).reshape(128, 128).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pixels = open_pictures(tmp_path)[0].read(0, 0, 128, 128)
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[-1, -1].tolist() == [255, 255, 255]
    assert 110 < pixels.mean() < 145


def test_palettes_become_colours_at_any_size(tmp_path, monkeypatch):
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8).repeat(64, 0).repeat(64, 1), mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.save(tmp_path / "flag.png")
    wanted = np.asarray(image.convert("RGB"))
    assert np.array_equal(open_pictures(tmp_path)[0].read(0, 0, 128, 128), wanted)
    monkeypatch.setattr(pictures, "MAX_MEMORY_PIXELS", 100)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert np.array_equal(open_pictures(tmp_path / "flag.png")[0].read(0, 0, 128, 128), wanted)


def test_no_data_is_black_and_a_fourth_band_stretches_nothing(tmp_path):
    bands = np.random.default_rng(0).integers(500, 900, (4, 128, 128)).astype(np.uint16)
    bands[3], bands[:, :, 64:] = 65535, 65535
    with rasterio.open(
        tmp_path / "holes.tif",
        "w",
        driver="GTiff",
        height=128,
        width=128,
        count=4,
        dtype="uint16",
        nodata=65535,
    ) as raster:
        raster.write(bands)
    pixels = open_pictures(tmp_path)[0].read(0, 0, 128, 128)
    assert (pixels[:, 64:] == 0).all() and 100 < pixels[:, :64].mean() < 155


def test_a_truncated_raster_is_refused_in_one_line(tmp_path):
    path = tmp_path / "cut.tif"
    with rasterio.open(path, "w", driver="GTiff", height=256, width=256, count=3, dtype="uint8") as raster:
        raster.write(np.zeros((3, 256, 256), np.uint8))
    path.write_bytes(path.read_bytes()[:40000])
    with pytest.raises(UserError, match=r"cut.tif: "):
        open_pictures(tmp_path)[0].read(128, 128, 128, 128)


def test_a_raster_that_names_other_files_is_refused(tmp_path):
    (tmp_path / "secret.tif").write_text("<VRTDataset rasterXSize='64' rasterYSize='64'></VRTDataset>")
    with pytest.raises(UserError, match="not a readable image"):
        open_pictures(tmp_path)
