"""What a guide says by root and position: levels, references, motion, and which hyper-latents are sent."""

from __future__ import annotations

import numba
import numpy as np

from codec.maps.binary_coder import CODER, code_bit, code_uniform
from codec.prediction.guides.contexts import (
    CLASSES,
    HYPER,
    LEVEL,
    MERGE,
    PARTED,
    POSITION,
    REFERENCE,
    SPLIT,
    VECTOR,
    code_number,
)
from codec.prediction.guides.header import code_header
from codec.prediction.values import LEVELS
from codec.prediction.warp import CELLS


@numba.njit("int64(int64, int64, int64)", cache=True, nogil=True)
def _median(a, b, c):
    return max(min(a, b), min(max(a, b), c))


@numba.njit(f"void({CODER}, int64[:,:,::1], boolean[:,::1], int64[::1])", cache=True, nogil=True)
def _code_vector(model, motion, known, block):
    """The vector of a block (row, column, side in cells, depth), told to all of its cells."""
    y, x, side, deep = block[0], block[1], block[2], block[3]
    left, up = x > 0 and known[y, x - 1], y > 0 and known[y - 1, x]
    right = up and x + side < known.shape[1] and known[y - 1, x + side]
    for axis in range(2):
        expected = np.int64(0)
        if left and up:
            corner = motion[y - 1, x + side, axis] if right else motion[y - 1, x, axis]
            expected = _median(motion[y, x - 1, axis], motion[y - 1, x, axis], corner)
        elif left:
            expected = motion[y, x - 1, axis]
        elif up:
            expected = motion[y - 1, x, axis]
        base = VECTOR + CLASSES * (2 * deep + (1 if left or up else 0))
        value = expected + code_number(model, base, motion[y, x, axis] - expected)
        motion[y : y + side, x : x + side, axis] = min(max(value, -1 << 20), 1 << 20)
    known[y : y + side, x : x + side] = True


@numba.njit(
    f"void({CODER}, int64[:,:,::1], int64[:,::1], boolean[:,::1], int64, int64)", cache=True, nogil=True
)
def _code_tree(model, motion, depth, known, top, left):
    """A root's splits and vectors."""
    block = np.empty(4, dtype=np.int64)
    split = code_bit(model, SPLIT, np.int64(depth[top, left] > 0))
    if not split:
        depth[top : top + 4, left : left + 4] = 0
        block[0], block[1], block[2], block[3] = top, left, 4, 0
        _code_vector(model, motion, known, block)
        return
    for k in range(4):
        y, x = top + 2 * (k >> 1), left + 2 * (k & 1)
        deep = 1 + code_bit(model, SPLIT + 1, np.int64(depth[y, x] > 1))
        depth[y : y + 2, x : x + 2] = deep
        if deep == 1:
            block[0], block[1], block[2], block[3] = y, x, 2, 1
            _code_vector(model, motion, known, block)
            continue
        for j in range(4):
            block[0], block[1], block[2], block[3] = y + (j >> 1), x + (j & 1), 1, 2
            _code_vector(model, motion, known, block)


@numba.njit(f"int64({CODER}, int64, int64[:,::1], int64, int64)", cache=True, nogil=True)
def _code_level(model, start, levels, y, x):
    """The level at a position, by contexts from `start`, given the positions left and above."""
    left = levels[y, x - 1] if x else LEVELS
    up = levels[y - 1, x] if y else LEVELS
    base = start + 3 * (left * (LEVELS + 1) + up)
    level = levels[y, x]
    if not code_bit(model, base, np.int64(level > 0)):
        return np.int64(0)
    if not code_bit(model, base + 1, np.int64(level > 1)):
        return np.int64(1)
    return 2 + code_bit(model, base + 2, np.int64(level > 2))


@numba.njit(f"int64({CODER}, int64[:,::1], boolean[:,::1], int64, int64)", cache=True, nogil=True)
def _code_levels(model, levels, parted, y, x):
    """The levels of a root's four positions; returns the highest."""
    own = levels[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
    differs = (own != own[0, 0]).any()
    beside = np.int64(x > 0 and parted[y, x - 1]) + np.int64(y > 0 and parted[y - 1, x])
    parted[y, x] = code_bit(model, PARTED + beside, np.int64(differs)) == 1
    if not parted[y, x]:
        own[:] = _code_level(model, LEVEL, levels, 2 * y, 2 * x)
        return own[0, 0]
    for k in range(4):
        at_y, at_x = 2 * y + (k >> 1), 2 * x + (k & 1)
        levels[at_y, at_x] = _code_level(model, POSITION, levels, at_y, at_x)
    return own.max()


@numba.njit(f"void({CODER}, int64[:,::1])", cache=True, nogil=True)
def _code_hyper(model, hyper):
    """Which hyper-latents are sent: whether all are, else each given those left and above."""
    if code_bit(model, HYPER, np.int64((hyper == 1).all())):
        hyper[:] = 1
        return
    for y in range(hyper.shape[0]):
        for x in range(hyper.shape[1]):
            left = hyper[y, x - 1] if x else np.int64(1)
            up = hyper[y - 1, x] if y else np.int64(1)
            hyper[y, x] = code_bit(model, HYPER + 1 + 2 * left + up, hyper[y, x])


@numba.njit(f"int64({CODER}, int64[:,::1], int64[:,::1], int64[::1], int64)", cache=True, nogil=True)
def _code_reference(model, roots, shown, place, count):
    """Which reference, or pair, of `count` + pairs: first whether it is the left (or upper) neighbour's."""
    y, x = place[0], place[1]
    choices = count + count * (count - 1) // 2
    if choices == 1:
        return np.int64(1)
    near = shown[y, x - 1] if x else np.int64(0)
    if near == 0 and y:
        near = shown[y - 1, x]
    if near and not code_bit(model, REFERENCE, np.int64(roots[y, x] != near)):
        return near
    value = code_uniform(model, roots[y, x] - 1, choices)
    return value + 1


@numba.njit(
    f"void({CODER}, int64[::1], int64, int64[:,::1], int64[:,::1], int64[:,::1], int64[:,:,::1], "
    "int64[:,::1])",
    cache=True,
    nogil=True,
)
def code_guide(model, numbers, participants, hyper, levels, roots, motion, depth):
    """Both directions. A root without a level takes its neighbour's vector, as `filled` does, so that others
    can be told by it."""
    code_header(model, numbers, participants)
    _code_hyper(model, hyper)
    parted = np.zeros(roots.shape, dtype=np.bool_)
    known = np.zeros(depth.shape, dtype=np.bool_)
    near, place = np.zeros(3, dtype=np.int64), np.zeros(2, dtype=np.int64)
    shown = np.zeros(roots.shape, dtype=np.int64)  # roots with those filled
    for y in range(roots.shape[0]):
        for x in range(roots.shape[1]):
            top, left = CELLS * y, CELLS * x
            level = _code_levels(model, levels, parted, y, x)
            is_near = False
            if x and known[top, left - 1]:
                near[0], near[1], near[2] = (
                    shown[y, x - 1],
                    motion[top, left - 1, 0],
                    motion[top, left - 1, 1],
                )
                is_near = True
            elif y and known[top - 1, left]:
                near[0], near[1], near[2] = (
                    shown[y - 1, x],
                    motion[top - 1, left, 0],
                    motion[top - 1, left, 1],
                )
                is_near = True
            merged = is_near and level == 0
            if is_near and level:
                same = roots[y, x] == near[0] and depth[top, left] == 0
                same = same and motion[top, left, 0] == near[1] and motion[top, left, 1] == near[2]
                merged = code_bit(model, MERGE, np.int64(same)) == 1
            if merged:
                shown[y, x] = near[0]
                motion[top : top + CELLS, left : left + CELLS, 0] = near[1]
                motion[top : top + CELLS, left : left + CELLS, 1] = near[2]
                known[top : top + CELLS, left : left + CELLS] = True
                depth[top : top + CELLS, left : left + CELLS] = 0
                roots[y, x] = near[0] if level else 0
            elif level:
                place[0], place[1] = y, x
                roots[y, x] = shown[y, x] = _code_reference(model, roots, shown, place, numbers[0])
                _code_tree(model, motion, depth, known, top, left)
            else:
                roots[y, x] = 0
                motion[top : top + CELLS, left : left + CELLS] = 0
                depth[top : top + CELLS, left : left + CELLS] = 0
