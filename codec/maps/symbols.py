"""The symbols of an assignment map under the `successor` coding, each coded adaptively; codec/maps/model.py
says when.

A row of `owners` holds what the walk knows about one owner: where its patch lies (the shift of rows and
columns, from the first index: index // W and index % W), and its *shift* of indexes, index - own position,
which stays the same from copy to copy and falls by one for every local copy of the owner's, since its list
skips those."""

from __future__ import annotations

import numba
import numpy as np

from codec.maps.assignment import LOCAL, REMOTE
from codec.maps.binary_coder import CODER, code_bit, code_uniform

REMEMBERED = 16  # owners ranked, and representatives remembered
DEEP = 6  # positions deeper than this below a border are alike
FEW = 6  # rows and columns next to a border that are told apart where a new owner's place is coded
SEEN, LAST_ROW, SHIFT, STRAY, MISSED, ROW_SHIFT, COLUMN_SHIFT = range(7)  # fields of an owner
OWNER_FIELDS = 7
FAR, ABOVE, BESIDE = range(3)  # where the last copy from the same owner was

# Contexts: first index of each group
IS_FORWARD = 0  # does a local copy name a later position (checkerboard order)
IS_LOCAL = 1  # 8 of left, above, above right x none, few, many so far
IS_REMOTE = IS_LOCAL + 24  # 11 depths x 3 of left x 3 of above x 2 of above right
IS_OWNER = IS_REMOTE + 198  # first or later candidate x 7 depths x 3 of left x 3 of above x 2 of above right
IS_BELOW = IS_OWNER + 252  # a new owner's rank is below the own
IS_HIT = IS_BELOW + 1  # 3 kinds x has this owner missed before
IS_DOWN = IS_HIT + 6  # 3 kinds
IS_LONGER = IS_DOWN + 3  # 3 kinds x 24 bit lengths
AT_ROW = IS_LONGER + 72  # FEW own rows x FEW rows of the owner
AT_COLUMN = AT_ROW + FEW * FEW
ARE_EXACT = AT_COLUMN + FEW * FEW  # all copies of the map; any
IS_EXACT = ARE_EXACT + 2  # 7 depths x 3 inexact neighbours
IS_SAME = (
    IS_EXACT + 21
)  # representative of the left, of the upper (after the left or alone), then those remembered
CONTEXTS = IS_SAME + 3 + REMEMBERED


@numba.njit("int64(int64[:, ::1], int64, int64, int64, int64, int64)", cache=True, nogil=True)
def depth_in(owners, who, row, column, height, width):
    """Positions between (row, column) and the nearest border, the own or the owner's; -1 outside the owner's
    patch."""
    own = min(row, height - 1 - row, column, width - 1 - column)
    row += owners[who, ROW_SHIFT]
    column += owners[who, COLUMN_SHIFT]
    return max(min(own, row, height - 1 - row, column, width - 1 - column), -1)


# ---------------------------------------------------------------- whose


@numba.njit("void(int64[::1], int64[::1], int64)", cache=True, nogil=True)
def rank_owner(ranking, depths, who):
    """Keep the order in which owners are tried: by id at first; one that wins where a better ranked lies deep
    as well moves before that.

    ranking: int64 [REMEMBERED], -1 behind the last. depths: of the ranked owners at this position.
    """
    at, to = np.int64(0), np.int64(0)
    while at < REMEMBERED and ranking[at] >= 0 and ranking[at] != who:
        at += 1
    known = at < REMEMBERED and ranking[at] == who
    at = min(at, REMEMBERED - 1)
    while to < at and (depths[to] < 2 if known else ranking[to] < who):
        to += 1
    for i in range(at, to, -1):
        ranking[i] = ranking[i - 1]
    ranking[to] = who


@numba.njit(f"int64({CODER}, int64[::1], int64[::1], int64, int64, int64, int64)", cache=True, nogil=True)
def code_known_owner(model, ranking, depths, left, above, right, truth):
    """A ranked owner (those whose patches cover the position first), or -1 for another. left, above, right
    (above it): the neighbours' owners."""
    later = np.int64(0)
    for outside in range(2):
        for i in range(REMEMBERED):
            who = ranking[i]
            if who < 0:
                break
            if (depths[i] < 0) == (outside == 1):
                around = (1 if who == left else (2 if left >= 0 else 0)) * 3 + (
                    1 if who == above else (2 if above >= 0 else 0)
                )
                context = (later * 7 + min(depths[i], DEEP - 1) + 1) * 18 + around * 2 + (who == right)
                if code_bit(model, IS_OWNER + context, 1 if who == truth else 0):
                    return who
                later = np.int64(1)
    return np.int64(-1)


@numba.njit("int64(int64[::1], int64, int64)", cache=True, nogil=True)
def _ranked_between(ranking, low, high):
    """How many ranked owners lie in low .. high - 1."""
    found = np.int64(0)
    for who in ranking:
        found += 1 if who >= 0 and low <= who < high else 0
    return found


@numba.njit(f"int64({CODER}, int64[::1], int64, int64, int64)", cache=True, nogil=True)
def code_new_owner(model, ranking, members, own, truth):
    """An owner that is not ranked, -1 where none is left; those before `own` are likelier (they are, where
    priority follows the id)."""
    free_below = own - _ranked_between(ranking, 0, own)
    free_above = members - 1 - own - _ranked_between(ranking, own + 1, members)
    if free_below + free_above == 0:
        return np.int64(-1)
    below = np.int64(1 if free_above == 0 else 0)
    if free_below > 0 and free_above > 0:
        below = code_bit(model, IS_BELOW, 1 if truth < own else 0)
    low = np.int64(0) if below else own + 1
    place = code_uniform(
        model, truth - low - _ranked_between(ranking, low, truth), free_below if below else free_above
    )
    found = low + place
    for _ in range(REMEMBERED + 1):  # skip the ranked ones
        found = low + place + _ranked_between(ranking, low, found + 1)
    return found


# ---------------------------------------------------------------- which


@numba.njit(f"int64({CODER}, int64, int64, int64, int64)", cache=True, nogil=True)
def _code_coordinate(model, contexts, own, truth, size):
    """Row or column of the first index: an overlap begins at a border of one of the two patches, so one
    coordinate of the two is small."""
    near = min(FEW, size)
    for i in range(near):
        if i + 1 == size or code_bit(model, contexts + min(own, FEW - 1) * FEW + i, 1 if truth == i else 0):
            return np.int64(i)
    return near + code_uniform(model, truth - near, size - near)


@numba.njit(f"int64({CODER}, int64, int64, int64)", cache=True, nogil=True)
def _code_distance(model, kind, missed, truth):
    """Distance of an index from the expected one: zero, or a sign and an Elias-gamma code, adaptive in the
    bit length."""
    if code_bit(model, IS_HIT + kind * 2 + missed, 1 if truth == 0 else 0):
        return np.int64(0)
    down = code_bit(model, IS_DOWN + kind, 1 if truth < 0 else 0)
    bits, value = np.int64(1), np.int64(1)
    while bits < 24 and code_bit(model, IS_LONGER + kind * 24 + bits - 1, 1 if abs(truth) >> bits > 0 else 0):
        bits += 1
    for shift in range(bits - 2, -1, -1):
        value = 2 * value + code_uniform(model, (abs(truth) >> shift) & 1, 2)
    return -value if down else value


@numba.njit(
    f"int64({CODER}, int64[:, ::1], int64, int64, int64, int64, int64, int64)", cache=True, nogil=True
)
def code_index(model, owners, who, beside, p, height, width, truth):
    """Index in the list of `who`; keeps its shift. beside: the left neighbour copies from the same owner. May
    leave the list (bad bytes)."""
    row, column = p // width, p % width
    owner = owners[who]
    if not owner[SEEN]:
        owner_row = _code_coordinate(model, AT_ROW, row, truth // width, height)
        owner_column = _code_coordinate(model, AT_COLUMN, column, truth % width, width)
        index = owner_row * width + owner_column
        owner[SEEN], owner[LAST_ROW] = 1, row
        owner[ROW_SHIFT], owner[COLUMN_SHIFT] = owner_row - row, owner_column - column
        owner[SHIFT], owner[STRAY] = index - p, index - p
        return index
    kind = BESIDE if beside else (ABOVE if owner[LAST_ROW] < row else FAR)
    expected = min(max(p + owner[SHIFT], 0), height * width - 1)
    distance = _code_distance(model, kind, owner[MISSED], truth - expected)
    index = expected + distance
    owner[LAST_ROW] = row
    if distance != 0:
        owner[MISSED] = 1
    if (-2 if kind == BESIDE else -width) <= distance <= 2 or index - p == owner[STRAY]:
        owner[SHIFT] = index - p
    else:  # the owner itself has a local copy here, of a vector elsewhere
        owner[SHIFT] -= 1
        owner[STRAY] = index - p
    return index


@numba.njit(
    f"int64({CODER}, uint8[::1], int32[::1], int64[::1], int64, int64, int64, int64, int64)",
    cache=True,
    nogil=True,
)
def code_representative(model, fate, source, recent, p, height, width, forward, truth):
    """Flat position that a local copy copies. recent: int64 [REMEMBERED], representatives, most recent first,
    -1 behind the last; updated."""
    left, above, found = np.int64(-1), np.int64(-1), np.int64(-1)
    if p % width > 0:
        left = np.int64(source[p - 1]) if fate[p - 1] == LOCAL else p - 1
    if p >= width:
        above = np.int64(source[p - width]) if fate[p - width] == LOCAL else p - width
    if left >= 0 and code_bit(model, IS_SAME, 1 if truth == left else 0):
        found = left
    elif (
        above >= 0
        and above != left
        and code_bit(model, IS_SAME + (1 if left >= 0 else 2), 1 if truth == above else 0)
    ):
        found = above
    at = np.int64(0)
    while found < 0 and at < REMEMBERED and recent[at] >= 0:
        if (
            recent[at] != left
            and recent[at] != above
            and code_bit(model, IS_SAME + 3 + at, 1 if truth == recent[at] else 0)
        ):
            found = recent[at]
        at += 1
    if found < 0:
        row = code_uniform(model, truth // width, height if forward else p // width + 1)
        found = row * width + code_uniform(model, truth % width, width)
    at = np.int64(0)
    while at < REMEMBERED - 1 and recent[at] != found:
        at += 1
    for i in range(at, 0, -1):
        recent[i] = recent[i - 1]
    recent[0] = found
    return found


# ---------------------------------------------------------------- exact


@numba.njit(f"int64({CODER}, int64)", cache=True, nogil=True)
def code_exactness(model, truth):
    """Of all remote copies: 0 none is exact, 1 all are, 2 some."""
    if code_bit(model, ARE_EXACT, 1 if truth == 1 else 0):
        return np.int64(1)
    return np.int64(2 if code_bit(model, ARE_EXACT + 1, 1 if truth == 2 else 0) else 0)


@numba.njit("int64(uint8[::1], uint8[::1])", cache=True, nogil=True)
def exactness(fate, exact):
    """What `code_exactness` is told of a whole map."""
    some, every = False, True
    for p in range(len(fate)):
        if fate[p] == REMOTE:
            some = some or exact[p] != 0
            every = every and exact[p] != 0
    return np.int64(1 if every else (2 if some else 0))
