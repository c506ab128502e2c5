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
from codec.binary_coder import CODER, OVERFLOW, code_bit
from codec.mapsymbols import (ABOVE, ABOVE_AGED, CONTEXTS, IS_EXACT, IS_FIRST, IS_FORWARD, IS_LOCAL, IS_REMOTE, IS_SECOND, LEFT, LEFT_AGED,
                              RECENT, SHIFTED, SLOTS, code_index, code_local, code_new_owner, code_seen_owner, code_start, depth,
                              local_candidates, remember, slot_of, to_front)

MARGINS = 6
PROFILES = 3  # priors for rounds without misses, with misses, with repeated content
MAX_AGE = 3  # positions that a track outlives its last remote copy


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
    forward = code_bit(model, IS_FORWARD, forward)
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
        first_kind = LEFT if first < 0 or ages[p - 1] == 0 else LEFT_AGED
        second_kind = ABOVE if second < 0 or ages[p - width] == 0 else ABOVE_AGED
        if second >= 0 and (first < 0 or (first_kind == LEFT_AGED and second_kind == ABOVE)):
            first, second, first_kind, second_kind = second, first, second_kind, first_kind
        first_slot, second_slot = slot_of(slots, used, first), slot_of(slots, used, second)
        first_fits = first_slot >= 0 and depth(p + slots[first_slot, 1], height, width, margin) > 0
        second_fits = second_slot >= 0 and depth(p + slots[second_slot, 1], height, width, margin) > 0

        # 1. a remote copy?
        state = 0 if first_slot < 0 else (2 if first_fits else (3 if second_fits else 1))
        around = ((left * 3 + above) * 2 + (upper_left == REMOTE)) * 2 + (upper_right == REMOTE)
        around = (around * 2 + before_left) * 2 + before_above
        context = IS_REMOTE + (depth(p, height, width, margin) * 4 + state) * 144 + around
        if members < 2 or not code_bit(model, context, 1 if fate[p] == REMOTE else 0):
            # 2. a local copy?
            context = ((left * 3 + above) * 2 + (upper_left == LOCAL)) * 2 + (upper_right == LOCAL)
            if code_bit(model, IS_LOCAL + context * 2 + (state == 2), 1 if fate[p] == LOCAL else 0):
                fate[p] = LOCAL
                local_candidates(candidates, p, width, total, forward, fate, source)
                source[p] = code_local(model, total, source[p], candidates, recent)
                remember(recent, source[p])
                if first_slot >= 0 and first_fits:
                    slots[first_slot, 1] -= 1
            else:
                fate[p], source[p] = KEPT, -1
            if first_slot >= 0:
                tracks[p] = first
                ages[p] = 1 + (ages[p - 1] if first_kind <= LEFT_AGED else ages[p - width])
            continue

        # 3. whose, which, exact?
        place, kind = np.int64(-1), np.int64(SHIFTED)
        corner = _corner(tracks, p - width - 1, row > 0 and column > 0, first, second) * 3
        corner += _corner(tracks, p - width + 1, row > 0 and column + 1 < width, first, second)
        if first_slot >= 0:
            relation = 0 if second_slot < 0 else (1 if first == second else (2 if second_kind == ABOVE else 3))
            context = (relation * 9 + corner) * 2 + (column > 1 and tracks[p - 2] == first)
            if code_bit(model, IS_FIRST + context * 4 + first_fits * 2 + second_fits, 1 if owner[p] == first else 0):
                place, kind = first_slot, first_kind
        if place < 0 and second_slot >= 0 and second != first:
            context = corner * 2 + (1 if second_kind == ABOVE_AGED or second_kind == LEFT_AGED else 0)
            if code_bit(model, IS_SECOND + context, 1 if owner[p] == second else 0):
                place, kind = second_slot, second_kind
        if place < 0:
            place = code_seen_owner(model, slots, used, owner[p])
        fresh = place == used
        if fresh:
            newcomer = code_new_owner(model, slots, used, members, own, owner[p])
            if newcomer < 0:
                model[0][OVERFLOW] = 1
                return
            place = min(used, SLOTS - 1)
            slots[place, 0] = newcomer
            index = code_start(model, p, height, width, margin, source[p])
            slots[place, 1], slots[place, 2] = index - p, index - p
        used = to_front(slots, used, place)
        if not fresh:
            expected = min(max(p + slots[0, 1], 0), total - 1)
            index = code_index(model, expected, kind, source[p])
            drop = expected - index
            if -2 <= drop <= (2 if kind <= LEFT_AGED else width) or index - p == slots[0, 2]:
                slots[0, 1] = index - p
            else:  # the owner has a local copy here, of a position elsewhere
                slots[0, 1] -= 1
                slots[0, 2] = index - p
        if index < 0 or index >= total:
            model[0][OVERFLOW] = 1
            return
        fate[p], owner[p], source[p] = REMOTE, slots[0, 0], index
        doubts = (left == REMOTE and not exact[p - 1]) + (above == REMOTE and not exact[p - width])
        exact[p] = code_bit(model, IS_EXACT + doubts, exact[p])
        tracks[p] = slots[0, 0]


@functools.cache
def _priors() -> np.ndarray:
    """Chances and worth per profile, int32 [PROFILES, 2, CONTEXTS] (benchmarks/map_priors.py made them)."""
    return np.load(Path(__file__).with_name("map_priors.npy"), allow_pickle=False).astype(np.int32)


def fresh_contexts(profile: int) -> tuple[np.ndarray, np.ndarray]:
    """Chances of a one and their worth before the first position, int32 [CONTEXTS] each."""
    chances, worth = _priors()[profile]
    return chances.copy(), worth.copy()
