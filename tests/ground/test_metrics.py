"""Quality and rate: definitions, limits, agreement with pytorch_msssim."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ground.metrics import (
    Quality,
    bpp,
    mean_quality,
    ms_ssim,
    ms_ssim_scales,
    mse,
    pooled_psnr_db,
    psnr_db,
    quality,
)

RNG = np.random.default_rng(1)
PICTURE = RNG.integers(0, 256, (192, 176, 3), dtype=np.uint8)


def noisy(picture, counts):
    return np.clip(picture + RNG.normal(0, counts, picture.shape), 0, 255).astype(np.uint8)


def test_psnr_is_that_of_the_mean_squared_error():
    black, grey = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 16, np.uint8)
    assert mse(black, grey) == 256
    assert psnr_db(black, grey) == pytest.approx(10 * math.log10(255**2 / 256))


def test_the_largest_error_is_0_db_and_equal_images_are_capped_at_100_db():
    assert psnr_db(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)) == 0
    assert psnr_db(PICTURE, PICTURE) == 100 and ms_ssim(PICTURE, PICTURE) == pytest.approx(1)


def test_the_pooled_psnr_is_never_above_the_mean_of_psnrs():
    pairs = [(PICTURE, noisy(PICTURE, counts)) for counts in (1, 5, 20)]
    assert pooled_psnr_db(pairs) <= np.mean([psnr_db(*pair) for pair in pairs])
    assert pooled_psnr_db(pairs[:1]) == psnr_db(*pairs[0])


def test_ms_ssim_with_five_scales_is_that_of_pytorch_msssim():
    import torch
    from pytorch_msssim import ms_ssim as reference

    decoded = noisy(PICTURE, 12)
    x, y = (torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in (PICTURE, decoded))
    assert ms_ssim(PICTURE, decoded) == pytest.approx(float(reference(x, y, data_range=255)), abs=1e-6)


def test_the_short_form_of_ms_ssim_is_the_long_one_where_both_exist():
    import torch

    from ground import metrics

    decoded = noisy(PICTURE, 12)
    x, y = (torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in (PICTURE, decoded))
    assert metrics._few_scales(x, y, 5) == pytest.approx(
        ms_ssim(PICTURE, decoded), abs=1e-4
    )  # the weights sum to 1.0001


@pytest.mark.parametrize(
    "side, scales", [(11, 1), (20, 1), (21, 2), (41, 3), (64, 3), (81, 4), (160, 4), (161, 5), (4096, 5)]
)
def test_small_images_get_the_scales_that_fit(side, scales):
    assert ms_ssim_scales(side) == scales
    if side < 200:
        picture = PICTURE[:side, :side]
        value = ms_ssim(picture, noisy(picture, 20))
        assert 0.3 < value < 1 and ms_ssim(picture, picture) == pytest.approx(1)


def test_more_noise_is_worse_by_both_measures():
    values = [quality(PICTURE, noisy(PICTURE, counts)) for counts in (2, 8, 32)]
    assert values[0].psnr_db > values[1].psnr_db > values[2].psnr_db
    assert values[0].ms_ssim > values[1].ms_ssim > values[2].ms_ssim


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mse_is_symmetric_and_exact(seed):
    one, two = np.random.default_rng(seed).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    assert mse(one, two) == mse(two, one) == ((one.astype(float) - two) ** 2).mean()


def test_means_count_each_image_once():
    mean = mean_quality([Quality(30, 0.9), Quality(40, 0.95)])
    assert mean.psnr_db == 35 and mean.ms_ssim == pytest.approx(0.925)
    with pytest.raises(ValueError, match="no image"):
        mean_quality([])


def test_bits_per_pixel():
    assert bpp(1024, 65536) == 0.125
    with pytest.raises(ValueError):
        bpp(1, 0)


def test_images_of_other_shapes_or_types_are_refused():
    with pytest.raises(ValueError, match=r"expected uint8 \(or uint16\) of one shape"):
        psnr_db(PICTURE, PICTURE[:-1])
    with pytest.raises(ValueError, match="expected uint8"):
        psnr_db(PICTURE.astype(float), PICTURE)
    with pytest.raises(ValueError, match="at least 11"):
        ms_ssim(PICTURE[:8, :8], PICTURE[:8, :8])


def half_hidden(height=192, width=176):
    valid = np.zeros((height, width), bool)
    valid[:, : width // 2] = True
    return valid


def test_what_is_hidden_counts_for_nothing():
    valid, decoded = half_hidden(), noisy(PICTURE, 6)
    other = np.where(valid[:, :, None], decoded, 255 - PICTURE)  # any rubbish where nothing is seen
    assert psnr_db(PICTURE, other, valid) == psnr_db(PICTURE[:, :88], decoded[:, :88])
    assert ms_ssim(PICTURE, other, valid) == ms_ssim(PICTURE, decoded, valid) < 1
    assert quality(PICTURE, other, valid) == quality(PICTURE, decoded, valid)
    nothing = np.zeros_like(valid)
    assert quality(PICTURE, other, nothing) is None
    assert math.isnan(psnr_db(PICTURE, other, nothing)) and math.isnan(ms_ssim(PICTURE, other, nothing))


@pytest.mark.parametrize("side", [30, 70, 176])
def test_a_mask_with_everything_in_it_changes_nothing_and_weights_agree_with_plain_means(side):
    from ground import metrics

    picture, valid = PICTURE[:side, :side], np.ones((side, side), bool)
    decoded = noisy(picture, 12)
    assert quality(picture, decoded, valid) == quality(picture, decoded)
    import torch

    x, y = (torch.from_numpy(image.transpose(2, 0, 1).copy()).float()[None] for image in (picture, decoded))
    scales = metrics.ms_ssim_scales(side)
    weighted = metrics._partly_hidden(x, y, torch.ones(1, 1, side, side), scales)
    assert weighted == pytest.approx(ms_ssim(picture, decoded), abs=1e-5)


def test_one_valid_pixel_in_a_corner_is_enough_and_a_mask_of_another_shape_is_a_bug():
    valid = np.zeros((192, 176), bool)
    valid[0, 0] = True
    assert 0 <= ms_ssim(PICTURE, noisy(PICTURE, 3), valid) <= 1
    with pytest.raises(ValueError, match="valid"):
        psnr_db(PICTURE, PICTURE, valid[:-1])
