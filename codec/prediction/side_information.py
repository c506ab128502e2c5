"""A guide as bytes: what a stream spends on its prediction.

Everything goes through the adaptive binary coder (codec/maps/binary_coder.py), written once for both
directions. First which hyper-latents are sent. By root in raster order: the level, given the levels left and
above, of all of it or of each of its positions; whether the root goes on as its left or upper neighbour does
(then nothing more), else its reference and its quad-tree, whose vectors are differences to the median of the
neighbours left, above and above right. Roots without a level send nothing.

Bytes from outside decode to a guide or raise `BitstreamError`, in time that the patch bounds; a guide has one
spelling, every other is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from codec.maps.binary_coder import CODER, code_bit, code_uniform, finish, start_decoding, start_encoding
from codec.prediction.values import CELL_PX, LATENT_PX, LEVELS, ROOT_PX, Guide, all_sent
from codec.prediction.warp import CELLS, GAIN_ONE, MAX_REFERENCES
from constellation.common.errors import BitstreamError

OFFSET_STEP = 32  # offsets are sent in half counts, kept in 1/64
MAX_BYTES = 1 << 20
VECTOR_MAX, CORNER_MAX, GAIN_MAX, OFFSET_MAX = 4095, 1 << 19, 511, 510  # of what a guide may hold
_CLASSES = 22  # a number is its class in unary and what is left in raw bits
_FORM, _CORNER, _RADIO, _LEVEL, _MERGE, _REFERENCE, _SPLIT, _VECTOR = 0, 8, 120, 180, 340, 346, 420, 426
_PARTED = _VECTOR + 6 * _CLASSES  # whether a root's positions differ in level, then the positions' levels
_HYPER = _PARTED + 4 + 75
_CONTEXTS = _HYPER + 5


def pack_guide(guide: Guide, participants: Sequence[int]) -> bytes:
    """The bytes of a guide whose sources are all among `participants`, which the decoder knows too."""
    rows, columns = guide.roots.shape
    numbers = _header_of(guide, list(participants))
    given = guide.hyper, guide.levels, guide.roots, guide.motion, guide.depth
    fields = [np.array(v, dtype=np.int64) for v in given]
    fields[2][_tops(guide.levels) == 0] = 0
    buffer = np.zeros(4096 + 64 * rows * columns, dtype=np.uint8)
    coder = start_encoding()
    model = (coder, buffer, *_fresh())
    _code_guide(model, numbers, len(participants), *fields)
    size = finish(coder, buffer)
    if size < 0:
        raise ValueError("a guide of more bytes than its patch allows")
    return buffer[:size].tobytes()


def unpack_guide(data: bytes, shape: tuple[int, int], participants: Sequence[int]) -> Guide:
    """The guide of a patch of `shape` px. Raises `BitstreamError` where the bytes are none."""
    rows, columns = (side // ROOT_PX for side in shape)
    if len(data) > MAX_BYTES or not participants:
        raise BitstreamError(f"guide: {len(data)} bytes for {len(participants)} participants")
    buffer = np.frombuffer(data, dtype=np.uint8).copy()
    numbers = np.zeros(1 + MAX_REFERENCES * 15, dtype=np.int64)
    roots = np.zeros((rows, columns), np.int64)
    levels = roots.repeat(ROOT_PX // LATENT_PX, 0).repeat(ROOT_PX // LATENT_PX, 1)
    hyper = all_sent(levels).astype(np.int64)
    cells = (ROOT_PX // CELL_PX * rows, ROOT_PX // CELL_PX * columns)
    motion, depth = np.zeros((*cells, 2), np.int64), np.zeros(cells, np.int64)
    fields = hyper, levels, roots, motion, depth
    _code_guide((start_decoding(buffer), buffer, *_fresh()), numbers, len(participants), *fields)
    guide = _checked(numbers, list(participants), fields)
    if pack_guide(guide, participants) != data:
        raise BitstreamError("guide: another spelling than its own")
    return guide


def _tops(levels: np.ndarray) -> np.ndarray:
    """The highest level of each root."""
    side = ROOT_PX // LATENT_PX
    return levels.reshape(len(levels) // side, side, -1, side).max(axis=(1, 3))


def _fresh() -> tuple[np.ndarray, np.ndarray]:
    """Chances and worths of all contexts at the start."""
    return np.full(_CONTEXTS, 1 << 15, dtype=np.int32), np.zeros(_CONTEXTS, dtype=np.int32)


def _header_of(guide: Guide, participants: list[int]) -> np.ndarray:
    """What is sent once: int64, count of references, and for each its place, corners, gains, offsets."""
    numbers = np.zeros(1 + MAX_REFERENCES * 15, dtype=np.int64)
    numbers[0] = len(guide.sources)
    for k, source in enumerate(guide.sources):
        part = numbers[1 + 15 * k : 16 + 15 * k]
        part[0] = participants.index(source)
        part[1:9], part[9:12] = guide.placements[k], guide.gains[k]
        part[12:15] = guide.offsets[k] // OFFSET_STEP
    return numbers


def _checked(numbers: np.ndarray, participants: list[int], fields: tuple[np.ndarray, ...]) -> Guide:
    count = int(numbers[0])
    parts = numbers[1 : 1 + 15 * count].reshape(count, 15)
    hyper, levels, roots, motion, depth = fields
    sources = tuple(participants[int(part[0])] for part in parts)
    within = (
        len(set(sources)) == count
        and bool((np.abs(parts[:, 1:9]) <= CORNER_MAX).all())
        and bool(((parts[:, 9:12] >= 0) & (parts[:, 9:12] <= GAIN_MAX)).all())
        and bool((np.abs(parts[:, 12:15]) <= OFFSET_MAX).all())
        and bool((np.abs(motion) <= VECTOR_MAX).all())
    )
    if not within:
        raise BitstreamError("guide: a source twice, or a number out of range")
    return Guide(
        sources,
        parts[:, 1:9].astype(np.int32),
        parts[:, 9:12].astype(np.int32),
        (parts[:, 12:15] * OFFSET_STEP).astype(np.int32),
        roots.astype(np.uint8),
        levels.astype(np.uint8),
        hyper.astype(bool),
        motion.astype(np.int16),
        depth.astype(np.uint8),
    )


@numba.njit(f"int64({CODER}, int64, int64)", cache=True, nogil=True)
def _signed(model, base, value):
    """A signed number: its class with contexts from `base`, the rest raw."""
    size = np.int64(0)
    mapped = (2 * value - 1 if value > 0 else -2 * value) + 1
    while mapped >> (size + 1):
        size += 1
    k = np.int64(0)
    while k < _CLASSES - 1 and code_bit(model, base + k, np.int64(k < size)):
        k += 1
    rest = mapped - (np.int64(1) << k)
    low = min(k, 16)
    high = code_uniform(model, rest >> low, np.int64(1) << (k - low))
    rest = (high << low) | code_uniform(model, rest & ((np.int64(1) << low) - 1), np.int64(1) << low)
    mapped = (np.int64(1) << k) + rest - 1
    return (mapped + 1) >> 1 if mapped & 1 else -(mapped >> 1)


@numba.njit(f"void({CODER}, int64[::1], int64)", cache=True, nogil=True)
def _code_header(model, numbers, participants):
    numbers[0] = 1 + code_uniform(model, numbers[0] - 1, min(participants, MAX_REFERENCES))
    for k in range(numbers[0]):
        part = numbers[1 + 15 * k : 16 + 15 * k]
        part[0] = code_uniform(model, part[0], participants)
        corners = part[1:9]
        still = (corners == 0).all()
        same = (corners[2:] == corners[:6]).all()
        flat = (corners[6:] == corners[2:4] + corners[4:6] - corners[:2]).all()
        if code_bit(model, _FORM, np.int64(not still)):
            whole = np.int64((corners & 15).any())
            moved = code_bit(model, _FORM + 1, np.int64(not same))
            if not moved:
                fine = code_bit(model, _FORM + 2, whole)
                for axis in range(2):
                    step = 0 if fine else 4
                    value = _signed(model, _CORNER + _CLASSES * (1 - fine), corners[axis] >> step) << step
                    corners[axis::2] = value
            else:
                for axis in range(2):
                    corners[axis] = _signed(model, _CORNER, corners[axis])
                free = code_bit(model, _FORM + 3, np.int64(not flat))
                for c in range(1, 4):
                    for axis in range(2):
                        given = corners[axis]
                        if c == 3:
                            given = corners[2 + axis] + corners[4 + axis] - corners[axis]
                            if not free:
                                corners[6 + axis] = given
                                continue
                        base = _CORNER + 2 * _CLASSES + (_CLASSES if c == 3 else 0)
                        corners[2 * c + axis] = given + _signed(model, base, corners[2 * c + axis] - given)
        else:
            corners[:] = 0
        gain, offset = np.int64(GAIN_ONE), np.int64(0)
        for c in range(3):
            part[9 + c] = gain = gain + _signed(model, _RADIO, part[9 + c] - gain)
            part[12 + c] = offset = offset + _signed(model, _RADIO + _CLASSES, part[12 + c] - offset)


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
        base = _VECTOR + _CLASSES * (2 * deep + (1 if left or up else 0))
        value = expected + _signed(model, base, motion[y, x, axis] - expected)
        motion[y : y + side, x : x + side, axis] = min(max(value, -1 << 20), 1 << 20)
    known[y : y + side, x : x + side] = True


@numba.njit(
    f"void({CODER}, int64[:,:,::1], int64[:,::1], boolean[:,::1], int64, int64)", cache=True, nogil=True
)
def _code_tree(model, motion, depth, known, top, left):
    """A root's splits and vectors."""
    block = np.empty(4, dtype=np.int64)
    split = code_bit(model, _SPLIT, np.int64(depth[top, left] > 0))
    if not split:
        depth[top : top + 4, left : left + 4] = 0
        block[0], block[1], block[2], block[3] = top, left, 4, 0
        _code_vector(model, motion, known, block)
        return
    for k in range(4):
        y, x = top + 2 * (k >> 1), left + 2 * (k & 1)
        deep = 1 + code_bit(model, _SPLIT + 1, np.int64(depth[y, x] > 1))
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
    parted[y, x] = code_bit(model, _PARTED + beside, np.int64(differs)) == 1
    if not parted[y, x]:
        own[:] = _code_level(model, _LEVEL, levels, 2 * y, 2 * x)
        return own[0, 0]
    for k in range(4):
        at_y, at_x = 2 * y + (k >> 1), 2 * x + (k & 1)
        levels[at_y, at_x] = _code_level(model, _PARTED + 4, levels, at_y, at_x)
    return own.max()


@numba.njit(f"void({CODER}, int64[:,::1])", cache=True, nogil=True)
def _code_hyper(model, hyper):
    """Which hyper-latents are sent: whether all are, else each given those left and above."""
    if code_bit(model, _HYPER, np.int64((hyper == 1).all())):
        hyper[:] = 1
        return
    for y in range(hyper.shape[0]):
        for x in range(hyper.shape[1]):
            left = hyper[y, x - 1] if x else np.int64(1)
            up = hyper[y - 1, x] if y else np.int64(1)
            hyper[y, x] = code_bit(model, _HYPER + 1 + 2 * left + up, hyper[y, x])


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
    if near and not code_bit(model, _REFERENCE, np.int64(roots[y, x] != near)):
        return near
    value = code_uniform(model, roots[y, x] - 1, choices)
    return value + 1


@numba.njit(
    f"void({CODER}, int64[::1], int64, int64[:,::1], int64[:,::1], int64[:,::1], int64[:,:,::1], "
    "int64[:,::1])",
    cache=True,
    nogil=True,
)
def _code_guide(model, numbers, participants, hyper, levels, roots, motion, depth):
    """Both directions. A root without a level takes its neighbour's vector, as `filled` does, so that others
    can be told by it."""
    _code_header(model, numbers, participants)
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
                merged = code_bit(model, _MERGE, np.int64(same)) == 1
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
