"""What the `successor` coding expects of an assignment map: one walk in raster order over its positions, for
both directions.

Overlap is geometry: two patches share a rectangle, and within it a satellite copies position by position from
the owner. From the first index of an owner follow the place of its patch and the indexes of all other copies,
up to what borders and misses do. For each position:

1. a local copy? (context: are the neighbours) Then: the representative of a neighbour, one used before, or
   any position.
2. a remote copy? Context: the neighbours' fates, and how deep the position lies below the borders of both
   patches, for the best of the owners seen so far: the outer positions see padding, and match rarely.
3. of whom? The owners seen so far whose patches cover the position, in the order of their inferred priority:
   the first that is deep enough, or whom the neighbours copy. Else one seen elsewhere, or a new one.
4. which entry? The owner's shift foretells it; a new owner's first index is coded as a row and a column.
5. exact? After a word for the whole map (all, none, some), by depth and neighbours.

Nothing but this map and the participants is needed, so partial views decode. Maps are small (256 positions at
256 px), so what is expected before the first position matters: *profiles* are priors of all contexts, fitted
to kinds of rounds (benchmarks/priors/map_priors.py); the encoder asks what each would cost and says which it
took.
"""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE
from codec.maps.binary_coder import CODER, DECODE, MODE, OVERFLOW, code_bit, fitted_contexts
from codec.maps.symbols import (
    DEEP,
    IS_EXACT,
    IS_FORWARD,
    IS_LOCAL,
    IS_REMOTE,
    OWNER_FIELDS,
    REMEMBERED,
    SHIFT,
    code_exactness,
    code_index,
    code_known_owner,
    code_new_owner,
    code_representative,
    depth_in,
    exactness,
    rank_owner,
)

PROFILES = 6


@numba.njit("int64(uint8[::1], int64, int64, int64)", cache=True, nogil=True)
def _local_context(fate, p, width, locals_seen):
    left = 1 if p % width > 0 and fate[p - 1] == LOCAL else 0
    above = 1 if p >= width and fate[p - width] == LOCAL else 0
    right = 1 if p >= width and p % width + 1 < width and fate[p - width + 1] == LOCAL else 0
    so_far = 0 if locals_seen == 0 else (1 if 16 * locals_seen < p else 2)
    return IS_LOCAL + (left * 4 + above * 2 + right) * 3 + so_far


@numba.njit("int64(uint8[::1], int64, int64, int64, int64)", cache=True, nogil=True)
def _remote_context(shared, p, height, width, deepest):
    """shared: 1 where a position is kept, 2 where it is remote, and as its neighbour where it is a local
    copy. deepest: over the owners seen."""
    row, column = p // width, p % width
    left = np.int64(shared[p - 1]) if column > 0 else np.int64(0)
    above = np.int64(shared[p - width]) if row > 0 else np.int64(0)
    right = np.int64(1) if row > 0 and column + 1 < width and shared[p - width + 1] == 2 else np.int64(0)
    own = min(row, height - 1 - row, column, width - 1 - column)
    place = 4 + min(deepest, DEEP) if deepest >= 0 else min(own, 3)
    return IS_REMOTE + ((place * 3 + left) * 3 + above) * 2 + right


@numba.njit(
    f"int64({CODER}, uint8[::1], int32[::1], int64[::1], int64[::1], int64, int64, int64, int64)",
    cache=True,
    nogil=True,
)
def _code_owner(model, fate, owner, ranking, depths, p, width, members, own):
    row, column = p // width, p % width
    left = np.int64(owner[p - 1]) if column > 0 and fate[p - 1] == REMOTE else np.int64(-1)
    above = np.int64(owner[p - width]) if row > 0 and fate[p - width] == REMOTE else np.int64(-1)
    right = np.int64(-1)
    if row > 0 and column + 1 < width and fate[p - width + 1] == REMOTE:
        right = np.int64(owner[p - width + 1])
    who = code_known_owner(model, ranking, depths, left, above, right, owner[p])
    return who if who >= 0 else code_new_owner(model, ranking, members, own, owner[p])


@numba.njit("int64(uint8[::1], uint8[::1], int64, int64, int64)", cache=True, nogil=True)
def _exact_context(fate, exact, p, width, depth):
    doubts = 0
    if p % width > 0 and fate[p - 1] == REMOTE and not exact[p - 1]:
        doubts += 1
    if p >= width and fate[p - width] == REMOTE and not exact[p - width]:
        doubts += 1
    return IS_EXACT + (min(depth, DEEP - 1) + 1) * 3 + doubts


@numba.njit(
    f"void({CODER}, uint8[::1], uint8[::1], int32[::1], int32[::1], int64, int64, int64, int64)",
    cache=True,
    nogil=True,
)
def walk(model, fate, exact, owner, source, width, members, own, forward):
    """Code a map: read from the four arrays when encoding, written to them when decoding (they come empty).

    fate, exact: uint8 [P]. owner: int32 [P], rank among the participants. source: int32 [P]. width: P =
    height * width. members: participants; own: this satellite's rank among them. forward: 1 where a local
    copy may name a later position. Sets OVERFLOW where bytes make no map."""
    total = len(fate)
    height = total // width
    owners = np.zeros((members, OWNER_FIELDS), np.int64)
    ranking, depths, recent = (
        np.full(REMEMBERED, -1, np.int64),
        np.full(REMEMBERED, -1, np.int64),
        np.full(REMEMBERED, -1, np.int64),
    )
    shared = np.zeros(total, np.uint8)
    locals_seen, last, all_exact = (
        np.int64(0),
        np.int64(-1),
        np.int64(-1),
    )  # last: whom the latest remote copy of this row is of
    forward = code_bit(model, IS_FORWARD, forward)
    for p in range(total):
        row, column = p // width, p % width
        last = last if column > 0 else np.int64(-1)
        if code_bit(model, _local_context(fate, p, width, locals_seen), 1 if fate[p] == LOCAL else 0):
            fate[p] = LOCAL
            locals_seen += 1
            if last >= 0 and depth_in(owners, last, row, column, height, width) >= 0:
                owners[last, SHIFT] -= 1  # what repeats here repeats there
            shared[p] = shared[p - 1] if column > 0 else (shared[p - width] if row > 0 else 1)
            source[p] = code_representative(model, fate, source, recent, p, height, width, forward, source[p])
            continue
        deepest = np.int64(-1)
        for i in range(REMEMBERED):
            if ranking[i] < 0:
                break
            depths[i] = depth_in(owners, ranking[i], row, column, height, width)
            deepest = max(deepest, depths[i])
        remote = np.int64(0)
        if members > 1:
            remote = code_bit(
                model, _remote_context(shared, p, height, width, deepest), 1 if fate[p] == REMOTE else 0
            )
        shared[p] = 1 + remote
        if not remote:
            fate[p], source[p] = KEPT, -1
            continue
        who = _code_owner(model, fate, owner, ranking, depths, p, width, members, own)
        index = np.int64(-1)
        if who >= 0:
            index = code_index(
                model,
                owners,
                who,
                1 if column > 0 and fate[p - 1] == REMOTE and owner[p - 1] == who else 0,
                p,
                height,
                width,
                source[p],
            )
        if index < 0 or index >= total:
            model[0][OVERFLOW] = 1
            return
        if all_exact < 0:
            all_exact = code_exactness(
                model, np.int64(0) if model[0][MODE] == DECODE else exactness(fate, exact)
            )
        fate[p], owner[p], source[p], last = REMOTE, who, index, who
        rank_owner(ranking, depths, who)
        if all_exact < 2:
            exact[p] = all_exact
        else:
            exact[p] = code_bit(
                model,
                _exact_context(fate, exact, p, width, depth_in(owners, who, row, column, height, width)),
                exact[p],
            )


def fresh_contexts(profile: int) -> tuple[np.ndarray, np.ndarray]:
    """`fitted_contexts` of a profile: int32 [CONTEXTS] each (benchmarks/priors/map_priors.py made them)."""
    return fitted_contexts(Path(__file__).with_name("statistics.npy"), profile)
