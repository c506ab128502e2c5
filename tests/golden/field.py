"""Synthetic latents of the golden rounds: multiples of 1/64, alike on every machine."""

from __future__ import annotations

import numpy as np

PROTOTYPES = 5  # kinds of flat ground


def _draws(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([0x601D, *key])))


def ground_field(channels: int) -> np.ndarray:
    """Latents of the whole window in 64ths, int64 [M, 16, 16]: flat ground of a few kinds, some of it not
    quite like its kind, and details."""
    draws, side = _draws(channels), 16
    energy = np.maximum(6 - np.arange(channels) // 3, 1)[:, None]

    def vectors(count: int) -> np.ndarray:
        return (
            draws.integers(-9, 10, size=(channels, count))
            * draws.integers(0, 9, size=(channels, count))
            * energy
        )

    kinds, details = vectors(PROTOTYPES), vectors(side * side)
    kind = draws.integers(0, PROTOTYPES, size=side * side)
    flat = draws.integers(0, 100, size=side * side) < 40
    field = np.where(flat, kinds[:, kind], details)
    field = field + _specks(draws, channels, side * side, 25) * flat
    return field.reshape(channels, side, side)


def _specks(draws: np.random.Generator, channels: int, cells: int, percent: int) -> np.ndarray:
    """+-2/64 in up to three channels of some cells, in 64ths."""
    out = np.zeros((channels, cells), dtype=np.int64)
    where = np.flatnonzero(draws.integers(0, 100, size=cells) < percent)
    for _ in range(3):
        out[draws.integers(0, channels, size=len(where)), where] = (
            draws.integers(0, 2, size=len(where)) * 4 - 2
        )
    return out


def view(channels: int, halo_px: int, satellite: int, row: int, col: int, side: int = 8) -> np.ndarray:
    """One satellite's y, float32 [M, side, side]: the cells it sees; without a halo its border differs from
    what others see there."""
    draws = _draws(channels, satellite, halo_px)
    y = ground_field(channels)[:, row : row + side, col : col + side] + _specks(
        draws, channels, side * side, 35
    ).reshape(channels, side, side)
    border = np.ones((side, side), dtype=bool)
    border[1:-1, 1:-1] = False
    disturbed = border & (draws.integers(0, 100, size=(side, side)) < 70)
    if halo_px == 0:
        y = y + draws.integers(-12, 13, size=y.shape) * disturbed
    return (y.astype(np.float64) / 64).astype(np.float32)
