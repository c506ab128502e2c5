"""Random numbers and smooth noise that are functions of their place alone: no stream, no state."""

from __future__ import annotations

from typing import Any

import numpy as np

NOTHING = np.zeros((), np.float32)  # where a sum of arrays starts


def hashed(*keys: Any) -> np.ndarray:
    """A well-mixed np.uint32 of integer keys (arrays broadcast)."""
    h: np.ndarray = np.array(0x9E3779B9, np.uint32)
    with np.errstate(over="ignore"):
        for key in keys:
            key = np.asarray(key)
            h = h ^ (key if key.dtype == np.uint32 else (key.astype(np.int64) & 0xFFFFFFFF).astype(np.uint32))
            h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
            h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
            h = (h ^ (h >> np.uint32(16))) + np.uint32(0x9E3779B9)
    return h


def unit(h: np.ndarray) -> np.ndarray:
    """Hashes as np.float32 in [0, 1)."""
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _spline(coordinates: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """First of four lattice indices, and their cubic B-spline weights [4, n], of each coordinate."""
    scaled = coordinates / spacing
    whole = np.floor(scaled).astype(np.int64)
    t = (scaled - whole).astype(np.float32)
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    ) / np.float32(6)
    return whole - 1, weights


def lattice_noise(seed: int, rows: np.ndarray, cols: np.ndarray, spacing: float) -> np.ndarray:
    """Cubic B-splines through random numbers on a lattice of `spacing` px, np.float32 [rows, cols]."""
    (top, row_weights), (left, col_weights) = _spline(rows, spacing), _spline(cols, spacing)
    i, j = np.arange(top.min(), top.max() + 4), np.arange(left.min(), left.max() + 4)
    lattice = (unit(hashed(seed, 7, i[:, None], j[None, :])) - np.float32(0.5)) * np.float32(
        7.22
    )  # unit variance between the nodes
    part = sum((row_weights[k][:, None] * lattice[top - i[0] + k] for k in range(4)), NOTHING)
    return sum((col_weights[k][None, :] * part[:, left - j[0] + k] for k in range(4)), NOTHING)


def octave_sum(seed: int, rows: np.ndarray, cols: np.ndarray, spacing: float, octaves: int) -> np.ndarray:
    """`lattice_noise` of halved spacings and amplitudes, unit variance in all, np.float32 [rows, cols]."""
    norm = sum(0.25**k for k in range(octaves)) ** -0.5
    parts = (lattice_noise(seed * 64 + k, rows, cols, spacing / 2**k) for k in range(octaves))
    return sum((np.float32(norm * 0.5**k) * part for k, part in enumerate(parts)), NOTHING)
