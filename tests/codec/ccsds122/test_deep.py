"""CCSDS 122 of pixels of 17 to 28 bits: what fits is lossless, what does not is refused, cuts err little."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.ccsds122.blocks import SUBBANDS, UNWEIGHTED, WEIGHTS
from codec.ccsds122.header import DEPTH_AC, Header, Settings, pack, parse
from codec.ccsds122.stream import decode, encode, pixel_range
from codec.ccsds122.wavelet import ANALYSIS_HIGH, ANALYSIS_LOW

DEEP = [(bits, signed) for bits in (17, 20, 24, 28) for signed in (False, True)]
HEAVIEST = (3,) * 10
# Taps of the filters, low and high pass, by whether the transform is the integer one, if nothing were rounded
TAPS = {
    True: (np.array([1, 0, -8, 16, 46, 16, -8, 0, 1]) / 64, np.array([1, 0, -9, 16, -9, 0, 1]) / 16),
    False: tuple(np.array([*half[:0:-1], *half]) for half in (ANALYSIS_LOW, ANALYSIS_HIGH)),
}


def scene(settings, shape=(45, 61), noise=0.02):
    """Waves over the whole range of pixels, and noise as a share of it."""
    low, high = pixel_range(settings)
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = 0.45 * np.sin(y / 9) * np.cos(x / 7) + np.random.default_rng(0).normal(0, noise, shape)
    return np.clip(np.rint((low + high) / 2 + (high - low) * waves), low, high).astype(np.int64)


def kernel(integer, level, high):
    """Taps of a filter after so many levels, on the picture's own grid."""
    taps = np.ones(1)
    for k in range(level):
        one = TAPS[integer][high and k == level - 1]
        spread = np.zeros((len(one) - 1) * 2**k + 1)
        spread[:: 2**k] = one
        taps = np.convolve(taps, spread)
    return taps


def hardest(settings, subband):
    """Pictures of which one coefficient of a subband is as large as any picture can make it, up and down."""
    low, high = pixel_range(settings)
    across, down = (kernel(settings.integer, int(subband[2]), letter == "H") for letter in subband[:2])
    signs = np.sign(np.outer(down, across))
    stride = 2 ** int(subband[2])
    for phases in itertools.product(range(0, stride, max(1, stride // 2)), repeat=2):
        for sign in (1, -1):
            image = np.full((96, 96), low)
            at = [40 - len(taps) // 2 + phase for taps, phase in zip((down, across), phases, strict=True)]
            part = image[at[0] : at[0] + len(down), at[1] : at[1] + len(across)]
            part[:] = np.where(sign * signs > 0, high, low)
            yield image


@pytest.mark.parametrize(("bits", "signed"), DEEP)
def test_the_integer_transform_is_lossless_for_deep_pixels(bits, signed):
    for blocks, weights, noise in ((0, WEIGHTS, 0.0), (16, WEIGHTS, 0.02), (23, UNWEIGHTED, 1.0)):
        settings = Settings(True, bits, signed, blocks, weights=weights)
        image = scene(settings, noise=noise)
        found = decode(encode(image, settings))
        assert found.dtype == (np.int32 if signed else np.uint32) and np.array_equal(found, image)


@pytest.mark.parametrize(("bits", "signed"), DEEP)
def test_ranges_ends_and_lonely_pixels_come_back(bits, signed):
    settings = Settings(True, bits, signed)
    low, high = pixel_range(settings)
    lonely = np.full((24, 24), low)
    lonely[11, 13] = high
    for image in (np.full((24, 24), low), np.full((24, 24), high), lonely):
        assert np.array_equal(decode(encode(image, settings)), image)


@given(
    st.integers(0, 2**32 - 1), st.integers(17, 40), st.integers(17, 40), st.integers(17, 25), st.booleans()
)
def test_any_picture_of_25_bits_comes_back_whatever_the_weights(seed, rows, columns, bits, signed):
    random = np.random.default_rng(seed)
    weights = tuple(int(weight) for weight in random.integers(0, 4, 10))
    settings = Settings(True, bits, signed, weights=weights)
    low, high = pixel_range(settings)
    image = random.integers(low, high + 1, (rows, columns))
    image[random.random(image.shape) < random.random()] = random.choice([low, high])
    assert np.array_equal(decode(encode(image, settings)), image)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "weights"), [(25, HEAVIEST), (26, WEIGHTS), (28, UNWEIGHTED)])
def test_the_hardest_picture_of_every_subband_fits(bits, weights, signed):
    settings = Settings(True, bits, signed, weights=weights)
    for subband in SUBBANDS:
        for image in hardest(settings, subband):
            assert np.array_equal(decode(encode(image, settings)), image)


def test_the_hardest_picture_uses_every_bit_that_a_header_can_tell():
    depths = [
        parse(encode(image, Settings(True, 26)), 0, None)[0].depth_ac
        for image in hardest(Settings(True, 26), "HL3")
    ]
    assert max(depths) == DEPTH_AC


@pytest.mark.parametrize(("integer", "subband"), [(True, "HL3"), (True, "HH3"), (False, "LL3")])
def test_coefficients_that_no_header_can_tell_are_refused_in_one_line(integer, subband):
    settings = Settings(integer, 28)
    with pytest.raises(ValueError, match=r"CCSDS 122: coefficients of \d+ .DC. and \d+ .AC. bits") as caught:
        for image in hardest(settings, subband):
            encode(image, settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("bits", "signed"), [(17, False), (24, True), (27, False), (28, True)])
def test_the_real_transform_errs_by_rounding_alone(bits, signed):
    settings = Settings(False, bits, signed)
    pictures = [scene(settings, noise=noise) for noise in (0.0, 1.0)]
    for image in itertools.chain(pictures, hardest(settings, "LL3"), hardest(settings, "HL3")):
        assert np.abs(decode(encode(image, settings)).astype(np.int64) - image).max() <= 3


def worst_error(plane):
    """How far a pixel can be off where coefficients of the integer transform are, each by less than 2^plane
    with its weight: 1.5 times to even samples, what that is times 1.25 more to odd ones, and rounding."""

    def joined(low, high):
        even = low + high / 2 + 1
        return max(even, high + 1.25 * even + 1)

    off = {name: 2.0**plane / 2**weight for name, weight in zip(SUBBANDS, WEIGHTS, strict=True)}
    low = off["LL3"]
    for level in "321":
        low = joined(joined(low, off[f"LH{level}"]), joined(off[f"HL{level}"], off[f"HH{level}"]))
    return low


@pytest.mark.parametrize(("bits", "signed"), [(17, True), (24, False), (28, False)])
def test_a_stop_at_a_bit_plane_bounds_the_error_of_every_pixel(bits, signed):
    for plane in (3, 9, bits - 6):
        settings = Settings(True, bits, signed, plane_stop=plane)
        image = scene(settings, noise=0.05)
        off = np.abs(decode(encode(image, settings)).astype(np.int64) - image).max()
        assert off <= worst_error(plane) < 40 * 2.0**plane


@pytest.mark.parametrize(
    ("bits", "signed", "integer"), [(20, False, True), (28, True, True), (26, True, False)]
)
def test_every_prefix_decodes_and_longer_ones_are_better(bits, signed, integer):
    settings = Settings(integer, bits, signed)
    image = scene(settings)
    data = encode(image, settings)
    sizes = range(20, len(data), len(data) // 24)
    off = [np.square(decode(data[:size]) / 2.0**bits - image / 2.0**bits).mean() ** 0.5 for size in sizes]
    assert off[0] < 1 and off[-1] < 1e-3 * off[0]
    assert np.diff(np.log(off)).max() < 0.05


@pytest.mark.parametrize(("bits", "signed"), [(17, False), (28, True)])
def test_segments_of_deep_pixels_keep_to_their_bytes(bits, signed):
    settings = Settings(True, bits, signed, 16, 600)
    image = scene(settings, noise=0.1)
    cut, filled = encode(image, settings), encode(image, dataclasses.replace(settings, fill=True))
    assert len(cut) == len(filled) == 600 * 3 and np.array_equal(decode(cut), decode(filled))
    roomy = dataclasses.replace(settings, byte_limit=8000, fill=True)
    assert len(encode(image, roomy)) == 8000 * 3 and np.array_equal(decode(encode(image, roomy)), image)


@pytest.mark.parametrize("bits", range(1, 29))
def test_a_header_tells_every_depth_and_flags_those_above_16_bits(bits):
    data = pack(Header(Settings(True, bits, True), 300, 77, True, True))
    assert parse(data, 0, None)[0].settings.pixel_bits == bits
    part_4 = data[-8]  # transform, 0, flag, signed, four bits of depth
    assert (part_4 >> 5 & 1, part_4 & 15) == (bits > 16, bits % 16)


def test_16_bits_are_read_with_the_flag_and_without():
    image = scene(Settings(True, 16))
    data = bytearray(encode(image, Settings(True, 16)))
    plain = decode(bytes(data))
    data[12] |= 1 << 5  # part 4 begins behind 4 + 5 + 3 bytes
    assert plain.dtype == np.uint16 and np.array_equal(decode(bytes(data)), plain)


@pytest.mark.parametrize("low_bits", [13, 14, 15])
def test_a_header_that_tells_more_than_28_bits_is_refused(low_bits):
    data = bytearray(encode(scene(Settings(True, 17)), Settings(True, 17)))
    data[12] = data[12] & 0xF0 | low_bits
    with pytest.raises(ValueError, match=f"CCSDS 122: pixel_bits: unexpected {16 + low_bits}"):
        decode(bytes(data))


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_damaged_streams_of_deep_pixels_decode_to_something_or_are_refused(seed, signed):
    random, settings = np.random.default_rng(seed), Settings(True, 28, signed, 16)
    data = bytearray(encode(scene(settings, (24, 32), 0.1), settings))
    for at in random.integers(0, len(data), 3):
        data[at] = random.integers(256)
    try:
        found = decode(bytes(data[: random.integers(1, len(data) + 1)]))
        assert found.ndim == 2
    except ValueError as error:
        assert "CCSDS 122" in str(error) and "\n" not in str(error)
