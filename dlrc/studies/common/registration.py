"""Two pictures of about the same ground: where the second lies in the first, to the pixel, and whether they
show common ground at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codec.imagery.reader import opened

FINE_PX = 16.0  # structures larger than this are left out of the search


@dataclass(frozen=True)
class Overlap:
    """Pixel (row, col) of the second picture shows what (row + rows, col + cols) of the first does.

    top, left, height, width: the common rectangle in the second picture, px. correlation: of the pixels of
    both, in -1..1."""

    rows: int
    cols: int
    top: int
    left: int
    height: int
    width: int
    correlation: float


def overlap_at(first: np.ndarray, second: np.ndarray, rows: int, cols: int) -> Overlap:
    """The overlap of two grey pictures [H, W] at a displacement."""
    top, left = max(0, -rows), max(0, -cols)
    height, width = (
        min(second.shape[0], first.shape[0] - rows) - top,
        min(second.shape[1], first.shape[1] - cols) - left,
    )
    if height <= 0 or width <= 0:
        return Overlap(rows, cols, top, left, 0, 0, 0.0)
    a, b = (
        first[top + rows : top + rows + height, left + cols : left + cols + width],
        second[top : top + height, left : left + width],
    )
    spread = float(a.std() * b.std())
    return Overlap(
        rows,
        cols,
        top,
        left,
        height,
        width,
        float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread else 0.0,
    )


def register(first: np.ndarray, second: np.ndarray) -> Overlap:
    """The best displacement of two grey pictures, by phase correlation of their fine structure; none, where
    that correlates better."""
    from scipy.fft import irfft2, rfft2
    from scipy.ndimage import gaussian_filter

    size = tuple(2 * max(a, b) for a, b in zip(first.shape, second.shape, strict=True))
    spectra = [
        np.asarray(
            rfft2(
                (image - gaussian_filter(image, FINE_PX))
                * np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1])),
                size,
            )
        )
        for image in (first.astype(np.float64), second.astype(np.float64))
    ]
    cross = spectra[0] * np.conj(spectra[1])
    peaks = gaussian_filter(irfft2(cross / np.maximum(np.abs(cross), 1e-9), size), 1.0, mode="wrap")
    rows, cols = (
        int(at if at < n // 2 else at - n)
        for at, n in zip(np.unravel_index(np.argmax(peaks), peaks.shape), size, strict=True)
    )
    return max(
        (overlap_at(first, second, *shift) for shift in ((0, 0), (rows, cols))),
        key=lambda found: found.correlation,
    )


def registered_rasters(first: Path, second: Path) -> bool:
    """Whether two files are georeferenced alike: the same grid, to within 0.6 px. Raises `UserError`
    where one cannot be read."""
    (system, a), (other, b) = (_georeference(path) for path in (first, second))
    return bool(
        system is not None
        and system == other
        and a.a
        and a.e  # turned by 90 degrees: no width of a pixel along the columns
        and np.allclose(a[:2] + a[3:5], b[:2] + b[3:5], rtol=1e-6)
        and max(abs(a.c - b.c) / abs(a.a), abs(a.f - b.f) / abs(a.e)) <= 0.6
    )


def _georeference(path: Path) -> tuple[Any, Any]:
    """The coordinate system of a file, None without one, and its transform from pixels; as its own bytes say,
    as for its pixels: no side file has a word in it. Raises `UserError`."""
    with opened(path, path.name) as dataset:
        return dataset.crs, dataset.transform
