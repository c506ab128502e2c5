"""Image quality and rate, as the paper reports them: PSNR and MS-SSIM of 8-bit images, means over images;
bits per pixel.

PSNR is 10 log10(255^2 / MSE), the MSE over all pixels and bands of one image; a mean PSNR is the mean of the
images' own values (dB), as is usual in learned compression. `pooled_psnr_db` is the PSNR of the mean MSE
instead: never above the former, and the one that follows from the training loss. Equal images have an
infinite PSNR; it is capped at 100 dB, so that means and JSON stay finite.

Pictures of 16-bit counts, any number of bands, are measured in the same unit: 257 of their counts are one of
8 bits, so their peak is 65535, the whole scale of each band.

`valid`, np.bool_ [H, W], says which pixels of an image show anything (a capture's mask: no no-data cells);
None: all. What is hidden counts for nothing: neither in the MSE, nor in MS-SSIM, nor in the pixels that a
rate is divided by. Where nothing is valid, values are NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PEAK = 255.0
PSNR_CAP_DB = 100.0
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, finest scale first
_SSIM_WINDOW = 11


@dataclass(frozen=True)
class Quality:
    """Of one image, or a mean over images. ms_ssim in [0, 1], not in dB."""

    psnr_db: float
    ms_ssim: float


def mse(original: np.ndarray, decoded: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Mean squared error of two np.uint8 or np.uint16 arrays of one shape, in squared 8-bit counts, exact up
    to the last division."""
    _check(original, decoded, valid)
    error = original.astype(np.int64) - decoded.astype(np.int64)
    if valid is not None:
        error = error[valid]
    if not error.size:
        return math.nan
    return float(np.sum(error * error, dtype=np.int64)) / error.size / count_of(original) ** 2


def count_of(picture: np.ndarray) -> int:
    """Counts of a picture, np.uint8 or np.uint16, that make one of 8 bits: 1 or 257."""
    return int(np.iinfo(picture.dtype).max) // 255


def psnr_db(original: np.ndarray, decoded: np.ndarray, valid: np.ndarray | None = None) -> float:
    """PSNR of two np.uint8 images [H, W, 3], dB, at most 100 (equal images)."""
    return _psnr_of_mse(mse(original, decoded, valid))


def pooled_psnr_db(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """PSNR of the mean MSE over (original, decoded) pairs of images, dB, at most 100."""
    return _psnr_of_mse(float(np.mean([mse(original, decoded) for original, decoded in pairs])))


def ms_ssim(original: np.ndarray, decoded: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Multi-scale SSIM of two np.uint8 images [H, W, 3], mean over bands (pytorch_msssim, float32).

    Five scales need a shorter side above 160 px; a smaller image gets as many as fit (81 px: 4, 41 px: 3,
    ...), their weights scaled to sum to one, so its value compares with other images of its size only. Of an
    image that is hidden in part, hidden pixels are made alike in both, and the similarities of a scale are
    averaged with the share of valid pixels in each window as the weight. Raises `ValueError` below 11 px."""
    import torch
    from pytorch_msssim import ms_ssim as ms_ssim_of
    from pytorch_msssim import ssim

    _check(original, decoded, valid)
    scales = ms_ssim_scales(min(original.shape[:2]))
    if valid is not None and not valid.any():
        return math.nan
    if valid is not None and not valid.all():
        decoded = np.where(valid[:, :, None], decoded, original)
    x, y = (
        torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / count_of(image))[None]
        for image in (original, decoded)
    )
    if valid is not None and not valid.all():
        return _partly_hidden(x, y, torch.from_numpy(valid.astype(np.float32))[None, None], scales)
    if scales == 1:
        return float(ssim(x, y, data_range=PEAK))
    if scales == len(MS_SSIM_WEIGHTS):
        return float(ms_ssim_of(x, y, data_range=PEAK))
    return _few_scales(x, y, scales)


def ms_ssim_scales(side_px: int) -> int:
    """Number of MS-SSIM scales for an image whose shorter side is `side_px`: the 11 px window must fit into
    the coarsest."""
    if side_px < _SSIM_WINDOW:
        raise ValueError(f"MS-SSIM of an image of {side_px} px: expected at least {_SSIM_WINDOW}")
    return max(
        scales
        for scales in range(1, len(MS_SSIM_WEIGHTS) + 1)
        if scales == 1 or side_px > (_SSIM_WINDOW - 1) << (scales - 1)
    )


def quality(original: np.ndarray, decoded: np.ndarray, valid: np.ndarray | None = None) -> Quality | None:
    """PSNR and MS-SSIM of one np.uint8 image [H, W, 3] against its original; None where nothing of it is
    valid."""
    if valid is not None and not valid.any():
        return None
    return Quality(psnr_db(original, decoded, valid), ms_ssim(original, decoded, valid))


def mean_quality(values: Sequence[Quality]) -> Quality:
    """Means over images, each image counting once. Raises `ValueError` for none."""
    if not values:
        raise ValueError("the mean quality of no image")
    return Quality(
        float(np.mean([value.psnr_db for value in values])),
        float(np.mean([value.ms_ssim for value in values])),
    )


def bpp(n_bytes: float, pixels: int) -> float:
    """Bits per pixel: bytes * 8 / pixels (a pixel has all its bands)."""
    if pixels <= 0:
        raise ValueError(f"bits per pixel of {pixels} pixels")
    return 8.0 * n_bytes / pixels


def _check(original: np.ndarray, decoded: np.ndarray, valid: np.ndarray | None = None) -> None:
    kinds = {original.dtype, decoded.dtype}
    if original.shape != decoded.shape or len(kinds) > 1 or not kinds <= {np.dtype("u1"), np.dtype("u2")}:
        raise ValueError(
            f"images {original.shape} {original.dtype} and {decoded.shape} {decoded.dtype}: expected uint8 "
            "(or uint16) of one shape"
        )
    if valid is not None and (valid.shape != original.shape[:2] or valid.dtype != np.bool_):
        raise ValueError(
            f"valid: {int(valid.sum())} pixels of {valid.shape} {valid.dtype}, expected some of "
            f"{original.shape[:2]} bool"
        )


def _psnr_of_mse(value: float) -> float:
    if math.isnan(value):
        return value
    return PSNR_CAP_DB if value == 0 else min(PSNR_CAP_DB, 10.0 * math.log10(PEAK * PEAK / value))


def _few_scales(x, y, scales: int) -> float:
    """MS-SSIM with fewer than five scales, from the parts of pytorch_msssim, which itself insists on five."""
    import torch.nn.functional as functional
    from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim

    weights = np.array(MS_SSIM_WEIGHTS[:scales]) / sum(MS_SSIM_WEIGHTS[:scales])
    window = _fspecial_gauss_1d(_SSIM_WINDOW, 1.5).repeat([x.shape[1]] + [1] * 3)
    parts = []
    for scale in range(scales):
        luminance, contrast = _ssim(x, y, win=window, data_range=PEAK, size_average=False)
        parts.append((contrast if scale < scales - 1 else luminance).relu())
        padding = [side % 2 for side in x.shape[2:]]
        x, y = (functional.avg_pool2d(image, kernel_size=2, padding=padding) for image in (x, y))
    value: Any = math.prod(part ** float(weight) for part, weight in zip(parts, weights, strict=True))
    return float(value.mean())


def _partly_hidden(x, y, valid, scales: int) -> float:
    """MS-SSIM with each window weighted by its Gaussian-weighted share of valid pixels. x, y: [1, 3, H, W];
    valid: [1, 1, H, W], zeros and ones."""
    import torch.nn.functional as functional
    from pytorch_msssim.ssim import _fspecial_gauss_1d, gaussian_filter

    exponents = np.array(MS_SSIM_WEIGHTS[:scales]) / sum(MS_SSIM_WEIGHTS[:scales])
    window = _fspecial_gauss_1d(_SSIM_WINDOW, 1.5)
    windows = window.repeat([x.shape[1]] + [1] * 3)
    value: Any = 1.0
    for scale, exponent in enumerate(exponents):
        luminance, contrast = _similarities(x, y, lambda image: gaussian_filter(image, windows))
        kind = contrast if scale < scales - 1 else luminance * contrast
        weight = gaussian_filter(valid, window[None])  # above 0 somewhere: windows cover every pixel
        part = (kind * weight).sum(dim=(2, 3)) / weight.sum()
        value = value * part.relu() ** float(exponent)
        padding = [side % 2 for side in x.shape[2:]]
        x, y, valid = (functional.avg_pool2d(image, 2, padding=padding) for image in (x, y, valid))
    return float(value.mean())


def _similarities(x, y, blurred):
    """Local luminance and contrast-structure similarity, as in `pytorch_msssim.ssim._ssim`, which keeps means
    only."""
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    a, b = blurred(x), blurred(y)
    variances = blurred(x * x) - a * a + blurred(y * y) - b * b
    contrast = (2 * (blurred(x * y) - a * b) + c2) / (variances + c2)
    return (2 * a * b + c1) / (a * a + b * b + c1), contrast
