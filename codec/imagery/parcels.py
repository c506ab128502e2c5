"""The plane of the procedural scene, cut into parcels, and tree crowns scattered over it."""

from __future__ import annotations

import numpy as np

from codec.imagery.noise import hashed, unit

SUN = (0.55, 0.83)  # rows, columns: shadows fall towards it
BLOCK_PX = 620.0  # of main roads


def parcels(seed: int, u: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    """Cut each block of main roads into parcels, by hashed cuts across the longer side.

    Returns float32 [h, w] arrays: `u0, v0` parcel corner, `wu, wv` its sides, `edge` distance to its border,
    `road` distance to the block's border, all px; uint32 `key` of the parcel and `block` of the block."""
    size = np.float32(BLOCK_PX)
    iu, iv = np.floor(u / size), np.floor(v / size)
    u0, v0 = iu * size, iv * size
    u1, v1 = u0 + size, v0 + size
    block = key = hashed(seed, 11, iu.astype(np.int64), iv.astype(np.int64))
    road = np.minimum(np.minimum(u - u0, u1 - u), np.minimum(v - v0, v1 - v))
    for level in range(5):
        wu, wv = u1 - u0, v1 - v0
        cut_u = wu >= wv
        longest = np.maximum(wu, wv)
        cuts = (longest > 150) & ((level < 2) | (unit(hashed(key, 1)) < 0.72))
        share = np.float32(0.32) + np.float32(0.36) * unit(hashed(key, 2))
        cut = np.where(cut_u, u0 + share * wu, v0 + share * wv)
        beyond = np.where(cut_u, u, v) >= cut
        u0, u1 = np.where(cuts & cut_u & beyond, cut, u0), np.where(cuts & cut_u & ~beyond, cut, u1)
        v0, v1 = np.where(cuts & ~cut_u & beyond, cut, v0), np.where(cuts & ~cut_u & ~beyond, cut, v1)
        key = np.where(cuts, hashed(key, 3, beyond), key)
    edge = np.minimum(np.minimum(u - u0, u1 - u), np.minimum(v - v0, v1 - v))
    return {
        "u0": u0,
        "v0": v0,
        "wu": u1 - u0,
        "wv": v1 - v0,
        "edge": edge,
        "road": road,
        "key": key,
        "block": block,
    }


def crowns(
    seed: int, rows: np.ndarray, cols: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the nearest tree: dome height in [0, 1] (0 outside the crown), light on its side in [-1, 1], its
    hash as uniform [0, 1)."""
    y, x = (rows / spacing).astype(np.float32)[:, None], (cols / spacing).astype(np.float32)[None, :]
    iy, ix = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    shape = (len(rows), len(cols))
    best, light, tree = np.full(shape, 9, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            h = hashed(seed, 31, iy + dy, ix + dx)
            off_y = y - (iy + dy) - unit(h)
            off_x = x - (ix + dx) - unit(hashed(h, 1))
            radius = np.float32(0.42) + np.float32(0.33) * unit(hashed(h, 2))
            off_y, off_x = off_y / radius, off_x / radius
            distance = off_y * off_y + off_x * off_x
            nearer = distance < best
            best = np.where(nearer, distance, best)
            light = np.where(nearer, -(off_y * np.float32(SUN[0]) + off_x * np.float32(SUN[1])), light)
            tree = np.where(nearer, h, tree)
    return np.sqrt(np.maximum(0, 1 - best)), np.clip(light, -1, 1), unit(hashed(tree, 5))
