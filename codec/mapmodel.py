"""What the `successor` coding expects of an assignment map: one walk in raster order over its positions, for both directions.

Overlap is geometry. Where a satellite copies from an owner, its neighbours copy from the owner's neighbouring vectors, up to the border of the
overlap; so for each position the walk follows the *track* of its left neighbour (same owner, next index) or of its upper one (same owner, one
row on), and codes how far the truth is from it:

1. copy from another satellite? Context: fates around, own depth from the border, depth of the tracked source from the owner's border.
2. otherwise a local copy? Then: the representative of a neighbour, one used before, or any position.
3. for a remote copy: the track's owner or another (one seen before, or new), the tracked index or a distance from it, exact or not.

`margin` is the number of latent positions next to a patch border that usually match nobody (padding); the encoder tries all and sends the best.
"""

from __future__ import annotations

import numba
import numpy as np

from codec.assignment import KEPT, LOCAL, REMOTE
from codec.binary_coder import FLOOR, ONE, code_bit, code_uniform

SLOTS = 64  # owners remembered
RECENT = 32  # representatives remembered
MARGINS = 8

_REMOTE = 0  # contexts: 9 depth classes x 144 neighbourhoods
_LOCAL = _REMOTE + 9 * 144
_EXACT = _LOCAL + 72
_OWNER = _EXACT + 3  # is it the first track's owner (4), the second's (4)
_SEEN = _OWNER + 8
_RANK = _SEEN + 1
_BELOW = _RANK + 4
_HIT = _BELOW + 1  # by kind of track
_SIGN = _HIT + 8
_LENGTH = _SIGN + 8  # 2 x 24
_HALF = _LENGTH + 48  # 2 x 24
_AT_ROW = _HALF + 48  # new owner: does its list start at its own border?
_AT_COLUMN = _AT_ROW + 2
_SAME = _AT_COLUMN + 4  # local: candidate i of 6
_AGAIN = _SAME + 6
_AGE = _AGAIN + 1
_FORWARD = _AGE + 24  # local copies of later positions (checkerboard order)
CONTEXTS = _FORWARD + 1


@numba.njit("int64(int64[::1], uint8[::1], int32[::1], int32[::1], int64, int64, int64)", cache=True, nogil=True)
def _code_number(coder, buffer, chances, counts, lengths, halves, value):
    """A number >= 0: its bit length adaptively in unary, the next bit adaptively, the rest raw (Elias gamma of value + 1)."""
    value += 1
    length = 0
    while length < 23:
        more = 1 if (value >> (length + 1)) > 0 else 0
        if not code_bit(coder, buffer, chances, counts, lengths + length, more):
            break
        length += 1
    result = np.int64(1)
    for bit in range(length - 1, -1, -1):
        given = (value >> bit) & 1
        if bit == length - 1:
            given = code_bit(coder, buffer, chances, counts, halves + length, given)
        else:
            given = code_uniform(coder, buffer, given, 2)
        result = 2 * result + given
    return result - 1


@numba.njit("int64(int64, int64, int64, int64)", cache=True, nogil=True)
def _depth_class(position, height, width, margin):
    row, column = position // width, position % width
    depth = min(min(row, column), min(height - 1 - row, width - 1 - column))
    return 0 if depth < margin else (1 if depth == margin else 2)


@numba.njit("int64(int64[::1], uint8[::1], int32[::1], int32[::1], int64, int64, int64, int64, int64[::1], int64[::1])", cache=True, nogil=True)
def _code_local(coder, buffer, chances, counts, position, width, total, truth, candidates, recent):
    """The representative of a local copy. candidates: int64 [6], -1 where there is none. recent: [0] count, then most recent first."""
    found = np.int64(-1)
    for i in range(6):
        candidate = candidates[i]
        fresh = candidate >= 0
        for j in range(i):
            fresh = fresh and candidates[j] != candidate
        if fresh and code_bit(coder, buffer, chances, counts, _SAME + i, 1 if truth == candidate else 0):
            found = candidate
            break
    known = recent[0]
    place = known
    if found < 0:
        for j in range(known):
            if recent[1 + j] == truth:
                place = j
                break
        again = np.int64(0)
        if known > 0:
            again = code_bit(coder, buffer, chances, counts, _AGAIN, 1 if place < known else 0)
        if again:
            place = min(_code_number(coder, buffer, chances, counts, _AGE, _AGE + 12, place), known - 1)
            found = recent[1 + place]
        else:
            found = code_uniform(coder, buffer, truth, total)
    place = known
    for j in range(known):
        if recent[1 + j] == found:
            place = j
            break
    if place == known:
        place = min(known, RECENT - 1)
        recent[0] = min(known + 1, RECENT)
    for j in range(place, 0, -1):
        recent[1 + j] = recent[j]
    recent[1] = found
    return found


@numba.njit("int64(int64[::1], uint8[::1], int32[::1], int32[::1], int64, int64, int64, int64, int64, int64)", cache=True, nogil=True)
def _code_start(coder, buffer, chances, counts, position, height, width, margin, kind, truth):
    """The first index of an owner not seen before: a corner or an edge of the overlap is at one of the two patches' borders."""
    inner_row = 1 if position // width > margin else 0
    inner_column = 1 if position % width > margin else 0
    row, column = min(margin, height - 1), min(margin, width - 1)
    if not code_bit(coder, buffer, chances, counts, _AT_ROW + inner_row, 1 if truth // width == row else 0):
        row = code_uniform(coder, buffer, truth // width, height)
    if not code_bit(coder, buffer, chances, counts, _AT_COLUMN + 2 * inner_row + inner_column, 1 if truth % width == column else 0):
        column = code_uniform(coder, buffer, truth % width, width)
    return row * width + column


@numba.njit("void(int64[::1], uint8[::1], int32[::1], int32[::1], uint8[::1], uint8[::1], int32[::1], int32[::1], int64, int64, int64, int64, int64)",
            cache=True, nogil=True)
def walk(coder, buffer, chances, counts, fate, exact, owner, source, width, margin, members, own, forward):
    """Code a map: read from the four arrays when encoding, written to them when decoding (they come zeroed).

    fate, exact: uint8 [P]. owner: int32 [P], rank among the participants. source: int32 [P]. width: P = height * width. members: participants;
    own: this satellite's rank among them. forward: 1 where a local copy may name a later position. chances, counts: int32 [CONTEXTS], consumed.
    """
    total = len(fate)
    height = total // width
    track_owner = np.full(total, -1, np.int64)  # whose list runs through this position, and
    track_index = np.zeros(total, np.int64)  # its index here
    track_step = np.zeros(total, np.int64)  # 1 where the position took an entry of that list
    track_age = np.zeros(total, np.int64)  # positions since the last remote copy
    slot_owner = np.full(SLOTS, -1, np.int64)  # most recent first
    slot_shift = np.zeros(SLOTS, np.int64)  # last index - position
    slot_stride = np.zeros(SLOTS, np.int64)  # last index - index above
    forward = code_bit(coder, buffer, chances, counts, _FORWARD, forward)
    slots = 0
    recent = np.zeros(RECENT + 1, np.int64)
    candidates = np.zeros(6, np.int64)
    for p in range(total):
        row, column = p // width, p % width
        left = p - 1 if column > 0 else -1
        above = p - width if row > 0 else -1
        f_left = np.int64(fate[left]) if left >= 0 else np.int64(0)
        f_above = np.int64(fate[above]) if above >= 0 else np.int64(0)
        f_nw = np.int64(fate[above - 1]) if left >= 0 and above >= 0 else np.int64(0)
        f_ne = np.int64(fate[above + 1]) if above >= 0 and column + 1 < width else np.int64(0)
        f_ll = np.int64(fate[left - 1]) if column > 1 else np.int64(0)
        f_aa = np.int64(fate[above - width]) if row > 1 else np.int64(0)

        # tracks: first the left neighbour's, then the upper's
        first, first_index, first_kind = np.int64(-1), np.int64(0), np.int64(0)
        second, second_index, second_kind = np.int64(-1), np.int64(0), np.int64(0)
        if left >= 0 and track_owner[left] >= 0:
            first = track_owner[left]
            first_index = track_index[left] + track_step[left]
            first_kind = 0 if track_age[left] == 0 else (1 if f_left == LOCAL else 2)
        if above >= 0 and track_owner[above] >= 0:
            second = track_owner[above]
            stride = width
            for slot in range(slots):
                if slot_owner[slot] == second and slot_stride[slot] > 0:
                    stride = slot_stride[slot]
            second_index = track_index[above] + stride
            second_kind = 3 if track_age[above] == 0 else 4
        if second >= 0 and (first < 0 or (first_kind == 2 and second_kind == 3 and second != first)):
            first, second = second, first
            first_index, second_index = second_index, first_index
            first_kind, second_kind = second_kind, first_kind

        # 1. remote?
        tracked = np.int64(0)
        if first >= 0:
            tracked = 1
            if 0 <= first_index < total and _depth_class(first_index, height, width, margin) > 0:
                tracked = 2
        around = ((f_left * 3 + f_above) * 2 + (f_nw == REMOTE)) * 2 + (f_ne == REMOTE)
        around = (around * 2 + (f_ll == REMOTE)) * 2 + (f_aa == REMOTE)
        context = _REMOTE + (_depth_class(p, height, width, margin) * 3 + tracked) * 144 + around
        remote = np.int64(0)
        if members > 1:
            remote = code_bit(coder, buffer, chances, counts, context, 1 if fate[p] == REMOTE else 0)

        if not remote:
            context = _LOCAL + (((f_left * 3 + f_above) * 2 + (f_nw == LOCAL)) * 2 + (f_ne == LOCAL)) * 2 + (tracked == 2)
            if code_bit(coder, buffer, chances, counts, context, 1 if fate[p] == LOCAL else 0):
                fate[p] = LOCAL
                candidates[:] = -1
                for i in range(4):
                    near = left if i == 0 else (above if i == 1 else -1)
                    if i == 2 and above >= 0 and column + 1 < width:
                        near = above + 1
                    if i == 3 and above >= 0 and left >= 0:
                        near = above - 1
                    if near >= 0:
                        candidates[i] = source[near] if fate[near] == LOCAL else near
                if forward:
                    candidates[4] = p + 1 if column + 1 < width else -1
                    candidates[5] = p + width if row + 1 < height else -1
                source[p] = _code_local(coder, buffer, chances, counts, p, width, total, source[p], candidates, recent)
            else:
                fate[p] = KEPT
                source[p] = -1
            owner[p] = -1
            if first >= 0 and first_kind < 3:
                age = track_age[left] + 1
                if fate[p] == LOCAL or age <= 3:
                    track_owner[p], track_index[p], track_age[p] = first, first_index, age
                    track_step[p] = 0 if fate[p] == LOCAL else 1
            elif first >= 0 and track_age[above] < 2:
                track_owner[p], track_index[p], track_age[p] = first, first_index, track_age[above] + 1
                track_step[p] = 0 if fate[p] == LOCAL else 1
            continue

        # 2. the owner, and the index its track expects
        fate[p] = REMOTE
        who, expected, kind = np.int64(-1), np.int64(-1), np.int64(5)
        if first >= 0:
            relation = 3 if first_kind == 2 or first_kind == 4 else (0 if second < 0 else (1 if first == second else 2))
            if code_bit(coder, buffer, chances, counts, _OWNER + relation, 1 if owner[p] == first else 0):
                who, expected, kind = first, first_index, first_kind
                if first == second and first_kind == 2 and second_kind == 3:
                    expected, kind = second_index, second_kind
        if who < 0 and second >= 0 and second != first:
            if code_bit(coder, buffer, chances, counts, _OWNER + 4 + (second_kind == 4), 1 if owner[p] == second else 0):
                who, expected, kind = second, second_index, second_kind
        if who < 0 and slots > 0:
            place = slots
            for slot in range(slots):
                if slot_owner[slot] == owner[p]:
                    place = slot
            if code_bit(coder, buffer, chances, counts, _SEEN, 1 if place < slots else 0):
                place_coded = np.int64(0)
                while place_coded < slots - 1:
                    if not code_bit(coder, buffer, chances, counts, _RANK + min(place_coded, 3), 1 if place > place_coded else 0):
                        break
                    place_coded += 1
                who = slot_owner[place_coded]
                expected = slot_shift[place_coded] + p
        if who < 0:
            below = np.int64(0)
            if own > 0:
                below = 1
                if own < members - 1:
                    below = code_bit(coder, buffer, chances, counts, _BELOW, 1 if owner[p] < own else 0)
            if below:
                who = code_uniform(coder, buffer, owner[p], own)
            else:
                who = own + 1 + code_uniform(coder, buffer, owner[p] - own - 1, members - 1 - own)
        slot = np.int64(0)
        while slot < slots and slot_owner[slot] != who:
            slot += 1
        fresh = slot == slots
        if fresh:
            slots = min(slots + 1, SLOTS)
            slot = slots - 1
            slot_stride[slot] = 0
        stride_of, shift_of = slot_stride[slot], slot_shift[slot]
        for other in range(slot, 0, -1):
            slot_owner[other], slot_shift[other], slot_stride[other] = slot_owner[other - 1], slot_shift[other - 1], slot_stride[other - 1]
        slot_owner[0], slot_shift[0], slot_stride[0] = who, shift_of, stride_of

        # 3. the index
        outlier = False
        if expected < 0 and fresh:
            index = _code_start(coder, buffer, chances, counts, p, height, width, margin, kind, source[p])
        else:
            expected = min(max(expected, 0), total - 1)
            index = expected
            if not code_bit(coder, buffer, chances, counts, _HIT + kind, 1 if source[p] == expected else 0):
                distance = source[p] - expected
                up = code_bit(coder, buffer, chances, counts, _SIGN + kind, 1 if distance > 0 else 0)
                far = 1 if kind >= 3 else 0
                distance = 1 + _code_number(coder, buffer, chances, counts, _LENGTH + 24 * far, _HALF + 24 * far, abs(distance) - 1)
                index = expected + distance if up else expected - distance
                outlier = distance > width // 2 and kind < 5
        if index < 0 or index >= total:
            coder[6] = 1
            return
        owner[p] = who
        source[p] = index
        agree = 0
        if left >= 0 and f_left == REMOTE and not exact[left]:
            agree += 1
        if above >= 0 and f_above == REMOTE and not exact[above]:
            agree += 1
        exact[p] = code_bit(coder, buffer, chances, counts, _EXACT + agree, exact[p])
        track_owner[p] = who
        if outlier:
            track_index[p], track_step[p] = expected, 0
        else:
            track_index[p], track_step[p] = index, 1
            slot_shift[0] = index - p
            if above >= 0 and track_owner[above] == who and 0 < index - track_index[above] <= width:
                slot_stride[0] = index - track_index[above]


def fresh_contexts() -> tuple[np.ndarray, np.ndarray]:
    """Chances and counts before the first position, int32 [CONTEXTS] each."""
    chances = np.full(CONTEXTS, ONE // 2, np.int32)
    counts = np.zeros(CONTEXTS, np.int32)

    def put(start: int, values: list[float], worth: int) -> None:
        for at, value in enumerate(values):
            chances[start + at] = min(max(int(value * ONE), FLOOR), ONE - FLOOR)
            counts[start + at] = worth

    for depth in range(3):
        for tracked in range(3):
            for around in range(144):
                left, above, rest = around // 48, around // 16 % 3, bin(around % 16).count("1")
                votes = 2.0 * (left == REMOTE) + 2.0 * (above == REMOTE) + 0.5 * rest + 1.0 * (tracked == 2) + 0.5 * (depth == 2)
                value = (0.02 if votes < 2 else (0.4 if votes < 4 else 0.96)) * (0.2 if depth == 0 or (tracked == 1 and votes < 4) else 1)
                put(_REMOTE + (depth * 3 + tracked) * 144 + around, [value], 4)
    put(_LOCAL, [0.02] * 72, 4)
    put(_EXACT, [0.99, 0.9, 0.8], 8)
    put(_OWNER, [0.97, 0.97, 0.9, 0.8, 0.6, 0.4, 0.5, 0.5], 6)
    put(_SEEN, [0.3], 3)
    put(_BELOW, [0.9], 3)
    put(_HIT, [0.97, 0.9, 0.85, 0.8, 0.6, 0.6, 0.5, 0.5], 6)
    put(_SIGN, [0.5] * 3 + [0.2] * 3, 3)
    put(_LENGTH, ([0.4] * 6 + [0.8] * 18) * 2, 3)
    put(_AT_ROW, [0.1, 0.8], 3)
    put(_AT_COLUMN, [0.1, 0.4, 0.4, 0.8], 3)
    put(_SAME, [0.4, 0.4, 0.2, 0.2, 0.2, 0.2], 3)
    put(_AGAIN, [0.6], 3)
    put(_FORWARD, [0.1], 3)
    put(_AGE, [0.5] * 12 + [0.5] * 12, 2)
    return chances, counts
