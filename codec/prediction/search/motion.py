"""Block motion between two pictures: a quad-tree of 32, 16 and 8 px blocks, to 1/8 px, by squared difference
plus a price on bits.

The search is the encoder's affair: nothing here has to come out the same elsewhere. It works on sums of the
three channels (0 to 765) of the reference as it lies in the patch's geometry, MARGIN px past the patch's
edges, brought to the patch's mean and contrast."""

from __future__ import annotations

import numba
import numpy as np

from codec.prediction.values import CELL_PX
from codec.prediction.warp import CUBIC_EIGHTHS

RADIUS = 16  # px, of the search
MARGIN = RADIUS + 8  # px of the reference beyond the patch's edge
BLOCKS = (32, 16, 8)  # px, sides of the quad-tree's blocks
SPLIT_BITS = 0.5  # of telling whether a block is split
_GREY = "int16[:, ::1]"


def motion_field(
    current: np.ndarray, reference: np.ndarray, price: float, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(motion int16 [P/8, P/8, 2] in 1/8 px as (dy, dx), depth uint8 [P/8, P/8], squared difference of the
    field's blocks with the price of bits, float64 [P/32, P/32]).

    current: int16 [P, P], sums of channels. reference: int16 [P + 2 MARGIN, P + 2 MARGIN], likewise. price:
    squared difference that one bit of motion has to save. seen: bool [P/8, P/8], cells that the reference
    shows."""
    reference = matched(reference, current, seen)
    errors = {8: _errors(reference, current)}
    errors[16] = _pooled(errors[8])
    errors[32] = _pooled(errors[16])
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    parent = np.zeros((1, 1, 2), dtype=np.int16)
    for side in BLOCKS:
        shape = errors[side].shape[:2]
        motion, cost = np.zeros((*shape, 2), dtype=np.int16), np.zeros(shape)
        _search(errors[side], reference, current, side, float(price), parent, CUBIC_EIGHTHS, motion, cost)
        found[side] = parent, _ = motion, cost
    return _tree(found, price)


def grey(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> sums of channels, int16 [H, W]."""
    return picture.sum(axis=2, dtype=np.int16)


def matched(reference: np.ndarray, current: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The reference with the mean and, within limits, the contrast of the current picture, where it is seen
    and shows much the same: a cloud says nothing of the ground's brightness."""
    inner = reference[MARGIN:-MARGIN, MARGIN:-MARGIN]
    if seen.any():
        h, w = seen.shape
        gap = (inner.astype(np.int32) - current).reshape(h, CELL_PX, w, CELL_PX).mean(axis=(1, 3))
        off = np.abs(gap - np.median(gap[seen]))
        alike = (seen & (off <= 3 * np.median(off[seen]) + 3)).repeat(CELL_PX, 0).repeat(CELL_PX, 1)
        inner, current = inner[alike], current[alike]
    gain = min(max(float(current.std()) / (float(inner.std()) + 0.1), 0.6), 1.6)
    shifted = (reference - float(inner.mean())) * gain + float(current.mean())
    return np.clip(np.rint(shifted), -300, 1000).astype(np.int16)


def _tree(found: dict[int, tuple[np.ndarray, np.ndarray]], price: float):
    """Blocks split where their parts cost less, from the smallest up."""
    split_cost = price * SPLIT_BITS
    eights = found[8][1]
    parts = _sums(eights) + split_cost
    whole = found[16][1] + split_cost
    to_8 = parts < whole
    parts = _sums(np.minimum(parts, whole)) + split_cost
    to_16 = parts < found[32][1]
    cost = np.minimum(parts, found[32][1])
    motion, depth = _spread(found[32][0], 4), np.zeros(eights.shape, dtype=np.uint8)
    split = _spread(to_16, 4)
    motion[split], depth[split] = _spread(found[16][0], 2)[split], 1
    split &= _spread(to_8, 2)
    motion[split], depth[split] = found[8][0][split], 2
    return motion, depth, cost


def _sums(values: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2."""
    h, w = values.shape
    return values.reshape(h // 2, 2, w // 2, 2).sum(axis=(1, 3))


def _spread(values: np.ndarray, times: int) -> np.ndarray:
    return values.repeat(times, 0).repeat(times, 1)


@numba.njit(f"int32[:,:,:,::1]({_GREY}, {_GREY})", cache=True, nogil=True)
def _errors(reference, current):
    """Squared differences of 8 px blocks at every whole displacement, int32 [P/8, P/8, 2 R + 1, 2 R + 1]."""
    h, w = current.shape
    n = 2 * RADIUS + 1
    out = np.empty((h // 8, w // 8, n, n), dtype=np.int32)
    row = np.empty(w, dtype=np.int32)
    for by in range(h // 8):
        for dy in range(n):
            for dx in range(n):
                shift = dx + MARGIN - RADIUS
                row[:] = 0
                for y in range(8 * by, 8 * by + 8):
                    a = reference[y + dy + MARGIN - RADIUS, shift : shift + w]
                    b = current[y]
                    for x in range(w):
                        d = np.int32(a[x]) - np.int32(b[x])
                        row[x] += d * d
                for bx in range(w // 8):
                    r = row[8 * bx : 8 * bx + 8]
                    out[by, bx, dy, dx] = r[0] + r[1] + r[2] + r[3] + r[4] + r[5] + r[6] + r[7]
    return out


@numba.njit("int32[:,:,:,::1](int32[:,:,:,::1])", cache=True, nogil=True)
def _pooled(errors):
    """The same of blocks twice as large."""
    h, w, n, _ = errors.shape
    out = np.empty((h // 2, w // 2, n, n), dtype=np.int32)
    for y in range(h // 2):
        for x in range(w // 2):
            a, b = errors[2 * y, 2 * x], errors[2 * y, 2 * x + 1]
            c, d = errors[2 * y + 1, 2 * x], errors[2 * y + 1, 2 * x + 1]
            for i in range(n):
                for j in range(n):
                    out[y, x, i, j] = a[i, j] + b[i, j] + c[i, j] + d[i, j]
    return out


@numba.njit("float64(int64)", cache=True, nogil=True)
def _bits(difference):
    """About what a difference to the predicted vector costs, in 1/8 px."""
    return 1.0 + 2.0 * np.log2(1.0 + abs(difference))


@numba.njit("int64(int64, int64, int64)", cache=True, nogil=True)
def _median(a, b, c):
    return max(min(a, b), min(max(a, b), c))


@numba.njit("int64(int16[:,:,::1], int64, int64, int64)", cache=True, nogil=True)
def _expected(motion, y, x, axis):
    """Median of the neighbours left, above and above right, of those that there are."""
    if y == 0 and x == 0:
        return np.int64(0)
    if y == 0:
        return np.int64(motion[y, x - 1, axis])
    if x == 0:
        return np.int64(motion[y - 1, x, axis])
    right = min(x + 1, motion.shape[1] - 1)
    return _median(
        np.int64(motion[y, x - 1, axis]),
        np.int64(motion[y - 1, x, axis]),
        np.int64(motion[y - 1, right, axis]),
    )


@numba.njit(f"float64({_GREY}, {_GREY}, int64[::1], int64, int64, int32[:,::1])", cache=True, nogil=True)
def _difference(reference, current, block, ty, tx, cubic):
    """Squared difference of a block (its top, left and side) at a displacement in 1/8 px."""
    top, left, side = block[0], block[1], block[2]
    y0, x0 = top + (ty >> 3) + MARGIN, left + (tx >> 3) + MARGIN
    a0, a1, a2, a3 = cubic[tx & 7, 0], cubic[tx & 7, 1], cubic[tx & 7, 2], cubic[tx & 7, 3]
    b0, b1, b2, b3 = cubic[ty & 7, 0], cubic[ty & 7, 1], cubic[ty & 7, 2], cubic[ty & 7, 3]
    rows = np.empty((4, 32), dtype=np.int32)
    total = np.int64(0)
    for y in range(side + 3):
        r = reference[y0 + y - 1, x0 - 1 : x0 + side + 2]
        out = rows[y & 3]
        for x in range(side):
            near = np.int32(r[x]) * a0 + np.int32(r[x + 1]) * a1
            far = np.int32(r[x + 2]) * a2 + np.int32(r[x + 3]) * a3
            out[x] = (near + far + np.int32(8)) >> np.int32(4)  # 2^7 to a count
        if y < 3:
            continue
        r0, r1, r2, r3 = rows[(y + 1) & 3], rows[(y + 2) & 3], rows[(y + 3) & 3], rows[y & 3]
        c = current[top + y - 3, left : left + side]
        part = np.int32(0)
        for x in range(side):
            v = r0[x] * b0 + r1[x] * b1 + r2[x] * b2 + r3[x] * b3
            d = ((v + np.int32(1 << 16)) >> np.int32(17)) - np.int32(c[x]) * np.int32(2)
            part += d * d
        total += part
    return total / 4.0


@numba.njit(
    f"void(int32[:,:,:,::1], {_GREY}, {_GREY}, int64, float64, int16[:,:,::1], int32[:,::1], "
    "int16[:,:,::1], float64[:,::1])",
    cache=True,
    nogil=True,
)
def _search(errors, reference, current, side, price, parent, cubic, motion, cost):
    """Best vector of each block: whole px from `errors`, then halves, quarters, eighths around it and the
    expected vector (the parent's; of the largest blocks the neighbours')."""
    n, limit = errors.shape[2], 8 * RADIUS + 7
    block = np.empty(3, dtype=np.int64)
    block[2] = side
    for by in range(errors.shape[0]):
        for bx in range(errors.shape[1]):
            block[0], block[1] = by * side, bx * side
            if side == 32:
                py, px = _expected(motion, by, bx, 0), _expected(motion, by, bx, 1)
            else:
                py = np.int64(parent[by >> 1, bx >> 1, 0])
                px = np.int64(parent[by >> 1, bx >> 1, 1])
            best, my, mx = 1e30, np.int64(0), np.int64(0)
            for dy in range(n):
                price_y = price * _bits(8 * (dy - RADIUS) - py)
                if price_y >= best:
                    continue
                for dx in range(n):
                    c = errors[by, bx, dy, dx] + price_y
                    if c >= best:
                        continue
                    c += price * _bits(8 * (dx - RADIUS) - px)
                    if c < best:
                        best, my, mx = c, np.int64(8 * (dy - RADIUS)), np.int64(8 * (dx - RADIUS))
            c = _difference(reference, current, block, py, px, cubic) + 2 * price
            if c < best:
                best, my, mx = c, py, px
            for step in (4, 2, 1):
                cy, cx = my, mx
                for k in range(9):
                    ty, tx = cy + step * (k // 3 - 1), cx + step * (k % 3 - 1)
                    if k == 4 or abs(ty) > limit or abs(tx) > limit:
                        continue
                    c = price * (_bits(ty - py) + _bits(tx - px))
                    if c < best:
                        c += _difference(reference, current, block, ty, tx, cubic)
                        if c < best:
                            best, my, mx = c, ty, tx
            motion[by, bx, 0], motion[by, bx, 1], cost[by, bx] = my, mx, best


@numba.njit("float64[:,::1](int16[:,:,::1], uint8[:,::1])", cache=True, nogil=True)
def vector_bits(motion, depth):
    """About what each root's vectors and splits cost, float64 [P/32, P/32]: little where they repeat."""
    out = np.zeros((depth.shape[0] // 4, depth.shape[1] // 4))
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            side = 4 >> depth[y, x]
            if y % side or x % side:
                continue
            cost = 0.5
            for axis in range(2):
                near = np.int64(0)
                if x and y:
                    right = min(x + side, depth.shape[1] - 1) if y % 4 == 0 else x
                    near = _median(
                        np.int64(motion[y, x - 1, axis]),
                        np.int64(motion[y - 1, x, axis]),
                        np.int64(motion[y - 1, right, axis]),
                    )
                elif x:
                    near = np.int64(motion[y, x - 1, axis])
                elif y:
                    near = np.int64(motion[y - 1, x, axis])
                off = abs(np.int64(motion[y, x, axis]) - near)
                cost += 0.5 if off == 0 else 1.5 + 2.0 * np.log2(1.0 + off)
            out[y >> 2, x >> 2] += cost
    return out
