"""Bit planes of AC coefficients into bits: stages 1 to 4 of section 4.5.

At plane b a coefficient's type is 0 (below 2^b), 1 (its first one is bit b), 2 (later) or -1 (b lies below
what its subband was multiplied by, so the bit is 0 and is not sent). A block's words at a plane stand in 22
slots in the order in which they are sent: types of parents; tran_B, tran_D, types of the children of three
families; tran_G, tran_H of three families, types of the grandchildren of twelve quadrants.

A set of coefficients (columns of `peaks`: B, three D, three G, twelve H) became significant above plane b if
its largest magnitude is 2^(b + 1) or more: so nothing has to be remembered from plane to plane."""

from __future__ import annotations

import numba
import numpy as np

from codec.ccsds122.bits import POSITION, put
from codec.ccsds122.rice import GAGGLE
from codec.ccsds122.tables import CODE, CODE_BITS, ID_BITS, SYMBOL_OF, UNCODED

SLOTS = 22
STAGE_SLOTS = (0, 1, 6, SLOTS)  # stage s has slots STAGE_SLOTS[s - 1] to STAGE_SLOTS[s]
LENGTH, WORD, SPECIAL, SIGNS, SIGN_COUNT = range(5)  # fields of a slot
SET_B, SET_D, SET_G, SET_H, SETS = 0, 1, 4, 7, 19


def set_peaks(magnitudes: np.ndarray) -> np.ndarray:
    """The largest of every set, [K, 19], of magnitudes [K, 63]; of shifts, negated, the least."""
    families = magnitudes.reshape(-1, 3, 21)
    quadrants = families[:, :, 5:].reshape(-1, 3, 4, 4).max(-1)
    grand = quadrants.max(-1)
    descendants = np.maximum(grand, families[:, :, 1:5].max(-1))
    whole = descendants.max(-1, keepdims=True)
    return np.concatenate([whole, descendants, grand, quadrants.reshape(-1, 12)], axis=1)


@numba.njit(cache=True, nogil=True)
def _types(slot, coefficients, shifts, members, plane):
    """The types of members (first, end, step) of which it is not known that they are significant."""
    length = word = signs = count = 0
    for at in range(members[0], members[1], members[2]):
        magnitude = abs(coefficients[at])
        if shifts[at] > plane or magnitude >> (plane + 1):
            continue
        bit = magnitude >> plane
        length, word = length + 1, word << 1 | bit
        if bit:
            signs, count = signs << 1 | (coefficients[at] < 0), count + 1
    slot[LENGTH], slot[WORD], slot[SIGNS], slot[SIGN_COUNT] = length, word, signs, count


@numba.njit(cache=True, nogil=True)
def _transitions(slot, peaks, floors, first, count, plane):
    """Which of sets become significant at a plane, of those that are not yet."""
    length = word = 0
    for at in range(first, first + count):
        if floors[at] <= plane and not peaks[at] >> (plane + 1):
            length, word = length + 1, word << 1 | (peaks[at] >> plane)
    slot[LENGTH], slot[WORD] = length, word


@numba.njit(cache=True, nogil=True)
def _children(words, coefficients, shifts, peaks, floors, plane):
    """Slots of stage 2; whether any descendant is significant."""
    _transitions(words[1], peaks, floors, SET_B, 1, plane)
    if not peaks[SET_B] >> plane:
        return False
    _transitions(words[2], peaks, floors, SET_D, 3, plane)
    words[2, SPECIAL] = words[2, LENGTH] == 3
    for family in range(3):
        if peaks[SET_D + family] >> plane:
            _types(words[3 + family], coefficients, shifts, (21 * family + 1, 21 * family + 5, 1), plane)
    return True


@numba.njit(cache=True, nogil=True)
def _grandchildren(words, coefficients, shifts, peaks, floors, plane):
    """Slots of stage 3, of a block with a significant descendant."""
    length = word = 0
    for family in range(3):
        at = SET_G + family
        if peaks[SET_D + family] >> plane and floors[at] <= plane and not peaks[at] >> (plane + 1):
            length, word = length + 1, word << 1 | (peaks[at] >> plane)
    words[6, LENGTH], words[6, WORD] = length, word
    for family in range(3):
        if not peaks[SET_G + family] >> plane:
            continue
        slot = words[7 + family]
        _transitions(slot, peaks, floors, SET_H + 4 * family, 4, plane)
        slot[SPECIAL] = slot[LENGTH] == 4
        for quadrant in range(4):
            if peaks[SET_H + 4 * family + quadrant] >> plane:
                slot, first = words[10 + 4 * family + quadrant], 21 * family + 5 + 4 * quadrant
                _types(slot, coefficients, shifts, (first, first + 4, 1), plane)
                slot[SPECIAL] = slot[LENGTH] == 4


@numba.njit(cache=True, nogil=True)
def plane_words(words, coefficients, shifts, peaks, floors, depths, plane):
    """Fill words [K, 22, 5] of all blocks at a plane. coefficients: int32 [K, 63]; depths: AC depths [K]."""
    words[:] = 0
    for k in range(len(coefficients)):
        if depths[k] <= plane:
            continue
        _types(words[k, 0], coefficients[k], shifts, (0, 63, 21), plane)
        if _children(words[k], coefficients[k], shifts, peaks[k], floors, plane):
            _grandchildren(words[k], coefficients[k], shifts, peaks[k], floors, plane)


@numba.njit(cache=True, nogil=True)
def choose_options(words, options):
    """The shortest option of every gaggle and length of word, options int64 [G, 3]; of equal ones the
    first."""
    bits = np.zeros((3, 4), dtype=np.int64)
    for gaggle in range(len(options)):
        bits[:] = 0
        for k in range(GAGGLE * gaggle, min(GAGGLE * (gaggle + 1), len(words))):
            for at in range(SLOTS):
                slot = words[k, at]
                if slot[LENGTH] > 1:
                    kind = slot[LENGTH] - 2
                    symbol = SYMBOL_OF[kind, slot[SPECIAL], slot[WORD]]
                    for option in range(4):
                        bits[kind, option] += CODE_BITS[kind, option, symbol]
        for kind in range(3):
            best = 0
            for option in range(1, UNCODED[kind] + 1):
                if bits[kind, option] < bits[kind, best]:
                    best = option
            options[gaggle, kind] = best


@numba.njit(cache=True, nogil=True)
def put_stage(buffer, state, words, options, told, first, end):
    """Append slots first..end of all blocks. told: bool [G, 3], whether an option has been written."""
    for k in range(len(words)):
        gaggle = k // GAGGLE
        for at in range(first, end):
            slot = words[k, at]
            length = slot[LENGTH]
            if length == 1:
                put(buffer, state, slot[WORD], 1)
            elif length > 1:
                kind = length - 2
                option = options[gaggle, kind]
                if not told[gaggle, kind]:
                    told[gaggle, kind] = True
                    put(buffer, state, option, ID_BITS[kind])
                symbol = SYMBOL_OF[kind, slot[SPECIAL], slot[WORD]]
                put(buffer, state, CODE[kind, option, symbol], CODE_BITS[kind, option, symbol])
            put(buffer, state, slot[SIGNS], slot[SIGN_COUNT])
    return state[POSITION]


@numba.njit(cache=True, nogil=True)
def put_refinement(buffer, state, coefficients, shifts, order, depths, plane):
    """Append stage 4: the bits of coefficients that were significant before, in the order of generations."""
    for k in range(len(coefficients)):
        if depths[k] <= plane:
            continue
        for at in order:
            magnitude = abs(coefficients[k, at])
            if shifts[at] <= plane and magnitude >> (plane + 1):
                put(buffer, state, (magnitude >> plane) & 1, 1)


def _order() -> np.ndarray:
    """Columns of the 63 AC coefficients by generation, in it by family: the order of stage 4."""
    columns = np.arange(63).reshape(3, 21)
    return np.concatenate([columns[:, 0], columns[:, 1:5].ravel(), columns[:, 5:].ravel()])


REFINEMENT_ORDER = _order()
