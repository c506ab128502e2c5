"""The predicted picture, composed from references: alike to the bit on every machine, for the decoder makes
it too.

Integers throughout. A sample of a reference is bicubic (a = -0.75, as torch's) at 1/64 px with weights in
1/2048; placement and motion are one interpolation. Blocks overlap: motion holds at the centres of 8 px cells,
and a pixel is the bilinear mixture of what the four cells around it say, so that no seams are predicted.

A placement is the displacement of the patch's corners (top left, top right, bottom left, bottom right; dy, dx
each) in 1/16 px, bilinear in between: every affine map, and near enough any homography that a 256 px patch
meets (motion takes the rest), without a division that could fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numba
import numpy as np

from codec.prediction.values import CELL_PX, LATENT_PX, ROOT_PX, Guide

CELLS = ROOT_PX // CELL_PX  # of a root's side
PLACEMENT_STEP = 16  # placements are in 1/16 px
GAIN_ONE = 256  # gains are in 1/256
GAIN_MAX = 511  # of what a guide may hold
COUNT = 64  # offsets and the predicted picture are in 1/64 of a count
OFFSET_STEP = 32  # offsets are sent in half counts
WHITE = 255 * COUNT
MAX_REFERENCES = 8  # of one patch
_WEIGHT_BITS = 11


def _cubic(phases: int) -> np.ndarray:
    """Weights of four neighbours at each phase, int32 [phases, 4]; a row's sum is 2048."""
    a, one = -0.75, 1 << _WEIGHT_BITS
    out = np.zeros((phases, 4), dtype=np.int32)
    for k in range(phases):
        t = k / phases
        for j, d in enumerate((t + 1, t, 1 - t, 2 - t)):
            near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
            out[k, j] = round((far if d > 1 else near) * one)
        out[k, 1 if 2 * k < phases else 2] += one - out[k].sum()
    return out


CUBIC = _cubic(64)
CUBIC_EIGHTHS = np.ascontiguousarray(CUBIC[::8])


def compose(guide: Guide, pictures: Mapping[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(picture int16 [P, P, 3] in 1/64 counts, 0 to 16320; planes float64 [H*W, 3], as in `Prediction`).

    pictures: uint8 [P', P', 3] of each satellite in `guide.sources`, any size. Roots without a reference are
    filled as their neighbours say (`filled`); where there is none at all the picture is black."""
    height, width = (side * ROOT_PX for side in guide.roots.shape)
    picture = np.zeros((height, width, 3), dtype=np.int16)
    inside = np.zeros((height, width), dtype=np.uint8)
    roots, motion = filled(guide.roots, guide.motion)
    if guide.roots.any():
        stack, sizes = _stacked([pictures[source] for source in guide.sources])
        places = np.zeros((len(sizes), 3, 8), dtype=np.int64)
        places[:, 0], places[:, 1, :3], places[:, 2, :3] = guide.placements, guide.gains, guide.offsets
        members = MEMBERS[len(guide.sources)][roots]
        _compose(stack, sizes, places, members, motion, CUBIC, picture, inside)
    return picture, _planes(inside, motion, guide.depth)


def placed(reference: np.ndarray, placement: np.ndarray, size_px: int, margin_px: int) -> np.ndarray:
    """The reference in the patch's geometry, `margin_px` past its edges, without motion: int16 of sides
    size_px + 2 margin_px.

    reference: int16 [P', P'], sums of channels say. placement: int [8]."""
    out = np.empty((size_px + 2 * margin_px,) * 2, dtype=np.int16)
    corners = np.array(placement, dtype=np.int64)
    _placed(np.array(reference, dtype=np.int16), corners, size_px, margin_px, CUBIC, out)
    return out


def filled(roots: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(roots, motion int64) in which a root without a reference has that of its left neighbour, or of the one
    above, or of the first that has any, and the vector of the cell there that touches its top left."""
    roots, motion = roots.astype(np.int64), motion.astype(np.int64)
    used = np.argwhere(roots > 0)
    if len(used):
        first = tuple(used[0])
        for y, x in np.ndindex(*roots.shape):
            if roots[y, x]:
                continue
            vector = motion[CELLS * first[0], CELLS * first[1]]
            roots[y, x] = roots[first]
            if x:
                roots[y, x], vector = roots[y, x - 1], motion[CELLS * y, CELLS * x - 1]
            elif y:
                roots[y, x], vector = roots[y - 1, x], motion[CELLS * y - 1, CELLS * x]
            motion[CELLS * y : CELLS * (y + 1), CELLS * x : CELLS * (x + 1)] = vector
    return roots, motion


def _members_of(references: int) -> np.ndarray:
    """The two references, counted from 0, whose average a value of `Guide.roots` means (a single one is its
    own): int64 [values, 2], -1 for none."""
    pairs = [(a, b) for a in range(references) for b in range(a + 1, references)]
    return np.array([(-1, -1), *((k, k) for k in range(references)), *pairs], dtype=np.int64)


MEMBERS = tuple(_members_of(references) for references in range(MAX_REFERENCES + 1))


def _stacked(pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of any size in one array uint8 [R, H, W, 3], and their sizes int64 [R, 2]."""
    sizes = np.array([picture.shape[:2] for picture in pictures], dtype=np.int64)
    stack = np.zeros((len(pictures), *sizes.max(axis=0), 3), dtype=np.uint8)
    for place, picture in zip(stack, pictures, strict=True):
        place[: picture.shape[0], : picture.shape[1]] = picture
    return stack, sizes


def _planes(inside: np.ndarray, motion: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Coverage, roughness of the motion and its depth at each latent position, 0 to 1: one division each."""
    covered = _blocks(inside.astype(np.int64), LATENT_PX)
    right = np.abs(np.diff(motion, axis=1, append=motion[:, -1:])).sum(axis=2)
    down = np.abs(np.diff(motion, axis=0, append=motion[-1:])).sum(axis=2)
    rough = _blocks(right + down, LATENT_PX // CELL_PX)
    deep = _blocks(depth.astype(np.int64), LATENT_PX // CELL_PX)
    planes = covered / (2.0 * LATENT_PX**2), rough / (32.0 + rough), deep / 8.0
    return np.stack([plane.reshape(-1) for plane in planes], axis=1)


def _blocks(values: np.ndarray, side: int) -> np.ndarray:
    h, w = values.shape
    return values.reshape(h // side, side, w // side, side).sum(axis=(1, 3))


@numba.njit("int64(int64[::1], int64, int64, int64, int64, int64)", cache=True, nogil=True)
def _displacement(corners, axis, v, u, height, width):
    """Of a placement at (v, u) eighths of px from the patch's top left, 1/64 px; height, width: eighths."""
    a, b, c, d = corners[axis], corners[2 + axis], corners[4 + axis], corners[6 + axis]
    unit = 64 // PLACEMENT_STEP
    if a == b and a == c and a == d:
        return unit * a
    top = (width - u) * a + u * b
    bottom = (width - u) * c + u * d
    total = height * width
    return (unit * ((height - v) * top + v * bottom) + total // 2) // total


@numba.njit(
    "void(uint8[:,:,::1], int64[::1], int64, int64, int32[:,::1], int64[::1])", cache=True, nogil=True
)
def _sample(source, size, y, x, cubic, out):
    """The channels at (y, x) in 1/64 px, in 1/64 counts; past its edges the source repeats them."""
    top, left = (y >> 6) - 1, (x >> 6) - 1
    down, across = cubic[y & 63], cubic[x & 63]
    r = g = b = np.int64(0)
    inner = top >= 0 and left >= 0 and top + 3 < size[0] and left + 3 < size[1]
    for i in range(4):
        row = top + i if inner else min(max(top + i, 0), size[0] - 1)
        r_, g_, b_ = np.int64(0), np.int64(0), np.int64(0)
        for j in range(4):
            column = left + j if inner else min(max(left + j, 0), size[1] - 1)
            r_ += np.int64(source[row, column, 0]) * across[j]
            g_ += np.int64(source[row, column, 1]) * across[j]
            b_ += np.int64(source[row, column, 2]) * across[j]
        r += r_ * down[i]
        g += g_ * down[i]
        b += b_ * down[i]
    out[0], out[1], out[2] = (r + 32768) >> 16, (g + 32768) >> 16, (b + 32768) >> 16


_WINDOW = (
    "int64[::1]"  # of a region: its cell's row and column (the one up left), first and end row and column
)


@numba.njit(
    f"void(uint8[:,:,::1], int64[::1], int64[:,::1], int64[::1], {_WINDOW}, int64[:,::1], int64, "
    "int32[:,::1], int64[:,:,::1], uint8[:,::1])",
    cache=True,
    nogil=True,
)
def _add(source, size, place, vector, window, weights, share, cubic, total, inside):
    """Add a reference under one vector to a region, where `weights` (int64 [2, 2] of the cells around: 1 or
    0) let it. place: int64 [3, 8], corners, gains, offsets. share: 2 alone, 1 of a pair."""
    corners, gains, offsets = place[0], place[1], place[2]
    cy, cx = window[0], window[1]
    sample = np.empty(3, dtype=np.int64)
    for y in range(window[2], window[3]):
        v = 8 * y + vector[0] + 4
        fy = 2 * (y - 8 * cy - 4) + 1
        for x in range(window[4], window[5]):
            fx = 2 * (x - 8 * cx - 4) + 1
            weight = (16 - fy) * ((16 - fx) * weights[0, 0] + fx * weights[0, 1])
            weight += fy * ((16 - fx) * weights[1, 0] + fx * weights[1, 1])
            u = 8 * x + vector[1] + 4
            sy = 8 * (v - 4) + _displacement(corners, 0, v, u, 8 * inside.shape[0], 8 * inside.shape[1])
            sx = 8 * (u - 4) + _displacement(corners, 1, v, u, 8 * inside.shape[0], 8 * inside.shape[1])
            _sample(source, size, sy, sx, cubic, sample)
            for channel in range(3):
                shown = (sample[channel] * gains[channel] + offsets[channel] * 256 + 128) >> 8
                total[y - 8 * cy - 4, x - 8 * cx - 4, channel] += share * weight * shown
            own = weights[1 if y >= 8 * cy + 8 else 0, 1 if x >= 8 * cx + 8 else 0]
            if own and 0 <= (sy + 32) >> 6 < size[0] and 0 <= (sx + 32) >> 6 < size[1]:
                inside[y, x] += share


@numba.njit(
    "void(uint8[:,:,:,::1], int64[:,::1], int64[:,:,::1], int64[:,:,::1], int64[:,:,::1], int32[:,::1], "
    "int16[:,:,::1], uint8[:,::1])",
    cache=True,
    nogil=True,
)
def _compose(stack, sizes, places, members, motion, cubic, out, inside):
    """Region by region between four cells' centres; cells that say the same are one.

    places: int64 [R, 3, 8]."""
    height, width = inside.shape
    rows, columns = motion.shape[0], motion.shape[1]
    window = np.empty(6, dtype=np.int64)
    said = np.empty((4, 4), dtype=np.int64)
    weights = np.empty((2, 2), dtype=np.int64)
    total = np.empty((8, 8, 3), dtype=np.int64)
    for cy in range(-1, rows):
        for cx in range(-1, columns):
            window[0], window[1] = cy, cx
            window[2], window[3] = max(8 * cy + 4, 0), min(8 * cy + 12, height)
            window[4], window[5] = max(8 * cx + 4, 0), min(8 * cx + 12, width)
            for k in range(4):
                row = min(max(cy + (k >> 1), 0), rows - 1)
                column = min(max(cx + (k & 1), 0), columns - 1)
                said[k, :2], said[k, 2:] = members[row >> 2, column >> 2], motion[row, column]
            total[:] = 256
            for k in range(4):
                first = k
                for j in range(4):
                    same = (said[j] == said[k]).all()
                    weights[j >> 1, j & 1] = same
                    if same:
                        first = min(first, j)
                if first < k:
                    continue
                share = 2 if said[k, 0] == said[k, 1] else 1
                for m in range(3 - share):
                    reference = said[k, m]
                    _add(
                        stack[reference],
                        sizes[reference],
                        places[reference],
                        said[k, 2:],
                        window,
                        weights,
                        share,
                        cubic,
                        total,
                        inside,
                    )
            for y in range(window[2], window[3]):
                for x in range(window[4], window[5]):
                    for channel in range(3):
                        value = total[y - 8 * cy - 4, x - 8 * cx - 4, channel] >> 9
                        out[y, x, channel] = min(max(value, 0), WHITE)


@numba.njit(
    "void(int16[:,::1], int64[::1], int64, int64, int32[:,::1], int16[:,::1])", cache=True, nogil=True
)
def _placed(source, corners, size, margin, cubic, out):
    height, width = source.shape
    for y in range(size + 2 * margin):
        for x in range(size + 2 * margin):
            v, u = 8 * (y - margin) + 4, 8 * (x - margin) + 4
            sy = 8 * (v - 4) + _displacement(corners, 0, v, u, 8 * size, 8 * size)
            sx = 8 * (u - 4) + _displacement(corners, 1, v, u, 8 * size, 8 * size)
            top, left = sy >> 6, sx >> 6
            total = np.int64(0)
            for i in range(4):
                row = min(max(top - 1 + i, 0), height - 1)
                part = np.int64(0)
                for j in range(4):
                    column = min(max(left - 1 + j, 0), width - 1)
                    part += np.int64(source[row, column]) * cubic[sx & 63, j]
                total += part * cubic[sy & 63, i]
            out[y, x] = (total + (1 << 21)) >> 22
