"""Scales are values: linear, clipped, and exact where nothing is to be done."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.imagery.scaling import Bands, of_depth, of_percentiles

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(FINITE, st.floats(1e-3, 1e6))
def test_the_ends_of_the_range_become_0_and_255_and_nothing_leaves_it(low, span):
    bands = Bands.alike(1, low, low + span)
    values = np.array([[[low, low + bands.scale[0], low - span, low + 2 * span, np.nan, np.inf, -np.inf]]])
    assert bands.to_8bit(values)[0, 0].tolist() == [0, 255, 0, 255, 0, 255, 0]


@given(st.integers(1, 32), st.data())
def test_an_order_of_samples_stays_an_order(bits, data):
    samples = np.array(
        [[sorted(data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=2, max_size=9)))]], np.uint32
    )
    assert (np.diff(of_depth(1, bits).to_8bit(samples).astype(int)) >= 0).all()


def test_eight_bits_are_returned_as_they_are():
    samples = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert of_depth(1, 8).to_8bit(samples) is samples


def test_bands_may_differ_in_scale_and_offset():
    bands = Bands(2, (10.0, 1000.0), (0.0, 500.0))
    assert bands.to_8bit(np.array([[[5]], [[1000]]])).reshape(-1).tolist() == [128, 128]
    assert bands == Bands(2, (10.0, 1000.0), (0.0, 500.0)) and hash(bands) is not None


@pytest.mark.parametrize(
    ("count", "scale", "offset"),
    [
        (0, (), ()),
        (2, (1.0,), (0.0,)),
        (1, (0.0,), (0.0,)),
        (1, (-1.0,), (0.0,)),
        (1, (np.inf,), (0.0,)),
        (1, (1.0,), (np.nan,)),
    ],
)
def test_a_scale_that_is_none_is_refused(count, scale, offset):
    with pytest.raises(ValueError, match="finite scales above 0"):
        Bands(count, scale, offset)


def test_a_flat_picture_and_no_picture_have_a_scale():
    assert of_percentiles(3, np.full(10, 7, np.uint16)) == Bands(3, (1.0,) * 3, (7.0,) * 3)
    assert of_percentiles(1, np.array([np.nan])) == Bands(1, (1.0,), (0.0,))
