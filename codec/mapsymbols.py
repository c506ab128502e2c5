"""Symbols of the `successor` coding of assignment maps (codec.mapmodel): which owner, which index, which representative."""

from __future__ import annotations

import numba
import numpy as np

from codec.assignment import LOCAL
from codec.binary_coder import CODER, code_bit, code_uniform

SLOTS = 64  # owners remembered
RECENT = 32  # representatives remembered

# Contexts, by what they are asked about
IS_FORWARD = 0  # does a local copy name a later position (checkerboard order)
IS_REMOTE = 1  # 3 depths x 4 states of the tracks x 144 neighbourhoods
IS_LOCAL = IS_REMOTE + 12 * 144
IS_EXACT = IS_LOCAL + 72
IS_FIRST = IS_EXACT + 3  # is it the first track's: 4 relations x 9 corners x 2 x 4 validities
IS_SECOND = IS_FIRST + 288  # is it the second track's: 2 ages x 9 corners
_SEEN = IS_SECOND + 18
_RANK = _SEEN + 2
_BELOW = _RANK + 4
_HIT = _BELOW + 1  # is it the foretold index: by kind of track
_DOWN = _HIT + 5
_LENGTH = _DOWN + 5  # 2 x 24
_HALF = _LENGTH + 48  # 2 x 24
_AT_ROW = _HALF + 48  # a new owner's row is its border's
_AT_COLUMN = _AT_ROW + 2
_SAME = _AT_COLUMN + 4  # local copy: candidate i of 6
_AGAIN = _SAME + 6
_AGE = _AGAIN + 1
CONTEXTS = _AGE + 48

LEFT, LEFT_AGED, ABOVE, ABOVE_AGED, SHIFTED = range(5)  # kinds of tracks


@numba.njit(f"int64({CODER}, int64, int64, int64)", cache=True, nogil=True)
def _code_number(model, lengths, halves, value):
    """A number >= 0: its bit length adaptively in unary, the next bit adaptively, the rest raw (Elias gamma of value + 1)."""
    value += 1
    length = 0
    while length < 23 and code_bit(model, lengths + length, 1 if value >> (length + 1) > 0 else 0):
        length += 1
    result = np.int64(1)
    for bit in range(length - 1, -1, -1):
        given = (value >> bit) & 1
        given = code_bit(model, halves + length, given) if bit == length - 1 else code_uniform(model, given, 2)
        result = 2 * result + given
    return result - 1


@numba.njit("int64(int64, int64, int64, int64)", cache=True, nogil=True)
def depth(position, height, width, margin):
    """Of a flat position: 0 in the margin (or outside), 1 next to it, 2 further in."""
    if position < 0 or position >= height * width:
        return 0
    row, column = position // width, position % width
    inside = min(min(row, column), min(height - 1 - row, width - 1 - column))
    return 0 if inside < margin else (1 if inside == margin else 2)


# ---------------------------------------------------------------- local copies

@numba.njit("void(int64[::1], int64, int64, int64, int64, uint8[::1], int32[::1])", cache=True, nogil=True)
def local_candidates(candidates, p, width, total, forward, fate, source):
    """Representatives of the left, upper, upper right and upper left positions, and (forward) the next and lower positions; -1 for none."""
    column = p % width
    near = (p - 1 if column > 0 else -1, p - width, p - width + 1 if column + 1 < width else -1, p - width - 1 if column > 0 else -1)
    for i in range(4):
        candidates[i] = -1 if near[i] < 0 else (np.int64(source[near[i]]) if fate[near[i]] == LOCAL else near[i])
    candidates[4] = p + 1 if forward and column + 1 < width else -1
    candidates[5] = p + width if forward and p + width < total else -1


@numba.njit("int64(int64[::1], int64)", cache=True, nogil=True)
def _place_of(recent, value):
    place = np.int64(0)
    while place < recent[0] and recent[1 + place] != value:
        place += 1
    return place


@numba.njit(f"int64({CODER}, int64, int64, int64[::1], int64[::1])", cache=True, nogil=True)
def code_local(model, total, truth, candidates, recent):
    """The representative of a local copy. recent: [0] how many, then representatives, most recent first."""
    for i in range(6):
        fresh = candidates[i] >= 0
        for j in range(i):
            fresh = fresh and candidates[j] != candidates[i]
        if fresh and code_bit(model, _SAME + i, 1 if truth == candidates[i] else 0):
            return candidates[i]
    known = recent[0]
    place = _place_of(recent, truth)
    if known > 0 and code_bit(model, _AGAIN, 1 if place < known else 0):
        return recent[1 + min(_code_number(model, _AGE, _AGE + 24, place), known - 1)]
    return code_uniform(model, truth, total)


@numba.njit("void(int64[::1], int64)", cache=True, nogil=True)
def remember(recent, value):
    place = min(_place_of(recent, value), RECENT - 1)
    recent[0] = max(recent[0], place + 1)
    for j in range(place, 0, -1):
        recent[1 + j] = recent[j]
    recent[1] = value


# ---------------------------------------------------------------- remote copies

@numba.njit("int64(int64[:, ::1], int64, int64, int64)", cache=True, nogil=True)
def _seen_between(slots, used, low, high):
    """How many remembered owners have ranks in low .. high - 1."""
    count = np.int64(0)
    for place in range(used):
        count += 1 if low <= slots[place, 0] < high else 0
    return count


@numba.njit(f"int64({CODER}, int64[:, ::1], int64, int64, int64, int64)", cache=True, nogil=True)
def code_new_owner(model, slots, used, members, own, truth):
    """Rank of an owner not remembered, -1 where nobody is left; those before `own` are likelier (they are, where priority follows the id)."""
    low, high = np.int64(0), own
    left_below = own - _seen_between(slots, used, 0, own)
    left_above = members - 1 - own - _seen_between(slots, used, own + 1, members)
    if left_below + left_above == 0:
        return np.int64(-1)
    below = np.int64(1 if left_above == 0 else 0)
    if left_above > 0 and left_below > 0:
        below = code_bit(model, _BELOW, 1 if truth < own else 0)
    if not below:
        low, high = own + 1, members
    unseen = code_uniform(model, truth - low - _seen_between(slots, used, low, truth), left_below if below else left_above)
    found = low + unseen
    for _ in range(used + 1):  # skip the remembered ones
        found = low + unseen + _seen_between(slots, used, low, found + 1)
    return found


@numba.njit(f"int64({CODER}, int64[:, ::1], int64, int64)", cache=True, nogil=True)
def code_seen_owner(model, slots, used, truth):
    """Slot of an owner seen before, most recent first, or `used` for a new one."""
    place = np.int64(0)
    while place < used and slots[place, 0] != truth:
        place += 1
    if used == 0 or not code_bit(model, _SEEN + (used > 1), 1 if place < used else 0):
        return used
    coded = np.int64(0)
    while coded < used - 1 and code_bit(model, _RANK + min(coded, 3), 1 if place > coded else 0):
        coded += 1
    return coded


@numba.njit(f"int64({CODER}, int64, int64, int64, int64, int64)", cache=True, nogil=True)
def code_start(model, p, height, width, margin, truth):
    """The first index of a new owner: a corner or edge of the overlap lies at the border of one of the two patches."""
    inner_row, inner_column = 1 if p // width > margin else 0, 1 if p % width > margin else 0
    row, column = min(margin, height - 1), min(margin, width - 1)
    if not code_bit(model, _AT_ROW + inner_row, 1 if truth // width == row else 0):
        row = code_uniform(model, truth // width, height)
    if not code_bit(model, _AT_COLUMN + 2 * inner_row + inner_column, 1 if truth % width == column else 0):
        column = code_uniform(model, truth % width, width)
    return row * width + column


@numba.njit(f"int64({CODER}, int64, int64, int64)", cache=True, nogil=True)
def code_index(model, expected, kind, truth):
    """An index near the expected one."""
    if code_bit(model, _HIT + kind, 1 if truth == expected else 0):
        return expected
    down = code_bit(model, _DOWN + kind, 1 if truth < expected else 0)
    far = 24 if kind >= ABOVE else 0
    distance = 1 + _code_number(model, _LENGTH + far, _HALF + far, abs(truth - expected) - 1)
    return expected - distance if down else expected + distance


@numba.njit("int64(int64[:, ::1], int64, int64)", cache=True, nogil=True)
def to_front(slots, used, place):
    """Move slot `place` (== used for a new owner) to the front; returns how many are used now."""
    place = min(place, SLOTS - 1)
    moved = slots[place].copy()
    for other in range(place, 0, -1):
        slots[other] = slots[other - 1]
    slots[0] = moved
    return max(used, place + 1)


@numba.njit("int64(int64[:, ::1], int64, int64)", cache=True, nogil=True)
def slot_of(slots, used, owner):
    place = np.int64(0)
    while place < used and slots[place, 0] != owner:
        place += 1
    return place if owner >= 0 and place < used else np.int64(-1)
