"""JPEG 2000 of many bands: each alone, and after a transform over them."""

import numpy as np
import pytest

from codec.training.classical import BandTransform, code_bands, code_losslessly

pytest.importorskip("imagecodecs")


def bands_alike(side=96):
    random = np.random.default_rng(0)
    rows, cols = np.mgrid[0:side, 0:side]
    ground = 20000 + 9000 * np.sin(rows / 9) * np.cos(cols / 7) + random.normal(0, 500, (side, side))
    return np.stack([0.5 * ground + 100 * band + random.normal(0, 40, ground.shape) for band in range(4)])


SAMPLES = np.rint(bands_alike()).astype(np.uint16)


def test_a_transform_over_the_bands_comes_back_within_a_count():
    transform = BandTransform.of([SAMPLES])
    back = transform.backward(transform.forward(SAMPLES))
    assert np.abs(back.astype(int) - SAMPLES).max() <= 1
    assert np.allclose(transform.vectors @ transform.vectors.T, np.eye(4))


def test_it_saves_bits_at_equal_error_and_without_loss():
    transform = BandTransform.of([SAMPLES])
    alone, first = code_bands(SAMPLES, 58.0)
    together, second = code_bands(SAMPLES, 58.0, transform)

    def mse(of):
        return np.square(of.astype(float) - SAMPLES).mean()

    assert together < 0.7 * alone and mse(second) < 1.1 * mse(first)
    assert code_losslessly(SAMPLES, transform) < 0.9 * code_losslessly(SAMPLES)


def test_differences_from_what_the_bands_before_predict_can_be_taken_back():
    transform = BandTransform.of([SAMPLES])
    differences, found = transform.differences(SAMPLES), []
    for band in range(4):  # as a decoder does: with the bands that it has
        known = np.stack([*found, *[np.zeros_like(SAMPLES[0], dtype=np.int64)] * (4 - band)])
        predicted = -transform.differences(known)[band]
        found.append(differences[band] + predicted if band else differences[band].astype(np.int64))
    assert np.array_equal(np.stack(found), SAMPLES)
