"""Coded differences of quantised DC coefficients and of the AC depths of blocks, section 4.3.2.

Blocks go in gaggles of 16. A segment's first value stands as it is, in N bits; the others are differences
from the value before, mapped to numbers from 0 up, and a gaggle splits them at bit k: unary parts of all
first, then the k low bits of all; or writes them in N bits."""

from __future__ import annotations

import numba
import numpy as np

from codec.ccsds122.bits import DAMAGED, FAULT, put, take

GAGGLE = 16


@numba.njit(cache=True, nogil=True)
def mapped_differences(values, low, high):
    """Equation 17: int64 like values, which lie in low..high; the first is left as it is."""
    out = np.empty_like(values)
    out[0] = values[0]
    for k in range(1, len(values)):
        difference = values[k] - values[k - 1]
        room = min(values[k - 1] - low, high - values[k - 1])
        if 0 <= difference <= room:
            out[k] = 2 * difference
        elif -room <= difference < 0:
            out[k] = -2 * difference - 1
        else:
            out[k] = room + abs(difference)
    return out


@numba.njit(cache=True, nogil=True)
def summed_differences(mapped, low, high, state):
    """The values again, in place; DAMAGED where they leave low..high."""
    for k in range(1, len(mapped)):
        before, number = mapped[k - 1], mapped[k]
        room = min(before - low, high - before)
        if number > 2 * room:
            difference = number - room if before - low < high - before else room - number
        else:
            difference = -((number + 1) >> 1) if number & 1 else number >> 1
        mapped[k] = before + difference
        if mapped[k] < low or mapped[k] > high:
            state[FAULT] = DAMAGED
            return


@numba.njit(cache=True, nogil=True)
def _id_bits(width):
    bits = 0
    while (1 << bits) < width:
        bits += 1
    return bits


@numba.njit(cache=True, nogil=True)
def _heuristic(total, count, width):
    """k of table 4-10 for `count` numbers of sum `total`; -1: uncoded."""
    if 64 * total >= 23 * count * (1 << width):
        return -1
    if 207 * count > 128 * total:
        return 0
    if count * (1 << (width + 5)) <= 128 * total + 49 * count:
        return width - 2
    k = 0
    while count * (1 << (k + 8)) <= 128 * total + 49 * count:
        k += 1
    return k


@numba.njit(cache=True, nogil=True)
def _optimum(numbers, width):
    """k with the fewest bits; -1: uncoded."""
    best, fewest = -1, width * len(numbers)
    for k in range(width - 1):
        bits = 0
        for number in numbers:
            bits += (number >> k) + 1 + k
        if bits < fewest:
            best, fewest = k, bits
    return best


@numba.njit(cache=True, nogil=True)
def put_gaggles(buffer, state, mapped, width, optimum):
    """Append all numbers. width: N, above 1."""
    bits = _id_bits(width)
    for start in range(0, len(mapped), GAGGLE):
        numbers = mapped[max(start, 1) : start + GAGGLE]
        k = _optimum(numbers, width) if optimum else _heuristic(numbers.sum(), len(numbers), width)
        put(buffer, state, k if k >= 0 else (1 << bits) - 1, bits)
        if start == 0:
            put(buffer, state, mapped[0], width)
        for number in numbers:
            if k < 0:
                put(buffer, state, number, width)
            else:
                put(buffer, state, 1, (number >> k) + 1)
        if k > 0:
            for number in numbers:
                put(buffer, state, number, k)


@numba.njit(cache=True, nogil=True)
def _take_unary(buffer, state, most):
    number = 0
    while True:
        bit = take(buffer, state, 1)
        if bit < 0:
            return -1
        if bit:
            return number
        number += 1
        if number > most:
            state[FAULT] = DAMAGED
            return -1


@numba.njit(cache=True, nogil=True)
def take_gaggles(buffer, state, mapped, width):
    """Fill mapped; returns how many numbers, from the first, are known: fewer where bits ran out."""
    bits, count = _id_bits(width), len(mapped)
    for start in range(0, count, GAGGLE):
        end = min(start + GAGGLE, count)
        k = take(buffer, state, bits)
        if start == 0:
            mapped[0] = take(buffer, state, width)
        if state[FAULT]:
            return start
        for at in range(max(start, 1), end):
            if k == (1 << bits) - 1:
                number = take(buffer, state, width)
            else:
                number = _take_unary(buffer, state, (1 << width) >> k)
            if number < 0:
                return at if k == (1 << bits) - 1 or k == 0 else max(start, 1)
            mapped[at] = number
        if k == (1 << bits) - 1 or k == 0:
            continue
        for at in range(max(start, 1), end):
            low = take(buffer, state, k)
            if low < 0:
                return at
            mapped[at] = mapped[at] << k | low
    return count
