"""The built-in scene: a function of seed and place, with the statistics of a picture."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.imagery.noise import octave_sum
from codec.imagery.procedural import render

WHOLE = render(3, 200, 300, 160, 192)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 150), st.integers(0, 180), st.integers(1, 64), st.integers(1, 64))
def test_a_window_rendered_alone_equals_that_part_of_a_larger_one(row, col, height, width):
    height, width = min(height, 160 - row), min(width, 192 - col)
    assert np.array_equal(
        render(3, 200 + row, 300 + col, height, width), WHOLE[row : row + height, col : col + width]
    )


def test_the_seed_makes_the_scene():
    assert not np.array_equal(render(4, 200, 300, 64, 64), WHOLE[:64, :64])
    assert render(2**62, 0, 0, 16, 16).shape == (16, 16, 3)


def test_it_has_contrast_at_every_scale_like_a_picture():
    """The power spectrum falls with frequency roughly as a power between 1 and 3.5, as aerial pictures' do,
    and is no noise."""
    grey = render(0, 0, 0, 512, 512).mean(axis=2)
    assert grey.std() > 20
    grey = (grey - grey.mean()) * np.hanning(512)[:, None] * np.hanning(512)[None, :]
    power = np.abs(np.fft.fft2(grey)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(512), np.fft.fftfreq(512)))
    bands = [(low, 2 * low) for low in (1 / 64, 1 / 32, 1 / 16, 1 / 8)]
    mean = [power[(frequency >= low) & (frequency < high)].mean() for low, high in bands]
    slopes = np.diff(np.log2(mean))
    assert (slopes < -0.7).all() and (slopes > -4.5).all() and -3.5 < slopes.mean() < -1


def test_a_sum_of_octaves_has_zero_mean_and_unit_variance():
    field = octave_sum(1, np.arange(-500, 1000), np.arange(70, 1570), 20, 5)
    assert abs(field.mean()) < 0.05 and abs(field.std() - 1) < 0.07
