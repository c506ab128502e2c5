"""Pictures of any bands through the product: read, captured, coded, rebuilt, measured and shown."""

import dataclasses

import numpy as np
import pytest
import rasterio
import torch

import dlrc
from codec.bitstream import unpack
from codec.imagery.scaling import Bands, of_training
from codec.models import registry
from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.model import Widths
from constellation.common.errors import UserError
from ground.files import decode_files, read_streams, write_tiff
from ground.metrics import psnr_db

SCALED = Bands(5, (4000.0, 3000.0, 5000.0, 7000.0, 2500.0), (100.0, 0.0, 50.0, 200.0, 0.0))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("codec") / "five.safetensors"
    save_checkpoint(path, registry.build("bmshj", Widths(8, 8, bands=5)), 0.013, 1, {"scales": SCALED.text})
    return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "five.tif"
    rows, cols = np.mgrid[0:192, 0:192]
    samples = np.stack([900 + 11 * rows + (band + 1) * 5 * cols for band in range(5)]).astype(np.uint16)
    options = {"driver": "GTiff", "count": 5, "height": 192, "width": 192, "dtype": "uint16"}
    with rasterio.open(path, "w", **options) as dataset:
        dataset.write(samples)
    return path


def fly(scene, checkpoint, **more):
    flown = {"capture.patch_px": 64, "capture.window_px": 128, "codec.weights": str(checkpoint)}
    return dlrc.run("smoke", **{"scene.path": str(scene), "codec.model": "bmshj", **flown, **more})


def test_a_run_of_five_bands_of_16_bits_decodes_and_its_streams_carry_the_scales(tmp_path, scene, checkpoint):
    run = fly(scene, checkpoint, output=str(tmp_path), **{"capture.noise": 1.0, "capture.clouds": 0.2})
    assert all(one.quality_dlrc is not None for record in run.rounds for one in record.satellites)
    stored, faults = read_streams(str(run.gallery.folder))
    assert stored and not faults
    assert all(unpack(one.data).header.bands == SCALED for one in stored)
    alone = [one for one in stored if not one.header.settings.dlrc][:1]
    images, failures = decode_files(alone, str(checkpoint))
    (image,) = images.values()
    assert not failures and image.dtype == np.uint16 and image.shape == (64, 64, 5)
    shown = run.gallery.images(0, 0)
    assert shown.captured.dtype == np.uint8 and shown.captured.shape == (64, 64, 3)


def test_colours_choose_what_is_shown_and_nothing_else(scene, checkpoint):
    first, second = (fly(scene, checkpoint, **more) for more in ({}, {"scene.colours": "5,4,1"}))
    assert not np.array_equal(first.gallery.images(0, 0).captured, second.gallery.images(0, 0).captured)
    assert first.rounds[0].satellites[0].dlrc == second.rounds[0].satellites[0].dlrc


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"scene.path": ""}, "scene.path: missing; the codec has 5 bands"),
        ({"scene.bands": "1,2"}, "scene.bands=1,2, expected 5"),
        ({"scene.colours": "6"}, "scene.colours=6: the codec has bands 1 to 5"),
        (
            {"dlrc.dedup": "conditional", "dlrc.exchange": "streams"},
            "dlrc.dedup=conditional: predicts pictures of 8-bit RGB",
        ),
        ({"codec.portable_pictures": True}, "codec.portable_pictures=true: pictures of 8-bit RGB alone"),
    ],
)
def test_what_a_codec_of_bands_cannot_do_is_refused_in_one_line(scene, checkpoint, more, told):
    with pytest.raises(UserError, match=told):
        fly(scene, checkpoint, **more)


def test_bands_and_colours_of_a_codec_of_rgb_are_as_before(scene):
    plain = {"scene.path": str(scene), "capture.patch_px": 64, "capture.window_px": 128}
    with pytest.raises(UserError, match=r"scene\.bands=1,2: expected one number or three"):
        dlrc.run("smoke", **plain, **{"scene.bands": "1,2"})
    with pytest.raises(UserError, match=r"scene\.colours=1: means nothing to a codec of 8-bit RGB"):
        dlrc.run("smoke", **plain, **{"scene.colours": "1"})


def test_samples_become_counts_and_come_back_within_half_a_step():
    samples = np.random.default_rng(0).integers(200, 2500, (5, 16, 16)).astype(np.uint16)
    counts = SCALED.to_counts(samples)
    assert counts.dtype == np.uint16 and np.array_equal(np.rint(SCALED.from_counts(counts)), samples)
    assert Bands.unpacked(SCALED.packed) == Bands.of_text(SCALED.text) == SCALED


def test_scales_are_fixed_from_training_pictures_band_by_band():
    low, high = np.full((1, 8, 8), 100, np.uint16), np.full((1, 8, 8), 900, np.uint16)
    found = of_training([np.concatenate([low, high]), np.concatenate([high, high])])
    assert found == Bands(2, (800.0, 1.0), (100.0, 900.0))


def test_a_foreign_checkpoint_with_other_scales_than_bands_is_refused(tmp_path, checkpoint):
    for text, told in (("[[1, 0]]", "scales of 1 bands, the codec has 5"), ("[[0, 0]]", "scales")):
        path = tmp_path / "a.safetensors"
        content = checkpoint.read_bytes()
        size = int.from_bytes(content[:8], "little")
        head = dict(__import__("json").loads(content[8 : 8 + size]))
        head["__metadata__"]["scales"] = text
        told_head = __import__("json").dumps(head).encode()
        told_head += b" " * (-len(told_head) % 8)
        path.write_bytes(len(told_head).to_bytes(8, "little") + told_head + content[8 + size :])
        with pytest.raises(UserError, match=told):
            load_checkpoint(path)


def test_quality_of_16_bit_pictures_is_in_the_unit_of_8_bits():
    first = np.random.default_rng(0).integers(0, 250, (64, 64, 5))
    second = first + np.random.default_rng(1).integers(0, 6, first.shape)
    eight = psnr_db(first.astype(np.uint8), second.astype(np.uint8))
    sixteen = psnr_db((257 * first).astype(np.uint16), (257 * second).astype(np.uint16))
    assert eight == pytest.approx(sixteen, abs=1e-9)


def test_samples_are_written_in_their_own_unit(tmp_path):
    samples = np.arange(2 * 4 * 4, dtype=np.float64).reshape(2, 4, 4) + 0.25
    write_tiff(tmp_path / "a.tif", samples)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.dtypes == ("uint16", "uint16") and np.array_equal(dataset.read(), np.floor(samples))


def test_only_streams_with_bands_have_the_newer_version(scene, checkpoint):
    from nodes.messages import Note  # noqa: F401  # the header is all that is looked at

    header = unpack(_stream(scene, checkpoint)).header
    assert header.version == 6 and dataclasses.replace(header, bands=None).version == 4


def _stream(scene, checkpoint):
    from constellation.scenario.load import load_scenario
    from dlrc.local import fly as fly_here
    from dlrc.local import sides_of

    words = [f"scene.path={scene}", "codec.model=bmshj", f"codec.weights={checkpoint}"]
    words += ["capture.patch_px=64", "capture.window_px=128"]
    flight = fly_here(sides_of(load_scenario("smoke", words)), 0)
    return next(iter(flight.landed.arrived.streams.values()))
