"""Bits into bit planes of AC coefficients: what encoding.py writes, as far as there are bits.

Every function returns at the first bit that is not there (SPENT) or cannot be (DAMAGED), with all that was
decoded before in place. A word whose signs are cut off is not applied."""

from __future__ import annotations

import numba
import numpy as np

from codec.ccsds122.bits import DAMAGED, END, FAULT, POSITION, SPENT, take
from codec.ccsds122.encoding import SET_B, SET_D, SET_G, SET_H
from codec.ccsds122.rice import GAGGLE
from codec.ccsds122.tables import ID_BITS, PEEK, READ_BITS, READ_SYMBOL, WORD_OF


@numba.njit(cache=True, nogil=True)
def _peek(buffer, state):
    """The next eight bits, zeros past the end."""
    position = state[POSITION]
    at, shift = position >> 3, position & 7
    value = np.int64(buffer[at]) << 8 if at < len(buffer) else 0
    if at + 1 < len(buffer):
        value |= np.int64(buffer[at + 1])
    return (value >> (8 - shift)) & ((1 << PEEK) - 1)


@numba.njit(cache=True, nogil=True)
def take_word(buffer, state, options, length, special):
    """A word of 1 to 4 bits. options: int64 [3] of the gaggle, -1 until its option was read."""
    if length == 1:
        return take(buffer, state, 1)
    kind = length - 2
    if options[kind] < 0:
        options[kind] = take(buffer, state, ID_BITS[kind])
    if state[FAULT]:
        return -1
    ahead = _peek(buffer, state)
    symbol, bits = READ_SYMBOL[kind, options[kind], ahead], READ_BITS[kind, options[kind], ahead]
    if state[POSITION] + max(bits, 1) > state[END]:
        state[FAULT] = SPENT
        return -1
    word = WORD_OF[kind, special, symbol] if symbol >= 0 else -1
    if word < 0:
        state[FAULT] = DAMAGED
        return -1
    state[POSITION] += bits
    return word


@numba.njit(cache=True, nogil=True)
def _ones(word):
    count = 0
    while word:
        count, word = count + (word & 1), word >> 1
    return count


@numba.njit(cache=True, nogil=True)
def _take_types(buffer, state, options, block, members, plane, special):
    """Types of members (first, end, step). block: (coefficients, known, shifts) [63] each."""
    coefficients, known, shifts = block
    length = 0
    for at in range(members[0], members[1], members[2]):
        length += shifts[at] <= plane and not abs(coefficients[at]) >> (plane + 1)
    if length == 0:
        return
    word = take_word(buffer, state, options, length, 1 if special and length == 4 else 0)
    if word <= 0:
        return
    count = _ones(word)
    signs = take(buffer, state, count)
    if signs < 0:
        return
    for at in range(members[0], members[1], members[2]):
        if shifts[at] <= plane and not abs(coefficients[at]) >> (plane + 1):
            length -= 1
            if (word >> length) & 1:
                count -= 1
                coefficients[at] = -(1 << plane) if (signs >> count) & 1 else 1 << plane
                known[at] = plane


@numba.njit(cache=True, nogil=True)
def _take_transitions(buffer, state, options, sets, chosen, plane, special):
    """Which of the chosen sets become significant. sets: (hit, floors) [19] each; chosen: (first, count,
    whether G, which needs its D)."""
    hit, floors = sets
    length = 0
    for at in range(chosen[0], chosen[0] + chosen[1]):
        length += floors[at] <= plane and not hit[at] and (not chosen[2] or hit[at - 3])
    if length == 0:
        return
    word = take_word(buffer, state, options, length, 1 if length == special else 0)
    if word < 0:
        return
    for at in range(chosen[0], chosen[0] + chosen[1]):
        if floors[at] <= plane and not hit[at] and (not chosen[2] or hit[at - 3]):
            length -= 1
            hit[at] = (word >> length) & 1


@numba.njit(cache=True, nogil=True)
def _take_children(buffer, state, options, block, sets, plane):
    hit = sets[0]
    _take_transitions(buffer, state, options, sets, (SET_B, 1, False), plane, 0)
    if state[FAULT] or not hit[SET_B]:
        return
    _take_transitions(buffer, state, options, sets, (SET_D, 3, False), plane, 3)
    for family in range(3):
        if state[FAULT]:
            return
        if hit[SET_D + family]:
            members = (21 * family + 1, 21 * family + 5, 1)
            _take_types(buffer, state, options, block, members, plane, False)


@numba.njit(cache=True, nogil=True)
def _take_grandchildren(buffer, state, options, block, sets, plane):
    hit = sets[0]
    if not hit[SET_B]:
        return
    _take_transitions(buffer, state, options, sets, (SET_G, 3, True), plane, 0)
    for family in range(3):
        if state[FAULT]:
            return
        if hit[SET_G + family]:
            _take_transitions(buffer, state, options, sets, (SET_H + 4 * family, 4, False), plane, 4)
    for quadrant in range(12):
        if state[FAULT]:
            return
        if hit[SET_H + quadrant] and hit[SET_G + quadrant // 4]:
            first = 21 * (quadrant // 4) + 5 + 4 * (quadrant % 4)
            _take_types(buffer, state, options, block, (first, first + 4, 1), plane, True)


@numba.njit(cache=True, nogil=True)
def take_stage(buffer, state, options, found, sets, depths, stage, plane):
    """Stage 1, 2 or 3 of all blocks. options: int64 [G, 3]; found: (coefficients int32 [K, 63], known int8
    [K, 63], shifts [63]); sets: (hit uint8 [K, 19], floors [19])."""
    coefficients, known, shifts = found
    hit, floors = sets
    for k in range(len(coefficients)):
        if depths[k] <= plane:
            continue
        own, block, family = options[k // GAGGLE], (coefficients[k], known[k], shifts), (hit[k], floors)
        if stage == 1:
            _take_types(buffer, state, own, block, (0, 63, 21), plane, False)
        elif stage == 2:
            _take_children(buffer, state, own, block, family, plane)
        else:
            _take_grandchildren(buffer, state, own, block, family, plane)
        if state[FAULT]:
            return


@numba.njit(cache=True, nogil=True)
def take_refinement(buffer, state, found, order, depths, plane):
    """Stage 4 of all blocks."""
    coefficients, known, shifts = found
    for k in range(len(coefficients)):
        if depths[k] <= plane:
            continue
        for at in order:
            value = coefficients[k, at]
            if shifts[at] <= plane and abs(value) >> (plane + 1):
                bit = take(buffer, state, 1)
                if bit < 0:
                    return
                coefficients[k, at] = value - (bit << plane) if value < 0 else value + (bit << plane)
                known[k, at] = plane
