"""What the `successor` coding expects of an assignment map: one walk in raster order over its positions, for both directions.

Overlap is geometry. Where a satellite copies position by position from an owner, index in the owner's list and own position run in step: their
difference, the *shift*, stays the same within a row and from row to row, and falls by one where the owner has a local copy (its list
skips that). So the walk keeps one shift per owner and, for each position, whose list runs through it (its *track*, inherited from the left
and upper neighbours across single misses), and codes how far the truth is from that:

1. copy from another satellite? Context: fates around, own depth from the border, depth of the tracked source from its owner's border.
2. otherwise a local copy? Then: the representative of a neighbour, one used before, or any position.
3. for a remote copy: the owner of the left track, of the upper, one seen before, or a new one; the index that its shift foretells, or the
   distance from it; exact or not.

`margin` is the number of latent positions next to a patch border that usually match nobody (padding); encoders try several, send the best.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numba
import numpy as np

from codec.assignment import KEPT, LOCAL, REMOTE
from codec.binary_coder import CODER, OVERFLOW, code_bit, code_uniform

SLOTS = 64  # owners remembered
RECENT = 32  # representatives remembered
MARGINS = 6
PROFILES = 3  # priors for rounds without misses, with misses, with repeated content
MAX_AGE = 3  # positions that a track outlives its last remote copy

# Contexts, by what they are asked about
_FORWARD = 0  # does a local copy name a later position (checkerboard order)
_REMOTE = 1  # 3 depths x 4 states of the tracks x 144 neighbourhoods
_LOCAL = _REMOTE + 12 * 144
_EXACT = _LOCAL + 72
_OWNER = _EXACT + 3  # is it the first track's: 4 relations x 9 corners x 2 x 4 validities
_OTHER = _OWNER + 288  # is it the second track's: 2 ages x 9 corners
_SEEN = _OTHER + 18
_RANK = _SEEN + 2
_BELOW = _RANK + 4
_HIT = _BELOW + 1  # is it the foretold index: by kind of track
_DOWN = _HIT + 6
_LENGTH = _DOWN + 6  # 2 x 24
_HALF = _LENGTH + 48  # 2 x 24
_AT_ROW = _HALF + 48  # a new owner's row is its border's
_AT_COLUMN = _AT_ROW + 2
_SAME = _AT_COLUMN + 4  # local copy: candidate i of 6
_AGAIN = _SAME + 6
_AGE = _AGAIN + 1
CONTEXTS = _AGE + 48

_LEFT, _LEFT_AGED, _ABOVE, _ABOVE_AGED, _SHIFTED, _NEW = range(6)  # kinds of tracks


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
def _depth(position, height, width, margin):
    """Of a flat position: 0 in the margin (or outside), 1 next to it, 2 further in."""
    if position < 0 or position >= height * width:
        return 0
    row, column = position // width, position % width
    depth = min(min(row, column), min(height - 1 - row, width - 1 - column))
    return 0 if depth < margin else (1 if depth == margin else 2)


# ---------------------------------------------------------------- local copies

@numba.njit("void(int64[::1], int64, int64, int64, int64, uint8[::1], int32[::1])", cache=True, nogil=True)
def _local_candidates(candidates, p, width, total, forward, fate, source):
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
def _code_local(model, total, truth, candidates, recent):
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
def _remember(recent, value):
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
def _code_new_owner(model, slots, used, members, own, truth):
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
def _code_seen_owner(model, slots, used, truth):
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
def _code_start(model, p, height, width, margin, truth):
    """The first index of a new owner: a corner or edge of the overlap lies at the border of one of the two patches."""
    inner_row, inner_column = 1 if p // width > margin else 0, 1 if p % width > margin else 0
    row, column = min(margin, height - 1), min(margin, width - 1)
    if not code_bit(model, _AT_ROW + inner_row, 1 if truth // width == row else 0):
        row = code_uniform(model, truth // width, height)
    if not code_bit(model, _AT_COLUMN + 2 * inner_row + inner_column, 1 if truth % width == column else 0):
        column = code_uniform(model, truth % width, width)
    return row * width + column


@numba.njit(f"int64({CODER}, int64, int64, int64)", cache=True, nogil=True)
def _code_index(model, expected, kind, truth):
    """An index near the expected one."""
    if code_bit(model, _HIT + kind, 1 if truth == expected else 0):
        return expected
    down = code_bit(model, _DOWN + kind, 1 if truth < expected else 0)
    far = 24 if kind >= _ABOVE else 0
    distance = 1 + _code_number(model, _LENGTH + far, _HALF + far, abs(truth - expected) - 1)
    return expected - distance if down else expected + distance


@numba.njit("int64(int64[:, ::1], int64, int64)", cache=True, nogil=True)
def _to_front(slots, used, place):
    """Move slot `place` (== used for a new owner) to the front; returns how many are used now."""
    place = min(place, SLOTS - 1)
    moved = slots[place].copy()
    for other in range(place, 0, -1):
        slots[other] = slots[other - 1]
    slots[0] = moved
    return max(used, place + 1)


@numba.njit("int64(int64[:, ::1], int64, int64)", cache=True, nogil=True)
def _slot_of(slots, used, owner):
    place = np.int64(0)
    while place < used and slots[place, 0] != owner:
        place += 1
    return place if owner >= 0 and place < used else np.int64(-1)


# ---------------------------------------------------------------- the walk

@numba.njit("int64(int64[::1], int64, int64, int64, int64)", cache=True, nogil=True)
def _corner(tracks, at, inside, first, second):
    """Whose track runs through a corner: 0 the first's, 1 the second's, 2 another's or nobody's."""
    if not inside or tracks[at] < 0:
        return 2
    return 0 if tracks[at] == first else (1 if tracks[at] == second else 2)


@numba.njit(f"void({CODER}, uint8[::1], uint8[::1], int32[::1], int32[::1], int64, int64, int64, int64, int64)", cache=True, nogil=True)
def walk(model, fate, exact, owner, source, width, margin, members, own, forward):
    """Code a map: read from the four arrays when encoding, written to them when decoding (they come empty).

    fate, exact: uint8 [P]. owner: int32 [P], rank among the participants. source: int32 [P]. width: P = height * width. members: participants;
    own: this satellite's rank among them. forward: 1 where a local copy may name a later position. Sets OVERFLOW where bytes make no map.
    """
    total = len(fate)
    height = total // width
    tracks, ages = np.full(total, -1, np.int64), np.zeros(total, np.int64)
    slots, used = np.zeros((SLOTS, 3), np.int64), np.int64(0)  # owner, shift, shift of its last stray source
    recent, candidates = np.zeros(RECENT + 1, np.int64), np.zeros(6, np.int64)
    forward = code_bit(model, _FORWARD, forward)
    for p in range(total):
        row, column = p // width, p % width
        left = np.int64(fate[p - 1]) if column > 0 else np.int64(0)
        above = np.int64(fate[p - width]) if row > 0 else np.int64(0)
        upper_left = np.int64(fate[p - width - 1]) if row > 0 and column > 0 else np.int64(0)
        upper_right = np.int64(fate[p - width + 1]) if row > 0 and column + 1 < width else np.int64(0)
        before_left = column > 1 and fate[p - 2] == REMOTE
        before_above = row > 1 and fate[p - 2 * width] == REMOTE

        # tracks of the left and the upper neighbour; a fresh one goes before one that missed
        first = tracks[p - 1] if column > 0 and ages[p - 1] < MAX_AGE else np.int64(-1)
        second = tracks[p - width] if row > 0 and ages[p - width] < MAX_AGE else np.int64(-1)
        first_kind = _LEFT if first < 0 or ages[p - 1] == 0 else _LEFT_AGED
        second_kind = _ABOVE if second < 0 or ages[p - width] == 0 else _ABOVE_AGED
        if second >= 0 and (first < 0 or (first_kind == _LEFT_AGED and second_kind == _ABOVE)):
            first, second, first_kind, second_kind = second, first, second_kind, first_kind
        first_slot, second_slot = _slot_of(slots, used, first), _slot_of(slots, used, second)
        first_fits = first_slot >= 0 and _depth(p + slots[first_slot, 1], height, width, margin) > 0
        second_fits = second_slot >= 0 and _depth(p + slots[second_slot, 1], height, width, margin) > 0

        # 1. a remote copy?
        state = 0 if first_slot < 0 else (2 if first_fits else (3 if second_fits else 1))
        around = ((left * 3 + above) * 2 + (upper_left == REMOTE)) * 2 + (upper_right == REMOTE)
        around = (around * 2 + before_left) * 2 + before_above
        context = _REMOTE + (_depth(p, height, width, margin) * 4 + state) * 144 + around
        if members < 2 or not code_bit(model, context, 1 if fate[p] == REMOTE else 0):
            # 2. a local copy?
            context = ((left * 3 + above) * 2 + (upper_left == LOCAL)) * 2 + (upper_right == LOCAL)
            if code_bit(model, _LOCAL + context * 2 + (state == 2), 1 if fate[p] == LOCAL else 0):
                fate[p] = LOCAL
                _local_candidates(candidates, p, width, total, forward, fate, source)
                source[p] = _code_local(model, total, source[p], candidates, recent)
                _remember(recent, source[p])
                if first_slot >= 0 and first_fits:
                    slots[first_slot, 1] -= 1
            else:
                fate[p], source[p] = KEPT, -1
            if first_slot >= 0:
                tracks[p] = first
                ages[p] = 1 + (ages[p - 1] if first_kind <= _LEFT_AGED else ages[p - width])
            continue

        # 3. whose, which, exact?
        place, kind = np.int64(-1), np.int64(_SHIFTED)
        corner = _corner(tracks, p - width - 1, row > 0 and column > 0, first, second) * 3
        corner += _corner(tracks, p - width + 1, row > 0 and column + 1 < width, first, second)
        if first_slot >= 0:
            relation = 0 if second_slot < 0 else (1 if first == second else (2 if second_kind == _ABOVE else 3))
            context = (relation * 9 + corner) * 2 + (column > 1 and tracks[p - 2] == first)
            if code_bit(model, _OWNER + context * 4 + first_fits * 2 + second_fits, 1 if owner[p] == first else 0):
                place, kind = first_slot, first_kind
        if place < 0 and second_slot >= 0 and second != first:
            context = corner * 2 + (1 if second_kind == _ABOVE_AGED or second_kind == _LEFT_AGED else 0)
            if code_bit(model, _OTHER + context, 1 if owner[p] == second else 0):
                place, kind = second_slot, second_kind
        if place < 0:
            place = _code_seen_owner(model, slots, used, owner[p])
        fresh = place == used
        if fresh:
            newcomer = _code_new_owner(model, slots, used, members, own, owner[p])
            if newcomer < 0:
                model[0][OVERFLOW] = 1
                return
            place = min(used, SLOTS - 1)
            slots[place, 0] = newcomer
            index = _code_start(model, p, height, width, margin, source[p])
            slots[place, 1], slots[place, 2] = index - p, index - p
        used = _to_front(slots, used, place)
        if not fresh:
            expected = min(max(p + slots[0, 1], 0), total - 1)
            index = _code_index(model, expected, kind, source[p])
            drop = expected - index
            if -2 <= drop <= (2 if kind <= _LEFT_AGED else width) or index - p == slots[0, 2]:
                slots[0, 1] = index - p
            else:  # the owner has a local copy here, of a position elsewhere
                slots[0, 1] -= 1
                slots[0, 2] = index - p
        if index < 0 or index >= total:
            model[0][OVERFLOW] = 1
            return
        fate[p], owner[p], source[p] = REMOTE, slots[0, 0], index
        doubts = (left == REMOTE and not exact[p - 1]) + (above == REMOTE and not exact[p - width])
        exact[p] = code_bit(model, _EXACT + doubts, exact[p])
        tracks[p] = slots[0, 0]


@functools.cache
def _priors() -> np.ndarray:
    """Chances and worth per profile, int32 [PROFILES, 2, CONTEXTS] (benchmarks/map_priors.py made them)."""
    return np.load(Path(__file__).with_name("map_priors.npy"), allow_pickle=False).astype(np.int32)


def fresh_contexts(profile: int) -> tuple[np.ndarray, np.ndarray]:
    """Chances of a one and their worth before the first position, int32 [CONTEXTS] each."""
    chances, worth = _priors()[profile]
    return chances.copy(), worth.copy()
