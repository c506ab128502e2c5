"""Pictures of three bands as CCSDS 122 streams."""

import numpy as np
import pytest

from codec.ccsds122 import bands
from codec.training.classical import best

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:64, :72]
GREY = 128 + 70 * np.sin(ROWS / 9) * np.cos(COLUMNS / 6) + RANDOM.normal(0, 6, (64, 72))
IMAGE = np.clip(np.stack([GREY, 0.8 * GREY + 10, 0.6 * GREY], axis=-1), 0, 255).astype(np.uint8)


def mse(a, b):
    return np.square(a.astype(float) - b).mean()


def test_the_colour_transform_comes_back():
    image = RANDOM.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    components = bands.to_rct(image)
    assert np.array_equal(bands.from_rct(components), image)
    assert components[0].min() >= 0 and np.abs(components).max() < 256


@pytest.mark.parametrize("colour", [True, False])
def test_a_steeper_slope_buys_quality_and_the_cut_is_the_best_of_its_kind(colour):
    found = [bands.encode(IMAGE, slope, colour) for slope in (0.002, 0.02, 0.2)]
    errors = [mse(bands.decode(data, colour), IMAGE) for data in found]
    assert [len(data) for data in found] == sorted(len(data) for data in found)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 20
    losses = [8 * len(d) / 4608 + 0.02 * e for d, e in zip(found, errors, strict=True)]
    assert losses[1] == min(losses)


def test_errors_known_at_the_encoder_are_those_of_the_decoded_band():
    band = IMAGE[..., 0]
    analysis = bands.analysed(band.astype(int))
    for stop in range(5, len(analysis.sizes), 6):
        decoded, end = bands.decode_first(analysis.limited(int(analysis.sizes[stop])))
        assert end == analysis.sizes[stop]
        assert mse(decoded, band) == pytest.approx(analysis.errors[stop], rel=0.12, abs=0.4)


def test_an_encoder_on_board_keeps_to_its_bytes():
    data = bands.encode_limited(IMAGE, 300)
    assert len(data) == 900 and bands.decode(data).shape == IMAGE.shape
    assert bands.decode(bands.encode_limited(IMAGE, 300, True), True).shape == IMAGE.shape


def test_points_are_rates_and_errors_of_real_streams():
    patches = IMAGE.transpose(2, 0, 1)[None]
    found = bands.points(patches, bands.slopes_around([0.013]), True)
    assert found.shape == (1, 3, 2)
    rate, error = best(found, 0.013)[0]
    assert rate in [8 * len(bands.encode(IMAGE, s, True)) / 4608 for s in bands.slopes_around([0.013])]
    assert 1 < 255**2 * error < 100


def test_strange_data_is_refused():
    data = bands.encode(IMAGE, 0.01)
    for wrong in (data + b"\0", data[:10], b""):
        with pytest.raises(ValueError, match="CCSDS 122"):
            bands.decode(wrong)
