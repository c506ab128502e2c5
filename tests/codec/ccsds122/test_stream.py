"""CCSDS 122 of a band: lossless, cut anywhere, stopped where its header says, and against damage."""

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.ccsds122 import stream
from codec.ccsds122.header import Header, Settings, pack, parse
from codec.ccsds122.stream import decode, encode, pixel_range


def ground(rows, columns, settings, noise=0.02):
    low, high = pixel_range(settings)
    random = np.random.default_rng(0)
    y, x = np.mgrid[:rows, :columns]
    waves = 0.4 * np.sin(y / 9) * np.cos(x / 7) + random.normal(0, noise, (rows, columns))
    return np.clip(np.rint((low + high) / 2 + (high - low) * waves), low, high).astype(np.int32)


def psnr_db(a, b):
    return 10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9))


@pytest.mark.parametrize("shape", [(17, 17), (45, 61), (64, 128)])
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (9, True), (12, False), (16, False), (1, False)])
def test_the_integer_transform_is_lossless_for_any_size_depth_and_segment(shape, bits, signed):
    for segment_blocks, optimum in ((0, True), (16, False), (23, True)):
        settings = Settings(True, bits, signed, segment_blocks, optimum=optimum)
        for noise in (0.0, 0.02, 1.0):
            image = ground(*shape, settings, noise)
            assert np.array_equal(decode(encode(image, settings)), image)


@given(st.integers(0, 2**32 - 1), st.integers(17, 40), st.integers(17, 40), st.integers(1, 25))
def test_any_picture_comes_back(seed, rows, columns, bits):
    random, settings = (
        np.random.default_rng(seed),
        Settings(True, bits, weights=(3, 0, 1, 2, 2, 0, 1, 3, 0, 2)),
    )
    image = random.integers(0, 1 << int(random.integers(1, bits + 1)), (rows, columns))
    assert np.array_equal(decode(encode(image, settings)), image)


def test_flat_and_lonely_pixels_come_back():
    for image in (np.zeros((24, 24), int), np.full((24, 24), 255), np.eye(24, dtype=int) * 255):
        assert np.array_equal(decode(encode(image, Settings(True))), image)
        assert np.abs(decode(encode(image)).astype(int) - image).max() <= 1


def test_streams_keep_the_bytes_that_other_implementations_write():
    """Equal, byte by byte, to an independent encoder's (docs/results/ccsds122.md, last row)."""
    settings = Settings(True, 12, segment_blocks=32, optimum=False)
    y, x = np.mgrid[:200, :216]
    ramp = np.clip(10 * y + 8 * x, 0, 4095)
    assert hashlib.sha256(encode(ramp, settings)).hexdigest()[:16] == "98de278055a3e0f1"
    spot = np.where((y == 50) & (x == 60), 255, 0)
    told = encode(spot, Settings(True, segment_blocks=100, optimum=False))
    assert hashlib.sha256(told).hexdigest()[:16] == "c58e03443a80a821"


@pytest.mark.parametrize("integer", [True, False])
def test_every_prefix_decodes_and_longer_ones_are_better(integer):
    image = ground(64, 80, Settings())
    data = encode(image, Settings(integer))
    found = [psnr_db(decode(data[:size]), image) for size in range(20, len(data), 37)]
    assert found[-1] > 45
    assert np.diff(found[len(found) // 8 :]).min() > -0.1
    assert psnr_db(decode(data), image) > 50


def test_byte_limits_cut_and_fill_segments():
    image = ground(64, 80, Settings())
    whole = encode(image, Settings(segment_blocks=40))
    cut = encode(image, Settings(segment_blocks=40, byte_limit=600, codeword_bytes=4))
    assert len(cut) == 1200 < len(whole) and 25 < psnr_db(decode(cut), image) < 60
    filled = encode(image, Settings(segment_blocks=40, byte_limit=20000, fill=True))
    assert len(filled) == 40000 and np.array_equal(decode(filled), decode(whole))
    for size in (3, 8):
        words = encode(image, Settings(segment_blocks=40, codeword_bytes=size))
        assert len(words) % size == 0 and np.array_equal(decode(words), decode(whole))


def test_stops_end_a_segment_where_they_say():
    image = ground(64, 80, Settings(), 0.1)
    sizes = [len(encode(image, Settings(plane_stop=3, stage_stop=stage))) for stage in range(4)]
    dc = encode(image, Settings(dc_stop=True, plane_stop=3))
    assert [len(dc), *sizes] == sorted({len(dc), *sizes})
    for settings in (Settings(dc_stop=True), Settings(plane_stop=3, stage_stop=1), Settings(plane_stop=31)):
        data = encode(image, settings)
        assert decode(data).shape == image.shape
        assert np.array_equal(
            decode(data), decode(encode(image, dataclasses.replace(settings, codeword_bytes=8)))
        )
    fine, coarse = (decode(encode(image, Settings(plane_stop=plane))) for plane in (1, 4))
    assert psnr_db(fine, image) > psnr_db(coarse, image) + 10


def test_several_cut_segments_do_not_run_into_each_other():
    image = ground(72, 80, Settings(), 0.1)
    data = encode(image, Settings(segment_blocks=16, plane_stop=2, stage_stop=0))
    one = encode(image, Settings(plane_stop=2, stage_stop=0))
    assert abs(psnr_db(decode(data), image) - psnr_db(decode(one), image)) < 0.5


def test_headers_come_back():
    settings = Settings(True, 16, True, 77, 1 << 20, True, True, 5, 2, False, (1,) * 10, 4)
    for last in (False, True):
        header = Header(settings, 300, 77, True, last, 3, 21, 17, 5 * last)
        found, end = parse(pack(header), 0, None)
        assert end == len(pack(header)) == 19 + last
        assert found.settings == Settings(True, 16, True, 0, 1 << 20, True, True, 5, 2, False, (1,) * 10, 4)
        assert (found.width, found.blocks, found.last, found.depth_dc, found.depth_ac) == (
            300,
            77,
            last,
            21,
            17,
        )
    later = Header(settings, 300, 5, False, True, 4, 3, 2, 1, (False, True, False))
    assert parse(pack(later), 0, header)[0].settings.weights == (1,) * 10 and len(pack(later)) == 7


@pytest.mark.parametrize(
    ("image", "settings", "told"),
    [
        (np.zeros((16, 40), int), Settings(), "sides"),
        (np.full((24, 24), 256), Settings(), "0 to 255, found 256"),
        (np.zeros((24, 24)), Settings(), "whole numbers"),
    ],
)
def test_what_cannot_be_carried_is_refused(image, settings, told):
    with pytest.raises(ValueError, match=told):
        encode(image, settings)


def test_unfit_settings_are_refused():
    for wrong in (
        {"pixel_bits": 29},
        {"byte_limit": 10, "codeword_bytes": 4},
        {"fill": True},
        {"stage_stop": 4},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings(**wrong)


@given(st.integers(0, 2**32 - 1))
def test_damaged_streams_decode_to_something_or_are_refused(seed):
    random = np.random.default_rng(seed)
    data = bytearray(encode(ground(24, 32, Settings(), 0.1), Settings(segment_blocks=16)))
    for at in random.integers(0, len(data), 3):
        data[at] = random.integers(256)
    try:
        assert decode(bytes(data[: random.integers(1, len(data) + 1)])).ndim == 2
    except ValueError as error:
        assert "CCSDS 122" in str(error)


def test_a_header_that_asks_for_a_huge_picture_is_refused():
    header = Header(Settings(), 1 << 19, 1 << 20, True, True, 0, 3, 2)
    with pytest.raises(ValueError, match="out of bounds"):
        decode(pack(header))
    assert stream.MOST_PIXELS < 1 << 30
